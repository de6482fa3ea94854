#pragma once
// Stands in for CUDA's header of this name where kernels are compiled for the emulator: what the
// backend uses of the runtime API and of the built-ins of device code, under CUDA's names and with
// the meanings of the CUDA C++ Programming Guide and the CUDA Runtime API (13.0).
//
// What nvcc's grammar has and C++ has not is written with the macros of
// <ldlm_cuda/launch.cuh>: launches and shared memory.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <math.h>
#include <source_location>
#include <type_traits>

#include "../machine.hpp"

#define LDLM_CUDA_EMULATED 1

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

// NOLINTBEGIN(readability-identifier-naming, bugprone-reserved-identifier)

// ---- The runtime API. ----

enum cudaError_t {  // the numbers are CUDA's
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorIllegalState = 401,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
};
const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
/// The last error, which is forgotten but for those after which nothing works any more.
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();

struct CUstream_st;
using cudaStream_t = CUstream_st*;
inline constexpr unsigned cudaStreamNonBlocking = 1;
enum cudaMemcpyKind {
  cudaMemcpyHostToHost = 0,
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3,
};
struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
  std::size_t sharedMemPerBlockOptin;
  int major, minor;
  int multiProcessorCount;
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaMalloc(void** pointer, std::size_t bytes);
cudaError_t cudaFree(void* pointer);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemset(void* to, int value, std::size_t bytes);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaDeviceSynchronize();

// Graphs, as captures of a stream make them.
struct CUgraph_st;
struct CUgraphExec_st;
using cudaGraph_t = CUgraph_st*;
using cudaGraphExec_t = CUgraphExec_st*;
enum cudaStreamCaptureMode { cudaStreamCaptureModeRelaxed = 2 };
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);

template <class T>
cudaError_t cudaMalloc(T** pointer, std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes);
  *pointer = static_cast<T*>(memory);
  return error;
}

namespace cuda_emulator {
cudaError_t allow_dynamic_shared(const void* kernel, int bytes);
/// kernel<<<grid, block, dynamic_shared, stream>>>(...), where `call` makes the call, and owns its
/// arguments. Errors are the next cudaGetLastError()'s.
void launch(const void* kernel, const char* name, dim3 grid, dim3 block, std::size_t dynamic_shared,
            cudaStream_t stream, std::function<void()> call);
}  // namespace cuda_emulator
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int value) {
  return cuda_emulator::allow_dynamic_shared(reinterpret_cast<const void*>(kernel), value);
}

// ---- Built-ins of device code. ----

namespace cuda_emulator {
using Where = std::source_location;
inline Place place_of(const Where& where) {
  return {where.file_name(), where.line(), where.column()};
}
template <class T>
T shuffle(WarpOp op, unsigned mask, T value, int argument, int width, const Where& where) {
  static_assert(sizeof(T) <= 8);
  WarpCall call{op, mask, argument, width, 0, 0, place_of(where)};
  std::memcpy(&call.in, &value, sizeof value);
  warp_call(call);
  std::memcpy(&value, &call.out, sizeof value);
  return value;
}
inline unsigned ballot(unsigned mask, bool vote, const Where& where) {
  WarpCall call{WarpOp::ballot, mask, 0, 32, vote ? 1U : 0U, 0, place_of(where)};
  warp_call(call);
  return static_cast<unsigned>(call.out);
}
/// cp.async.wait_group. The copies are made here, where sanitizers see them.
inline void wait_copies(unsigned groups_left) {
  for (AsyncCopy copy{}; next_copy(groups_left, copy);) {
    for (unsigned i = 0; i < 4; ++i) {
      const bool there = 4 * i < copy.bytes;
      static_cast<std::uint32_t*>(copy.to)[i] =
          there ? static_cast<const std::uint32_t*>(copy.from)[i] : 0;
    }
  }
}
/// The lane that runs.
inline unsigned lane_of_warp() {
  return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32;
}
/// ldmatrix.x4 of 8 x 8 matrices of 16 bits: lane 8 m + r names row r of matrix m, in shared memory.
/// out[m] is, of lane 4 g + t, elements (g, 2t) and (g, 2t + 1) of matrix m, or with `transposed`
/// (2t, g) and (2t + 1, g) (PTX ISA).
inline void load_matrices(unsigned (&out)[4], const void* row, bool transposed,
                          const Where& where = Where::current()) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) {
    fault("ldmatrix needs rows aligned to 16 bytes", place_of(where));
  }
  LaneWords mine = {};
  std::memcpy(mine, &row, sizeof row);
  const LaneWords* const all = collect(mine, place_of(where));
  const unsigned group = lane_of_warp() / 4;
  const unsigned member = lane_of_warp() % 4;
  for (unsigned m = 0; m < 4; ++m) {
    unsigned halves[2] = {};
    for (unsigned i = 0; i < 2; ++i) {
      const char* from = nullptr;
      std::memcpy(&from, all[8 * m + (transposed ? 2 * member + i : group)], sizeof from);
      std::uint16_t half = 0;  // (of a float, where a row is four of those)
      std::memcpy(&half, from + 2 * (transposed ? group : 2 * member + i), sizeof half);
      halves[i] = half;
    }
    out[m] = halves[0] | halves[1] << 16;
  }
}
/// mma.m16n8k16 of bf16 (two factors a word) or mma.m16n8k8 of tf32 (one), with float sums, by all
/// lanes of a warp: each lane's words are those of its rows and columns (PTX ISA).
inline void mma_m16n8(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int per_word,
                      const Where& where = Where::current()) {
  const auto factor = [per_word](unsigned word, int number) {
    return std::bit_cast<float>(per_word == 1   ? word & 0xffffe000U
                                : number == 1 ? word & 0xffff0000U
                                              : word << 16);
  };
  const LaneWords mine = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const LaneWords* const all = collect(mine, place_of(where));
  const unsigned group = lane_of_warp() / 4;
  const unsigned member = lane_of_warp() % 4;
  for (int late = 0; late < 2; ++late) {  // (the order of a card's sum is its own)
    for (unsigned holder = 0; holder < 4; ++holder) {  // of a row of A, or a column of B
      const unsigned upper = all[group * 4 + holder][2 * late];
      const unsigned lower = all[group * 4 + holder][2 * late + 1];
      const unsigned left = all[2 * member * 4 + holder][4 + late];
      const unsigned right = all[(2 * member + 1) * 4 + holder][4 + late];
      for (int i = 0; i < per_word; ++i) {
        d[0] += factor(upper, i) * factor(left, i);
        d[1] += factor(upper, i) * factor(right, i);
        d[2] += factor(lower, i) * factor(left, i);
        d[3] += factor(lower, i) * factor(right, i);
      }
    }
  }
}
}  // namespace cuda_emulator

