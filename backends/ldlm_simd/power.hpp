#pragma once
// x to the power of y of xsimd batches, with C's special values. Floats are computed in double and
// are within 1 ulp; doubles go through the C library, one by one.

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>

#include <ldlm_simd/math.hpp>
#include <ldlm_simd/wide.hpp>

namespace ldlm::simd {

namespace detail {

/// log2(x) of finite x > 0 (of 0: some large negative number), to 39 bits: enough for float.
template <class A>
[[gnu::always_inline]] inline xsimd::batch<double, A> log2_of(const xsimd::batch<double, A>& x) {
  using B = xsimd::batch<double, A>;
  using Bits = xsimd::batch<std::uint64_t, A>;
  // 2 / ln(2) / (2 k + 1): log2(m) = sum of these s^(2 k + 1) with s = (m - 1) / (m + 1).
  static constexpr auto series = [] {
    std::array<double, 7> c{};
    for (std::size_t k = 0; k < c.size(); ++k) {
      c[k] = 2 * std::numbers::log2e / static_cast<double>(2 * k + 1);
    }
    return c;
  }();
  // x = 2^n m with m from sqrt(1/2) to sqrt(2).
  constexpr auto least = std::bit_cast<std::uint64_t>(std::numbers::sqrt2 / 2);
  constexpr auto one = std::bit_cast<std::uint64_t>(1.0);
  constexpr auto whole = std::bit_cast<std::uint64_t>(0x1p52);  // an integer's bits below it
  const Bits shifted = std::bit_cast<Bits>(x) + Bits(one - least);
  const B n = std::bit_cast<B>((shifted >> 52) | Bits(whole)) - B(0x1p52 + 1023);
  const B m = std::bit_cast<B>((shifted & Bits((std::uint64_t{1} << 52) - 1)) + Bits(least));
  const B s = (m - B(1.0)) / (m + B(1.0));
  return simd::fma(s, polynomial(s * s, series), n);
}

/// 2^t to 33 bits; infinity as float, or 0, where it is out of reach.
template <class A>
[[gnu::always_inline]] inline xsimd::batch<double, A> exp2_of(const xsimd::batch<double, A>& t) {
  using B = xsimd::batch<double, A>;
  using C = MathConstants<double>;
  static constexpr auto series = [] {  // ln(2)^k / k!
    std::array<double, 10> c{1};
    for (std::size_t k = 1; k < c.size(); ++k) {
      c[k] = c[k - 1] * std::numbers::ln2 / static_cast<double>(k);
    }
    return c;
  }();
  const B limited =
      xsimd::select(t > B(1000.0), B(1000.0), xsimd::select(t < B(-1000.0), B(-1000.0), t));
  const B magic(C::integer_magic + C::exponent_bias);
  const B shifted = limited + magic;
  return polynomial(limited - (shifted - magic), series) * power_of_two(shifted);
}

/// x^y for x > 0, both finite.
template <class A>
[[gnu::always_inline]] inline xsimd::batch<float, A> positive_power(
    const xsimd::batch<float, A>& x, const xsimd::batch<float, A>& y) {
  const auto [x_low, x_high] = simd::widen<A>(x);
  const auto [y_low, y_high] = simd::widen<A>(y);
  return simd::narrow<A>(exp2_of(y_low * log2_of(x_low)), exp2_of(y_high * log2_of(x_high)));
}

}  // namespace detail

template <class T, class A>
xsimd::batch<T, A> pow(const xsimd::batch<T, A>& x, const xsimd::batch<T, A>& y) {
  using B = xsimd::batch<T, A>;
  const B zero(T{0}), one(T{1}), infinity(std::numeric_limits<T>::infinity());
  if constexpr (sizeof(T) ==
                8) {  // (The library's makes NaN of a signalling NaN to the power of 0.)
    const B r = per_lane<T, A>([](T a, T b) { return std::pow(a, b); }, x, y);
    return xsimd::select(y == zero, one, r);
  } else {
    const B a = xsimd::abs(x);
    B r = detail::positive_power(a, y);
    r = xsimd::select(a == zero, xsimd::select(y > zero, zero, infinity), r);
    r = xsimd::select(a == infinity, xsimd::select(y > zero, infinity, zero), r);
    r = xsimd::select(a == one, one, r);
    // Of negative numbers: whole powers only, and odd ones are negative.
    const B half = y * B(T{0.5});
    const auto whole = y == xsimd::nearbyint(y);
    const auto odd = whole && !(half == xsimd::nearbyint(half));
    r = xsimd::select(odd, r | xsimd::bitofsign(x), r);
    const B nan(std::numeric_limits<T>::quiet_NaN());
    r = xsimd::select((x < zero) && !(a == infinity) && !whole, nan, r);
    r = xsimd::select(xsimd::isnan(x) || xsimd::isnan(y), nan, r);
    return xsimd::select(y == zero || x == one, one, r);
  }
}

/// x to one power. As PyTorch does, halves are square roots: of -0 that is -0, of -infinity NaN.
template <class T, class A>
xsimd::batch<T, A> pow(const xsimd::batch<T, A>& x, T exponent) {
  using B = xsimd::batch<T, A>;
  if (exponent == T{1}) {
    return x;
  }
  if (exponent == T{2}) {
    return x * x;
  }
  if (exponent == T{3}) {
    return x * x * x;
  }
  if (exponent == T{0.5}) {
    return xsimd::sqrt(x);
  }
  if (exponent == T{-0.5}) {
    return B(T{1}) / xsimd::sqrt(x);
  }
  if (exponent == T{-1}) {
    return B(T{1}) / x;
  }
  if (exponent == T{-2}) {
    return B(T{1}) / (x * x);
  }
  return simd::pow(x, B(exponent));
}

}  // namespace ldlm::simd
