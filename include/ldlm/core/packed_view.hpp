#pragma once
// PackedView: what a kernel sees of a matrix (n, k) that is laid out for products.

#include <cstdint>

#include <ldlm/core/dtype.hpp>

namespace ldlm {

/// How its elements are laid out: see core/weight_format.hpp.
enum class WeightFormat : std::uint8_t { f32, bf16, int8, int4 };

/// Rows of a panel of f32.
inline constexpr std::int64_t panel_rows = 32;

struct PackedView {
  WeightFormat format = WeightFormat::bf16;
  std::int64_t n = 0, k = 0;
  const std::uint8_t* data = nullptr;  // rows_stored(format, n) rows of bytes_per_row(format, k)
  const bf16* scales = nullptr;        // n rows of groups_per_row(format, k)

  /// The first of 32 elements j of f32's panel number p.
  [[nodiscard]] const float* panel(std::int64_t p, std::int64_t j = 0) const {
    return reinterpret_cast<const float*>(data) + (p * k + j) * panel_rows;
  }
};

}  // namespace ldlm
