// Kernels with a fault that a sanitizer or the system must find; the argument says which one. What
// ends well returns 0.

#include <cstdio>
#include <string_view>
#include <vector>

#include <ldlm/core/device_memory.hpp>
#include <ldlm_cuda/launch.cuh>

#include "runtime.hpp"

namespace {

float* values = nullptr;  // 256 of the card

template <class Kernel>
void run_kernel(dim3 grid, dim3 block, const Kernel& kernel) {
  cuda_emulator::launch(nullptr, "fault", grid, block, 0, nullptr, kernel);
}

// Sums of rows of 64, by two warps; `barrier` and `index` are where it goes wrong.
template <bool Barrier, unsigned Slot>
void sum_rows(const float* x, float* y) {
  LDLM_SHARED(float, parts, 2);
  float sum = x[blockIdx.x * 64 + threadIdx.x];
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    sum += __shfl_xor_sync(0xffffffffU, sum, lanes);
  }
  if (threadIdx.x % 32 == 0) {
    parts[threadIdx.x / 32 + Slot] = sum;
  }
  if constexpr (Barrier) {
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    y[blockIdx.x] = parts[0] + parts[1];
  }
}

/// Memory of the card for three numbers, as a tensor has it.
float* tensor_memory() {
  return static_cast<float*>(
      ldlm::device_memory(ldlm::cuda).allocate(ldlm::cuda, 3 * sizeof(float)));
}

struct Fault {
  std::string_view name;
  void (*run)();
};
constexpr Fault faults[] = {
    {"none", [] { run_kernel(3, 64, [] { sum_rows<true, 0>(values, values + 200); }); }},
    {"missing_barrier",
     [] { run_kernel(3, 64, [] { sum_rows<false, 0>(values, values + 200); }); }},
    {"shared_out_of_bounds",
     [] { run_kernel(3, 64, [] { sum_rows<true, 1>(values, values + 200); }); }},
    {"global_out_of_bounds", [] { run_kernel(1, 64, [] { values[193 + threadIdx.x] = 1; }); }},
    {"thread_race",
     [] { run_kernel(1, 64, [] { values[threadIdx.x / 2] = static_cast<float>(threadIdx.x); }); }},
    {"block_race",
     [] {
       run_kernel(8, 64, [] {
         if (threadIdx.x == 0) {
           values[0] = static_cast<float>(blockIdx.x);
         }
       });
     }},
    {"block_race_after_barrier",
     [] { run_kernel(2, 64, [] { sum_rows<true, 0>(values, values + 200 - blockIdx.x); }); }},
    {"use_after_free",
     [] {
       cudaFree(values);
       run_kernel(1, 1, [] { values[0] = 1; });
     }},
    // These two need LDLM_CUDA_CACHE=off.
    {"tensor_out_of_bounds",
     [] {
       float* const three = tensor_memory();
       run_kernel(1, 1, [three] { three[3] = 1; });
     }},
    {"tensor_after_free",
     [] {
       float* const three = tensor_memory();
       ldlm::device_memory(ldlm::cuda).deallocate(ldlm::cuda, three, 3 * sizeof(float));
       run_kernel(1, 1, [three] { three[0] = 1; });
     }},
    {"host_access", [] { values[0] = 1; }},
};

}  // namespace

int main(int argc, char** argv) {
  void* memory = nullptr;
  if (cudaMalloc(&memory, 256 * sizeof(float)) != cudaSuccess) {
    return 2;
  }
  values = static_cast<float*>(memory);
  const std::vector<float> ones(256, 1.0F);
  cudaMemcpyAsync(values, ones.data(), 256 * sizeof(float), cudaMemcpyHostToDevice, nullptr);
  for (const Fault& fault : faults) {
    if (argc > 1 && fault.name == argv[1]) {
      fault.run();
      std::printf("%s: %s\n", argv[1], cudaGetErrorString(cudaGetLastError()));
      return 0;
    }
  }
  std::puts("no such fault");
  return 2;
}
