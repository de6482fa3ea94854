#pragma once
// Elementwise kernels of float and double. One contiguous vector loop per function; Map brings any
// views to it.

#include <cmath>
#include <numbers>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/map.hpp>
#include <ldlm_simd/power.hpp>
#include <ldlm_simd/trigonometry.hpp>

namespace ldlm::simd {

/// The parameters of a UnaryOp.
template <class T>
struct Parameters {
  T a{}, b{};
};

namespace detail {

/// min(max(x, low), high): with low > high that is high. NaN stays NaN.
template <class T, class Arch>
Batch<T, Arch> clamped(const Batch<T, Arch>& x, T low, T high) {
  using B = Batch<T, Arch>;
  const B at_least = xsimd::select(x < B(low), B(low), x);
  return xsimd::select(at_least > B(high), B(high), at_least);
}

template <UnaryOp Op, class T, class Arch>
Batch<T, Arch> unary_value(const Batch<T, Arch>& x, const Parameters<T>& p) {
  using B = Batch<T, Arch>;
  if constexpr (Op == UnaryOp::neg) {
    return negative(x);  // also the sign of 0
  } else if constexpr (Op == UnaryOp::abs) {
    return xsimd::abs(x);
  } else if constexpr (Op == UnaryOp::exp) {
    return simd::exp(x);
  } else if constexpr (Op == UnaryOp::log) {
    return simd::log(x);
  } else if constexpr (Op == UnaryOp::sqrt) {
    return xsimd::sqrt(x);
  } else if constexpr (Op == UnaryOp::rsqrt) {
    return T{1} / xsimd::sqrt(x);
  } else if constexpr (Op == UnaryOp::square) {
    return x * x;
  } else if constexpr (Op == UnaryOp::reciprocal) {
    return T{1} / x;
  } else if constexpr (Op == UnaryOp::sin) {
    return simd::sin(x);
  } else if constexpr (Op == UnaryOp::cos) {
    return simd::cos(x);
  } else if constexpr (Op == UnaryOp::tanh) {
    return simd::tanh(x);
  } else if constexpr (Op == UnaryOp::sigmoid) {
    return simd::sigmoid(x);
  } else if constexpr (Op == UnaryOp::erf) {
    return simd::erf(x);
  } else if constexpr (Op == UnaryOp::relu) {
    return simd::relu(x);
  } else if constexpr (Op == UnaryOp::silu) {
    return simd::silu(x);
  } else if constexpr (Op == UnaryOp::gelu) {
    return simd::gelu(x);
  } else if constexpr (Op == UnaryOp::gelu_tanh) {
    return simd::gelu_tanh(x);
  } else if constexpr (Op == UnaryOp::add_scalar) {
    return x + B(p.a);
  } else if constexpr (Op == UnaryOp::mul_scalar) {
    return x * B(p.a);
  } else if constexpr (Op == UnaryOp::pow_scalar) {
    return simd::pow(x, p.a);
  } else {
    static_assert(Op == UnaryOp::clamp);
    return clamped<T, Arch>(x, p.a, p.b);
  }
}

/// dy * f'(x), where s is x, or f(x) if saves_output(Op).
template <UnaryOp Op, class T, class Arch>
Batch<T, Arch> unary_gradient(const Batch<T, Arch>& s, const Batch<T, Arch>& dy,
                              const Parameters<T>& p) {
  using B = Batch<T, Arch>;
  const B zero(T{0});
  const B one(T{1});
  if constexpr (Op == UnaryOp::neg) {
    return negative(dy);
  } else if constexpr (Op == UnaryOp::abs) {
    return xsimd::select(s > zero, dy, xsimd::select(s < zero, negative(dy), zero));
  } else if constexpr (Op == UnaryOp::exp) {
    return dy * s;
  } else if constexpr (Op == UnaryOp::log) {
    return dy / s;
  } else if constexpr (Op == UnaryOp::sqrt) {
    return dy / (s + s);
  } else if constexpr (Op == UnaryOp::rsqrt) {
    return dy * s * s * s * B(T{-0.5});
  } else if constexpr (Op == UnaryOp::square) {
    return dy * (s + s);
  } else if constexpr (Op == UnaryOp::reciprocal) {
    return negative(dy) * s * s;
  } else if constexpr (Op == UnaryOp::sin) {
    return dy * simd::cos(s);
  } else if constexpr (Op == UnaryOp::cos) {
    return negative(dy) * simd::sin(s);
  } else if constexpr (Op == UnaryOp::tanh) {
    return dy * simd::fnma(s, s, one);
  } else if constexpr (Op == UnaryOp::sigmoid) {
    return dy * s * (one - s);
  } else if constexpr (Op == UnaryOp::erf) {
    return dy * B(2 * std::numbers::inv_sqrtpi_v<T>) * simd::exp(negative(s) * s);
  } else if constexpr (Op == UnaryOp::relu) {
    return xsimd::select(s <= zero, zero, dy);  // of NaN: dy
  } else if constexpr (Op == UnaryOp::silu) {
    const B g = simd::sigmoid(s);
    return dy * g * simd::fma(s, one - g, one);
  } else if constexpr (Op == UnaryOp::gelu) {
    const B pdf =
        B(std::numbers::inv_sqrtpi_v<T> / std::numbers::sqrt2_v<T>) * simd::exp(s * s * B(T{-0.5}));
    return dy * simd::fma(s, pdf, simd::normal_cdf(s));
  } else if constexpr (Op == UnaryOp::gelu_tanh) {
    // With u = 2 sqrt(2 / pi) (s + c s^3): f = s sigmoid(u).
    const B scale(static_cast<T>(2 * 0.79788456080286535588));
    const B cubic(static_cast<T>(0.044715));
    const B x = clamped<T, Arch>(s, -30, 30);  // 0 and 1 from there on, where s^3 may be infinite
    const B square = x * x;
    const B g = simd::sigmoid(scale * x * simd::fma(cubic, square, one));
    const B slope = scale * simd::fma(B(T{3}) * cubic, square, one);
    return dy * g * simd::fma(x * slope, one - g, one);
  } else if constexpr (Op == UnaryOp::add_scalar) {
    return dy;
  } else if constexpr (Op == UnaryOp::mul_scalar) {
    return dy * B(p.a);
  } else if constexpr (Op == UnaryOp::pow_scalar) {
    return p.a == T{0} ? zero : dy * B(p.a) * simd::pow(s, p.a - 1);
  } else {
    static_assert(Op == UnaryOp::clamp);
    return xsimd::select((s > B(p.a)) && (s < B(p.b)), dy, zero);  // of NaN: 0
  }
}

template <BinaryOp Op, class T, class Arch>
Batch<T, Arch> binary_value(const Batch<T, Arch>& a, const Batch<T, Arch>& b) {
  if constexpr (Op == BinaryOp::add) {
    return a + b;
  } else if constexpr (Op == BinaryOp::sub) {
    return a - b;
  } else if constexpr (Op == BinaryOp::mul) {
    return a * b;
  } else if constexpr (Op == BinaryOp::div) {
    return a / b;
  } else if constexpr (Op == BinaryOp::pow) {
    return simd::pow(a, b);
  } else if constexpr (Op == BinaryOp::minimum) {
    return xsimd::select((a < b) || xsimd::isnan(a), a, b);  // NaN wins
  } else {
    static_assert(Op == BinaryOp::maximum);
    return xsimd::select((a > b) || xsimd::isnan(a), a, b);
  }
}

template <CompareOp Op, class T>
bool compare_value(T a, T b) {
  if constexpr (Op == CompareOp::eq) {
    return a == b;
  } else if constexpr (Op == CompareOp::ne) {
    return a != b;
  } else if constexpr (Op == CompareOp::lt) {
    return a < b;
  } else if constexpr (Op == CompareOp::le) {
    return a <= b;
  } else if constexpr (Op == CompareOp::gt) {
    return a > b;
  } else {
    static_assert(Op == CompareOp::ge);
    return a >= b;
  }
}

// ---- Contiguous loops of whole vectors, one function each. Aligned, so that each short loop lies
// in one cache line. ----

template <UnaryOp Op, class T, class Arch>
[[gnu::aligned(64)]] void unary_loop(const Parameters<T>& parameters, std::int64_t n, T* y,
                                     const T* x) {
  const Parameters<T> p = parameters;
  for (std::int64_t i = 0; i < n; i += width<T, Arch>) {
    unary_value<Op, T, Arch>(load<T, Arch>(x + i), p).store_unaligned(y + i);
  }
}
template <UnaryOp Op, class T, class Arch>
[[gnu::aligned(64)]] void unary_backward_loop(const Parameters<T>& parameters, std::int64_t n,
                                              T* dx, const T* saved, const T* dy) {
  const Parameters<T> p = parameters;
  for (std::int64_t i = 0; i < n; i += width<T, Arch>) {
    unary_gradient<Op, T, Arch>(load<T, Arch>(saved + i), load<T, Arch>(dy + i), p)
        .store_unaligned(dx + i);
  }
}
template <BinaryOp Op, class T, class Arch>
[[gnu::aligned(64)]] void binary_loop(const Parameters<T>& /*none*/, std::int64_t n, T* y,
                                      const T* a, const T* b) {
  for (std::int64_t i = 0; i < n; i += width<T, Arch>) {
    binary_value<Op, T, Arch>(load<T, Arch>(a + i), load<T, Arch>(b + i)).store_unaligned(y + i);
  }
}
template <class T, class Arch>
[[gnu::aligned(64)]] void axpy_loop(const Parameters<T>& parameters, std::int64_t n, T* y,
                                    const T* x, const T* old) {
  const Batch<T, Arch> a(parameters.a);
  for (std::int64_t i = 0; i < n; i += width<T, Arch>) {
    simd::fma(a, load<T, Arch>(x + i), load<T, Arch>(old + i)).store_unaligned(y + i);
  }
}

/// A loop for any number of elements: the last, partial vector goes through it filled up with
/// zeros, so that an element's value never depends on where it lies.
template <class T, class Arch, class... In>
struct WholeVectors {
  void (*loop)(const Parameters<T>&, std::int64_t n, T* y, const In*... x);
  Parameters<T> parameters;

