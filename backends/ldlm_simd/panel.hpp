#pragma once
// Panels: many rows side by side, each in a lane of its own. Short rows would leave most lanes of a
// vector empty, and rows whose elements lie apart are read a cache line an element.

#include <algorithm>
#include <cstring>

#include <ldlm_simd/loops.hpp>
#include <ldlm_simd/tile.hpp>

namespace ldlm::simd {

namespace detail {

/// The longest row of which many side by side are faster than one after the other.
inline constexpr std::int64_t short_row = 32;

template <class Arch>
Shape row_shape(const Shape& shape) {
  return Shape(std::span<const std::int64_t>(shape.begin(), shape.end() - 1));
}

/// Rows worth a thread's while, if an element costs `cost` times a copy.
template <class Arch>
std::int64_t rows_grain(std::int64_t columns, std::int64_t cost) {
  return std::max<std::int64_t>(1, cheap_grain / (cost * std::max<std::int64_t>(1, columns)));
}

}  // namespace detail

/// Where the rows of a panel lie: `rows` rows, `across` elements apart, of elements `step` apart.
/// In the panel element c of row r is number c * lanes + r.
template <class T, class Arch>
struct PanelLayout {
  static constexpr std::int64_t W = width<T, Arch>;

  std::int64_t columns, lanes;  // lanes: rows of a whole panel, a multiple of W

  /// For rows of `c` elements: whole cache lines, and a panel that stays in L2.
  explicit PanelLayout(std::int64_t c) : columns(c) {
    constexpr auto size = static_cast<std::int64_t>(sizeof(T));
    constexpr std::int64_t least = std::max(64 / size, W), most = 128;
    lanes = std::clamp(131072 / size / c / least * least, least, most);
  }
  [[nodiscard]] std::int64_t size() const { return columns * lanes; }

  /// Fills a panel; lanes without a row up to the next whole vector get zeros.
  void read(const T* from, std::int64_t across, std::int64_t step, std::int64_t rows,
            T* panel) const {
    const std::int64_t padded = (rows + W - 1) / W * W;
    if (across == 1) {
      for (std::int64_t c = 0; c < columns; ++c) {
        std::memcpy(panel + c * lanes, from + c * step, static_cast<std::size_t>(rows) * sizeof(T));
      }
    } else if (step == 1) {
      transpose_block<T, Arch>(from, across, panel, lanes, rows, columns);
    } else {
      for (std::int64_t c = 0; c < columns; ++c) {
        pack<T, Arch>(from + c * step, across, panel + c * lanes, rows);
      }
    }
    for (std::int64_t c = 0; c < columns && padded > rows; ++c) {
      std::fill(panel + c * lanes + rows, panel + c * lanes + padded, T{0});
    }
  }
  void write(const T* panel, T* to, std::int64_t across, std::int64_t step,
             std::int64_t rows) const {
    if (across != 1 && step == 1) {
      transpose_block<T, Arch>(panel, lanes, to, across, columns, rows);
      return;
    }
    for (std::int64_t c = 0; c < columns; ++c) {
      unpack<T, Arch>(panel + c * lanes, to + c * step, across, rows);
    }
  }
};

/// Calls body(offsets, rows) in parallel for panels of up to `lanes` rows of views (..., C): the
/// offsets of the first row of each, the others `loops.step` apart. `grain`: rows worth a thread's
/// while.
template <class Arch, std::size_t N, class Body>
void for_panels(const Loops<N, Arch>& loops, std::int64_t lanes, std::int64_t grain,
                const Body& body) {
  const std::int64_t panels = (loops.length + lanes - 1) / lanes;
  parallel_for(0, loops.lines * panels, std::max<std::int64_t>(1, grain / lanes),
               [&](std::int64_t lo, std::int64_t hi) {
                 for (std::int64_t i = lo; i < hi; ++i) {
                   auto at = loops.at(i / panels).offsets;
                   const std::int64_t first = i % panels * lanes;
                   for (std::size_t k = 0; k < N; ++k) {
                     at[k] += first * loops.step[k];
                   }
                   body(at, std::min(lanes, loops.length - first));
                 }
               });
}

}  // namespace ldlm::simd
