// Matrix products: C = act(alpha A B + beta C + bias) + residual, over a batch.

#include <ldlm/core/weight_format.hpp>
#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/launch.cuh>
#include <ldlm_cuda/math.cuh>

namespace ldlm::cuda_backend {

namespace {

template <class T>
__device__ T activate(Activation activation, T x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return unary_value(UnaryOp::relu, x, T{}, T{});
    case Activation::silu:
      return unary_value(UnaryOp::silu, x, T{}, T{});
    case Activation::gelu:
      return unary_value(UnaryOp::gelu, x, T{}, T{});
    case Activation::gelu_tanh:
      return unary_value(UnaryOp::gelu_tanh, x, T{}, T{});
  }
  return x;
}

/// Element (i, j) of a packed matrix, (n, k).
template <class Format>
__device__ float packed_element(const PackedView& w, std::int64_t i, std::int64_t j) {
  constexpr std::int64_t group = detail::group_of<Format>;
  const float value =
      Format::decode(w.data + detail::group_offset<Format>(i, j / group, w.k), j % group);
  if constexpr (Format::group > 0) {
    const std::int64_t groups = (w.k + group - 1) / group;
    return value * static_cast<float>(w.scales[i * groups + j / group]);
  } else {
    return value;
  }
}
__device__ float packed_element(const PackedView& w, std::int64_t i, std::int64_t j) {
  switch (w.format) {
    case WeightFormat::f32:
      return packed_element<detail::F32Format>(w, i, j);
    case WeightFormat::bf16:
      return packed_element<detail::Bf16Format>(w, i, j);
    case WeightFormat::int8:
      return packed_element<detail::Int8Format>(w, i, j);
    case WeightFormat::int4:
      return packed_element<detail::Int4Format>(w, i, j);
  }
  return 0;
}

/// What becomes of the product's element (i, j) of a matrix of the batch.
template <class T>
__device__ void finish(const Gemm<T>& g, std::int64_t c_offset, std::int64_t i, std::int64_t j,
                       T dot) {
  const std::int64_t at = c_offset + i * g.c_row + j;
  T value = g.alpha * dot;
  if (g.beta != T{0}) {
    value += g.beta * g.c[at];
  }
  if (g.bias != nullptr) {
    value += g.bias[j];
  }
  if (g.pre_activation != nullptr) {
    g.pre_activation[at] = value;
  }
  value = activate(g.activation, value);
  if (g.residual != nullptr) {
    value += g.residual[at];
  }
  g.c[at] = value;
}

inline constexpr int tile = 16;

/// A block a tile of C, for operands of any strides: tiles of A and B pass through shared memory.
template <class T>
__global__ void gemm_kernel(const __grid_constant__ Gemm<T> g) {
  LDLM_SHARED(T, a_tile, tile * (tile + 1));
  LDLM_SHARED(T, b_tile, tile * (tile + 1));
  std::int64_t a_offset = 0;
  std::int64_t b_offset = 0;
  std::int64_t c_offset = 0;
  std::int64_t matrix = blockIdx.z;
  for (int axis = g.batch_rank - 1; axis >= 0; --axis) {
    const std::int64_t index = matrix % g.batch_shape[axis];
    matrix /= g.batch_shape[axis];
    a_offset += index * g.a_batch[axis];
    b_offset += index * g.b_batch[axis];
    c_offset += index * g.c_batch[axis];
  }
  const std::int64_t row = std::int64_t{blockIdx.y} * tile + threadIdx.y;
  const std::int64_t column = std::int64_t{blockIdx.x} * tile + threadIdx.x;
  T dot{};
  for (std::int64_t k = 0; k < g.k; k += tile) {
    const std::int64_t a_column = k + threadIdx.x;
    const std::int64_t b_row = k + threadIdx.y;
    a_tile[threadIdx.y * (tile + 1) + threadIdx.x] =
        row < g.m && a_column < g.k ? g.a[a_offset + row * g.a_row + a_column * g.a_col] : T{};
    T b{};
    if (b_row < g.k && column < g.n) {
      b = g.b_packed.data != nullptr ? static_cast<T>(packed_element(g.b_packed, column, b_row))
                                     : g.b[b_offset + b_row * g.b_row + column * g.b_col];
    }
    b_tile[threadIdx.y * (tile + 1) + threadIdx.x] = b;
    __syncthreads();
    for (int l = 0; l < tile; ++l) {
      dot += a_tile[threadIdx.y * (tile + 1) + l] * b_tile[l * (tile + 1) + threadIdx.x];
    }
    __syncthreads();
  }
  if (row < g.m && column < g.n) {
    finish(g, c_offset, row, column, dot);
  }
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
  const auto blocks = [](std::int64_t n) { return static_cast<unsigned>((n + tile - 1) / tile); };
  LDLM_CHECK_SHAPE(blocks(args.m) <= 65535 && matrices <= 65535, "gemm", "a product of ", args.m,
                   " rows and ", matrices, " matrices is too large");
  launch(
      "gemm", gemm_kernel<T>,
      Grid{dim3(blocks(args.n), blocks(args.m), static_cast<unsigned>(matrices)), dim3(tile, tile)},
      args);
}

#define LDLM_INSTANTIATE(T) template void gemm(const Gemm<T>&);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
