// Reductions over any axes, positions of extremes, the k largest of each row.

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

/// A thread a line along the axis.
template <class T>
__global__ void arg_reduce_kernel(const __grid_constant__ Walk<2> walk, bool largest, const T* in,
                                  std::int64_t extent, std::int64_t stride, std::int64_t* out) {
  for (std::int64_t row = first_index(); row < walk.count; row += index_step()) {
    std::int64_t at[2];
    locate(walk, row, at);
    const T* const line = in + at[0];
    std::int64_t best = 0;
    for (std::int64_t i = 1; i < extent; ++i) {
      const T x = line[i * stride];
      const T most = line[best * stride];
      best = (largest ? larger(x, most) : smaller(x, most)) ? i : best;
    }
    out[at[1]] = best;
  }
}

/// Layout without one axis.
Layout without(const Layout& layout, int axis) {
  Layout out;
  for (int i = 0; i < layout.rank(); ++i) {
    if (i != axis) {
      out.strides[static_cast<std::size_t>(out.rank())] = layout.stride(i);
      out.shape.push_back(layout.shape[i]);
    }
  }
  return out;
}

/// A thread a row, which inserts into its sorted k. in (..., V), outs (..., k).
template <class T>
__global__ void top_k_kernel(const __grid_constant__ Walk<3> walk, const T* in,
                             std::int64_t columns, std::int64_t in_step, T* values,
                             std::int64_t value_step, std::int64_t* indices,
                             std::int64_t index_step_, std::int64_t k) {
  for (std::int64_t row = first_index(); row < walk.count; row += index_step()) {
    std::int64_t at[3];
    locate(walk, row, at);
    const T* const x = in + at[0];
    T* const value = values + at[1];
    std::int64_t* const index = indices + at[2];
    for (std::int64_t i = 0; i < columns; ++i) {
      const T candidate = x[i * in_step];
      std::int64_t place = i < k ? i : k;
      for (; place > 0 && larger(candidate, value[(place - 1) * value_step]); --place) {
        if (place < k) {
          value[place * value_step] = value[(place - 1) * value_step];
          index[place * index_step_] = index[(place - 1) * index_step_];
        }
      }
      if (place < k) {
        value[place * value_step] = candidate;
        index[place * index_step_] = i;
      }
    }
  }
}

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
void arg_reduce(bool largest, View<const T> in, int axis, View<std::int64_t> out) {
  const View<const T> lines(in.data, without(in.layout, axis));
  const auto walk = make_walk(lines, out);
  if (walk.count > 0) {
    launch(largest ? "argmax" : "argmin", arg_reduce_kernel<T>, grid_over(walk.count), walk,
           largest, in.data, in.size(axis), in.stride(axis), out.data);
  }
}

template <class T>
void top_k(View<const T> in, View<T> values, View<std::int64_t> indices) {
  const int last = in.rank() - 1;
  const auto walk = make_walk(View<const T>(in.data, without(in.layout, last)),
                              View<T>(values.data, without(values.layout, last)),
                              View<std::int64_t>(indices.data, without(indices.layout, last)));
  if (walk.count > 0) {
    launch("top_k", top_k_kernel<T>, grid_over(walk.count), walk, in.data, in.size(last),
           in.stride(last), values.data, values.stride(last), indices.data, indices.stride(last),
           values.size(last));
  }
}

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

#define LDLM_INSTANTIATE(T)                                               \
  template void arg_reduce(bool, View<const T>, int, View<std::int64_t>); \
  template void top_k(View<const T>, View<T>, View<std::int64_t>);
LDLM_COMPUTING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE
#define LDLM_INSTANTIATE(T) template std::int64_t find_outside(View<const T>, T, T);
LDLM_INDEX_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE
#define LDLM_INSTANTIATE(T) template void reduce(ReduceOp, View<const T>, View<T>);
LDLM_COMPUTING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
