#include "device_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string_view>

#ifdef LDLM_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace cuda_emulator {

namespace {

constexpr std::size_t arena_bytes = std::size_t{64} << 30;  // of addresses
constexpr std::size_t alignment = 256;                      // as cudaMalloc's
constexpr std::size_t page = 4096;
constexpr std::size_t filled_bytes = std::size_t{256} << 20;  // larger ones stay untouched: zeros

constexpr std::size_t round_up(std::size_t n, std::size_t to) {
  return (n + to - 1) / to * to;
}

class Arena {
 public:
  static Arena& get() {
    static auto* const arena = new Arena;  // tensors of static lifetime are freed at the very end
    return *arena;
  }

  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (bytes > total_ || used_ > total_ - bytes) {
      return nullptr;
    }
    // The lowest gap that is large enough, with a redzone behind.
    const std::size_t room = round_up(bytes, alignment) + alignment;
    std::size_t at = alignment;
    for (const auto& [begin, size] : blocks_) {
      if (begin - at >= room) {
        break;
      }
      at = begin + round_up(size, alignment) + alignment;
    }
    if (at + room > arena_bytes) {
      return nullptr;
    }
    blocks_[at] = bytes;
    used_ += bytes;
    if (at + room > reach_) {
      const std::size_t before = reach_;
      reach_ = round_up(at + room, page);
#ifdef LDLM_EMULATOR_ASAN
      __asan_poison_memory_region(memory_ + before, reach_ - before);
#endif
      static_cast<void>(before);
    }
    char* const memory = memory_ + at;
#ifdef LDLM_EMULATOR_ASAN
    __asan_unpoison_memory_region(memory, bytes);
#endif
    if (bytes <= filled_bytes) {
      protect(at, bytes, PROT_READ | PROT_WRITE);
      std::memset(memory, 0xff, bytes);
      protect(at, bytes, PROT_NONE);
    }
    return memory;
  }

  bool free(void* pointer) {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(offset(pointer));
    if (found == blocks_.end()) {
      return false;
    }
#ifdef LDLM_EMULATOR_ASAN
    __asan_poison_memory_region(pointer, found->second);
#endif
    used_ -= found->second;
    blocks_.erase(found);
    return true;
  }

  bool holds(const void* pointer, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t at = offset(pointer);
    auto next = blocks_.upper_bound(at);
    if (at >= arena_bytes || next == blocks_.begin()) {
      return false;
    }
    const auto& [begin, size] = *--next;
    return at - begin <= size && bytes <= size - (at - begin);
  }

  DeviceMemoryUse use() {
    const std::lock_guard lock(mutex_);
    return {total_, used_, blocks_.size()};
  }
  void set_total(std::size_t total) {
    const std::lock_guard lock(mutex_);
    total_ = total;
  }

  void open_all() {
    listen();
    launched_ = true;
  }
  void open(const void* pointer, std::size_t bytes) {
    opened_[opened_count_++] = {offset(pointer), bytes};
    protect(offset(pointer), bytes, PROT_READ | PROT_WRITE);
  }
  void close() {
    launched_ = false;
    while (opened_count_ > 0) {
      const Range& range = opened_[--opened_count_];
      protect(range.begin, range.bytes, PROT_NONE);
    }
  }

  std::mutex work;  // held by a MemoryAccess

  [[nodiscard]] std::size_t offset(const void* pointer) const {
    return static_cast<std::size_t>(static_cast<const char*>(pointer) - memory_);
  }

 private:
  Arena() {
    void* const memory =
        ::mmap(nullptr, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("emulated device memory");
      std::abort();
    }
    memory_ = static_cast<char*>(memory);
    listen();
  }

  // Others put their own handler in place at any time, test frameworks among them.
  void listen() {
    struct sigaction action {};
    action.sa_sigaction = answer;
    action.sa_flags = SA_SIGINFO;
    struct sigaction before {};
    ::sigaction(SIGSEGV, &action, &before);
    if (before.sa_sigaction != answer) {
      before_ = before;
    }
  }

  // The system's answer to an access of closed memory. A kernel opens an allocation as it comes to
  // it; any other access is a mistake, of which a line is said before the program ends as it would.
  static void answer(int, siginfo_t* info, void*) {
    Arena& arena = get();
    const std::size_t at = arena.offset(info->si_addr);
    if (at < arena_bytes) {
      if (arena.launched_ && arena.open_around(at)) {
        return;
      }
      constexpr char host[] = "cuda_emulator: the host accesses device memory\n";
      constexpr char nothing[] = "cuda_emulator: a kernel accesses memory that is not allocated\n";
      const std::string_view line = arena.launched_ ? nothing : host;
      [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
    }
    ::sigaction(SIGSEGV, &arena.before_, nullptr);  // the access is repeated
  }

  // Opens the allocation that has this place, or a redzone of which lies on the same page.
  bool open_around(std::size_t at) {
    auto next = blocks_.upper_bound(at);
    if (next == blocks_.begin() || opened_count_ == std::size(opened_)) {
      return false;
    }
    const auto& [begin, size] = *--next;
    if (at >= round_up(begin + size, page)) {
      return false;
    }
    open(memory_ + begin, size);
    return true;
  }

  void protect(std::size_t begin, std::size_t bytes, int access) const {
    const std::size_t first = begin / page * page;
    ::mprotect(memory_ + first, round_up(begin + bytes, page) - first, access);
  }

  struct Range {
    std::size_t begin, bytes;
  };

  std::mutex mutex_;
  char* memory_ = nullptr;
  std::size_t total_ = std::size_t{48} << 30;
  std::size_t used_ = 0;
  std::size_t reach_ = 0;  // nothing was ever allocated behind
  bool launched_ = false;  // a kernel runs
  Range opened_[256]{};
  std::size_t opened_count_ = 0;
  std::map<std::size_t, std::size_t> blocks_;  // offset -> bytes
  struct sigaction before_ {};
};

}  // namespace

void* allocate_device_memory(std::size_t bytes) {
  return Arena::get().allocate(bytes);
}
bool free_device_memory(void* pointer) {
  return Arena::get().free(pointer);
}
bool is_device_memory(const void* pointer, std::size_t bytes) {
  return Arena::get().holds(pointer, bytes);
}
DeviceMemoryUse device_memory_use() {
  return Arena::get().use();
}
void set_device_memory(std::size_t total) {
  Arena::get().set_total(total);
}

MemoryAccess::MemoryAccess(Kind kind) : lock_(Arena::get().work) {
  if (kind == of_a_kernel) {
    Arena::get().open_all();
  }
}
void MemoryAccess::open(const void* pointer, std::size_t bytes) {
  Arena::get().open(pointer, bytes);
}
MemoryAccess::~MemoryAccess() {
  Arena::get().close();
}

}  // namespace cuda_emulator
