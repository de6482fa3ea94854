#pragma once
// Rows: the last axis of several views, and where the rows lie.

#include <ldlm_cuda/block.cuh>
#include <ldlm_cuda/walk.cuh>

namespace ldlm::cuda_backend {

/// The view without its last axis, and where it moves along that.
template <class T>
View<T> row_starts(const View<T>& view) {
  View<T> out = view;
  if (!view.empty()) {
    out.layout.shape.erase(view.rank() - 1);
  }
  return out;
}

/// Threads that a row's elements are dealt out to.
template <class Function>
__device__ void for_columns(std::int64_t columns, const Function& function) {
  for (std::int64_t i = threadIdx.x; i < columns; i += blockDim.x) {
    function(i);
  }
}

/// row(at) for each index of the walk, by a block each.
template <int N, class Row>
__global__ void rows_kernel(const __grid_constant__ Walk<N> walk, const __grid_constant__ Row row) {
  for (std::int64_t i = blockIdx.x; i < walk.count; i += gridDim.x) {
    std::int64_t at[N];
    locate(walk, i, at);
    row(at);
  }
}
template <class Row, class... T>
void run_rows(const char* op, std::int64_t columns, const Row& row, const View<T>&... starts) {
  const auto walk = make_walk(starts...);
  if (walk.count > 0 && columns > 0) {
    launch(op, rows_kernel<sizeof...(T), Row>, grid_of_rows(walk.count, columns), walk, row);
  }
}

/// A statistic of rows that may be absent: nothing moves in it then.
template <class T>
View<T> statistic(const View<T>& view, const Shape& rows) {
  View<T> out = view;
  if (view.empty()) {
    out.layout = Layout(rows);
    out.layout.strides = {};
  }
  return out;
}

}  // namespace ldlm::cuda_backend
