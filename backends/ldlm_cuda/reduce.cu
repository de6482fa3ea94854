// Reductions over any axes, and the check of indices.

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/math.cuh>
#include <ldlm_cuda/walk.cuh>

namespace ldlm::cuda_backend {

namespace {

template <class T>
__device__ T combine(ReduceOp op, T total, T x) {
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::sum_squares:
      return plus(total, x);
    case ReduceOp::max:
      return larger(x, total) ? x : total;
    case ReduceOp::min:
      return smaller(x, total) ? x : total;
  }
  return total;
}
template <class T>
__device__ T taken(ReduceOp op, T x) {
  return op == ReduceOp::sum_squares ? times(x, x) : x;
}

/// One value of all threads of a block, the same for every schedule: a tree over lanes, then over
/// warps. Threads that have none say so. Every thread of the block calls it; thread 0 has the
/// result.
template <class T>
struct Partial {
  T value;
  bool any;
};
template <class T>
__device__ Partial<T> combine(ReduceOp op, const Partial<T>& a, const Partial<T>& b) {
  return !b.any ? a : !a.any ? b : Partial<T>{combine(op, a.value, b.value), true};
}
template <class T>
__device__ Partial<T> reduce_warp(ReduceOp op, Partial<T> mine) {
  for (unsigned distance = 16; distance > 0; distance /= 2) {
    const Partial<T> other{static_cast<T>(__shfl_down_sync(0xffffffffU, mine.value, distance)),
                           __shfl_down_sync(0xffffffffU, mine.any, distance) != 0};
    mine = combine(op, mine, other);
  }
  return mine;
}
template <class T>
__device__ Partial<T> reduce_block(ReduceOp op, Partial<T> mine) {
  LDLM_SHARED(T, values, 32);
  LDLM_SHARED(bool, any, 32);
  mine = reduce_warp(op, mine);
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32;
  __syncthreads();  // the last call's are read
  if (lane == 0) {
    values[warp] = mine.value;
    any[warp] = mine.any;
  }
  __syncthreads();
  if (warp == 0) {
    const bool there = lane < blockDim.x / 32;
    mine = reduce_warp(op, Partial<T>{there ? values[lane] : T{}, there && any[lane]});
  }
  return mine;
}

/// A reduction: kept indices, and for each the reduced ones behind it.
struct ReduceWalks {
  Walk<2> kept;     // in, out
  Walk<1> reduced;  // in
};

Layout select(const Layout& layout, const Layout& in, const Layout& out, bool kept) {
  Layout selected;
  for (int axis = 0; axis < in.rank(); ++axis) {
    if ((in.shape[axis] == out.shape[axis]) == kept) {
      selected.strides[static_cast<std::size_t>(selected.rank())] = layout.stride(axis);
      selected.shape.push_back(in.shape[axis]);
    }
  }
  return selected;
}

/// A block a result.
template <class T>
__global__ void reduce_kernel(const __grid_constant__ ReduceWalks walks, ReduceOp op, const T* in,
                              T* out) {
  for (std::int64_t row = blockIdx.x; row < walks.kept.count; row += gridDim.x) {
    std::int64_t at[2];
    locate(walks.kept, row, at);
    using C = ComputeType<T>;
    Partial<C> mine{C{}, false};
    for (std::int64_t i = threadIdx.x; i < walks.reduced.count; i += blockDim.x) {
      std::int64_t from[1];
      locate(walks.reduced, i, from);
      const C x = taken(op, widened(in[at[0] + from[0]]));
      mine = combine(op, mine, Partial<C>{x, true});
    }
    mine = reduce_block(op, mine);
    if (threadIdx.x == 0) {
      out[at[1]] = rounded<T>(mine.value);
    }
  }
}

/// A thread a result: where few elements are reduced, or many results lie side by side.
template <class T>
__global__ void reduce_few_kernel(const __grid_constant__ ReduceWalks walks, ReduceOp op,
                                  const T* in, T* out) {
  for (std::int64_t row = first_index(); row < walks.kept.count; row += index_step()) {
    std::int64_t at[2];
    locate(walks.kept, row, at);
    using C = ComputeType<T>;
    Partial<C> mine{C{}, false};
    for (std::int64_t i = 0; i < walks.reduced.count; ++i) {
      std::int64_t from[1];
      locate(walks.reduced, i, from);
      mine = combine(op, mine, Partial<C>{taken(op, widened(in[at[0] + from[0]])), true});
    }
    out[at[1]] = rounded<T>(mine.value);
  }
}

}  // namespace

template <class T>
void reduce(ReduceOp op, View<const T> in, View<T> out) {
  visit_op(op, [](auto) {});
  const View<const T> kept_in(in.data, select(in.layout, in.layout, out.layout, true));
  const View<T> kept_out(out.data, select(out.layout, in.layout, out.layout, true));
  const View<const T> reduced(in.data, select(in.layout, in.layout, out.layout, false));
  const ReduceWalks walks{make_walk(kept_in, kept_out), make_walk(reduced)};
  if (walks.kept.count == 0) {
    return;
  }
  constexpr std::int64_t few = 64;
  if (walks.reduced.count <= few) {
    launch(name_of(op).data(), reduce_few_kernel<T>, grid_over(walks.kept.count), walks, op,
           in.data, out.data);
  } else {
    const std::int64_t blocks =
        std::min<std::int64_t>(walks.kept.count, std::int64_t{64} * multiprocessors());
    launch(name_of(op).data(), reduce_kernel<T>,
           Grid{dim3(static_cast<unsigned>(blocks)), dim3(usual_threads)}, walks, op, in.data,
           out.data);
  }
}

namespace {

/// The least position of an index outside [low, high).
template <class T>
__global__ void find_outside_kernel(const __grid_constant__ Walk<1> walk, const T* in, T low,
                                    T high, unsigned long long* found) {
  for (std::int64_t i = first_index(); i < walk.count; i += index_step()) {
    std::int64_t at[1];
    locate(walk, i, at);
    if (in[at[0]] < low || in[at[0]] >= high) {
      atomicMin(found, static_cast<unsigned long long>(i));
    }
  }
}

}  // namespace

template <class T>
std::int64_t find_outside(View<const T> indices, T low, T high) {
  // Positions are row-major: the walk keeps the order of the axes.
  constexpr unsigned long long none = ~0ULL;
  const auto walk = make_walk_in_order(indices);
  if (walk.count == 0) {
    return -1;
  }
  const Scratch scratch(sizeof none);
  auto found = none;
  write_to(scratch.as<void>(), &found, sizeof found, "find_outside");
  launch("find_outside", find_outside_kernel<T>, grid_over(walk.count), walk, indices.data, low,
         high, scratch.as<unsigned long long>());
  read_back(&found, scratch.as<void>(), sizeof found, "find_outside");
  return found == none ? -1 : static_cast<std::int64_t>(found);
}

#define LDLM_INSTANTIATE(T) template std::int64_t find_outside(View<const T>, T, T);
LDLM_INDEX_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE
#define LDLM_INSTANTIATE(T) template void reduce(ReduceOp, View<const T>, View<T>);
LDLM_COMPUTING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
