#pragma once
// Scalar types: float, double, integers, bool; and bf16 and f16, which convert to and from float
// and do no arithmetic of their own: tensors of bf16 are computed with in float.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

#include <ldlm/core/enumeration.hpp>

namespace ldlm {

/// bfloat16: the upper half of a float. Conversion rounds to nearest even; NaN stays NaN.
struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  explicit constexpr bf16(float value) : bits(round(std::bit_cast<std::uint32_t>(value))) {}
  constexpr operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

 private:
  static constexpr std::uint16_t round(std::uint32_t x) {
    if ((x & 0x7fffffffU) > 0x7f800000U) {
      return static_cast<std::uint16_t>((x >> 16) | 0x40U);  // keep a NaN a (quiet) NaN
    }
    return static_cast<std::uint16_t>((x + 0x7fffU + ((x >> 16) & 1U)) >> 16);
  }
};

/// The largest bf16 below a number that is not -infinity or NaN.
constexpr bf16 largest_below(float x) {
  bf16 value(x);
  if (value >= x) {  // one step down: away from 0 below it, and past both zeros
    constexpr std::uint16_t least_negative = 0x8001;
    const bool zero = (value.bits & 0x7fffU) == 0;
    const bool negative = (value.bits & 0x8000U) != 0;
    value.bits = zero ? least_negative
                      : static_cast<std::uint16_t>(negative ? value.bits + 1 : value.bits - 1);
  }
  return value;
}

/// IEEE 754 binary16. Conversion rounds to nearest even, with subnormals and infinities.
struct f16 {
  std::uint16_t bits = 0;

  f16() = default;
  explicit constexpr f16(float value) : bits(round(std::bit_cast<std::uint32_t>(value))) {}
  constexpr operator float() const {
    const std::uint32_t sign = (bits & 0x8000U) << 16;
    const std::uint32_t exponent = (bits >> 10) & 0x1fU;
    const std::uint32_t mantissa = bits & 0x3ffU;
    if (exponent == 0x1fU) {
      return std::bit_cast<float>(sign | 0x7f800000U | (mantissa << 13));
    }
    if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exact in a float
      const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
      return sign != 0 ? -magnitude : magnitude;
    }
    return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
  }

 private:
  static constexpr std::uint16_t round(std::uint32_t x) {
    const std::uint32_t sign = (x >> 16) & 0x8000U;
    const std::uint32_t magnitude = x & 0x7fffffffU;
    if (magnitude > 0x7f800000U) {
      return static_cast<std::uint16_t>(sign | 0x7e00U);
    }
    if (magnitude >= 0x477ff000U) {  // rounds to 65536 or more: infinity
      return static_cast<std::uint16_t>(sign | 0x7c00U);
    }
    if (magnitude >= 0x38800000U) {  // normal: drop 13 bits, round to nearest even
      const std::uint32_t rebased = magnitude - (112U << 23);
      return static_cast<std::uint16_t>(sign | ((rebased + 0xfffU + ((rebased >> 13) & 1U)) >> 13));
    }
    if (magnitude < 0x33000000U) {  // below half of the smallest subnormal
      return static_cast<std::uint16_t>(sign);
    }
    const std::uint32_t shift = 126U - (magnitude >> 23);  // 14..24
    const std::uint32_t mantissa = (magnitude & 0x7fffffU) | 0x800000U;
    const std::uint32_t half = 1U << (shift - 1);
    const std::uint32_t odd = (mantissa >> shift) & 1U;
    return static_cast<std::uint16_t>(sign | ((mantissa + half - 1U + odd) >> shift));
  }
};

}  // namespace ldlm

