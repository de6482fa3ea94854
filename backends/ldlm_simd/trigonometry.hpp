#pragma once
// Sine and cosine of xsimd batches, of arguments of any size. Within 2 ulp.

#include <array>
#include <cmath>
#include <cstddef>

#include <ldlm_simd/math.hpp>
#include <ldlm_simd/wide.hpp>

namespace ldlm::simd {

namespace detail {

// pi / 2 in pieces whose products with whole numbers are exact: doubles of 33 bits, for numbers
// below 2^20, and floats of 16 bits, for numbers below 2^8.
template <class T>
inline constexpr std::array<T, 4> half_pi{};
template <>
inline constexpr std::array<double, 4> half_pi<double>{0x1.921fb544p+0, 0x1.0b4611a6p-34,
                                                       0x1.3198a2ep-69, 0x1.b839a252049c1p-104};
template <>
inline constexpr std::array<float, 4> half_pi<float>{0x1.921ep+0F, 0x1.b544p-16F, 0x1.0b46p-34F,
                                                     0x1.1a6264p-54F};
/// The largest arguments that these pieces serve, about.
template <class T>
inline constexpr T furthest_argument = sizeof(T) == 8 ? T{0x1p20} : T{400};

/// x = quarter pi / 2 + r + rest with a whole quarter, |r| <= pi / 4 (about), and a rest below the
/// last bit of r. |x| is below furthest_argument.
template <class T, class A>
struct QuarterTurns {
  xsimd::batch<T, A> quarter, r, rest;
};
template <class T, class A>
[[gnu::always_inline]] inline QuarterTurns<T, A> quarter_turns(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  const B magic(MathConstants<T>::integer_magic);
  const B q = (x * B(2 * std::numbers::inv_pi_v<T>) + magic) - magic;
  const B first = x - q * B(half_pi<T>[0]);
  const B second = q * B(half_pi<T>[1]);
  const B middle = first - second;
  // What the two subtractions rounded away, and the last pieces.
  const B lost = (first - middle) - second;
  const B small = q * B(half_pi<T>[2]) - lost + q * B(half_pi<T>[3]);
  const B r = middle - small;
  return {q, r, (middle - r) - small};
}

/// 1 / (2 k + Odd)! with alternating signs from k = First on: parts of the series of sine (Odd = 1)
/// and cosine (Odd = 0).
template <class T, std::size_t Odd, std::size_t First, std::size_t Terms>
constexpr std::array<T, Terms> alternating_series() {
  std::array<T, Terms> c{};
  double factorial = 1;
  for (std::size_t k = 1; k < First + Terms; ++k) {
    factorial *= -static_cast<double>((2 * k + Odd - 1) * (2 * k + Odd));
    if (k >= First) {
      c[k - First] = static_cast<T>(1 / factorial);
    }
  }
  return c;
}
template <class T>
inline constexpr std::size_t series_terms = sizeof(T) == 4 ? 5 : 8;

/// The sine (Turns = 0) or cosine (Turns = 1) of quarter pi / 2 + r + rest.
template <int Turns, class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> sine_of_turns(const xsimd::batch<T, A>& quarter,
                                                               const xsimd::batch<T, A>& r,
                                                               const xsimd::batch<T, A>& rest) {
  using B = xsimd::batch<T, A>;
  static constexpr auto s = alternating_series<T, 1, 1, series_terms<T>>();
  static constexpr auto c = alternating_series<T, 0, 2, series_terms<T>>();
  const B r2 = r * r;
  const B sine = r + simd::fma(r * r2, polynomial(r2, s), rest);
  const B half = r2 * B(T{0.5});
  const B top = B(T{1}) - half;  // what it rounds away is added at the end
  const B cosine =
      top + (((B(T{1}) - top) - half) + simd::fnma(r, rest, r2 * r2 * polynomial(r2, c)));
  const B turns = quarter + B(T{Turns});
  const B pair = xsimd::floor(turns * B(T{0.5}));
  const B odd = simd::fnma(B(T{2}), pair, turns);
  const B lower = simd::fnma(B(T{2}), xsimd::floor(pair * B(T{0.5})), pair);
  const B value = xsimd::select(odd == B(T{0}), sine, cosine);
  return xsimd::select(lower == B(T{0}), value, negative(value));
}

template <int Turns, class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> sine_of_near(const xsimd::batch<T, A>& x) {
  const auto [quarter, r, rest] = quarter_turns(x);
  return sine_of_turns<Turns>(quarter, r, rest);
}
/// The same of floats that may be as far as doubles'.
template <int Turns, class A>
[[gnu::always_inline]] inline xsimd::batch<float, A> sine_of_far(const xsimd::batch<float, A>& x) {
  const auto [low, high] = simd::widen<A>(x);
  const auto a = quarter_turns(low), b = quarter_turns(high);
  return sine_of_turns<Turns>(simd::narrow<A>(a.quarter, b.quarter), simd::narrow<A>(a.r, b.r),
                              xsimd::batch<float, A>(0.0F));
}

/// Arguments that are too large for any pieces go to the C library, one by one.
template <int Turns, class T, class A, class Function>
[[gnu::always_inline]] inline xsimd::batch<T, A> sine_of(const xsimd::batch<T, A>& x,
                                                         const Function& function) {
  using B = xsimd::batch<T, A>;
  const B distance = xsimd::abs(x);
  B y;
  if constexpr (sizeof(T) == 4) {
    y = xsimd::any(distance > B(furthest_argument<T>)) ? sine_of_far<Turns>(x)
                                                       : sine_of_near<Turns>(x);
  } else {
    y = sine_of_near<Turns>(x);
  }
  const auto too_far = distance > B(static_cast<T>(furthest_argument<double>));
  return xsimd::any(too_far) ? xsimd::select(too_far, per_lane<T, A>(function, x), y) : y;
}

}  // namespace detail

template <class T, class A>
xsimd::batch<T, A> sin(const xsimd::batch<T, A>& x) {
  const auto y = detail::sine_of<0>(x, [](T v) { return std::sin(v); });
  return xsimd::select(x == xsimd::batch<T, A>(T{0}), x, y);  // of -0 it is -0, which sums lose
}
template <class T, class A>
xsimd::batch<T, A> cos(const xsimd::batch<T, A>& x) {
  return detail::sine_of<1>(x, [](T v) { return std::cos(v); });
}

}  // namespace ldlm::simd
