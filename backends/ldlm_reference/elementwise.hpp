#pragma once
// Elementwise kernels: all views of a call have the same shape.

#include <cmath>
#include <cstddef>
#include <cstring>
#include <numbers>
#include <type_traits>

#include <ldlm_reference/walk.hpp>

namespace ldlm::reference {

LDLM_COMPLETE_SWITCHES

// What only moves elements is a matter of their size, and compiled for that alone: these are lines
// for walk_lines.

/// Of one operand.
template <std::size_t Size>
void fill_line(void* value, std::int64_t n, std::byte* const* at, const std::int64_t* step) {
  for (std::int64_t i = 0; i < n; ++i) {
    std::memcpy(at[0] + i * step[0] * std::int64_t{Size}, value, Size);
  }
}
/// Of an input and an output, which may be the same.
template <std::size_t Size>
void copy_line(void* /*context*/, std::int64_t n, std::byte* const* at, const std::int64_t* step) {
  for (std::int64_t i = 0; i < n; ++i) {
    std::memmove(at[1] + i * step[1] * std::int64_t{Size}, at[0] + i * step[0] * std::int64_t{Size},
                 Size);
  }
}
/// Of a condition, two inputs and an output.
template <std::size_t Size>
void where_line(void* /*context*/, std::int64_t n, std::byte* const* at, const std::int64_t* step) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::size_t from = *reinterpret_cast<const bool*>(at[0] + i * step[0]) ? 1 : 2;
    std::memmove(at[3] + i * step[3] * std::int64_t{Size},
                 at[from] + i * step[from] * std::int64_t{Size}, Size);
  }
}

template <class T>
void fill(View<T> out, T value) {
  walk_lines(out.shape(), {{walk_operand(out)}}, &value, fill_line<sizeof(T)>);
}

template <class T>
void copy(View<const T> in, View<T> out) {
  walk_lines(out.shape(), {{walk_operand(in), walk_operand(out)}}, nullptr, copy_line<sizeof(T)>);
}

template <class T>
void where(View<const bool> condition, View<const T> a, View<const T> b, View<T> out) {
  walk_lines(out.shape(),
             {{walk_operand(condition), walk_operand(a), walk_operand(b), walk_operand(out)}},
             nullptr, where_line<sizeof(T)>);
}

/// The type that holds every value of From: casts go through it, so that there are three functions
/// for each result type rather than one for each pair of types.
template <class From>
using Widest =
    std::conditional_t<std::signed_integral<From>, std::int64_t,
                       std::conditional_t<std::unsigned_integral<From>, std::uint64_t, double>>;

/// How an element is read: into which of the widest types, and by which function.
struct ElementReader {
  enum Kind : std::uint8_t { signed_integer, unsigned_integer, number } kind;
  void (*read)(const std::byte* p, void* widest);
  std::int64_t size;
};

[[gnu::noinline]] inline ElementReader element_reader(DType from) {
  return visit_dtype(from, []<class From>(std::type_identity<From>) {
    using W = Widest<From>;
    const auto read = [](const std::byte* p, void* widest) {
      *static_cast<W*>(widest) = convert<W>(*reinterpret_cast<const From*>(p));
    };
    return ElementReader{std::signed_integral<W>     ? ElementReader::signed_integer
                         : std::unsigned_integral<W> ? ElementReader::unsigned_integer
                                                     : ElementReader::number,
                         read, static_cast<std::int64_t>(sizeof(From))};
  });
}
/// Writes to p what a widest number becomes as a To.
template <class W, class To>
void write_element(const void* widest, std::byte* p) {
  *reinterpret_cast<To*>(p) = convert<To>(*static_cast<const W*>(widest));
}

/// How an element becomes another.
struct ElementCast {
  void (*read)(const std::byte* p, void* widest);
  void (*write)(const void* widest, std::byte* p);
  std::int64_t from, to;  // sizes
};
inline void cast_line(void* context, std::int64_t n, std::byte* const* at,
                      const std::int64_t* step) {
  const auto& cast = *static_cast<const ElementCast*>(context);
  alignas(8) std::byte widest[8];
  for (std::int64_t i = 0; i < n; ++i) {
    cast.read(at[0] + i * step[0] * cast.from, widest);
    cast.write(widest, at[1] + i * step[1] * cast.to);
  }
}

