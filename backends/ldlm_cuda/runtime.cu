#include <ldlm_cuda/runtime.cuh>

#include <array>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include <ldlm/core/error.hpp>

namespace ldlm::cuda_backend {

namespace {

constexpr int least_major = 8;  // compute capability 8.0: bf16 and asynchronous copies

// The last launches, for an error that comes later than the one that caused it.
struct Trail {
  static constexpr std::size_t length = 4;
  std::array<const char*, length> ops{};
  std::size_t next = 0;

  void add(const char* op) { ops[next++ % length] = op; }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (std::size_t i = next < length ? 0 : next - length; i < next; ++i) {
      out += (out.empty() ? "" : ", ") + std::string(ops[i % length]);
    }
    return out;
  }
};
thread_local Trail trail;

bool synchronous() {
  static const bool on = [] {
    const char* const value = std::getenv("LDLM_CUDA_SYNC");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return on;
}

/// Freed memory by size classes, as the host's allocator keeps it. All work is of one stream, so
/// that a block may be handed on while kernels that were asked for earlier still use it.
class Cache {
 public:
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    LDLM_CHECK_AS(memory, bytes <= max_bytes, "allocate", "no memory for ", bytes, " bytes");
    const std::size_t index = size_class(bytes);
    const std::size_t rounded = class_bytes(index);
    void* block = nullptr;
    if (!free_[index].empty()) {
      block = free_[index].back();
      free_[index].pop_back();
      cached_ -= rounded;
    } else if (cudaMalloc(&block, rounded) != cudaSuccess) {
      cudaGetLastError();
      check(cudaStreamSynchronize(stream()), "allocate");
      release();
      if (const cudaError_t error = cudaMalloc(&block, rounded); error != cudaSuccess) {
        cudaGetLastError();
        LDLM_CHECK_AS(memory, error != cudaErrorMemoryAllocation, "allocate",
                      "no memory on the card for ", bytes, " bytes: ", used_, " in use, ", cached_,
                      " cached");
        check(error, "allocate");
      }
    }
    used_ += rounded;
    return block;
  }

  void deallocate(void* block, std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    const std::size_t index = size_class(bytes);
    used_ -= class_bytes(index);
    try {
      free_[index].push_back(block);
      cached_ += class_bytes(index);
    } catch (const std::bad_alloc&) {
      cudaFree(block);
    }
  }

 private:
  void release() {
    for (auto& blocks : free_) {
      for (void* block : blocks) {
        cudaFree(block);
      }
      blocks.clear();
    }
    cached_ = 0;
  }

  // Class 4e + q holds blocks of (4 + q) * 2^e * 256 bytes: at most a fifth is wasted.
  static constexpr std::size_t unit = 256;
  static constexpr std::size_t class_bytes(std::size_t index) {
    return ((4 + index % 4) << index / 4) * unit;
  }
  static constexpr std::size_t size_class(std::size_t bytes) {
    const std::size_t last = bytes == 0 ? 0 : (bytes - 1) / unit;
    if (last < 4) {
      return 0;
    }
    const auto exponent = static_cast<std::size_t>(std::bit_width(last)) - 3;
    return 4 * exponent + (last >> exponent) - 3;
  }
  static constexpr std::size_t max_bytes = std::size_t{1} << 60;
  static constexpr std::size_t class_count = 4 * 52 + 1;

  std::mutex mutex_;
  std::array<std::vector<void*>, class_count> free_;
  std::size_t used_ = 0, cached_ = 0;
};

// Never destroyed: tensors of static lifetime give their memory back at the very end.
Cache& cache() {
  static auto* const c = new Cache;
  return *c;
}

/// The card, once somebody needs it.
struct Card {
  cudaStream_t stream = nullptr;
  int multiprocessors = 1;

  Card() {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    cudaGetLastError();
    LDLM_CHECK_DEVICE(error == cudaSuccess && count > 0, "cuda",
                      "no card can be used: ", cudaGetErrorString(error), " (",
                      cudaGetErrorName(error), ")");
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, 0), "cuda");
    LDLM_CHECK_DEVICE(properties.major >= least_major, "cuda", "the card ",
                      std::string_view(properties.name), " is of compute capability ",
                      properties.major, '.', properties.minor, "; ", least_major,
                      ".0 or later is needed");
    multiprocessors = properties.multiProcessorCount;
    check(cudaSetDevice(0), "cuda");
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cuda");
  }
};
const Card& card() {
  static const Card c;  // an exception leaves it to be made by the next call
  return c;
}

}  // namespace

void check(cudaError_t error, const char* op) {
  if (error == cudaSuccess) {
    return;
  }
  const std::string before = trail.text();
  detail::fail_as(ErrorCode::device, op, "CUDA: ", cudaGetErrorString(error), " (",
                  cudaGetErrorName(error), ')',
                  before.empty() ? std::string() : "; the last kernels were " + before);
}

void check_launch(const char* op) {
  trail.add(op);
  check(cudaGetLastError(), op);
  if (synchronous()) {
    check(cudaStreamSynchronize(stream()), op);
  }
}

cudaStream_t stream() {
  return card().stream;
}
int multiprocessors() {
  return card().multiprocessors;
}

void read_back(void* to, const void* from, std::size_t bytes, const char* op) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), op);
  check(cudaStreamSynchronize(stream()), op);
}
void write_to(void* to, const void* from, std::size_t bytes, const char* op) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), op);
}

Scratch::Scratch(std::size_t bytes)
    : data_(bytes > 0 ? cache().allocate(bytes) : nullptr), bytes_(bytes) {}
Scratch::~Scratch() {
  if (data_ != nullptr) {
    cache().deallocate(data_, bytes_);
  }
}

namespace {

/// There is one card to a program.
void check_first(Device device) {
  LDLM_CHECK_DEVICE(device.index == 0, "cuda", "only cuda:0 is used, not ", to_string(device),
                    "; the environment's CUDA_VISIBLE_DEVICES chooses which card that is");
}

DeviceInfo info_of(Device device) {
  check_first(device);
  static_cast<void>(card());
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0), "cuda");
  DeviceInfo out{device,
                 std::string(properties.name) + ", compute capability " +
                     std::to_string(properties.major) + '.' + std::to_string(properties.minor),
                 0, 0};
  check(cudaMemGetInfo(&out.free, &out.memory), "cuda");
  return out;
}

const DeviceMemory memory{
    .allocate =
        [](Device device, std::size_t bytes) {
          check_first(device);
          static_cast<void>(stream());
          return cache().allocate(bytes);
        },
    .deallocate = [](Device, void* pointer,
                     std::size_t bytes) noexcept { cache().deallocate(pointer, bytes); },
    .from_host = [](Device, void* to, const void* from,
                    std::size_t bytes) { write_to(to, from, bytes, "copy_"); },
    .to_host = [](Device, void* to, const void* from,
                  std::size_t bytes) { read_back(to, from, bytes, "copy_"); },
    .synchronize = [](Device) { check(cudaStreamSynchronize(stream()), "synchronize"); },
    .info = info_of,
};

}  // namespace

bool register_memory() {
  return register_device_memory(DeviceType::cuda, memory);
}

}  // namespace ldlm::cuda_backend