  void operator()(std::int64_t n, T* y, const In*... x) const {
    constexpr std::int64_t W = width<T, Arch>;
    const std::int64_t rest = n % W, whole = n - rest;
    if (whole > 0) {
      loop(parameters, whole, y, x...);
    }
    if (rest > 0) {
      alignas(64) T padded[1 + sizeof...(In)][static_cast<std::size_t>(W)];
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        (load_first<In, Arch>(x + whole, rest).store_aligned(padded[I + 1]), ...);
        loop(parameters, W, padded[0], padded[I + 1]...);
      }
      (std::index_sequence_for<In...>{});
      store_first<T, Arch>(y + whole, load<T, Arch>(padded[0]), rest);
    }
  }
};

template <CompareOp Op, class T, class Arch>
void compare_loop(std::int64_t n, bool* y, const T* a, const T* b) {
  block_loop<Arch>(n, y, [=](std::int64_t i) { return compare_value<Op>(a[i], b[i]); });
}

/// Cheap functions move memory; the others compute.
constexpr bool is_cheap(UnaryOp op) {
  return op == UnaryOp::neg || op == UnaryOp::abs || op == UnaryOp::square || op == UnaryOp::relu ||
         op == UnaryOp::add_scalar || op == UnaryOp::mul_scalar || op == UnaryOp::clamp;
}
constexpr std::int64_t grain_of(UnaryOp op) {
  return is_cheap(op) ? cheap_grain : cheap_grain / 4;
}

}  // namespace detail

