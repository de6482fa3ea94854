// Positions of extremes, and the k largest of each row. NaN is the largest and the smallest; of
// equal ones the first comes first.

#include <ldlm_cuda/block.cuh>
#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/walk.cuh>

namespace ldlm::cuda_backend {

namespace {

constexpr long long none = -1;
constexpr unsigned most_threads = 1024;

/// A place in a row of which another one comes before it or behind: the largest (or smallest)
/// first, of equals the first, `none` last.
template <class T>
struct Ranked {
  T value{};
  long long index = none;
};
template <class T>
__device__ bool comes_before(bool largest, const Ranked<T>& a, const Ranked<T>& b) {
  if (a.index == none || b.index == none) {
    return a.index != none;
  }
  if (largest ? larger(a.value, b.value) : smaller(a.value, b.value)) {
    return true;
  }
  return a.index < b.index && !(largest ? larger(b.value, a.value) : smaller(b.value, a.value));
}
template <class T>
__device__ Ranked<T> first_of(bool largest, const Ranked<T>& a, const Ranked<T>& b) {
  return comes_before(largest, b, a) ? b : a;
}
/// The first of all lanes', which all of them get.
template <class T>
__device__ Ranked<T> first_of_warp(bool largest, Ranked<T> mine) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const Ranked<T> other{static_cast<T>(__shfl_xor_sync(0xffffffffU, mine.value, lanes)),
                          __shfl_xor_sync(0xffffffffU, mine.index, lanes)};
    mine = first_of(largest, mine, other);
  }
  return mine;
}

/// A row whose elements are dealt out to the threads of a block.
template <class T>
struct Row {
  using C = ComputeType<T>;
  const T* x;
  std::int64_t columns, step;

  __device__ Ranked<C> operator[](std::int64_t i) const { return {widened(x[i * step]), i}; }

  /// The first of a thread's elements.
  __device__ Ranked<C> first_of_thread(bool largest) const {
    Ranked<C> mine;
    for (std::int64_t i = threadIdx.x; i < columns; i += blockDim.x) {
      mine = first_of(largest, mine, (*this)[i]);
    }
    return mine;
  }
};

/// Ranked elements of one block.
template <class T>
struct SharedRanks {
  T* values;
  long long* indices;

  __device__ Ranked<T> get(unsigned i) const { return {values[i], indices[i]}; }
  __device__ void set(unsigned i, const Ranked<T>& element) const {
    values[i] = element.value;
    indices[i] = element.index;
  }
};

/// Sorts n elements, a power of two, the largest first (Batcher, 1968). All of them are written
/// before, and can be read after.
template <class T>
__device__ void sort_block(const SharedRanks<T>& ranks, unsigned n) {
  for (unsigned run = 2; run <= n; run *= 2) {
    for (unsigned distance = run / 2; distance > 0; distance /= 2) {
      __syncthreads();
      for (unsigned pair = threadIdx.x; pair < n / 2; pair += blockDim.x) {
        const unsigned low = 2 * pair - pair % distance;
        const Ranked<T> a = ranks.get(low);
        const Ranked<T> b = ranks.get(low + distance);
        const bool falls = (low & run) == 0;
        if (comes_before(true, b, a) == falls) {
          ranks.set(low, b);
          ranks.set(low + distance, a);
        }
      }
    }
  }
  __syncthreads();
}

/// The first of each row, by a block: its position.
template <class T>
__global__ void __launch_bounds__(most_threads)
    arg_reduce_rows_kernel(const __grid_constant__ Walk<2> walk, bool largest, const T* in,
                           std::int64_t columns, std::int64_t* out) {
  using C = ComputeType<T>;
  LDLM_SHARED(C, values, 32);
  LDLM_SHARED(long long, indices, 32);
  const SharedRanks<C> firsts{values, indices};
  for (std::int64_t line = blockIdx.x; line < walk.count; line += gridDim.x) {
    std::int64_t at[2];
    locate(walk, line, at);
    const Row<T> row{in + at[0], columns, 1};
    const Ranked<C> first = first_of_warp(largest, row.first_of_thread(largest));
    if (threadIdx.x % 32 == 0) {
      firsts.set(threadIdx.x / 32, first);
    }
    __syncthreads();
    if (threadIdx.x < 32) {
      const Ranked<C> all = first_of_warp(
          largest, threadIdx.x < blockDim.x / 32 ? firsts.get(threadIdx.x) : Ranked<C>());
      if (threadIdx.x == 0) {
        out[at[1]] = all.index;
      }
    }
    __syncthreads();
  }
}

template <class T>
struct TopK {
  using C = ComputeType<T>;
  const T* in;
  std::int64_t columns, in_step;
  T* values;
  std::int64_t value_step;
  std::int64_t* indices;
  std::int64_t index_step;
  std::int64_t k;

  __device__ void put(const std::int64_t (&at)[3], std::int64_t rank, const Ranked<C>& x) const {
    values[at[1] + rank * value_step] = rounded<T>(x.value);
    indices[at[2] + rank * index_step] = x.index;
  }
};