namespace ldlm::detail {

/// What std::numeric_limits says of a type of 16 bits: its mantissa and exponent have so many.
// NOLINTBEGIN(readability-identifier-naming): the standard's names
template <class T, int mantissa, int exponent>
struct HalfLimits {
  static constexpr bool is_specialized = true, is_signed = true, is_integer = false,
                        is_exact = false, is_iec559 = true, is_bounded = true, is_modulo = false,
                        has_infinity = true, has_quiet_NaN = true, has_signaling_NaN = true,
                        traps = false, tinyness_before = false;
  static constexpr std::float_round_style round_style = std::round_to_nearest;
  static constexpr int radix = 2, digits = mantissa + 1, max_exponent = 1 << (exponent - 1),
                       min_exponent = 3 - max_exponent, digits10 = mantissa * 301 / 1000,
                       max_digits10 = digits * 301 / 1000 + 2,
                       max_exponent10 = max_exponent * 301 / 1000,
                       min_exponent10 = min_exponent * 301 / 1000;
  static constexpr T min() { return of(1 << mantissa); }
  static constexpr T max() { return of(infinity_bits - 1); }
  static constexpr T lowest() { return of(0x8000 | (infinity_bits - 1)); }
  static constexpr T epsilon() { return of((max_exponent - 1 - mantissa) << mantissa); }
  static constexpr T round_error() { return of((max_exponent - 2) << mantissa); }
  static constexpr T infinity() { return of(infinity_bits); }
  static constexpr T quiet_NaN() { return of(infinity_bits | 1 << (mantissa - 1)); }
  static constexpr T signaling_NaN() { return of(infinity_bits | 1); }
  static constexpr T denorm_min() { return of(1); }

 private:
  static constexpr int infinity_bits = ((1 << exponent) - 1) << mantissa;
  static constexpr T of(int bits) { return std::bit_cast<T>(static_cast<std::uint16_t>(bits)); }
};
// NOLINTEND(readability-identifier-naming)

}  // namespace ldlm::detail

/// Unspecialised, they would say that infinity is 0.
template <>
class std::numeric_limits<ldlm::bf16> : public ldlm::detail::HalfLimits<ldlm::bf16, 7, 8> {};
template <>
class std::numeric_limits<ldlm::f16> : public ldlm::detail::HalfLimits<ldlm::f16, 10, 5> {};

namespace ldlm {

/// Every element type that a tensor or a safetensors file can hold.
enum class DType : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean
};

/// Size of one element in bytes.
constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64:
    case DType::u64:
      return 8;
    case DType::f32:
    case DType::i32:
    case DType::u32:
      return 4;
    case DType::f16:
    case DType::bf16:
    case DType::i16:
    case DType::u16:
      return 2;
    case DType::i8:
    case DType::u8:
    case DType::boolean:
      return 1;
  }
  return 0;
}

constexpr std::string_view name_of(DType dtype) {
  constexpr std::string_view names[] = {"f64", "f32", "f16", "bf16", "i64", "i32", "i16",
                                        "i8",  "u64", "u32", "u16",  "u8",  "bool"};
  return detail::name_in(names, dtype);
}

namespace detail {
template <class T>
struct DTypeOf;
template <DType Value>
struct DTypeConstant {
  static constexpr DType value = Value;
};
// clang-format off
template <> struct DTypeOf<double> : DTypeConstant<DType::f64> {};
template <> struct DTypeOf<float> : DTypeConstant<DType::f32> {};
template <> struct DTypeOf<f16> : DTypeConstant<DType::f16> {};
template <> struct DTypeOf<bf16> : DTypeConstant<DType::bf16> {};
template <> struct DTypeOf<std::int64_t> : DTypeConstant<DType::i64> {};
template <> struct DTypeOf<std::int32_t> : DTypeConstant<DType::i32> {};
template <> struct DTypeOf<std::int16_t> : DTypeConstant<DType::i16> {};
template <> struct DTypeOf<std::int8_t> : DTypeConstant<DType::i8> {};
template <> struct DTypeOf<std::uint64_t> : DTypeConstant<DType::u64> {};
template <> struct DTypeOf<std::uint32_t> : DTypeConstant<DType::u32> {};
template <> struct DTypeOf<std::uint16_t> : DTypeConstant<DType::u16> {};
template <> struct DTypeOf<std::uint8_t> : DTypeConstant<DType::u8> {};
template <> struct DTypeOf<bool> : DTypeConstant<DType::boolean> {};
// clang-format on
}  // namespace detail

