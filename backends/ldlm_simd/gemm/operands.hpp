#pragma once
// What a product is asked to multiply: how B lies, and one matrix of a batch.

#include <cstdint>
#include <utility>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/batch.hpp>
#include <ldlm_simd/gemm/plan.hpp>

namespace ldlm::simd::detail {

template <class T>
bool is_packed(const Gemm<T>& g) {
  return g.b_packed.data != nullptr;
}

/// Where packed blocks get B from. (Elements of several steps are packed from panels too.)
template <class T>
GemmSource source_of_b(const Gemm<T>& g, std::int64_t steps) {
  return !is_packed(g)                                          ? GemmSource::matrix
         : steps == 1 && g.b_packed.format == WeightFormat::f32 ? GemmSource::panels
                                                                : GemmSource::weights;
}

/// How B lies for few rows, if vectors have so many lanes.
template <class T>
GemmLayout layout_of_b(const Gemm<T>& g, std::int64_t lanes) {
  if (is_packed(g)) {  // panels are multiplied as they are
    return g.b_packed.format == WeightFormat::f32 ? GemmLayout::other : GemmLayout::weights;
  }
  return g.b_row == 1 && g.k >= column_vectors * lanes ? GemmLayout::columns
         : g.b_col == 1                                ? GemmLayout::rows
                                                       : GemmLayout::other;
}

template <class T>
std::int64_t batch_size(const Gemm<T>& g) {
  std::int64_t size = 1;
  for (int axis = 0; axis < g.batch_rank; ++axis) {
    size *= g.batch_shape[axis];
  }
  return size;
}

/// The batch's matrix number `index`.
template <class T, class Arch>
[[gnu::noinline]] Gemm<T> matrix_of_batch(const Gemm<T>& g, std::int64_t index) {
  Gemm<T> one = g;
  one.batch_rank = 0;
  std::int64_t c_offset = 0;
  for (int axis = g.batch_rank - 1; axis >= 0; --axis) {
    const std::int64_t at = index % g.batch_shape[axis];
    index /= g.batch_shape[axis];
    one.a += at * g.a_batch[axis];
    one.b += at * g.b_batch[axis];
    c_offset += at * g.c_batch[axis];
  }
  const auto move = [c_offset](auto*& pointer) {
    if (pointer != nullptr) {
      pointer += c_offset;
    }
  };
  move(one.c);
  move(one.pre_activation);
  move(one.residual);
  return one;
}

/// A column as a row of the transposed product, C' = B' A'.
template <class T>
void transpose_product(Gemm<T>& g) {
  std::swap(g.m, g.n);
  std::swap(g.a, g.b);
  std::swap(g.a_row, g.b_col);
  std::swap(g.a_col, g.b_row);
  std::swap(g.a_batch, g.b_batch);
  g.c_row = g.n;
}

}  // namespace ldlm::simd::detail