/// The k largest of a row, one after the other: each thread's first elements are known; the first
/// warp takes the first of them all, and looks for the next of the thread that had it.
template <class T>
__device__ void take_in_turn(const TopK<T>& args, const Row<T>& row, const std::int64_t (&at)[3],
                             const SharedRanks<ComputeType<T>>& firsts) {
  using C = ComputeType<T>;
  firsts.set(threadIdx.x, row.first_of_thread(true));
  __syncthreads();
  for (std::int64_t rank = 0; rank < args.k && threadIdx.x < 32; ++rank) {
    Ranked<C> best;
    for (unsigned thread = threadIdx.x; thread < blockDim.x; thread += 32) {
      best = first_of(true, best, firsts.get(thread));
    }
    best = first_of_warp(true, best);
    const std::int64_t owner = best.index % blockDim.x;
    Ranked<C> next;
    for (std::int64_t i = owner + std::int64_t{threadIdx.x} * blockDim.x; i < row.columns;
         i += 32 * std::int64_t{blockDim.x}) {
      next = comes_before(true, best, row[i]) ? first_of(true, next, row[i]) : next;
    }
    next = first_of_warp(true, next);
    __syncwarp();  // all have read what is written now
    if (threadIdx.x == 0) {
      args.put(at, rank, best);
      firsts.set(static_cast<unsigned>(owner), next);
    }
    __syncwarp();
  }
}

constexpr unsigned most_candidates = 2 * most_threads;

/// A block a row. The k-th of all threads' largest elements is not before the k-th of the row, so
/// that those up to it are candidates, few more than k as a rule, which are sorted. Where they are
/// too many, as when one thread has all the large ones, elements are taken in turn. (Where two
/// blocks are to have room, ptxas spills for compute capability 10.0.)
template <class T>
__global__ void __launch_bounds__(most_threads, 1)
    top_k_kernel(const __grid_constant__ Walk<3> walk, const __grid_constant__ TopK<T> args) {
  using C = ComputeType<T>;
  LDLM_SHARED(C, values, most_candidates);
  LDLM_SHARED(long long, indices, most_candidates);
  LDLM_SHARED(unsigned, found, 1);
  const SharedRanks<C> ranks{values, indices};
  for (std::int64_t line = blockIdx.x; line < walk.count; line += gridDim.x) {
    std::int64_t at[3];
    locate(walk, line, at);
    const Row<T> row{args.in + at[0], args.columns, args.in_step};
    unsigned count = most_candidates + 1;
    if (row.columns <= most_candidates) {
      count = static_cast<unsigned>(row.columns);
      for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
        ranks.set(i, row[i]);
      }
    } else if (args.k <= blockDim.x) {
      ranks.set(threadIdx.x, row.first_of_thread(true));
      sort_block(ranks, blockDim.x);
      const Ranked<C> last = ranks.get(static_cast<unsigned>(args.k - 1));
      if (threadIdx.x == 0) {
        found[0] = 0;
      }
      __syncthreads();  // all have read `last`
      for (std::int64_t i = threadIdx.x; i < row.columns; i += blockDim.x) {
        const Ranked<C> element = row[i];
        if (!comes_before(true, last, element)) {
          const unsigned place = atomicAdd(found, 1U);  // in any order: they are sorted
          if (place < most_candidates) {
            ranks.set(place, element);
          }
        }
      }
      __syncthreads();
      count = found[0];
    }
    if (count > most_candidates) {
      __syncthreads();
      take_in_turn(args, row, at, ranks);
    } else {
      unsigned size = 1;
      while (size < count) {
        size *= 2;
      }
      for (unsigned i = count + threadIdx.x; i < size; i += blockDim.x) {
        ranks.set(i, {});
      }
      sort_block(ranks, size);
      for (unsigned rank = threadIdx.x; rank < args.k; rank += blockDim.x) {
        args.put(at, rank, ranks.get(rank));
      }
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
    const Row<T> line{in + at[0], extent, stride};
    Ranked<ComputeType<T>> first;
    for (std::int64_t i = 0; i < extent; ++i) {
      first = first_of(largest, first, line[i]);
    }
    out[at[1]] = first.index;
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

/// Blocks that work through `rows` rows, one at a time each; their threads are a power of two.
Grid grid_of_selection(std::int64_t rows, std::int64_t columns) {
  const unsigned threads = columns <= 32                ? 32
                           : columns <= 128             ? 64
                           : columns <= most_candidates ? usual_threads
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
  const auto walk = make_walk(lines, out);
  if (in.stride(axis) == 1 && extent >= long_row) {
    if (walk.count > 0) {
      launch(op, arg_reduce_rows_kernel<T>, grid_of_selection(walk.count, extent), walk, largest,
             in.data, extent, out.data);
    }
    return;
  }
  if (walk.count > 0) {
    launch(op, arg_reduce_kernel<T>, grid_over(walk.count), walk, largest, in.data, extent,
           in.stride(axis), out.data);
  }
}

template <class T>
void top_k(View<const T> in, View<T> values, View<std::int64_t> indices) {
  const int last = in.rank() - 1;
  const auto walk = make_walk(without(in, last), without(values, last), without(indices, last));
  if (walk.count > 0 && values.size(last) > 0) {
    launch("top_k", top_k_kernel<T>, grid_of_selection(walk.count, in.size(last)), walk,
           TopK<T>{in.data, in.size(last), in.stride(last), values.data, values.stride(last),
                   indices.data, indices.stride(last), values.size(last)});
  }
}

#define LDLM_INSTANTIATE(T)                                               \
  template void arg_reduce(bool, View<const T>, int, View<std::int64_t>); \
  template void top_k(View<const T>, View<T>, View<std::int64_t>);
LDLM_COMPUTING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