inline constexpr int warpSize = 32;

inline void __syncthreads(cuda_emulator::Where where = cuda_emulator::Where::current()) {
  cuda_emulator::block_barrier(cuda_emulator::place_of(where));
}
inline void __syncwarp(unsigned mask = 0xffffffffU,
                       cuda_emulator::Where where = cuda_emulator::Where::current()) {
  cuda_emulator::WarpCall call{cuda_emulator::WarpOp::sync,   mask, 0, 32, 0, 0,
                               cuda_emulator::place_of(where)};
  cuda_emulator::warp_call(call);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32,
              cuda_emulator::Where where = cuda_emulator::Where::current()) {
  return cuda_emulator::shuffle(cuda_emulator::WarpOp::shuffle, mask, value, lane, width, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 cuda_emulator::Where where = cuda_emulator::Where::current()) {
  return cuda_emulator::shuffle(cuda_emulator::WarpOp::shuffle_up, mask, value,
                                static_cast<int>(distance), width, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   cuda_emulator::Where where = cuda_emulator::Where::current()) {
  return cuda_emulator::shuffle(cuda_emulator::WarpOp::shuffle_down, mask, value,
                                static_cast<int>(distance), width, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  cuda_emulator::Where where = cuda_emulator::Where::current()) {
  return cuda_emulator::shuffle(cuda_emulator::WarpOp::shuffle_xor, mask, value, lanes, width,
                                where);
}
inline unsigned __ballot_sync(unsigned mask, bool vote,
                              cuda_emulator::Where where = cuda_emulator::Where::current()) {
  return cuda_emulator::ballot(mask, vote, where);
}
inline bool __any_sync(unsigned mask, bool vote,
                       cuda_emulator::Where where = cuda_emulator::Where::current()) {
  return cuda_emulator::ballot(mask, vote, where) != 0;
}
inline bool __all_sync(unsigned mask, bool vote,
                       cuda_emulator::Where where = cuda_emulator::Where::current()) {
  return cuda_emulator::ballot(mask, vote, where) == mask;
}

// Sums and products that are not contracted to one operation; <cuda_runtime.h>'s of these names.
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline double __dadd_rn(double a, double b) {
  return a + b;
}
inline double __dmul_rn(double a, double b) {
  return a * b;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(std::uint64_t{a} * b >> 32);
}
inline float rsqrtf(float x) {
  return 1.0F / std::sqrt(x);
}
inline double rsqrt(double x) {
  return 1.0 / std::sqrt(x);
}

/// Atomics on integers alone: sums of floats would depend on the order of threads.
inline int atomicAdd(int* at, int value) {
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}
inline unsigned atomicAdd(unsigned* at, unsigned value) {
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}
template <class T>
requires std::is_integral_v<T> &&(sizeof(T) >= 4) T atomicMin(T* at, T value) {
  T now = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (value < now &&
         !__atomic_compare_exchange_n(at, &now, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return now;
}

// NOLINTEND(readability-identifier-naming, bugprone-reserved-identifier)
