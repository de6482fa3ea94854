// The runtime API over the emulated card. Work of a stream is done when it is asked for, or each
// time that the graph is launched which it was captured for.

#include "runtime.hpp"

#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "device_memory.hpp"
#include "include/cuda_runtime.h"

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
  CUgraph_st graph;
};
struct CUstream_st {
  CUgraph_st* capture = nullptr;
  bool invalid = false;  // what was captured cannot be
};

namespace {

struct State {
  std::mutex mutex;
  cudaError_t last = cudaSuccess;
  bool broken = false;  // by a fault: every call fails from then on
  int devices = 1;
  cudaError_t no_device = cudaErrorNoDevice;
  int compute_major = 9;
  std::map<const void*, int> dynamic_shared;  // what a kernel may have
  std::atomic<int> captures{0};               // under way
  std::atomic<std::uint64_t> synchronizations{0}, graph_launches{0};
};
State& state() {
  static auto* const s = new State;
  return *s;
}

cudaError_t set(cudaError_t error) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.broken) {
    return s.last;
  }
  if (error != cudaSuccess) {
    s.last = error;
  }
  return error;
}

cudaError_t fail_for_good(cudaError_t error) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.broken = true;
  s.last = error;
  return error;
}

// Whether a card is there; the calls that need one begin with it.
cudaError_t card() {
  State& s = state();
  return set(s.devices > 0 ? cudaSuccess : s.no_device);
}

// What a stream is asked for.
void submit(cudaStream_t stream, std::function<void()> work) {
  if (stream != nullptr && stream->capture != nullptr) {
    stream->capture->work.push_back(std::move(work));
  } else {
    work();
  }
}
// Waiting for what is only captured.
cudaError_t refuse_wait(cudaStream_t stream) {
  if (stream != nullptr) {
    stream->invalid = true;
  }
  return set(cudaErrorStreamCaptureUnsupported);
}

}  // namespace

namespace cuda_emulator {

void set_devices(int count, cudaError_t reason, int compute_major) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.devices = count;
  s.no_device = reason;
  s.compute_major = compute_major;
}
void reset_errors() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.broken = false;
  s.last = cudaSuccess;
}
std::uint64_t synchronizations() {
  return state().synchronizations;
}

std::uint64_t graph_launches() {
  return state().graph_launches;
}

cudaError_t allow_dynamic_shared(const void* kernel, int bytes) {
  if (bytes < 0 || static_cast<std::size_t>(bytes) > max_dynamic_shared) {
    return set(cudaErrorInvalidValue);
  }
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.dynamic_shared[kernel] = bytes;
  return cudaSuccess;
}

void launch(const void* kernel, const char* name, dim3 grid, dim3 block, std::size_t dynamic_shared,
            cudaStream_t stream, std::function<void()> call) {
  if (card() != cudaSuccess) {
    return;
  }
  std::size_t allowed = max_static_shared;
  {
    State& s = state();
    const std::lock_guard lock(s.mutex);
    const auto found = s.dynamic_shared.find(kernel);
    allowed = found != s.dynamic_shared.end() ? static_cast<std::size_t>(found->second) : allowed;
  }
  const auto threads = std::uint64_t{block.x} * block.y * block.z;
  const bool fits = threads > 0 && threads <= max_block_threads && block.z <= 64 && grid.x > 0 &&
                    grid.x <= 0x7fffffffU && grid.y > 0 && grid.y <= 65535 && grid.z > 0 &&
                    grid.z <= 65535;
  if (!fits || dynamic_shared > allowed) {
    set(fits ? cudaErrorInvalidValue : cudaErrorInvalidConfiguration);
    return;
  }
  submit(stream, [name, grid, block, dynamic_shared, call = std::move(call)] {
    const auto make_call = [](const void* made) {
      (*static_cast<const std::function<void()>*>(made))();
    };
    if (!run({name, grid, block, dynamic_shared, make_call, &call})) {
      std::fprintf(stderr, "cuda_emulator: %s\n", last_fault());
      fail_for_good(cudaErrorLaunchFailure);
    }
  });
}

}  // namespace cuda_emulator