template <class T, class Arch>
void fill(View<T> out, T value) {
  const auto loop = [value](std::int64_t n, T* y) {
    transform<Arch>(
        n, [v = Batch<T, Arch>(value)] { return v; }, y);
  };
  map<Arch>(cheap_grain, loop, out);
}

template <class T, class Arch>
void unary(UnaryOp op, View<const T> x, View<T> y, T a, T b) {
  const auto loop =
      visit_op(op, [](auto constant) { return &detail::unary_loop<constant(), T, Arch>; });
  map<Arch>(detail::grain_of(op), detail::WholeVectors<T, Arch, T>{loop, {a, b}}, y, x);
}

template <class T, class Arch>
void unary_backward(UnaryOp op, View<const T> saved, View<const T> dy, View<T> dx, T a, T b) {
  const auto loop =
      visit_op(op, [](auto constant) { return &detail::unary_backward_loop<constant(), T, Arch>; });
  map<Arch>(detail::grain_of(op), detail::WholeVectors<T, Arch, T, T>{loop, {a, b}}, dx, saved, dy);
}

template <class T, class Arch>
void binary(BinaryOp op, View<const T> a, View<const T> b, View<T> out) {
  const auto loop =
      visit_op(op, [](auto constant) { return &detail::binary_loop<constant(), T, Arch>; });
  map<Arch>(op == BinaryOp::pow ? cheap_grain / 16 : cheap_grain,
            detail::WholeVectors<T, Arch, T, T>{loop, {}}, out, a, b);
}

template <class T, class Arch>
void compare(CompareOp op, View<const T> a, View<const T> b, View<bool> out) {
  const auto loop =
      visit_op(op, [](auto constant) { return &detail::compare_loop<constant(), T, Arch>; });
  map<Arch>(cheap_grain, loop, out, a, b);
}

template <class T, class Arch>
void where(View<const bool> condition, View<const T> a, View<const T> b, View<T> out) {
  const auto loop = [](std::int64_t n, T* y, const bool* c, const T* x, const T* z) {
    block_loop<Arch>(n, y, [=](std::int64_t i) { return c[i] ? x[i] : z[i]; });
  };
  map<Arch>(cheap_grain, loop, out, condition, a, b);
}

/// y += a * x
template <class T, class Arch>
void axpy(T a, View<const T> x, View<T> y) {
  map<Arch>(cheap_grain, detail::WholeVectors<T, Arch, T, T>{detail::axpy_loop<T, Arch>, {a, T{}}},
            y, x, View<const T>(y));
}

}  // namespace ldlm::simd
