#include <ldlm_cuda/runtime.cuh>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
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

/// Whether freed memory is kept for what comes next. Tools that look for wrong accesses see more
/// where each tensor has memory of its own size, for its own time.
bool keeps_memory() {
  static const bool on = [] {
    const char* const value = std::getenv("LDLM_CUDA_CACHE");
    return value == nullptr || std::string_view(value) != "off";
  }();
  return on;
}

/// The stream of all work that is not recorded.
cudaStream_t working_stream();

/// Work that the calling thread records in place of asking for it.
struct Recording {
  cudaStream_t stream = nullptr;
  std::uint64_t number = 0;  // of the memory that is its own
};
thread_local Recording* recording = nullptr;

// What reads or writes the host's memory would do so again each time, when that is another's.
void refuse_recording(const char* op) {
  LDLM_CHECK_STATE(recording == nullptr, op,
                   "copies between host and card, which cannot be recorded");
}

/// Freed memory by size classes, as the host's allocator keeps it. All work is of one stream, so
/// that a block may be handed on while kernels that were asked for earlier still use it. What is
/// allocated while work is recorded stays that work's own until it is forgotten: it is used each
/// time.
class Cache {
 public:
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    LDLM_CHECK_AS(memory, bytes <= max_bytes, "allocate", "no memory for ", bytes, " bytes");
    const std::size_t size = block_bytes(bytes);
    if (recording == nullptr) {
      return take(size, bytes);
    }
    auto& reserved = reserved_[recording->number];
    const auto same = std::find_if(reserved.begin(), reserved.end(), [size](const Reserved& r) {
      return r.bytes == size && r.is_free;
    });
    if (same != reserved.end()) {
      same->is_free = false;
      return same->block;
    }
    reserved.push_back({take(size, bytes), size, false});
    owners_[reserved.back().block] = recording->number;
    return reserved.back().block;
  }

  void deallocate(void* block, std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    if (const auto owner = owners_.find(block); owner != owners_.end()) {
      for (Reserved& r : reserved_[owner->second]) {
        r.is_free = r.is_free || r.block == block;
      }
      return;
    }
    give(block, block_bytes(bytes));
  }

  /// What was recorded under this number is not done any more.
  void forget(std::uint64_t number) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = reserved_.find(number);
    if (found == reserved_.end()) {
      return;
    }
    for (const Reserved& r : found->second) {
      owners_.erase(r.block);
      if (r.is_free) {
        give(r.block, r.bytes);
      }
    }
    reserved_.erase(found);
  }

 private:
  struct Reserved {
    void* block;
    std::size_t bytes;
    bool is_free;
  };

  /// Bytes of a block for so many, as they are asked for and given back.
  static std::size_t block_bytes(std::size_t bytes) {
    return keeps_memory() ? class_bytes(size_class(bytes)) : std::max<std::size_t>(bytes, 1);
  }

  void* take(std::size_t size, std::size_t bytes) {
    auto& free = free_[size_class(size)];
    void* block = nullptr;
    if (keeps_memory() && !free.empty()) {
      block = free.back();
      free.pop_back();
      cached_ -= size;
    } else if (cudaMalloc(&block, size) != cudaSuccess) {
      cudaGetLastError();
      check(cudaStreamSynchronize(working_stream()), "allocate");
      const std::size_t cached = cached_;
      release();
      if (const cudaError_t error = cudaMalloc(&block, size); error != cudaSuccess) {
        cudaGetLastError();
        LDLM_CHECK_AS(memory, error != cudaErrorMemoryAllocation, "allocate",
                      "no memory on the card for ", bytes, " bytes: ", used_, " in use, ", cached,
                      " were cached and given back");
        check(error, "allocate");
      }
    }
    used_ += size;
    return block;
  }

  void give(void* block, std::size_t size) noexcept {
    used_ -= size;
    if (!keeps_memory()) {
      cudaFree(block);
      return;
    }
    try {
      free_[size_class(size)].push_back(block);
      cached_ += size;
    } catch (const std::bad_alloc&) {
      cudaFree(block);
    }
  }

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
  std::unordered_map<std::uint64_t, std::vector<Reserved>> reserved_;
  std::unordered_map<void*, std::uint64_t> owners_;  // of what is reserved
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
    int driver = 0;
    LDLM_CHECK_DEVICE(cudaDriverGetVersion(&driver) != cudaSuccess || driver > 0, "cuda",
                      "no card can be used: there is no NVIDIA driver");
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
  if (synchronous() && recording == nullptr) {
    check(cudaStreamSynchronize(stream()), op);
  }
}

