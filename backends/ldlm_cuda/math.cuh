#pragma once
// Functions of one or two numbers, on the card. float is computed in float, double in double, and
// bf16 in float: kernels widen what they read and round what they write.

#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include <ldlm/core/dtype.hpp>
#include <ldlm_cuda/launch.cuh>

namespace ldlm::cuda_backend {

// sqrt(2 / pi) and the cubic coefficient of GPT-2's gelu; constants of the normal distribution.
inline constexpr double gelu_tanh_scale = 0.79788456080286535588;
inline constexpr double gelu_tanh_cubic = 0.044715;
inline constexpr double inverse_sqrt2 = 0.70710678118654752440;
inline constexpr double inverse_sqrt_2pi = 0.39894228040143267794;
inline constexpr double two_over_sqrt_pi = 1.12837916709551257390;

/// An element as what it is computed in, and back.
template <class T>
__device__ ComputeType<T> widened(T x) {
  return convert<ComputeType<T>>(x);
}
template <class T>
__device__ T rounded(ComputeType<T> x) {
#ifndef LDLM_CUDA_EMULATED
  if constexpr (std::is_same_v<T, bf16>) {
    T out;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out.bits) : "f"(x));
    return out;
  }
#endif
  return convert<T>(x);
}

template <class T>
__device__ T constant(double value) {
  return static_cast<T>(value);
}
template <class T>
__device__ T normal_cdf(T x) {
  return constant<T>(0.5) * erfc(-x * constant<T>(inverse_sqrt2));
}
template <class T>
__device__ T normal_pdf(T x) {
  return exp(x * x * constant<T>(-0.5)) * constant<T>(inverse_sqrt_2pi);
}
template <class T>
__device__ T sigmoid(T x) {
  return T{1} / (T{1} + exp(-x));
}
/// min(max(x, low), high): with low > high that is high. NaN stays NaN.
template <class T>
__device__ T clamped(T x, T low, T high) {
  const T at_least = x < low ? low : x;
  return at_least > high ? high : at_least;
}
/// Square roots are roots, of which -0 has one and -infinity none, unlike of pow.
template <class T>
__device__ T power(T x, T e) {
  return e == constant<T>(0.5) ? sqrt(x) : e == constant<T>(-0.5) ? T{1} / sqrt(x) : pow(x, e);
}
/// 2 sqrt(2 / pi) (x + c x^3): 0.5 (1 + tanh(u / 2)) is the sigmoid of it.
template <class T>
__device__ T gelu_tanh_argument(T x) {
  return constant<T>(2 * gelu_tanh_scale) * (x + constant<T>(gelu_tanh_cubic) * x * x * x);
}

/// Sum and product of integers modulo 2^bits; of bool "or" and "and".
template <class T>
__device__ T plus(T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    return a || b;
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  } else {
    return a + b;
  }
}
template <class T>
__device__ T times(T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    return a && b;
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  } else {
    return a * b;
  }
}
template <class T>
__device__ bool is_negative(T x) {
  if constexpr (std::is_unsigned_v<T>) {
    return false;
  } else {
    return x < T{0};
  }
}
template <class T>
__device__ bool is_nan(T x) {
  return x != x;
}
/// Whether a is the larger (smaller) of the two, where NaN is both.
template <class T>
__device__ bool larger(T a, T b) {
  return a > b || (is_nan(a) && !is_nan(b));
}
template <class T>
__device__ bool smaller(T a, T b) {
  return a < b || (is_nan(a) && !is_nan(b));
}
/// a^b modulo 2^bits, b >= 0.
template <class T>
__device__ T integer_power(T a, T b) {
  T result{1};
  for (; b != 0; b = static_cast<T>(b / 2)) {
    if (b % 2 != 0) {
      result = times(result, a);
    }
    a = times(a, a);
  }
  return result;
}

/// f(x). Ops that integers do not have are refused on the host.
template <class T>
__device__ T unary_value(UnaryOp op, T x, T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    switch (op) {
      case UnaryOp::neg:
        return -x;
      case UnaryOp::abs:
        return fabs(x);
      case UnaryOp::exp:
        return exp(x);
      case UnaryOp::log:
        return log(x);
      case UnaryOp::sqrt:
        return sqrt(x);
      case UnaryOp::rsqrt:
        return T{1} / sqrt(x);
      case UnaryOp::square:
        return x * x;
      case UnaryOp::reciprocal:
        return T{1} / x;
      case UnaryOp::sin:
        return sin(x);
      case UnaryOp::cos:
        return cos(x);
      case UnaryOp::tanh:
        return tanh(x);
      case UnaryOp::sigmoid:
        return sigmoid(x);
      case UnaryOp::erf:
        return erf(x);
      case UnaryOp::relu:
        return x < T{0} ? T{0} : x;
      case UnaryOp::silu:
        return x * sigmoid(x);
      case UnaryOp::gelu:
        return x * normal_cdf(x);
      case UnaryOp::gelu_tanh:
        return x * sigmoid(gelu_tanh_argument(x));
      case UnaryOp::add_scalar:
        return x + a;
      case UnaryOp::mul_scalar:
        return x * a;
      case UnaryOp::pow_scalar:
        return power(x, a);
      case UnaryOp::clamp:
        return clamped(x, a, b);
    }
  } else {
    switch (op) {
      case UnaryOp::neg:
        return times(x, static_cast<T>(-1));
      case UnaryOp::abs:
        return is_negative(x) ? times(x, static_cast<T>(-1)) : x;
      case UnaryOp::square:
        return times(x, x);
      case UnaryOp::relu:
        return is_negative(x) ? T{0} : x;
      case UnaryOp::add_scalar:
        return plus(x, a);
      case UnaryOp::mul_scalar:
        return times(x, a);
      case UnaryOp::pow_scalar:
        return integer_power(x, a);
      case UnaryOp::clamp:
        return clamped(x, a, b);
      default:
        break;
    }
  }
  return T{};
}

