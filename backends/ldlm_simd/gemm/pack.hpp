#pragma once
// Packing: copies a strip of A (some rows) or of B (some columns) into the order in which the
// register tile reads it, whatever its strides: k steps of `lanes` contiguous elements.

#include <algorithm>
#include <cstdint>

#include <ldlm_simd/gemm/tile.hpp>
#include <ldlm_simd/transpose.hpp>

namespace ldlm::simd {

/// Some lanes of a matrix (rows of A, columns of B) over k steps; element (lane, step) lies at lane
/// * lane_stride + step * k_stride.
template <class T>
struct GemmStrips {
  const T* data;
  std::int64_t count;     // lanes that exist
  std::int64_t readable;  // lanes that may be read, >= count
  std::int64_t k, lane_stride, k_stride;
};

namespace detail {

/// Lanes are contiguous: step by step, across all strips.
template <class T, class Arch>
void pack_contiguous(const GemmStrips<T>& s, std::int64_t lanes, T* out) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const T* row = s.data;
  for (std::int64_t step = 0; step < s.k; ++step, row += s.k_stride) {
    // Rows lie far apart, often each on a page of its own, where the processor's own prefetching
    // starts anew.
    constexpr std::int64_t ahead = 16;
    if (step + ahead < s.k) {
      for (std::int64_t lane = 0; lane < s.count;
           lane += 64 / static_cast<std::int64_t>(sizeof(T))) {
        prefetch(row + ahead * s.k_stride + lane);
      }
    }
    T* to = out + step * lanes;
    for (std::int64_t first = 0; first < s.count; first += lanes, to += lanes * s.k) {
      // A last vector that is wider than the strip may run into the next step, not the next strip.
      const bool whole = step + 1 < s.k || lanes % W == 0;
      for (std::int64_t lane = 0; lane < lanes; lane += W) {
        const std::int64_t left = s.readable - first - lane;
        const B x = left >= W   ? load<T, Arch>(row + first + lane)
                    : left <= 0 ? B(T{})
                                : load_first<T, Arch>(row + first + lane, left);
        if (whole || lane + W <= lanes) {
          x.store_unaligned(to + lane);
        } else {
          store_first<T, Arch>(to + lane, x, lanes - lane);
        }
      }
    }
  }
}

/// Steps are contiguous: squares of W lanes and W steps are transposed, strip by strip.
template <class T, class Arch>
void pack_transposed(const GemmStrips<T>& s, std::int64_t lanes, T* out) {
  using B = Batch<T, Arch>;
  constexpr int W = static_cast<int>(B::size);
  for (std::int64_t first = 0; first < s.count; first += lanes, out += lanes * s.k) {
    for (std::int64_t step = 0; step < s.k; step += W) {
      const std::int64_t steps = std::min<std::int64_t>(W, s.k - step);
      // Backwards, as a last square that is wider than the strip runs into the next steps.
      for (std::int64_t lane = (lanes - 1) / W * W; lane >= 0; lane -= W) {
        const T* const from = s.data + (first + lane) * s.lane_stride + step;
        T* const to = out + step * lanes + lane;
        B square[W];
        if (steps == W && s.readable - first - lane >= W) {
          unroll<W>([&](int i) { square[i] = load<T, Arch>(from + i * s.lane_stride); });
        } else {
          unroll<W>([&](int i) {
            square[i] = first + lane + i < s.count
                            ? load_first<T, Arch>(from + i * s.lane_stride, steps)
                            : B(T{});
          });
        }
        transpose<T, Arch>(square);
        unroll<W>([&](int i) {
          if (i < steps) {
            square[i].store_unaligned(to + i * lanes);
          }
        });
      }
    }
  }
}

}  // namespace detail

/// Packs strips of `lanes` lanes each, one after the other; lanes that the last one lacks are zero.
/// Up to one vector beyond the end of `out` is overwritten too.
template <class T, class Arch>
[[gnu::noinline]] void pack_strips(const GemmStrips<T>& s, std::int64_t lanes, T* out) {
  if (s.lane_stride == 1) {
    detail::pack_contiguous<T, Arch>(s, lanes, out);
  } else if (s.k_stride == 1) {
    detail::pack_transposed<T, Arch>(s, lanes, out);
  } else {
    for (std::int64_t first = 0; first < s.count; first += lanes) {
      for (std::int64_t step = 0; step < s.k; ++step, out += lanes) {
        for (std::int64_t lane = 0; lane < lanes; ++lane) {
          const std::int64_t at = (first + lane) * s.lane_stride + step * s.k_stride;
          out[lane] = first + lane < s.count ? s.data[at] : T{};
        }
      }
    }
  }
}

}  // namespace ldlm::simd
