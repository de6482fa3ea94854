#pragma once
// PackedView: what a kernel sees of a matrix (n, k) in a WeightFormat.

#include <algorithm>
#include <cstdint>

#include <ldlm/core/weight_format.hpp>

namespace ldlm {

struct PackedView {
  WeightFormat format = WeightFormat::bf16;
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

namespace detail {

/// Elements that a format encodes together.
template <class Format>
inline constexpr std::int64_t group_of = std::max<std::int64_t>(1, Format::group);

/// Bytes from the first to group g of row i, in rows of k elements.
template <class Format>
constexpr std::int64_t group_offset(std::int64_t i, std::int64_t g, std::int64_t k) {
  const std::int64_t in_panel = i % Format::panel;
  return (i - in_panel) * Format::bytes(k) + Format::bytes(g * group_of<Format>) * Format::panel +
         in_panel * Format::bytes(group_of<Format>);
}

}  // namespace detail

/// Element (i, j): what the formats mean.
inline float element(const PackedView& w, std::int64_t i, std::int64_t j) {
  return detail::visit_format(w.format, [&](auto format) {
    using Format = decltype(format);
    constexpr std::int64_t group = detail::group_of<Format>;
    const float value =
        Format::decode(w.data + detail::group_offset<Format>(i, j / group, w.k), j % group);
    if constexpr (Format::group > 0) {
      return value * w.row_scales(i)[j / group];
    } else {
      return value;
    }
  });
}

}  // namespace ldlm
