#pragma once
// QuantizedView: what a kernel sees of a matrix that is laid out for products, mostly in few bits.
//
// A matrix (n, k) is stored row by row, but for f32. In int8 and int4 each group of consecutive
// elements of a row has a scale of its own, in bf16; the last group of a row may be shorter.
//   f32    floats as they were, in panels of 32 rows (the last filled up with zeros) that are
//          transposed: element j of the 32 rows, then their element j + 1, ...
//   bf16   16 bits, no scale
//   int8   a signed byte q: q * scale; groups of 128
//   int4   a nibble q of 0 to 15: (q - 8) * scale; groups of 32 in 16 bytes, of which byte i holds
//          element i in its lower half and element 16 + i in its upper; a short group takes 16 too

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <ldlm/core/dtype.hpp>

namespace ldlm {

enum class QuantizedFormat : std::uint8_t { f32, bf16, int8, int4 };

constexpr std::string_view name_of(QuantizedFormat format) {
  constexpr std::string_view names[] = {"f32", "bf16", "int8", "int4"};
  return detail::name_in(names, format);
}

/// Rows of a panel of f32.
inline constexpr std::int64_t panel_rows = 32;

/// Rows of elements that are stored for a matrix of n rows.
constexpr std::int64_t rows_stored(QuantizedFormat format, std::int64_t n) {
  return format == QuantizedFormat::f32 ? (n + panel_rows - 1) / panel_rows * panel_rows : n;
}
/// Elements that share a scale; 0: there are no scales.
constexpr std::int64_t group_size(QuantizedFormat format) {
  return format == QuantizedFormat::int8 ? 128 : format == QuantizedFormat::int4 ? 32 : 0;
}
/// Scales of a row of k elements.
constexpr std::int64_t groups_per_row(QuantizedFormat format, std::int64_t k) {
  const std::int64_t size = group_size(format);
  return size == 0 ? 0 : (k + size - 1) / size;
}
/// Bytes of a row of k elements.
constexpr std::int64_t bytes_per_row(QuantizedFormat format, std::int64_t k) {
  switch (format) {
    case QuantizedFormat::f32:
      return 4 * k;
    case QuantizedFormat::bf16:
      return 2 * k;
    case QuantizedFormat::int8:
      return k;
    case QuantizedFormat::int4:
      return 16 * groups_per_row(format, k);
  }
  return 0;
}

struct QuantizedView {
  QuantizedFormat format = QuantizedFormat::bf16;
  std::int64_t n = 0, k = 0;
  const std::uint8_t* data = nullptr;  // rows_stored(format, n) rows of bytes_per_row(format, k)
  const bf16* scales = nullptr;        // n rows of groups_per_row(format, k)

  /// The first of 32 elements j of f32's panel number p.
  [[nodiscard]] const float* panel(std::int64_t p, std::int64_t j = 0) const {
    return reinterpret_cast<const float*>(data) + (p * k + j) * panel_rows;
  }
  /// Row i of the other formats.
  [[nodiscard]] const std::uint8_t* row(std::int64_t i) const {
    return data + i * bytes_per_row(format, k);
  }
  [[nodiscard]] const bf16* row_scales(std::int64_t i) const {
    return scales + i * groups_per_row(format, k);
  }
};

/// Element (i, j): what the formats mean.
inline float element(const QuantizedView& w, std::int64_t i, std::int64_t j) {
  const std::uint8_t* const row = w.row(i);
  switch (w.format) {
    case QuantizedFormat::f32:
      return w.panel(i / panel_rows, j)[i % panel_rows];
    case QuantizedFormat::bf16: {
      bf16 value;
      value.bits = static_cast<std::uint16_t>(row[2 * j] | (row[2 * j + 1] << 8));
      return value;
    }
    case QuantizedFormat::int8:
      return static_cast<float>(static_cast<std::int8_t>(row[j])) * w.row_scales(i)[j / 128];
    case QuantizedFormat::int4: {
      const std::uint8_t pair = row[j / 32 * 16 + j % 16];
      const int q = j % 32 < 16 ? pair & 15 : pair >> 4;
      return static_cast<float>(q - 8) * w.row_scales(i)[j / 32];
    }
  }
  return 0;
}

}  // namespace ldlm
