#pragma once
// Transcendental functions of xsimd batches of float and double: exp, tanh, sigmoid, erf, the
// normal distribution function and the activations. Call them qualified, as simd::exp(x): argument
// lookup alone would also find xsimd's, which are several times slower.
//
// Within 4 ulp, 8 for normal_cdf and gelu; far left tails (x < -2 of normal_cdf and gelu without
// FMA, of gelu_tanh) lose more ulp, as many as their exponent is large. NaN gives NaN. Results
// within a factor of 200 of the smallest normal number may be zeros.
// The polynomials come from tools/make_math_coefficients.py.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <type_traits>
#include <utility>

#include <ldlm_simd/fma.hpp>

namespace ldlm::simd {

namespace detail {

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  using Bits = std::uint32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr float exponent_bias = 127;
  static constexpr float integer_magic = 12582912.0F;            // 1.5 * 2^23
  static constexpr float exp_low = -87.6F, exp_high = 89.0F;     // zero; infinity
  static constexpr float ln2_high = 0.693359375F;                // few bits: exact products
  static constexpr float ln2_low = -2.12194440e-4F;              // high + low = ln 2
  static constexpr float tanh_limit = 9.2F, tail_limit = 14.5F;  // 1 and 0 from here on
  // (e^r - 1 - r) / r^2, error 3.1e-9 of e^r
  static constexpr std::array exp{0.499999934F, 0.166665206F, 0.041668388F, 0.00836871686F,
                                  0.00138145996F};
  // erf(x) / x in x^2, relative error 7.1e-10
  static constexpr std::array erf{1.12837917F,    -0.376126275F,  0.112835274F,
                                  -0.0268435823F, 0.00513580699F, -0.000692779916F};
  // Phi(-x) e^(x^2/2) / r in s, relative error 9.1e-9
  static constexpr std::array normal_tail{
      0.188821284F,    -0.151974145F,   0.0967842291F,   -0.0466309141F, 0.0151008723F,
      -0.00188100103F, -0.00087755257F, 0.000392102039F, 4.36645786e-5F, -3.35492031e-5F};
};

template <>
struct MathConstants<double> {
  using Bits = std::uint64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr double exponent_bias = 1023;
  static constexpr double integer_magic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double exp_low = -708.7, exp_high = 710.0;
  static constexpr double ln2_high = 0.693145751953125;
  static constexpr double ln2_low = 1.42860682030941723212e-6;
  static constexpr double tanh_limit = 19.5, tail_limit = 38.6;
  // Errors 3.7e-18, 2.2e-19 and 2.0e-17, as above.
  static constexpr std::array exp{
      0.50000000000000106,   0.16666666666666413,    0.041666666666530159,  0.0083333333334944663,
      0.0013888888943630267, 0.00019841269506570379, 2.4801493098665808e-5, 2.7557586379703924e-6,
      2.7630248482179078e-7, 2.5000060156833995e-8};
  static constexpr std::array erf{
      1.1283791670955126,     -0.37612638903183741,   0.1128379167095419,
      -0.02686617064484088,   0.0052239776208143878,  -0.00085483265923598929,
      0.00012055307891790707, -1.4924709792780748e-5, 1.6439359507992445e-6,
      -1.602105663673094e-7,  1.1793324079799286e-8};
  static constexpr std::array normal_tail{
      0.18882128260393787,     -0.15197416049297301,   0.096784350185554869,
      -0.046630464489916355,   0.015099143722666567,   -0.0018850472416087821,
      -0.00086992309040171007, 0.00040770461331984264, 3.3336062130930431e-5,
      -5.7773725928136199e-5,  -4.7696099316141242e-7, 8.7861424140461012e-6,
      1.7874387942662245e-7,   -1.4800028070992169e-6, -1.5630710447341768e-7,
      2.5546428762915769e-7,   6.603862956851907e-8,   -3.9148013939441357e-8,
      -1.9302593924937613e-8,  4.0173069101448777e-9,  3.6547484686468767e-9,
      -8.475981204859855e-11,  -2.9913314852556848e-10};
};

/// The N coefficients from c[First] on as a polynomial; powers: x, x^2, x^4, ...
template <std::size_t First, std::size_t N, class T, std::size_t Size, class B>
[[gnu::always_inline]] inline B estrin(const std::array<T, Size>& c, const B& x1, const B& x2,
                                       const B& x4, const B& x8, const B& x16) {
  if constexpr (N == 1) {
    return B(c[First]);
  } else {
    constexpr std::size_t half = std::bit_ceil(N) / 2;
    const B& power = half == 1 ? x1 : half == 2 ? x2 : half == 4 ? x4 : half == 8 ? x8 : x16;
    return simd::fma(estrin<First + half, N - half>(c, x1, x2, x4, x8, x16), power,
                     estrin<First, half>(c, x1, x2, x4, x8, x16));
  }
}

/// c[0] + c[1] x + c[2] x^2 + ..., by Estrin's scheme: its chains of dependent operations are
/// short, and a processor overlaps only so many waiting ones.
template <class T, class A, std::size_t N>
[[gnu::always_inline]] inline xsimd::batch<T, A> polynomial(const xsimd::batch<T, A>& x,
                                                            const std::array<T, N>& c) {
  static_assert(N <= 32);
  const auto x2 = x * x, x4 = x2 * x2, x8 = x4 * x4, x16 = x8 * x8;
  return estrin<0, N>(c, x, x2, x4, x8, x16);
}

/// e^x = 2^n e^r with integer n and |r| <= ln(2) / 2; `shifted` is n plus a number that leaves it
/// in the lowest bits, as the biased exponent of 2^(n + Offset).
template <class T, class A>
struct ExpParts {
  xsimd::batch<T, A> shifted, r;
};

template <int Offset, class T, class A>
[[gnu::always_inline]] inline ExpParts<T, A> split_exp(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  using C = MathConstants<T>;
  const B magic(C::integer_magic + C::exponent_bias + Offset);
  const B shifted = simd::fma(x, B(std::numbers::log2e_v<T>), magic);
  const B n = shifted - magic;
  const B r = simd::fnma(n, B(C::ln2_low), simd::fnma(n, B(C::ln2_high), x));
  return {shifted, r};
}

/// 2^(n + Offset) from `shifted`.
template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> power_of_two(const xsimd::batch<T, A>& shifted) {
  using C = MathConstants<T>;
  const auto bits = std::bit_cast<xsimd::batch<typename C::Bits, A>>(shifted);
  return std::bit_cast<xsimd::batch<T, A>>(bits << C::mantissa_bits);
}

/// Phi(-a) for a >= 0: with r = 1 / (1 + a / 4) and s = 1 - 2 r, e^(-a^2/2) r P(s).
template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> normal_tail(const xsimd::batch<T, A>& a);

}  // namespace detail

