#pragma once
// What kernels are written with. The same source is compiled by nvcc for a card, and by any C++
// compiler for the emulator (tests/cuda_emulator), whose <cuda_runtime.h> says so.

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <tuple>

#include <ldlm_cuda/runtime.cuh>

/// `T* name` of `count` elements of shared memory.
#ifdef LDLM_CUDA_EMULATED
#define LDLM_SHARED(T, name, count)                             \
  static char name##_tag = 0;                                   \
  T* const name = static_cast<T*>(cuda_emulator::shared_memory( \
      &name##_tag, sizeof(T) * static_cast<std::size_t>(count), {__FILE__, __LINE__}))
#else
#define LDLM_SHARED(T, name, count) __shared__ T name[count]
#endif

/// Before a loop: write out every pass of it, or leave it a loop.
#ifdef LDLM_CUDA_EMULATED
#define LDLM_UNROLL
#define LDLM_KEEP_LOOP
#else
#define LDLM_UNROLL _Pragma("unroll")
#define LDLM_KEEP_LOOP _Pragma("unroll 1")
#endif

namespace ldlm::cuda_backend {

/// Blocks and threads of a launch.
struct Grid {
  dim3 blocks;
  dim3 threads;
};

inline constexpr unsigned usual_threads = 256;

/// One thread an element of n, or several elements a thread (see first_index) where a card would be
/// full with fewer.
inline Grid grid_over(std::int64_t n, unsigned threads = usual_threads) {
  const std::int64_t wanted = (n + threads - 1) / threads;
  const std::int64_t most = std::int64_t{32} * multiprocessors();
  return {dim3(static_cast<unsigned>(std::clamp<std::int64_t>(wanted, 1, most))), dim3(threads)};
}
/// Work of a thread begins here and goes on in steps of index_step().
__device__ inline std::int64_t first_index() {
  return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t index_step() {
  return std::int64_t{gridDim.x} * blockDim.x;
}

/// kernel(arguments...) on the stream of all work. Throws an Error that names `op` if it cannot be
/// launched.
template <class... Parameters, class... Arguments>
void launch(const char* op, void (*kernel)(Parameters...), const Grid& grid,
            const Arguments&... arguments) {
#ifdef LDLM_CUDA_EMULATED
  cuda_emulator::launch(
      reinterpret_cast<const void*>(kernel), op, grid.blocks, grid.threads, 0, stream(),
      [kernel, given = std::tuple<Parameters...>(arguments...)] { std::apply(kernel, given); });
#else
  kernel<<<grid.blocks, grid.threads, 0, stream()>>>(Parameters(arguments)...);
#endif
  check_launch(op);
}

}  // namespace ldlm::cuda_backend
