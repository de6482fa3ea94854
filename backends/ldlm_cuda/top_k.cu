// Positions of extremes, and the k largest of each row. NaN is the largest and the smallest; of
// equal ones the first comes first.

#include <ldlm_cuda/block.cuh>
#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/walk.cuh>

namespace ldlm::cuda_backend {

namespace {

constexpr std::int64_t none = -1;
constexpr unsigned most_threads = 1024;

/// The order of a row's positions: the largest (or smallest) element first, `none` last.
template <class T>
struct RowOrder {
  const T* x;
  std::int64_t step;
  bool largest;

  __device__ bool beats(std::int64_t a, std::int64_t b) const {
    const T one = x[a * step];
    const T other = x[b * step];
    return largest ? larger(one, other) : smaller(one, other);
  }
  __device__ bool before(std::int64_t a, std::int64_t b) const {
    return a != none && (b == none || beats(a, b) || (a < b && !beats(b, a)));
  }
  __device__ std::int64_t first_of(std::int64_t a, std::int64_t b) const {
    return before(b, a) ? b : a;
  }
};

/// The first of all lanes' positions, which all of them get.
template <class T>
__device__ std::int64_t first_of_warp(const RowOrder<T>& order, std::int64_t mine) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    mine = order.first_of(mine, __shfl_xor_sync(0xffffffffU, static_cast<long long>(mine), lanes));
  }
  return mine;
}

template <class T>
struct TopK {
  const T* in;
  std::int64_t columns, in_step;
  bool largest;
  T* values;  // null: not wanted
  std::int64_t value_step;
  std::int64_t* indices;
  std::int64_t index_step;
  std::int64_t k;
};
/// A block a row, dealt out to its threads. The first of each thread's elements are known; the
/// first warp takes one after the other, and looks for the next of the thread that had it.
template <class T>
__global__ void __launch_bounds__(most_threads)
    top_k_kernel(const __grid_constant__ Walk<3> walk, const __grid_constant__ TopK<T> args) {
  LDLM_SHARED(long long, first, most_threads);
  for (std::int64_t row = blockIdx.x; row < walk.count; row += gridDim.x) {
    std::int64_t at[3];
    locate(walk, row, at);
    const RowOrder<T> order{args.in + at[0], args.in_step, args.largest};
    std::int64_t mine = none;
    for (std::int64_t i = threadIdx.x; i < args.columns; i += blockDim.x) {
      mine = order.first_of(mine, i);
    }
    first[threadIdx.x] = mine;
    __syncthreads();
    for (std::int64_t rank = 0; rank < args.k && threadIdx.x < 32; ++rank) {
      std::int64_t best = none;
      for (unsigned thread = threadIdx.x; thread < blockDim.x; thread += 32) {
        best = order.first_of(best, first[thread]);
      }
      best = first_of_warp(order, best);
      const std::int64_t owner = best % blockDim.x;
      std::int64_t next = none;
      for (std::int64_t i = owner + std::int64_t{threadIdx.x} * blockDim.x; i < args.columns;
           i += 32 * std::int64_t{blockDim.x}) {
        next = order.before(best, i) ? order.first_of(next, i) : next;
      }
      next = first_of_warp(order, next);
      __syncwarp();  // all have read what is written now
      if (threadIdx.x == 0) {
        args.indices[at[2] + rank * args.index_step] = best;
        if (args.values != nullptr) {
          args.values[at[1] + rank * args.value_step] = order.x[best * order.step];
        }
        first[owner] = next;
      }
      __syncwarp();
    }
    __syncthreads();
  }
}

/// A thread a line, along an axis whose neighbours are other lines, or a short one.
template <class T>
__global__ void arg_reduce_kernel(const __grid_constant__ Walk<2> walk, bool largest, const T* in,
                                  std::int64_t extent, std::int64_t stride, std::int64_t* out) {
  for (std::int64_t row = first_index(); row < walk.count; row += index_step()) {
    std::int64_t at[2];
    locate(walk, row, at);
    const RowOrder<T> order{in + at[0], stride, largest};
    std::int64_t first = 0;
    for (std::int64_t i = 1; i < extent; ++i) {
      first = order.beats(i, first) ? i : first;
    }
    out[at[1]] = first;
  }
}

template <class T>
View<T> without(const View<T>& view, int axis) {
  View<T> out;
  out.data = view.data;
  for (int i = 0; i < view.rank(); ++i) {
    if (i != axis) {
      out.layout.strides[static_cast<std::size_t>(out.rank())] = view.stride(i);
      out.layout.shape.push_back(view.size(i));
    }
  }
  return out;
}

/// Blocks that work through `rows` rows, one at a time each.
Grid grid_of_selection(std::int64_t rows, std::int64_t columns) {
  const unsigned threads = columns <= 32    ? 32
                           : columns <= 128 ? 64
                           : columns < 4096 ? usual_threads
                                            : most_threads;
  const std::int64_t blocks = std::min<std::int64_t>(rows, std::int64_t{64} * multiprocessors());
  return {dim3(static_cast<unsigned>(blocks)), dim3(threads)};
}

}  // namespace

template <class T>
void arg_reduce(bool largest, View<const T> in, int axis, View<std::int64_t> out) {
  constexpr std::int64_t long_row = 64;
  const char* const op = largest ? "argmax" : "argmin";
  const View<const T> lines = without(in, axis);
  const std::int64_t extent = in.size(axis);
  if (in.stride(axis) == 1 && extent >= long_row) {
    const auto walk = make_walk(lines, lines, out);
    if (walk.count > 0) {
      launch(op, top_k_kernel<T>, grid_of_selection(walk.count, extent), walk,
             TopK<T>{in.data, extent, 1, largest, nullptr, 0, out.data, 0, 1});
    }
    return;
  }
  const auto walk = make_walk(lines, out);
  if (walk.count > 0) {
    launch(op, arg_reduce_kernel<T>, grid_over(walk.count), walk, largest, in.data, extent,
           in.stride(axis), out.data);
  }
}

template <class T>
void top_k(View<const T> in, View<T> values, View<std::int64_t> indices) {
  const int last = in.rank() - 1;
  const auto walk = make_walk(without(in, last), without(values, last), without(indices, last));
  if (walk.count > 0) {
    launch("top_k", top_k_kernel<T>, grid_of_selection(walk.count, in.size(last)), walk,
           TopK<T>{in.data, in.size(last), in.stride(last), true, values.data, values.stride(last),
                   indices.data, indices.stride(last), values.size(last)});
  }
}

#define LDLM_INSTANTIATE(T)                                               \
  template void arg_reduce(bool, View<const T>, int, View<std::int64_t>); \
  template void top_k(View<const T>, View<T>, View<std::int64_t>);
LDLM_COMPUTING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
