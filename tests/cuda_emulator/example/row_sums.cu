// A kernel of another CUDA project: the same file is compiled by nvcc for a card, and by any C++20
// compiler for the emulator (docs/cuda_emulator.md). It needs nothing else of this library.

#include <cuda_runtime.h>

#include <cstdio>
#include <vector>

// What nvcc's grammar has and C++ has not.
#ifdef LDLM_CUDA_EMULATED
#define SHARED(T, name, count)     \
  static char name##_tag = 0;      \
  T* const name = static_cast<T*>( \
      cuda_emulator::shared_memory(&name##_tag, sizeof(T) * (count), {__FILE__, __LINE__}))
#define LAUNCH(kernel, blocks, threads, ...)                                          \
  cuda_emulator::launch(reinterpret_cast<const void*>(kernel), #kernel, dim3(blocks), \
                        dim3(threads), 0, nullptr, [=] { kernel(__VA_ARGS__); })
#else
#define SHARED(T, name, count) __shared__ T name[count]
#define LAUNCH(kernel, blocks, threads, ...) kernel<<<blocks, threads>>>(__VA_ARGS__)
#endif

constexpr int columns = 64;

/// A block of 64 threads a row.
__global__ void row_sums(const float* x, float* sums) {
  SHARED(float, of_warp, 2);
  float sum = x[blockIdx.x * columns + threadIdx.x];
  for (int distance = 16; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(0xffffffffU, sum, distance);
  }
  if (threadIdx.x % 32 == 0) {
    of_warp[threadIdx.x / 32] = sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = of_warp[0] + of_warp[1];
  }
}

int main() {
  constexpr int rows = 3;
  const std::vector<float> ones(rows * columns, 1.0F);
  std::vector<float> sums(rows);
  void* x = nullptr;
  void* y = nullptr;
  if (cudaMalloc(&x, ones.size() * sizeof(float)) != cudaSuccess ||
      cudaMalloc(&y, sums.size() * sizeof(float)) != cudaSuccess) {
    std::printf("cudaMalloc: %s\n", cudaGetErrorString(cudaGetLastError()));
    return 1;
  }
  cudaMemcpyAsync(x, ones.data(), ones.size() * sizeof(float), cudaMemcpyHostToDevice, nullptr);
  LAUNCH(row_sums, rows, columns, static_cast<const float*>(x), static_cast<float*>(y));
  cudaMemcpyAsync(sums.data(), y, sums.size() * sizeof(float), cudaMemcpyDeviceToHost, nullptr);
  cudaDeviceSynchronize();
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) {
    std::printf("%s\n", cudaGetErrorString(error));
    return 1;
  }
  for (const float sum : sums) {
    std::printf("%g\n", static_cast<double>(sum));
  }
  cudaFree(x);
  cudaFree(y);
  return 0;
}