// Inlined wherever they are used: a call per vector, and constants loaded anew, cost as much as the
// arithmetic.

template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> exp(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  using C = detail::MathConstants<T>;
  // The limits come first: min and max return their second argument when one is NaN.
  const B limited = simd::max(B(C::exp_low), simd::min(B(C::exp_high), x));
  // 2 e^r times 2^(n - 1): n = 128, whose power overflows, has finite results too.
  const auto [shifted, r] = detail::split_exp<-1>(limited);
  const B q = detail::polynomial(r, C::exp);
  const B r2 = r + r;
  const B twice = simd::fma(q, r * r2, r2 + B(T{2}));
  return twice * detail::power_of_two(shifted);
}

/// log(x), also of subnormal numbers, which are made normal first.
template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> log(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  constexpr int shift = detail::MathConstants<T>::mantissa_bits + 1;
  constexpr T factor = static_cast<T>(std::uint64_t{1} << shift);
  const auto small = x < B(std::numeric_limits<T>::min());
  B scaled = x;
  B scale(T{0});
  if (xsimd::any(small)) {
    scaled = xsimd::select(small, x * B(factor), x);
    scale = xsimd::select(small, B(shift * std::numbers::ln2_v<T>), scale);
  }
  return simd::log_of_normal(scaled) - scale;
}

template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> tanh(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  using C = detail::MathConstants<T>;
  const B a = simd::min(B(C::tanh_limit), xsimd::abs(x));
  // m = e^2a - 1 without cancellation, then tanh(a) = m / (m + 2).
  const auto [shifted, r] = detail::split_exp<0>(a + a);
  const B scale = detail::power_of_two(shifted);
  const B rest = simd::fma(detail::polynomial(r, C::exp), r * r, r);
  const B m = simd::fma(scale, rest, scale - B(T{1}));
  return (m / (m + B(T{2}))) | xsimd::bitofsign(x);
}

/// 1 / (1 + e^-x)
template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> sigmoid(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  return B(T{1}) / (B(T{1}) + simd::exp(negative(x)));
}

template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> detail::normal_tail(const xsimd::batch<T, A>& a) {
  using B = xsimd::batch<T, A>;
  using C = MathConstants<T>;
  const B limited = simd::min(B(C::tail_limit), a);
  const B r = B(T{1}) / simd::fma(limited, B(T{0.25}), B(T{1}));
  const B s = simd::fnma(B(T{2}), r, B(T{1}));
  // The rounding error of a^2 matters where the exponent is large; FMA finds it.
  const B square = limited * limited;
  const B error = simd::fma(limited, limited, negative(square));
  const B e = simd::exp(square * B(T{-0.5}));
  return simd::fnma(e * B(T{0.5}), error, e) * (r * polynomial(s, C::normal_tail));
}

/// The standard normal distribution function, Phi(x).
template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> normal_cdf(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  const B tail = detail::normal_tail(xsimd::abs(x));
  return xsimd::select(x > B(T{0}), B(T{1}) - tail, tail);
}

template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> erf(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  const B a = xsimd::abs(x);
  const B near = x * detail::polynomial(x * x, detail::MathConstants<T>::erf);
  const B tail = detail::normal_tail(a * B(std::numbers::sqrt2_v<T>));
  const B far = simd::fnma(B(T{2}), tail, B(T{1})) | xsimd::bitofsign(x);
  return xsimd::select(a < B(static_cast<T>(0.707)), near, far);
}

/// max(x, 0)
template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> relu(const xsimd::batch<T, A>& x) {
  return simd::max(xsimd::batch<T, A>(T{0}), x);
}

/// x sigmoid(x)
template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> silu(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  return x / (B(T{1}) + simd::exp(negative(x)));
}

/// x Phi(x)
template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> gelu(const xsimd::batch<T, A>& x) {
  return x * simd::normal_cdf(x);
}

/// 0.5 x (1 + tanh(u)) with u = sqrt(2 / pi) (x + 0.044715 x^3); equals x sigmoid(2 u), which keeps
/// its digits where tanh(u) is near -1.
template <class T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> gelu_tanh(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  constexpr double scale = -2 * 0.79788456080286535588;
  const B slope = simd::fma(x * x, B(static_cast<T>(scale * 0.044715)), B(static_cast<T>(scale)));
  return x / (B(T{1}) + simd::exp(x * slope));
}

}  // namespace ldlm::simd
