#pragma once
// One value of all threads of a block, by a tree over the lanes of each warp and then warp after
// warp: the same for every order in which they run. Blocks are of whole warps.

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

/// All threads have the value of all.
template <class Op, class T>
__device__ T combine_block(T mine) {
  LDLM_SHARED(T, values, 32);
  mine = combine_warp<Op>(mine);
  __syncthreads();  // what the last call left is read
  if (threadIdx.x % 32 == 0) {
    values[threadIdx.x / 32] = mine;
  }
  __syncthreads();
  T all = values[0];
  LDLM_KEEP_LOOP
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) {
    all = Op::combine(all, values[warp]);
  }
  return all;
}
template <class T>
__device__ T sum_block(T mine) {
  return combine_block<Add>(mine);
}

}  // namespace ldlm::cuda_backend
