// Matrix products: C = act(alpha A B + beta C + bias) + residual, over a batch.

#include <ldlm_cuda/gemm_few_rows.cuh>
#include <ldlm_cuda/gemm_library.cuh>
#include <ldlm_cuda/gemm_mma.cuh>
#include <ldlm_cuda/gemm_tiled.cuh>
#include <ldlm_cuda/kernels.hpp>

namespace ldlm::cuda_backend {

namespace {

inline constexpr int small_tile = 16;

/// What is neither large nor of few rows: a thread an element of C.
template <class T>
__global__ void gemm_small_kernel(const __grid_constant__ Gemm<T> g) {
  constexpr int tile = small_tile;
  using C = ComputeType<T>;
  LDLM_SHARED(C, a_tile, tile * (tile + 1));
  LDLM_SHARED(C, b_tile, tile * (tile + 1));
  const std::int64_t tile_columns = (g.n + tile - 1) / tile;
  const std::int64_t tiles = (g.m + tile - 1) / tile * tile_columns;
  const Product<T> product(g, blockIdx.x / tiles);
  const std::int64_t number = blockIdx.x % tiles;
  const std::int64_t row = number / tile_columns * tile + threadIdx.y;
  const std::int64_t column = number % tile_columns * tile + threadIdx.x;
  C dot{};
  for (std::int64_t k = 0; k < g.k; k += tile) {
    const std::int64_t a_column = k + threadIdx.x;
    const std::int64_t b_row = k + threadIdx.y;
    a_tile[threadIdx.y * (tile + 1) + threadIdx.x] =
        row < g.m && a_column < g.k ? product.a_at(row, a_column) : C{};
    b_tile[threadIdx.y * (tile + 1) + threadIdx.x] =
        b_row < g.k && column < g.n ? product.b_at(b_row, column) : C{};
    __syncthreads();
    for (int l = 0; l < tile; ++l) {
      dot += a_tile[threadIdx.y * (tile + 1) + l] * b_tile[l * (tile + 1) + threadIdx.x];
    }
    __syncthreads();
  }
  if (row < g.m && column < g.n) {
    product.finish(row, column, dot);
  }
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

template <class T>
void gemm(const Gemm<T>& args) {
  check_activation(args.activation);
  std::int64_t matrices = 1;
  for (int axis = 0; axis < args.batch_rank; ++axis) {
    matrices *= args.batch_shape[axis];
  }
  if (args.m == 0 || args.n == 0 || matrices == 0) {
    return;
  }
  if constexpr (std::is_same_v<ComputeType<T>, float>) {
    if (multiply_by_library(args)) {
      return;
    }
  }
  const auto run = [&](void (*kernel)(const Gemm<T>), std::int64_t blocks, dim3 threads) {
    LDLM_CHECK_SHAPE(blocks <= std::int64_t{0x7fffffff} / matrices, "gemm", "a product of ", args.m,
                     " rows, ", args.n, " columns and ", matrices, " matrices is too large");
    launch("gemm", kernel, Grid{dim3(static_cast<unsigned>(blocks * matrices)), threads}, args);
  };
  const bool packed = args.b_packed.data != nullptr;
  constexpr std::int64_t large = 48;  // rows and columns from which a large tile is worth it
  [[maybe_unused]] const auto run_mma = [&](void (*kernel)(const Gemm<T>)) {
    run(kernel, ceil_div(args.m, MmaTile::extent) * ceil_div(args.n, MmaTile::extent),
        dim3(MmaTile::threads));
  };
  if constexpr (std::is_same_v<T, float>) {
    if ((args.allow_bf16 || (args.allow_tf32 && !packed)) && args.m >= large && args.n >= large) {
      run_mma(packed            ? gemm_mma_kernel<T, Bf16Factors, true>
              : args.allow_bf16 ? gemm_mma_kernel<T, Bf16Factors, false>
                                : gemm_mma_kernel<T, Tf32Factors, false>);
      return;
    }
  }
  if (args.m >= large && args.n >= large) {
    if constexpr (std::is_same_v<T, bf16>) {
      run_mma(gemm_mma_kernel<T, Bf16Factors, false>);
    } else {
      run(packed ? gemm_tiled_kernel<T, true> : gemm_tiled_kernel<T, false>,
          ceil_div(args.m, Tile<T>::extent) * ceil_div(args.n, Tile<T>::extent),
          dim3(Tile<T>::threads));
    }
  } else if (args.m < large && args.n >= 32 && is_along_k(args)) {
    run(gemm_few_rows_dot_kernel<T>,
        ceil_div(args.m, few_rows) * ceil_div(args.n, usual_threads / 32), dim3(usual_threads));
  } else if (args.m < large && args.n >= 32 && args.b_col == 1) {
    run(gemm_few_rows_axpy_kernel<T>, ceil_div(args.m, few_rows) * ceil_div(args.n, 32),
        dim3(usual_threads));
  } else {
    run(gemm_small_kernel<T>, ceil_div(args.m, small_tile) * ceil_div(args.n, small_tile),
        dim3(small_tile, small_tile));
  }
}

#define LDLM_INSTANTIATE(T) template void gemm(const Gemm<T>&);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
