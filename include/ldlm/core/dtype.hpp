#pragma once
// Scalar types: the compute types (float, double, integers, bool) and the storage-only types
// bf16 and f16, which convert to and from float and do no arithmetic of their own.

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
concept Floating = std::same_as<T, float> || std::same_as<T, double>;

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
