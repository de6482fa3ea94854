#pragma once
// Products of large matrices on tensor cores: of bf16, and of floats that may be rounded to bf16 or
// tf32. As gemm_tiled.cuh, but that a warp computes a part of the tile, and that strips hold words
// (see mma.cuh).

#include <ldlm_cuda/gemm.cuh>
#include <ldlm_cuda/mma.cuh>

namespace ldlm::cuda_backend {

struct MmaTile {
  static constexpr int threads = 256;
  static constexpr int extent = 128;       // rows and columns of C in a block
  static constexpr int words = 16;         // of a row of a strip
  static constexpr int pitch = words + 4;  // in words: no two lanes share a bank
  static constexpr int shared_words = extent * pitch;
  static constexpr int loads = extent * words / threads;   // words of a strip, by a thread
  static constexpr int warp_rows = 64, warp_columns = 32;  // of C in a warp: 2 x 4 warps
  static constexpr int m_parts = warp_rows / 16, n_parts = warp_columns / 8;
};

/// A strip (extent, words) of A or of B transposed: which words this thread brings.
struct MmaStrip {
  bool along_k;

  __device__ int outer(int i) const {
    const int index = static_cast<int>(threadIdx.x) + i * MmaTile::threads;
    return along_k ? index / MmaTile::words : index % MmaTile::extent;
  }
  __device__ int word(int i) const {
    const int index = static_cast<int>(threadIdx.x) + i * MmaTile::threads;
    return along_k ? index % MmaTile::words : index / MmaTile::extent;
  }
  __device__ void store(unsigned* shared, const unsigned (&values)[MmaTile::loads]) const {
    for (int i = 0; i < MmaTile::loads; ++i) {
      shared[outer(i) * MmaTile::pitch + word(i)] = values[i];
    }
  }
};

template <class T, class Factors, bool packed>
__global__ void __launch_bounds__(MmaTile::threads)
    gemm_mma_kernel(const __grid_constant__ Gemm<T> g) {
  using Shape = MmaTile;
  constexpr int per_word = Factors::per_word;
  LDLM_SHARED(unsigned, a_shared, MmaTile::shared_words);
  LDLM_SHARED(unsigned, b_shared, MmaTile::shared_words);
  const TilePlace place(g, Shape::extent);
  const Product<T> product(g, place.matrix);

  const MmaStrip a_part{g.a_col == 1};
  const MmaStrip b_part{is_along_k(g)};
  unsigned a_next[Shape::loads];
  unsigned b_next[Shape::loads];
  const auto fetch = [&](std::int64_t first_k) {
    for (int i = 0; i < Shape::loads; ++i) {
      float values[per_word];
      const std::int64_t row = place.row + a_part.outer(i);
      for (int e = 0; e < per_word; ++e) {
        const std::int64_t k = first_k + per_word * a_part.word(i) + e;
        values[e] = row < g.m && k < g.k ? product.a_at(row, k) : 0.0F;
      }
      a_next[i] = Factors::pack(values);
      const std::int64_t column = place.column + b_part.outer(i);
      for (int e = 0; e < per_word; ++e) {
        const std::int64_t k = first_k + per_word * b_part.word(i) + e;
        values[e] = column < g.n && k < g.k ? product.template b_at<packed>(k, column) : 0.0F;
      }
      b_next[i] = Factors::pack(values);
    }
  };

  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int group = static_cast<int>(threadIdx.x) % 32 / 4;
  const int lane = static_cast<int>(threadIdx.x) % 4;
  const int warp_row = warp / 4 * Shape::warp_rows;
  const int warp_column = warp % 4 * Shape::warp_columns;
  float sums[Shape::m_parts][Shape::n_parts][4] = {};
  fetch(0);
  for (std::int64_t first_k = 0; first_k < g.k; first_k += per_word * Shape::words) {
    a_part.store(a_shared, a_next);
    b_part.store(b_shared, b_next);
    __syncthreads();
    if (first_k + per_word * Shape::words < g.k) {
      fetch(first_k + per_word * Shape::words);
    }
    LDLM_KEEP_LOOP  // for the registers
        for (int word = 0; word < Shape::words; word += 8) {
      unsigned b[Shape::n_parts][2];
      for (int n = 0; n < Shape::n_parts; ++n) {
        const unsigned* const at =
            b_shared + (warp_column + 8 * n + group) * Shape::pitch + word + lane;
        b[n][0] = at[0];
        b[n][1] = at[4];
      }
      for (int m = 0; m < Shape::m_parts; ++m) {
        const unsigned* const at =
            a_shared + (warp_row + 16 * m + group) * Shape::pitch + word + lane;
        const unsigned a[4] = {at[0], at[8 * Shape::pitch], at[4], at[8 * Shape::pitch + 4]};
        for (int n = 0; n < Shape::n_parts; ++n) {
          Factors::multiply(sums[m][n], a, b[n]);
        }
      }
    }
    __syncthreads();
  }
  LDLM_KEEP_LOOP
  for (int m = 0; m < Shape::m_parts; ++m) {
    LDLM_KEEP_LOOP
    for (int n = 0; n < Shape::n_parts; ++n) {
      LDLM_UNROLL
      for (int i = 0; i < 4; ++i) {
        const std::int64_t row = place.row + warp_row + 16 * m + group + i / 2 * 8;
        const std::int64_t column = place.column + warp_column + 8 * n + 2 * lane + i % 2;
        if (row < g.m && column < g.n) {
          product.finish(row, column, sums[m][n][i]);
        }
      }
    }
  }
}

}  // namespace ldlm::cuda_backend
