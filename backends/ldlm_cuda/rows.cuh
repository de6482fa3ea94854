#pragma once
// Kernels over rows, the last axis of several views: where the rows lie, and their launch.

#include <ldlm_cuda/row_tiles.cuh>
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

inline constexpr unsigned most_row_threads = 512;

/// op.run<kept>(at) for each index of the walk, by a block each.
template <int N, class Op, bool kept>
__global__ void __launch_bounds__(most_row_threads, 1)
    rows_kernel(const __grid_constant__ Walk<N> walk, const __grid_constant__ Op op) {
  for (std::int64_t i = blockIdx.x; i < walk.count; i += gridDim.x) {
    std::int64_t at[N];
    locate(walk, i, at);
    op.template run<kept>(at);
  }
}

/// As few threads, in whole warps, as keep a row of T; more than most_row_threads if it is longer.
template <class T>
unsigned threads_of_row(std::int64_t columns) {
  constexpr int width = vector_width<T>;
  constexpr int elements = width * usual_vectors<T>;
  const std::int64_t shift = columns % width == 0 ? 0 : width - 1;  // at most
  const std::int64_t threads = (columns + shift + elements - 1) / elements;
  return threads > most_row_threads ? most_row_threads + 32
                                    : static_cast<unsigned>((threads + 31) / 32 * 32);
}

/// Runs an op on rows of T, by as few threads as keep a row, or as all of a block. With
/// `always_streamed` no row is kept: for ops that read it once.
template <class T, bool always_streamed = false, class Op, class... S>
void run_rows(const char* name, std::int64_t columns, const Op& op, const View<S>&... starts) {
  const auto walk = make_walk(starts...);
  if (walk.count == 0 || columns == 0) {
    return;
  }
  const unsigned threads = threads_of_row<T>(columns);
  const bool fits = threads <= most_row_threads;
  const std::int64_t blocks =
      std::min<std::int64_t>(walk.count, std::int64_t{64} * multiprocessors());
  const Grid grid{dim3(static_cast<unsigned>(blocks)), dim3(std::min(threads, most_row_threads))};
  constexpr int n = sizeof...(S);
  if constexpr (always_streamed) {
    launch(name, rows_kernel<n, Op, false>, grid, walk, op);
  } else {
    launch(name, fits ? rows_kernel<n, Op, true> : rows_kernel<n, Op, false>, grid, walk, op);
  }
}

}  // namespace ldlm::cuda_backend