/// Floats to integers truncate; anything to bool compares with 0.
template <class T>
void cast(DType from, View<const void> in, View<T> out) {
  const ElementReader reader = element_reader(from);
  ElementCast how{reader.read,
                  reader.kind == ElementReader::signed_integer     ? write_element<std::int64_t, T>
                  : reader.kind == ElementReader::unsigned_integer ? write_element<std::uint64_t, T>
                                                                   : write_element<double, T>,
                  reader.size, sizeof(T)};
  WalkOperand source{const_cast<std::byte*>(static_cast<const std::byte*>(in.data)),
                     &in.layout.strides, reader.size};
  walk_lines(out.shape(), {{source, walk_operand(out)}}, &how, cast_line);
}

// ---- Functions of one number. ----

// sqrt(2 / pi) and the cubic coefficient of GPT-2's gelu.
inline constexpr double gelu_tanh_scale = 0.79788456080286535588;
inline constexpr double gelu_tanh_cubic = 0.044715;

/// The standard normal distribution function.
template <class T>
T normal_cdf(T x) {
  return T{0.5} * std::erfc(-x / std::numbers::sqrt2_v<T>);
}
/// The standard normal density.
template <class T>
T normal_pdf(T x) {
  return std::exp(x * x / -2) * std::numbers::inv_sqrtpi_v<T> / std::numbers::sqrt2_v<T>;
}
template <class T>
T sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
}
/// x^e. Square roots are roots, of which -0 has one and -infinity none, unlike of std::pow.
template <class T>
T power(T x, T e) {
  return e == T{0.5} ? std::sqrt(x) : e == T{-0.5} ? 1 / std::sqrt(x) : std::pow(x, e);
}
/// min(max(x, low), high): with low > high that is high. NaN stays NaN.
template <class T>
T clamped(T x, T low, T high) {
  const T at_least = x < low ? low : x;
  return at_least > high ? high : at_least;
}

/// f(x) of a floating-point op.
template <std::floating_point T>
T unary_value(UnaryOp op, T x, T a, T b) {
  switch (op) {
    case UnaryOp::neg:
      return -x;
    case UnaryOp::abs:
      return std::abs(x);
    case UnaryOp::exp:
      return std::exp(x);
    case UnaryOp::log:
      return std::log(x);
    case UnaryOp::sqrt:
      return std::sqrt(x);
    case UnaryOp::rsqrt:
      return 1 / std::sqrt(x);
    case UnaryOp::square:
      return x * x;
    case UnaryOp::reciprocal:
      return 1 / x;
    case UnaryOp::sin:
      return std::sin(x);
    case UnaryOp::cos:
      return std::cos(x);
    case UnaryOp::tanh:
      return std::tanh(x);
    case UnaryOp::sigmoid:
      return sigmoid(x);
    case UnaryOp::erf:
      return std::erf(x);
    case UnaryOp::relu:
      return x < 0 ? 0 : x;  // NaN stays NaN
    case UnaryOp::silu:
      return x * sigmoid(x);
    case UnaryOp::gelu:
      return x * normal_cdf(x);
    case UnaryOp::gelu_tanh:
      // 0.5 (1 + tanh(u)) = sigmoid(2 u), which keeps its digits where tanh is near -1.
      return x * sigmoid(2 * gelu_tanh_scale * (x + gelu_tanh_cubic * x * x * x));
    case UnaryOp::add_scalar:
      return x + a;
    case UnaryOp::mul_scalar:
      return x * a;
    case UnaryOp::pow_scalar:
      return power(x, a);
    case UnaryOp::clamp:
      return clamped(x, a, b);
  }
  detail::fail_unknown("UnaryOp", op);
}