using namespace cuda_emulator;

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorNoKernelImageForDevice:
      return "cudaErrorNoKernelImageForDevice";
    case cudaErrorIllegalState:
      return "cudaErrorIllegalState";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
  }
  return "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorLaunchFailure && last_fault()[0] != '\0' ? last_fault()
                                                                    : cudaGetErrorName(error);
}
cudaError_t cudaGetLastError() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const cudaError_t error = s.last;
  if (!s.broken) {
    s.last = cudaSuccess;
  }
  return error;
}
cudaError_t cudaPeekAtLastError() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return s.last;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  const cudaError_t error = card();
  *count = error == cudaSuccess ? state().devices : 0;
  return error;
}
cudaError_t cudaSetDevice(int device) {
  const cudaError_t error = card();
  return error != cudaSuccess
             ? error
             : set(device >= 0 && device < state().devices ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return card();
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (const cudaError_t error = card(); error != cudaSuccess) {
    return error;
  }
  if (device < 0 || device >= state().devices) {
    return set(cudaErrorInvalidDevice);
  }
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "emulated");
  properties->totalGlobalMem = device_memory_use().total;
  properties->sharedMemPerBlockOptin = max_dynamic_shared;
  properties->major = state().compute_major;
  properties->multiProcessorCount = 4;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  *pointer = nullptr;
  if (const cudaError_t error = card(); error != cudaSuccess || bytes == 0) {
    return error;
  }
  *pointer = allocate_device_memory(bytes);
  return set(*pointer != nullptr ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* pointer) {
  return set(pointer == nullptr || free_device_memory(pointer) ? cudaSuccess
                                                               : cudaErrorInvalidValue);
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const DeviceMemoryUse use = device_memory_use();
  *total = use.total;
  *free = use.total - use.used;
  return card();
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (const cudaError_t error = card(); error != cudaSuccess || bytes == 0) {
    return error;
  }
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (is_device_memory(to, bytes) != to_device || is_device_memory(from, bytes) != from_device) {
    return set(cudaErrorInvalidValue);
  }
  submit(stream, [=] {
    MemoryAccess access(MemoryAccess::of_a_copy);
    if (to_device) {
      access.open(to, bytes);
    }
    if (from_device) {
      access.open(from, bytes);
    }
    std::memmove(to, from, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (const cudaError_t error = card(); error != cudaSuccess || bytes == 0) {
    return error;
  }
  if (!is_device_memory(to, bytes)) {
    return set(cudaErrorInvalidValue);
  }
  submit(stream, [=] {
    MemoryAccess access(MemoryAccess::of_a_copy);
    access.open(to, bytes);
    std::memset(to, value, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);  // all work is in order
}
cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return cudaMemsetAsync(to, value, bytes, nullptr);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  const cudaError_t error = card();
  if (error == cudaSuccess) {
    *stream = new CUstream_st;
  }
  return error;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (stream != nullptr && stream->capture != nullptr) {
    --state().captures;
    delete stream->capture;
  }
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  ++state().synchronizations;
  return stream != nullptr && stream->capture != nullptr ? refuse_wait(stream) : card();
}
cudaError_t cudaDeviceSynchronize() {
  ++state().synchronizations;
  return state().captures > 0 ? refuse_wait(nullptr) : card();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (const cudaError_t error = card(); error != cudaSuccess) {
    return error;
  }
  if (stream == nullptr || stream->capture != nullptr) {  // nor the default stream
    return set(stream == nullptr ? cudaErrorStreamCaptureUnsupported : cudaErrorIllegalState);
  }
  stream->capture = new CUgraph_st;
  stream->invalid = false;
  ++state().captures;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (stream == nullptr || stream->capture == nullptr) {
    return set(cudaErrorIllegalState);
  }
  --state().captures;
  cudaGraph_t captured = std::exchange(stream->capture, nullptr);
  if (stream->invalid) {
    delete captured;
    return set(cudaErrorStreamCaptureInvalidated);
  }
  *graph = captured;
  return card();
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = nullptr;
  if (graph == nullptr) {
    return set(cudaErrorInvalidValue);
  }
  *executable = new CUgraphExec_st{*graph};
  return card();
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (executable == nullptr) {
    return set(cudaErrorInvalidValue);
  }
  ++state().graph_launches;
  for (const auto& work : executable->graph.work) {
    if (const cudaError_t error = card(); error != cudaSuccess) {
      return error;
    }
    submit(stream, work);
  }
  return card();
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
