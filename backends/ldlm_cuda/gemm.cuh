#pragma once
// What the kernels of products share: where a product's matrices lie, packed elements, and what
// becomes of a sum, C = act(alpha A B + beta C + bias) + residual.

#include <ldlm/core/kernel_table.hpp>
#include <ldlm/core/weight_format.hpp>
#include <ldlm_cuda/launch.cuh>
#include <ldlm_cuda/math.cuh>

namespace ldlm::cuda_backend {

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
__device__ inline float packed_element(const PackedView& w, std::int64_t i, std::int64_t j) {
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

/// One product of the batch.
template <class T>
struct Product {
  using C = ComputeType<T>;
  const Gemm<T>& g;
  std::int64_t a = 0, b = 0, c = 0;  // where its matrices begin

  __device__ Product(const Gemm<T>& gemm, std::int64_t number) : g(gemm) {
    for (int axis = g.batch_rank - 1; axis >= 0; --axis) {
      const std::int64_t index = number % g.batch_shape[axis];
      number /= g.batch_shape[axis];
      a += index * g.a_batch[axis];
      b += index * g.b_batch[axis];
      c += index * g.c_batch[axis];
    }
  }

  __device__ C a_at(std::int64_t row, std::int64_t k) const {
    return widened(g.a[a + row * g.a_row + k * g.a_col]);
  }
  template <bool packed>
  __device__ C b_at(std::int64_t k, std::int64_t column) const {
    if constexpr (packed) {
      return static_cast<C>(packed_element(g.b_packed, column, k));
    } else {
      return widened(g.b[b + k * g.b_row + column * g.b_col]);
    }
  }
  /// The same where that is no matter of a kernel of its own.
  __device__ C b_at(std::int64_t k, std::int64_t column) const {
    return g.b_packed.data != nullptr ? b_at<true>(k, column) : b_at<false>(k, column);
  }
  /// What becomes of the sum for an element of C.
  __device__ void finish(std::int64_t row, std::int64_t column, C dot) const {
    const std::int64_t at = c + row * g.c_row + column;
    C value = g.alpha * dot;
    if (g.beta != C{0}) {
      value += g.beta * widened(g.c[at]);
    }
    if (g.bias != nullptr) {
      value += widened(g.bias[column]);
    }
    if (g.pre_activation != nullptr) {
      g.pre_activation[at] = rounded<T>(value);
    }
    value = activate(g.activation, value);
    if (g.residual != nullptr) {
      value += widened(g.residual[at]);
    }
    g.c[at] = rounded<T>(value);
  }
};

/// The tile of C, of extent x extent, that a block computes.
struct TilePlace {
  std::int64_t matrix, row, column;  // which one of the batch; where the tile begins

  /// Blocks go down groups of eight rows of tiles, so that those that run together share operands.
  template <class T>
  __device__ TilePlace(const Gemm<T>& g, std::int64_t extent) {
    constexpr std::int64_t group = 8;
    const std::int64_t tile_rows = (g.m + extent - 1) / extent;
    const std::int64_t tile_columns = (g.n + extent - 1) / extent;
    matrix = blockIdx.x / (tile_rows * tile_columns);
    const std::int64_t number = blockIdx.x % (tile_rows * tile_columns);
    const std::int64_t first = number / (group * tile_columns) * group;
    const std::int64_t rows = tile_rows - first < group ? tile_rows - first : group;
    const std::int64_t within = number - first * tile_columns;
    row = (first + within % rows) * extent;
    column = within / rows * extent;
  }
};

/// Whether B's elements lie side by side along k, so that threads side by side should read it so.
template <class T>
__host__ __device__ bool is_along_k(const Gemm<T>& g) {
  return g.b_packed.data != nullptr || (g.b_row == 1 && g.b_col != 1);
}

}  // namespace ldlm::cuda_backend