/// a^b modulo 2^bits, b >= 0.
template <std::integral T>
T integer_power(T a, T b) {
  T result{1};
  for (; b != 0; b = static_cast<T>(b / 2)) {
    if (b % 2 != 0) {
      result = times(result, a);
    }
    a = times(a, a);
  }
  return result;
}
template <std::integral T>
T checked_power(T a, T b) {
  if constexpr (std::signed_integral<T>) {
    LDLM_CHECK(b >= 0, "pow", "an integer to the negative power ", std::int64_t{b});
  }
  return integer_power(a, b);
}

/// f(x) of an integer op; throws for those that only floats have.
template <std::integral T>
T unary_value(UnaryOp op, T x, T a, T b) {
  switch (op) {
    case UnaryOp::neg:
      return times(x, static_cast<T>(-1));
    case UnaryOp::abs:
      return x < T{0} ? times(x, static_cast<T>(-1)) : x;
    case UnaryOp::square:
      return times(x, x);
    case UnaryOp::relu:
      return x < T{0} ? T{0} : x;
    case UnaryOp::add_scalar:
      return plus(x, a);
    case UnaryOp::mul_scalar:
      return times(x, a);
    case UnaryOp::pow_scalar:
      return checked_power(x, a);
    case UnaryOp::clamp:
      return clamped(x, a, b);
    case UnaryOp::exp:
    case UnaryOp::log:
    case UnaryOp::sqrt:
    case UnaryOp::rsqrt:
    case UnaryOp::reciprocal:
    case UnaryOp::sin:
    case UnaryOp::cos:
    case UnaryOp::tanh:
    case UnaryOp::sigmoid:
    case UnaryOp::erf:
    case UnaryOp::silu:
    case UnaryOp::gelu:
    case UnaryOp::gelu_tanh:
      detail::fail_as(ErrorCode::dtype, name_of(op),
                      "this function needs float, double or bf16 elements, got ",
                      name_of(dtype_of<T>));
  }
  detail::fail_unknown("UnaryOp", op);
}

template <class T>
void unary(UnaryOp op, View<const T> x, View<T> y, T a, T b) {
  using W = Wide<T>;
  walk(
      y.shape(),
      [&](const T* i, T* o) { *o = static_cast<T>(unary_value<W>(op, W{*i}, W{a}, W{b})); }, x, y);
}

/// dy * f'(x), where s is x, or f(x) if saves_output(op).
template <std::floating_point T>
T unary_gradient(UnaryOp op, T s, T dy, T a, T b) {
  switch (op) {
    case UnaryOp::neg:
      return -dy;
    case UnaryOp::abs:
      return s > 0 ? dy : s < 0 ? -dy : 0 * dy;
    case UnaryOp::exp:
      return dy * s;
    case UnaryOp::log:
      return dy / s;
    case UnaryOp::sqrt:
      return dy / (2 * s);
    case UnaryOp::rsqrt:
      return dy * s * s * s / -2;
    case UnaryOp::square:
      return dy * 2 * s;
    case UnaryOp::reciprocal:
      return -dy * s * s;
    case UnaryOp::sin:
      return dy * std::cos(s);
    case UnaryOp::cos:
      return -dy * std::sin(s);
    case UnaryOp::tanh:
      return dy * (1 - s * s);
    case UnaryOp::sigmoid:
      return dy * s * (1 - s);
    case UnaryOp::erf:
      return dy * 2 * std::numbers::inv_sqrtpi_v<T> * std::exp(-s * s);
    case UnaryOp::relu:
      return s <= 0 ? 0 : dy;  // of NaN: dy
    case UnaryOp::silu: {
      const T g = sigmoid(s);
      return dy * g * (1 + s * (1 - g));
    }
    case UnaryOp::gelu:
      return dy * (normal_cdf(s) + s * normal_pdf(s));
    case UnaryOp::gelu_tanh: {
      const T x = clamped<T>(s, -30, 30);  // 0 and 1 from there on, where s^3 may be infinite
      const T g = sigmoid(2 * gelu_tanh_scale * (x + gelu_tanh_cubic * x * x * x));
      const T slope = 2 * gelu_tanh_scale * (1 + 3 * gelu_tanh_cubic * x * x);
      return dy * g * (1 + x * (1 - g) * slope);
    }
    case UnaryOp::add_scalar:
      return dy;
    case UnaryOp::mul_scalar:
      return dy * a;
    case UnaryOp::pow_scalar:
      return a == 0 ? 0 : dy * a * power(s, a - 1);
    case UnaryOp::clamp:
      return s > a && s < b ? dy : 0;  // of NaN: 0
  }
  detail::fail_unknown("UnaryOp", op);
}

