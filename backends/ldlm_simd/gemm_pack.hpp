#pragma once
// Packing: copies a strip of A (some rows) or of B (some columns) into the order in which the
// register tile reads it, whatever its strides: k steps of `lanes` contiguous elements.

#include <algorithm>
#include <cstdint>

#include <ldlm_simd/gemm_tile.hpp>
#include <ldlm_simd/transpose.hpp>

namespace ldlm::simd {

/// A strip of a matrix: `count` lanes, `k` steps; element (lane, step) at lane * lane_stride +
/// step * k_stride. `readable` >= count lanes may be read without leaving the matrix.
template <class T>
struct GemmStrip {
  const T* data;
  std::int64_t count, readable, k, lane_stride, k_stride;
};

namespace detail {

/// Lanes are contiguous: one row after the other.
template <class T, class Arch>
void pack_contiguous(const GemmStrip<T>& s, std::int64_t lanes, T* out) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const T* row = s.data;
  if (lanes == 2 * W && s.readable >= lanes) {
    for (std::int64_t step = 0; step < s.k; ++step, row += s.k_stride, out += lanes) {
      const B first = load<T, Arch>(row), second = load<T, Arch>(row + W);
      first.store_unaligned(out);
      second.store_unaligned(out + W);
    }
    return;
  }
  for (std::int64_t step = 0; step < s.k; ++step, row += s.k_stride, out += lanes) {
    for (std::int64_t lane = 0; lane < lanes; lane += W) {
      const std::int64_t left = s.readable - lane;
      const B x = left >= W ? load<T, Arch>(row + lane)
                            : load_first<T, Arch>(row + lane, std::max<std::int64_t>(left, 0));
      x.store_unaligned(out + lane);
    }
  }
}

/// Steps are contiguous: squares of W lanes and W steps are transposed.
template <class T, class Arch>
void pack_transposed(const GemmStrip<T>& s, std::int64_t lanes, T* out) {
  using B = Batch<T, Arch>;
  constexpr int W = static_cast<int>(B::size);
  const std::int64_t last = (lanes - 1) / W * W;
  for (std::int64_t step = 0; step < s.k; step += W) {
    const std::int64_t steps = std::min<std::int64_t>(W, s.k - step);
    // Backwards, as a last square that is wider than the strip overwrites the next row's start.
    for (std::int64_t lane = last; lane >= 0; lane -= W) {
      const T* const from = s.data + lane * s.lane_stride + step;
      T* const to = out + step * lanes + lane;
      B square[W];
      if (steps == W && s.readable - lane >= W) {
        unroll<W>([&](auto i) { square[i] = load<T, Arch>(from + i * s.lane_stride); });
      } else {
        unroll<W>([&](auto i) {
          square[i] =
              lane + i < s.count ? load_first<T, Arch>(from + i * s.lane_stride, steps) : B(T{});
        });
      }
      transpose<T, Arch>(square);
      unroll<W>([&](auto i) {
        if (i < steps) {
          square[i].store_unaligned(to + i * lanes);
        }
      });
    }
  }
}

}  // namespace detail

/// Packs a strip into `lanes` >= count lanes per step, the additional ones zero. Up to one vector
/// beyond the strip's end is overwritten too.
template <class T, class Arch>
void pack_strip(const GemmStrip<T>& s, std::int64_t lanes, T* out) {
  if (s.lane_stride == 1) {
    detail::pack_contiguous<T, Arch>(s, lanes, out);
  } else if (s.k_stride == 1) {
    detail::pack_transposed<T, Arch>(s, lanes, out);
  } else {
    for (std::int64_t step = 0; step < s.k; ++step, out += lanes) {
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        out[lane] = lane < s.count ? s.data[lane * s.lane_stride + step * s.k_stride] : T{};
      }
    }
  }
}

}  // namespace ldlm::simd
