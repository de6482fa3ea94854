#pragma once
// Walk: the index space of an elementwise kernel and where each operand's elements lie in it. Axes
// are ordered and merged on the host, so that most walks are of one axis.

#include <algorithm>
#include <array>
#include <cstdint>

#include <ldlm_cuda/launch.cuh>

namespace ldlm::cuda_backend {

/// N operands. Axis 0 is the innermost one.
template <int N>
struct Walk {
  std::int64_t count = 1;  // of indices
  int rank = 0;
  std::int64_t extent[max_rank];
  std::int64_t stride[N][max_rank];  // in elements
  bool small = true;                 // every number here fits into 32 bits
};

/// See make_walk and make_walk_in_order.
template <class... T>
Walk<sizeof...(T)> merge_axes(bool in_order, const View<T>&... views) {
  constexpr int n = sizeof...(T);
  const Layout* const layouts[n] = {&views.layout...};
  const Layout& last = *layouts[n - 1];
  std::array<int, max_rank> axes{};
  int count = 0;
  for (int axis = last.rank() - 1; axis >= 0; --axis) {
    if (last.shape[axis] != 1) {
      axes[static_cast<std::size_t>(count++)] = axis;
    }
  }
  if (!in_order) {
    std::stable_sort(axes.begin(), axes.begin() + count, [&](int a, int b) {
      return std::abs(last.stride(a)) < std::abs(last.stride(b));
    });
  }
  Walk<n> walk;
  for (int i = 0; i < count; ++i) {
    const int axis = axes[static_cast<std::size_t>(i)];
    const std::int64_t extent = last.shape[axis];
    walk.count *= extent;
    bool merges = walk.rank > 0;
    for (int k = 0; merges && k < n; ++k) {
      merges =
          layouts[k]->stride(axis) == walk.stride[k][walk.rank - 1] * walk.extent[walk.rank - 1];
    }
    if (merges) {
      walk.extent[walk.rank - 1] *= extent;
      continue;
    }
    walk.extent[walk.rank] = extent;
    for (int k = 0; k < n; ++k) {
      walk.stride[k][walk.rank] = layouts[k]->stride(axis);
    }
    ++walk.rank;
  }
  constexpr std::int64_t most = std::int64_t{1} << 31;
  walk.small = walk.count < most;
  for (int k = 0; k < n; ++k) {
    std::int64_t reach = 0;
    for (int axis = 0; axis < walk.rank; ++axis) {
      reach += (walk.extent[axis] - 1) * std::abs(walk.stride[k][axis]);
    }
    walk.small = walk.small && reach < most;
  }
  return walk;
}

/// Of views of one shape. The innermost axis is where the last one, the result, moves least.
template <class... T>
Walk<sizeof...(T)> make_walk(const View<T>&... views) {
  return merge_axes(false, views...);
}
/// Its indices count in row-major order.
template <class... T>
Walk<sizeof...(T)> make_walk_in_order(const View<T>&... views) {
  return merge_axes(true, views...);
}

/// Where index i of the walk lies in each operand.
template <int N>
__device__ inline void locate(const Walk<N>& walk, std::int64_t i, std::int64_t (&at)[N]) {
  for (int k = 0; k < N; ++k) {
    at[k] = 0;
  }
  if (walk.small) {
    auto rest = static_cast<unsigned>(i);
    for (int axis = 0; axis < walk.rank; ++axis) {
      const auto extent = static_cast<unsigned>(walk.extent[axis]);
      const unsigned whole = axis + 1 < walk.rank ? rest / extent : 0;
      const auto index = static_cast<std::int64_t>(rest - whole * extent);
      rest = whole;
      for (int k = 0; k < N; ++k) {
        at[k] += index * walk.stride[k][axis];
      }
    }
    return;
  }
  for (int axis = 0; axis < walk.rank; ++axis) {
    const std::int64_t whole = axis + 1 < walk.rank ? i / walk.extent[axis] : 0;
    const std::int64_t index = i - whole * walk.extent[axis];
    i = whole;
    for (int k = 0; k < N; ++k) {
      at[k] += index * walk.stride[k][axis];
    }
  }
}

/// function(at) for every index of the walk, by all threads of the grid.
template <int N, class Function>
__global__ void walk_kernel(const __grid_constant__ Walk<N> walk,
                            const __grid_constant__ Function function) {
  for (std::int64_t i = first_index(); i < walk.count; i += index_step()) {
    std::int64_t at[N];
    locate(walk, i, at);
    function(at);
  }
}

/// Runs an elementwise function, an object with `__device__ void operator()(at) const`.
template <class Function, class... T>
void run_walk(const char* op, const Function& function, const View<T>&... views) {
  const auto walk = make_walk(views...);
  if (walk.count > 0) {
    launch(op, walk_kernel<sizeof...(T), Function>, grid_over(walk.count), walk, function);
  }
}

}  // namespace ldlm::cuda_backend