template <std::floating_point T>
void unary_backward(UnaryOp op, View<const T> saved, View<const T> dy, View<T> dx, T a, T b) {
  using W = Wide<T>;
  walk(
      dx.shape(),
      [&](const T* s, const T* g, T* o) {
        *o = static_cast<T>(unary_gradient<W>(op, *s, *g, a, b));
      },
      saved, dy, dx);
}

// ---- Functions of two numbers. ----

/// Quotient towards zero of integers; the smallest integer by -1 wraps. Throws on division by 0.
template <std::integral T>
T quotient(T a, T b) {
  LDLM_CHECK(b != T{0}, "div", "integer division by zero");
  if constexpr (std::signed_integral<T>) {
    if (b == T{-1}) {
      return times(a, b);
    }
  }
  return static_cast<T>(a / b);
}

template <class T>
T binary_value(BinaryOp op, T a, T b) {
  constexpr bool floating = std::floating_point<T>;
  switch (op) {
    case BinaryOp::add:
      return plus(a, b);
    case BinaryOp::sub:
      if constexpr (floating) {
        return a - b;
      } else if constexpr (!std::same_as<T, bool>) {
        return plus(a, times(b, static_cast<T>(-1)));
      }
      break;
    case BinaryOp::mul:
      return times(a, b);
    case BinaryOp::div:
      if constexpr (floating) {
        return a / b;
      } else if constexpr (!std::same_as<T, bool>) {
        return quotient(a, b);
      }
      break;
    case BinaryOp::pow:
      if constexpr (floating) {
        return std::pow(a, b);
      } else if constexpr (!std::same_as<T, bool>) {
        return checked_power(a, b);
      }
      break;
    case BinaryOp::minimum:
      return smaller(a, b) ? a : b;  // NaN wins
    case BinaryOp::maximum:
      return larger(a, b) ? a : b;
  }
  if constexpr (std::same_as<T, bool>) {
    detail::fail_as(ErrorCode::dtype, name_of(op), "sub, div and pow are not defined for bool");
  }
  detail::fail_unknown("BinaryOp", op);
}

template <class T>
void binary(BinaryOp op, View<const T> a, View<const T> b, View<T> out) {
  using W = Wide<T>;
  walk(
      out.shape(),
      [&](const T* x, const T* y, T* o) { *o = static_cast<T>(binary_value<W>(op, *x, *y)); }, a, b,
      out);
}

template <class T>
bool compare_value(CompareOp op, T a, T b) {
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
  detail::fail_unknown("CompareOp", op);
}

template <class T>
void compare(CompareOp op, View<const T> a, View<const T> b, View<bool> out) {
  walk(
      out.shape(), [&](const T* x, const T* y, bool* o) { *o = compare_value(op, *x, *y); }, a, b,
      out);
}

/// For walk_lines: y += a * x.
template <class T>
void axpy_line(void* a, std::int64_t n, std::byte* const* at, const std::int64_t* step) {
  using W = Wide<T>;
  const auto* const x = reinterpret_cast<const T*>(at[0]);
  auto* const y = reinterpret_cast<T*>(at[1]);
  for (std::int64_t i = 0; i < n; ++i) {
    T& o = y[i * step[1]];
    o = static_cast<T>(plus<W>(o, times<W>(*static_cast<const T*>(a), x[i * step[0]])));
  }
}
/// y += a * x
template <class T>
void axpy(T a, View<const T> x, View<T> y) {
  walk_lines(y.shape(), {{walk_operand(x), walk_operand(y)}}, &a, axpy_line<T>);
}

LDLM_END_COMPLETE_SWITCHES

}  // namespace ldlm::reference