/// dy * f'(x), where s is x, or f(x) if saves_output(op).
template <class T>
__device__ T unary_gradient(UnaryOp op, T s, T dy, T a, T b) {
  switch (op) {
    case UnaryOp::neg:
      return -dy;
    case UnaryOp::abs:
      return s > T{0} ? dy : s < T{0} ? -dy : T{0} * dy;
    case UnaryOp::exp:
      return dy * s;
    case UnaryOp::log:
      return dy / s;
    case UnaryOp::sqrt:
      return dy / (T{2} * s);
    case UnaryOp::rsqrt:
      return dy * s * s * s * constant<T>(-0.5);
    case UnaryOp::square:
      return dy * T{2} * s;
    case UnaryOp::reciprocal:
      return -dy * s * s;
    case UnaryOp::sin:
      return dy * cos(s);
    case UnaryOp::cos:
      return -dy * sin(s);
    case UnaryOp::tanh:
      return dy * (T{1} - s * s);
    case UnaryOp::sigmoid:
      return dy * s * (T{1} - s);
    case UnaryOp::erf:
      return dy * constant<T>(two_over_sqrt_pi) * exp(-s * s);
    case UnaryOp::relu:
      return s <= T{0} ? T{0} : dy;  // of NaN: dy
    case UnaryOp::silu: {
      const T g = sigmoid(s);
      return dy * g * (T{1} + s * (T{1} - g));
    }
    case UnaryOp::gelu:
      return dy * (normal_cdf(s) + s * normal_pdf(s));
    case UnaryOp::gelu_tanh: {
      const T x = clamped(s, T{-30}, T{30});  // 0 and 1 from there on, where s^3 may be infinite
      const T g = sigmoid(gelu_tanh_argument(x));
      const T slope =
          constant<T>(2 * gelu_tanh_scale) * (T{1} + constant<T>(3 * gelu_tanh_cubic) * x * x);
      return dy * g * (T{1} + x * (T{1} - g) * slope);
    }
    case UnaryOp::add_scalar:
      return dy;
    case UnaryOp::mul_scalar:
      return dy * a;
    case UnaryOp::pow_scalar:
      return a == T{0} ? T{0} : dy * a * power(s, a - T{1});
    case UnaryOp::clamp:
      return s > a && s < b ? dy : T{0};  // of NaN: 0
  }
  return T{};
}

/// Of bool only add, mul, minimum and maximum; divisors of integers are not 0, exponents not
/// negative: all that is refused on the host.
template <class T>
__device__ T binary_value(BinaryOp op, T a, T b) {
  switch (op) {
    case BinaryOp::add:
      return plus(a, b);
    case BinaryOp::mul:
      return times(a, b);
    case BinaryOp::minimum:
      return smaller(a, b) ? a : b;  // NaN wins
    case BinaryOp::maximum:
      return larger(a, b) ? a : b;
    case BinaryOp::sub:
      if constexpr (std::is_floating_point_v<T>) {
        return a - b;
      } else if constexpr (!std::is_same_v<T, bool>) {
        return plus(a, times(b, static_cast<T>(-1)));
      }
      break;
    case BinaryOp::div:
      if constexpr (std::is_floating_point_v<T>) {
        return a / b;
      } else if constexpr (!std::is_same_v<T, bool>) {
        if constexpr (std::is_signed_v<T>) {
          if (b == T{-1}) {
            return times(a, b);  // the smallest integer wraps
          }
        }
        return static_cast<T>(a / b);
      }
      break;
    case BinaryOp::pow:
      if constexpr (std::is_floating_point_v<T>) {
        return pow(a, b);
      } else if constexpr (!std::is_same_v<T, bool>) {
        return integer_power(a, b);
      }
      break;
  }
  return T{};
}

template <class T>
__device__ bool compare_value(CompareOp op, T a, T b) {
  switch (op) {
    case CompareOp::eq:
      return a == b;
    case CompareOp::ne:
      return a != b;
    case CompareOp::lt:
      return a < b;
    case CompareOp::le:
      return a <= b;
    case CompareOp::gt:
      return a > b;
    case CompareOp::ge:
      return a >= b;
  }
  return false;
}

}  // namespace ldlm::cuda_backend
