#pragma once
// Products of few rows, as in generation: what takes long is to read B, which each row group of
// eight reads once, side by side as it lies in memory.

#include <ldlm_cuda/block.cuh>
#include <ldlm_cuda/gemm.cuh>

namespace ldlm::cuda_backend {

inline constexpr int few_rows = 8;  // a block's

/// B lies along k: a warp a column of C, whose lanes share k.
template <class T>
__global__ void gemm_few_rows_dot_kernel(const __grid_constant__ Gemm<T> g) {
  constexpr std::int64_t warps = usual_threads / 32;
  const std::int64_t groups = (g.m + few_rows - 1) / few_rows;
  const std::int64_t blocks = (g.n + warps - 1) / warps;
  const std::int64_t group = blockIdx.x / blocks;
  const Product<T> product(g, group / groups);
  const std::int64_t first_row = group % groups * few_rows;
  const std::int64_t column = blockIdx.x % blocks * warps + threadIdx.x / 32;
  const unsigned lane = threadIdx.x % 32;
  if (column >= g.n) {
    return;
  }
  ComputeType<T> sums[few_rows] = {};
  for (std::int64_t k = lane; k < g.k; k += 32) {
    const ComputeType<T> b = product.b_at(k, column);
    for (int i = 0; i < few_rows; ++i) {
      if (first_row + i < g.m) {
        sums[i] += product.a_at(first_row + i, k) * b;
      }
    }
  }
  for (int i = 0; i < few_rows; ++i) {
    const ComputeType<T> sum = combine_warp<Add>(sums[i]);
    if (lane == 0 && first_row + i < g.m) {
      product.finish(first_row + i, column, sum);
    }
  }
}

/// B lies along n: a thread a column of C and every eighth k.
template <class T>
__global__ void gemm_few_rows_axpy_kernel(const __grid_constant__ Gemm<T> g) {
  constexpr int slices = usual_threads / 32;
  static_assert(slices == few_rows);  // a slice of threads adds up a row
  LDLM_SHARED(ComputeType<T>, partial, slices * few_rows * 32);
  const std::int64_t groups = (g.m + few_rows - 1) / few_rows;
  const std::int64_t blocks = (g.n + 31) / 32;
  const std::int64_t group = blockIdx.x / blocks;
  const Product<T> product(g, group / groups);
  const std::int64_t first_row = group % groups * few_rows;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int slice = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t column = blockIdx.x % blocks * 32 + lane;
  ComputeType<T> sums[few_rows] = {};
  for (std::int64_t k = slice; k < g.k && column < g.n; k += slices) {
    const ComputeType<T> b = product.b_at(k, column);
    for (int i = 0; i < few_rows; ++i) {
      if (first_row + i < g.m) {
        sums[i] += product.a_at(first_row + i, k) * b;
      }
    }
  }
  for (int i = 0; i < few_rows; ++i) {
    partial[(slice * few_rows + i) * 32 + lane] = sums[i];
  }
  __syncthreads();
  if (column < g.n && first_row + slice < g.m) {
    ComputeType<T> sum{};
    for (int from = 0; from < slices; ++from) {
      sum += partial[(from * few_rows + slice) * 32 + lane];
    }
    product.finish(first_row + slice, column, sum);
  }
}

}  // namespace ldlm::cuda_backend