namespace {
cudaStream_t working_stream() {
  return card().stream;
}
}  // namespace
cudaStream_t stream() {
  return recording != nullptr ? recording->stream : working_stream();
}
int multiprocessors() {
  return card().multiprocessors;
}

void read_back(void* to, const void* from, std::size_t bytes, const char* op) {
  refuse_recording(op);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), op);
  check(cudaStreamSynchronize(stream()), op);
}
void write_to(void* to, const void* from, std::size_t bytes, const char* op) {
  refuse_recording(op);
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

/// Work that was recorded: a graph, and its memory's number.
struct Recorded {
  cudaGraphExec_t graph = nullptr;
  std::uint64_t memory = 0;

  explicit Recorded(std::uint64_t number) : memory(number) {}
  Recorded(const Recorded&) = delete;
  Recorded& operator=(const Recorded&) = delete;
  ~Recorded() {
    if (graph != nullptr) {
      cudaGraphExecDestroy(graph);
    }
    cache().forget(memory);
  }
};

void begin_recording(Device device) {
  check_first(device);
  LDLM_CHECK_STATE(recording == nullptr, "record", "work of this thread is being recorded already");
  static std::atomic<std::uint64_t> numbers{0};
  static_cast<void>(working_stream());
  auto begun = std::make_unique<Recording>();
  begun->number = ++numbers;
  check(cudaStreamCreateWithFlags(&begun->stream, cudaStreamNonBlocking), "record");
  // Memory may be allocated meanwhile, and other threads may ask for work of their own.
  if (const cudaError_t error = cudaStreamBeginCapture(begun->stream, cudaStreamCaptureModeRelaxed);
      error != cudaSuccess) {
    cudaStreamDestroy(begun->stream);
    check(error, "record");
  }
  recording = begun.release();
}
void* end_recording(Device /*device*/) {
  const std::unique_ptr<Recording> ended(std::exchange(recording, nullptr));
  auto recorded = std::make_unique<Recorded>(ended->number);
  cudaGraph_t graph = nullptr;
  cudaError_t error = cudaStreamEndCapture(ended->stream, &graph);
  if (error == cudaSuccess) {
    error = cudaGraphInstantiate(&recorded->graph, graph, 0);
    cudaGraphDestroy(graph);
  }
  cudaStreamDestroy(ended->stream);
  if (error != cudaSuccess) {
    cudaGetLastError();
    check(error, "record");
  }
  return recorded.release();
}

const DeviceRecorder recorder{
    .begin = begin_recording,
    .end = end_recording,
    .run =
        [](Device, void* recorded) {
          LDLM_CHECK_STATE(recording == nullptr, "record",
                           "recorded work cannot be recorded again");
          check(cudaGraphLaunch(static_cast<Recorded*>(recorded)->graph, stream()),
                "recorded work");
          check_launch("recorded work");
        },
    .forget = [](Device, void* recorded) noexcept { delete static_cast<Recorded*>(recorded); },
    .is_recording = [](Device) { return recording != nullptr; },
};

DeviceMemory make_memory() {
  const char* const graphs = std::getenv("LDLM_CUDA_GRAPHS");
  const bool records = graphs == nullptr || std::string_view(graphs) != "off";
  return {
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
      .synchronize =
          [](Device) {
            LDLM_CHECK_STATE(recording == nullptr, "synchronize", "waiting cannot be recorded");
            check(cudaStreamSynchronize(stream()), "synchronize");
          },
      .info = info_of,
      .recorder = records ? &recorder : nullptr,
  };
}

}  // namespace

bool register_memory() {
  static const DeviceMemory memory = make_memory();
  return register_device_memory(DeviceType::cuda, memory);
}

}  // namespace ldlm::cuda_backend
