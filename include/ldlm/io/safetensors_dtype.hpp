#pragma once
// FileDType: the element types of the safetensors format, more than a Tensor can hold.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include <ldlm/core/dtype.hpp>
#include <ldlm/core/enumeration.hpp>

namespace ldlm {

/// In the format's own order, which is the order of tensors in a file, last one first.
enum class FileDType : std::uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};

namespace detail {
struct FileDTypeEntry {
  std::string_view name;
  unsigned bits;
  std::optional<DType> dtype;
};
inline constexpr std::array<FileDTypeEntry, 22> file_dtypes{{{"BOOL", 8, DType::boolean},
                                                             {"F4", 4, {}},
                                                             {"F6_E2M3", 6, {}},
                                                             {"F6_E3M2", 6, {}},
                                                             {"U8", 8, DType::u8},
                                                             {"I8", 8, DType::i8},
                                                             {"F8_E5M2", 8, {}},
                                                             {"F8_E4M3", 8, {}},
                                                             {"F8_E8M0", 8, {}},
                                                             {"F8_E4M3FNUZ", 8, {}},
                                                             {"F8_E5M2FNUZ", 8, {}},
                                                             {"I16", 16, DType::i16},
                                                             {"U16", 16, DType::u16},
                                                             {"F16", 16, DType::f16},
                                                             {"BF16", 16, DType::bf16},
                                                             {"I32", 32, DType::i32},
                                                             {"U32", 32, DType::u32},
                                                             {"F32", 32, DType::f32},
                                                             {"C64", 64, {}},
                                                             {"F64", 64, DType::f64},
                                                             {"I64", 64, DType::i64},
                                                             {"U64", 64, DType::u64}}};
constexpr const FileDTypeEntry& entry_of(FileDType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  if (index >= file_dtypes.size()) {
    fail_unknown("FileDType", dtype);
  }
  return file_dtypes[index];
}
}  // namespace detail

/// The format's name, such as "F32" or "F8_E4M3".
constexpr std::string_view name_of(FileDType dtype) {
  return detail::entry_of(dtype).name;
}
/// Bits of one element; 4 and 6 are packed without gaps.
constexpr unsigned bits_of(FileDType dtype) {
  return detail::entry_of(dtype).bits;
}
/// The tensor type with the same bits, if there is one.
constexpr std::optional<DType> to_dtype(FileDType dtype) {
  return detail::entry_of(dtype).dtype;
}

constexpr std::optional<FileDType> parse_file_dtype(std::string_view name) {
  for (std::size_t i = 0; i < detail::file_dtypes.size(); ++i) {
    if (detail::file_dtypes[i].name == name) {
      return static_cast<FileDType>(i);
    }
  }
  return std::nullopt;
}
constexpr FileDType to_file_dtype(DType dtype) {
  for (std::size_t i = 0; i < detail::file_dtypes.size(); ++i) {
    if (detail::file_dtypes[i].dtype == dtype) {
      return static_cast<FileDType>(i);
    }
  }
  detail::fail_unknown("DType", dtype);
}

namespace detail {

/// Sign, `exponent_bits` and the rest mantissa, no infinity: 2^(e - bias) * 1.m, or 2^(1 - bias) *
/// 0.m where e is 0.
constexpr float small_float(std::uint8_t code, unsigned exponent_bits, int bias) {
  const unsigned mantissa_bits = 7U - exponent_bits;
  const unsigned mantissa = code & ((1U << mantissa_bits) - 1U);
  const int exponent = (code >> mantissa_bits) & static_cast<int>((1U << exponent_bits) - 1U);
  const unsigned whole = exponent == 0 ? mantissa : mantissa | (1U << mantissa_bits);
  const int power = (exponent == 0 ? 1 : exponent) - bias - static_cast<int>(mantissa_bits);
  const float scale = std::bit_cast<float>(static_cast<std::uint32_t>(power + 127) << 23);
  const float magnitude = static_cast<float>(whole) * scale;
  return (code & 0x80U) != 0 ? -magnitude : magnitude;
}

/// The value of an 8-bit float (OCP 8-bit floating point specification, and the FNUZ variants,
/// where the code of -0 is the only NaN).
constexpr float from_float8(FileDType dtype, std::uint8_t code) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  switch (dtype) {
    case FileDType::f8_e5m2: {  // the upper byte of a binary16
      f16 half;
      half.bits = static_cast<std::uint16_t>(code << 8);
      return static_cast<float>(half);
    }
    case FileDType::f8_e4m3:
      return (code & 0x7fU) == 0x7fU ? nan : small_float(code, 4, 7);
    case FileDType::f8_e4m3fnuz:
      return code == 0x80U ? nan : small_float(code, 4, 8);
    case FileDType::f8_e5m2fnuz:
      return code == 0x80U ? nan : small_float(code, 5, 16);
    default:  // f8_e8m0: a power of two; 2^-127 is subnormal
      return code == 255U
                 ? nan
                 : std::bit_cast<float>(code == 0U ? 0x400000U : std::uint32_t{code} << 23);
  }
}

constexpr bool is_float8(FileDType dtype) {
  return dtype >= FileDType::f8_e5m2 && dtype <= FileDType::f8_e5m2fnuz;
}

}  // namespace detail
}  // namespace ldlm
