#pragma once
// Columns of B that are contiguous along k: plain elements, or those of a packed matrix, made into
// floats on the way. A column has
//   group                   elements that share a scale; 0: there are no scales
//   load(j)                 the vector of elements j .. j + W - 1
//   load_rest(j, n)         the first n < W of them, then zeros
//   scale(g)                of group g
//   data, bytes(k)          where it begins, and how many bytes k elements take

#include <algorithm>
#include <cstdint>

#include <ldlm_simd/narrow.hpp>

namespace ldlm::simd {

template <class T, class Arch>
struct PlainColumn {
  static constexpr std::int64_t group = 0;

  const T* data;

  [[nodiscard]] Batch<T, Arch> load(std::int64_t j) const { return simd::load<T, Arch>(data + j); }
  [[nodiscard]] Batch<T, Arch> load_rest(std::int64_t j, std::int64_t n) const {
    return load_first<T, Arch>(data + j, n);
  }
  static constexpr std::int64_t bytes(std::int64_t k) {
    return k * static_cast<std::int64_t>(sizeof(T));
  }
};

template <WeightFormat Format, class Arch>
struct PackedColumn {
  static_assert(Format == WeightFormat::bf16 || Format == WeightFormat::int8 ||
                    Format == WeightFormat::int4,
                "load and offset have no case for the format");
  static constexpr std::int64_t group = group_size(Format);

  const std::uint8_t* data;
  const bf16* scales;

  [[nodiscard]] Batch<float, Arch> load(std::int64_t j) const {
    const std::uint8_t* const at = data + offset(j);
    if constexpr (Format == WeightFormat::bf16) {
      return load_bf16<Arch>(at);
    } else if constexpr (Format == WeightFormat::int8) {
      return load_int8<Arch>(at);
    } else {
      return j % 32 < 16 ? load_int4<false, Arch>(at) : load_int4<true, Arch>(at);
    }
  }
  [[nodiscard]] Batch<float, Arch> load_rest(std::int64_t j, std::int64_t n) const {
    if constexpr (Format == WeightFormat::int4) {
      return load(j);  // the last group is filled up with zeros
    } else {
      std::uint8_t rest[64] = {};
      std::copy_n(data + offset(j), offset(n), rest);
      return PackedColumn{rest, nullptr}.load(0);
    }
  }
  [[nodiscard]] float scale(std::int64_t g) const { return scales[g]; }
  static constexpr std::int64_t bytes(std::int64_t k) { return bytes_per_row(Format, k); }

 private:
  static std::int64_t offset(std::int64_t j) {
    return Format == WeightFormat::bf16   ? 2 * j
           : Format == WeightFormat::int8 ? j
                                          : j / 32 * 16 + j % 16;
  }
};

/// Column `i` of the product's B.
template <class Arch, WeightFormat Format>
PackedColumn<Format, Arch> column_of(const PackedView& b, std::int64_t i) {
  return {b.data + i * bytes_per_row(Format, b.k), b.scales + i * groups_per_row(Format, b.k)};
}

LDLM_COMPLETE_SWITCHES
/// f(format as a constant), for the formats that have columns.
template <class F>
void with_format(WeightFormat format, F&& f) {
  switch (format) {
    case WeightFormat::f32:
      return;
    case WeightFormat::bf16:
      return f(std::integral_constant<WeightFormat, WeightFormat::bf16>{});
    case WeightFormat::int8:
      return f(std::integral_constant<WeightFormat, WeightFormat::int8>{});
    case WeightFormat::int4:
      return f(std::integral_constant<WeightFormat, WeightFormat::int4>{});
  }
}
LDLM_END_COMPLETE_SWITCHES

/// out[i * k + j] = element j of column `first` + i, for `columns` columns of all of k.
template <class Arch>
void expand_columns(const PackedView& b, std::int64_t first, std::int64_t columns, float* out) {
  constexpr std::int64_t W = width<float, Arch>;
  with_format(b.format, [&](auto format) {
    for (std::int64_t i = 0; i < columns; ++i, out += b.k) {
      const auto column = column_of<Arch, format()>(b, first + i);
      const auto scaled = [&](std::int64_t j, const Batch<float, Arch>& v) {
        if constexpr (column.group > 0) {
          return v * Batch<float, Arch>(column.scale(j / column.group));
        } else {
          return v;
        }
      };
      std::int64_t j = 0;
      for (; j + W <= b.k; j += W) {
        scaled(j, column.load(j)).store_unaligned(out + j);
      }
      if (j < b.k) {
        store_first<float, Arch>(out + j, scaled(j, column.load_rest(j, b.k - j)), b.k - j);
      }
    }
  });
}

}  // namespace ldlm::simd
