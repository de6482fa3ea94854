#pragma once
// Products of large matrices: a block computes a tile of C, each thread a part of it in registers.
// Strips of A and B pass through shared memory; while one is multiplied, the next one is on its way
// to registers. Any strides.

#include <ldlm_cuda/gemm.cuh>

namespace ldlm::cuda_backend {

/// Four elements that are read at once.
template <class T>
struct alignas(16) Four {
  T of[4];
};

template <class T>
struct Tile {
  static constexpr int threads = 256;
  static constexpr int depth = 8;                         // of a strip
  static constexpr int part = sizeof(T) == 4 ? 8 : 4;     // rows and columns of C in a thread
  static constexpr int extent = 16 * part;                // rows and columns of C in a block
  static constexpr int pitch = extent + 4;                // of a strip in shared memory
  static constexpr int loads = extent * depth / threads;  // of a strip, by a thread

  /// Row, or column, number i of those that a thread has, of 16 threads side by side: by fours, so
  /// that they read their fours in one go.
  __device__ static int position(int thread, int i) { return i / 4 * 64 + thread * 4 + i % 4; }
};

/// A strip (extent, depth) of A or of B transposed: which elements this thread brings.
template <class T>
struct Strip {
  bool along_k;  // which way elements lie side by side in memory

  __device__ int outer(int i) const {
    const int index = static_cast<int>(threadIdx.x) + i * Tile<T>::threads;
    return along_k ? index / Tile<T>::depth : index % Tile<T>::extent;
  }
  __device__ int k(int i) const {
    const int index = static_cast<int>(threadIdx.x) + i * Tile<T>::threads;
    return along_k ? index % Tile<T>::depth : index / Tile<T>::extent;
  }
  __device__ void store(T* shared, const T (&values)[Tile<T>::loads]) const {
    for (int i = 0; i < Tile<T>::loads; ++i) {
      shared[k(i) * Tile<T>::pitch + outer(i)] = values[i];
    }
  }
};

/// packed: whether B is. (To decode elements takes registers, of which other products have none.)
template <class T, bool packed>
__global__ void __launch_bounds__(Tile<T>::threads)
    gemm_tiled_kernel(const __grid_constant__ Gemm<T> g) {
  using Shape = Tile<T>;
  constexpr int part = Shape::part;
  LDLM_SHARED(Four<T>, a_strip, Shape::depth * Shape::pitch / 4);
  LDLM_SHARED(Four<T>, b_strip, Shape::depth * Shape::pitch / 4);
  T* const a_shared = a_strip[0].of;
  T* const b_shared = b_strip[0].of;

  const TilePlace place(g, Shape::extent);
  const Product<T> product(g, place.matrix);

  const Strip<T> a_part{g.a_col == 1};
  const Strip<T> b_part{is_along_k(g)};
  T a_next[Shape::loads];
  T b_next[Shape::loads];
  const auto fetch = [&](std::int64_t first_k) {
    for (int i = 0; i < Shape::loads; ++i) {
      const std::int64_t row = place.row + a_part.outer(i);
      const std::int64_t a_k = first_k + a_part.k(i);
      a_next[i] = row < g.m && a_k < g.k ? product.a_at(row, a_k) : T{};
      const std::int64_t column = place.column + b_part.outer(i);
      const std::int64_t b_k = first_k + b_part.k(i);
      b_next[i] = column < g.n && b_k < g.k ? product.template b_at<packed>(b_k, column) : T{};
    }
  };

  const int thread_row = static_cast<int>(threadIdx.x) / 16;
  const int thread_column = static_cast<int>(threadIdx.x) % 16;
  T sums[part][part] = {};
  fetch(0);
  for (std::int64_t first_k = 0; first_k < g.k; first_k += Shape::depth) {
    a_part.store(a_shared, a_next);
    b_part.store(b_shared, b_next);
    __syncthreads();
    if (first_k + Shape::depth < g.k) {
      fetch(first_k + Shape::depth);
    }
    for (int k = 0; k < Shape::depth; ++k) {
      Four<T> a[part / 4];
      Four<T> b[part / 4];
      for (int i = 0; i < part / 4; ++i) {
        a[i] = a_strip[(k * Shape::pitch + Shape::position(thread_row, 4 * i)) / 4];
        b[i] = b_strip[(k * Shape::pitch + Shape::position(thread_column, 4 * i)) / 4];
      }
      for (int i = 0; i < part; ++i) {
        for (int j = 0; j < part; ++j) {
          sums[i][j] += a[i / 4].of[i % 4] * b[j / 4].of[j % 4];
        }
      }
    }
    __syncthreads();
  }
  // Rows one by one: what becomes of a sum is long code. The sums pass through local memory for it.
  LDLM_KEEP_LOOP
  for (int i = 0; i < part; ++i) {
    const std::int64_t row = place.row + Shape::position(thread_row, i);
    LDLM_UNROLL
    for (int j = 0; j < part; ++j) {
      const std::int64_t column = place.column + Shape::position(thread_column, j);
      if (row < g.m && column < g.n) {
        product.finish(row, column, sums[i][j]);
      }
    }
  }
}

}  // namespace ldlm::cuda_backend
