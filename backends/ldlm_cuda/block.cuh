#pragma once
// One value of all threads of a block, by a tree over the lanes of each warp and then over the
// warps: the same for every order in which they run. Blocks are of whole warps.

#include <ldlm_cuda/launch.cuh>
#include <ldlm_cuda/math.cuh>

namespace ldlm::cuda_backend {

struct Add {
  template <class T>
  __device__ static T combine(T a, T b) {
    return plus(a, b);
  }
};
/// NaN wins.
struct Largest {
  template <class T>
  __device__ static T combine(T a, T b) {
    return larger(b, a) ? b : a;
  }
};
struct Smallest {
  template <class T>
  __device__ static T combine(T a, T b) {
    return smaller(b, a) ? b : a;
  }
};

/// Lane 0 has the value of all lanes.
template <class Op, class T>
__device__ T combine_warp(T mine) {
  for (unsigned distance = 16; distance > 0; distance /= 2) {
    mine = Op::combine(mine, static_cast<T>(__shfl_down_sync(0xffffffffU, mine, distance)));
  }
  return mine;
}

/// All threads have the value of all. `identity` changes no value it is combined with.
template <class Op, class T>
__device__ T combine_block(T mine, T identity) {
  LDLM_SHARED(T, values, 32);
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32;
  mine = combine_warp<Op>(mine);
  __syncthreads();  // what the last call left is read
  if (lane == 0) {
    values[warp] = mine;
  }
  __syncthreads();
  if (warp == 0) {
    mine = combine_warp<Op>(lane < blockDim.x / 32 ? values[lane] : identity);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    values[0] = mine;
  }
  __syncthreads();
  return values[0];
}
template <class T>
__device__ T sum_block(T mine) {
  return combine_block<Add>(mine, T{});
}

/// Blocks that work through `rows` rows, one at a time each.
inline Grid grid_of_rows(std::int64_t rows, std::int64_t columns) {
  const unsigned threads = columns <= 32 ? 32 : columns <= 128 ? 64 : usual_threads;
  const std::int64_t blocks = std::min<std::int64_t>(rows, std::int64_t{64} * multiprocessors());
  return {dim3(static_cast<unsigned>(blocks)), dim3(threads)};
}

}  // namespace ldlm::cuda_backend