template <class T>
inline constexpr DType dtype_of = detail::DTypeOf<std::remove_cv_t<T>>::value;

/// Anything a tensor can hold.
template <class T>
concept Scalar = requires {
  detail::DTypeOf<std::remove_cv_t<T>>::value;
};

/// Types with arithmetic and gradients.
template <class T>
concept Floating = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bf16>;

/// What elements of T are computed in: float for bf16 and f16, else T. Numbers beside a tensor,
/// sums and statistics of its elements, and an optimiser's state are of this type.
template <Scalar T>
using ComputeType = std::conditional_t<std::same_as<T, bf16> || std::same_as<T, f16>, float, T>;

/// Types with arithmetic; the others are for storage, and have fill, copy, cast and gather_rows.
template <class T>
concept Computing = Floating<T> || std::same_as<T, bool> || std::same_as<T, std::int64_t> ||
    std::same_as<T, std::int32_t> || std::same_as<T, std::int8_t> || std::same_as<T, std::uint8_t>;

/// Calls `function(std::type_identity<T>{})` with the C++ type of a run-time dtype.
template <class Function>
constexpr decltype(auto) visit_dtype(DType dtype, Function&& function) {
  switch (dtype) {
    case DType::f64:
      return function(std::type_identity<double>{});
    case DType::f32:
      return function(std::type_identity<float>{});
    case DType::f16:
      return function(std::type_identity<f16>{});
    case DType::bf16:
      return function(std::type_identity<bf16>{});
    case DType::i64:
      return function(std::type_identity<std::int64_t>{});
    case DType::i32:
      return function(std::type_identity<std::int32_t>{});
    case DType::i16:
      return function(std::type_identity<std::int16_t>{});
    case DType::i8:
      return function(std::type_identity<std::int8_t>{});
    case DType::u64:
      return function(std::type_identity<std::uint64_t>{});
    case DType::u32:
      return function(std::type_identity<std::uint32_t>{});
    case DType::u16:
      return function(std::type_identity<std::uint16_t>{});
    case DType::u8:
      return function(std::type_identity<std::uint8_t>{});
    case DType::boolean:
      return function(std::type_identity<bool>{});
  }
  detail::fail_unknown("DType", dtype);
}

/// The same for every dtype in turn.
template <class Function>
constexpr void visit_dtypes(Function&& function) {
  for (const DType dtype :
       {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32, DType::i16,
        DType::i8, DType::u64, DType::u32, DType::u16, DType::u8, DType::boolean}) {
    visit_dtype(dtype, function);
  }
}

/// One conversion for every pair of types. To bool: whether it is not 0. From a floating to an
/// integer type: truncates, saturates out of range, and makes NaN 0.
template <Scalar To, Scalar From>
constexpr To convert(From value) {
  if constexpr (std::same_as<To, From>) {
    return value;
  } else if constexpr (std::same_as<From, bf16> || std::same_as<From, f16>) {
    return convert<To>(static_cast<float>(value));
  } else if constexpr (std::same_as<To, bool>) {
    return value != From{};
  } else if constexpr (std::same_as<To, bf16> || std::same_as<To, f16>) {
    return To(static_cast<float>(value));
  } else if constexpr (std::floating_point<From> && std::integral<To>) {
    constexpr auto low = static_cast<From>(std::numeric_limits<To>::min());
    constexpr To whole_half = std::numeric_limits<To>::max() / 2 + 1;
    constexpr auto half = static_cast<From>(whole_half);
    if (value >= low && value < 2 * half) {
      return static_cast<To>(value);
    }
    if (value < low) {
      return std::numeric_limits<To>::min();
    }
    return value > low ? std::numeric_limits<To>::max() : To{};  // NaN is not greater
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace ldlm
