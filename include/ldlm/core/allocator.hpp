#pragma once
// Host memory for tensors: 64-byte aligned, cached by size so that a training step, which asks for
// the same sizes again and again, does not return to the system for fresh (page-faulting) memory.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include <ldlm/core/error.hpp>

namespace ldlm {

/// Where host tensors take their memory from; replace with set_allocator to track or pool it.
class Allocator {
 public:
  virtual ~Allocator() = default;
  /// At least `bytes` (> 0) bytes, 64-byte aligned. Throws Error when there is no memory.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void deallocate(void* pointer, std::size_t bytes) noexcept = 0;
};

namespace detail {
/// A lock for a few instructions. (std::mutex takes long to compile.)
class Lock {
 public:
  void lock() noexcept {
    while (taken_.test_and_set(std::memory_order_acquire)) {
      taken_.wait(true, std::memory_order_relaxed);
    }
  }
  void unlock() noexcept {
    taken_.clear(std::memory_order_release);
    taken_.notify_one();
  }

 private:
  std::atomic_flag taken_{};
};

/// Holds one for a scope.
class LockGuard {
 public:
  explicit LockGuard(Lock& lock) noexcept : lock_(lock) { lock_.lock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;
  ~LockGuard() { lock_.unlock(); }

 private:
  Lock& lock_;
};
}  // namespace detail

/// Keeps freed blocks in power-of-two-quarter size classes. Thread-safe.
class CachingAllocator final : public Allocator {
 public:
  CachingAllocator() = default;
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;
  ~CachingAllocator() override { release_cached(); }

  void* allocate(std::size_t bytes) override {
    LDLM_CHECK_AS(memory, bytes <= max_bytes, "allocate", "no memory for ", bytes, " bytes");
    const std::size_t index = size_class(bytes);
    {
      const detail::LockGuard lock(lock_);
      auto& free_blocks = free_[index];
      if (!free_blocks.empty()) {
        void* const block = free_blocks.back();
        free_blocks.pop_back();
        return block;
      }
    }
    const std::size_t rounded = class_bytes(index);
    void* block = fresh(bytes, rounded);
    if (block == nullptr) {
      release_cached();
      block = fresh(bytes, rounded);
    }
    LDLM_CHECK_AS(memory, block != nullptr, "allocate", "no memory for ", bytes, " bytes");
    return block;
  }

  void deallocate(void* pointer, std::size_t bytes) noexcept override {
    const std::size_t index = size_class(bytes);
    const detail::LockGuard lock(lock_);
    try {
      free_[index].push_back(pointer);
    } catch (const std::bad_alloc&) {
      std::free(pointer);
    }
  }

  /// No block changes hands between these two, which a fork() is put between.
  void lock() { lock_.lock(); }
  void unlock() { lock_.unlock(); }

  /// Returns all cached blocks to the system.
  void release_cached() noexcept {
    const detail::LockGuard lock(lock_);
    for (auto& blocks : free_) {
      for (void* block : blocks) {
        std::free(block);
      }
      blocks.clear();
    }
  }

 private:
  static constexpr std::size_t alignment = 64;
  static constexpr std::size_t huge_page = std::size_t{2} << 20;

  /// `rounded` bytes of the system, of which the first `bytes` will be used, or null. Where whole
  /// huge pages fit into those they are asked for: a matrix that streams through the processor
  /// otherwise pays for a page's translation every 4 KiB.
  static void* fresh(std::size_t bytes, std::size_t rounded) {
    if (bytes < huge_page) {
      return std::aligned_alloc(alignment, rounded);
    }
    void* const block =
        std::aligned_alloc(huge_page, (rounded + huge_page - 1) / huge_page * huge_page);
#ifdef __linux__
    if (block != nullptr) {  // (a wish: where it is not granted nothing is lost)
      ::madvise(block, bytes / huge_page * huge_page, MADV_HUGEPAGE);
    }
#endif
    return block;
  }

  // Class 4e + q holds blocks of (4 + q) * 2^e * 64 bytes: at most a fifth is wasted.
  static constexpr std::size_t class_bytes(std::size_t index) {
    return ((4 + index % 4) << index / 4) * 64;
  }
  static constexpr std::size_t size_class(std::size_t bytes) {
    const std::size_t last = bytes == 0 ? 0 : (bytes - 1) / 64;
    if (last < 4) {
      return 0;
    }
    const auto exponent = static_cast<std::size_t>(std::bit_width(last)) - 3;
    return 4 * exponent + (last >> exponent) - 3;
  }

  static constexpr std::size_t max_bytes = std::size_t{1} << 62;
  static constexpr std::size_t class_count = 4 * 54 + 1;  // size_class(max_bytes) is the last
  detail::Lock lock_;
  std::array<std::vector<void*>, class_count> free_;
};

namespace detail {
/// The default allocator. Never destroyed, since tensors of static lifetime may be freed after any
/// static object is; what it holds is given back when a program or library ends.
class DefaultAllocator {
 public:
  static CachingAllocator& get() {
    static const DefaultAllocator lifetime;
    return allocator();
  }

 private:
  static CachingAllocator& allocator() {
    alignas(CachingAllocator) static constinit std::byte memory[sizeof(CachingAllocator)]{};
    return *std::launder(reinterpret_cast<CachingAllocator*>(memory));
  }
  DefaultAllocator() {
    new (&allocator()) CachingAllocator;
#if defined(__unix__) || defined(__APPLE__)
    const auto unlock = [] { allocator().unlock(); };
    ::pthread_atfork([] { allocator().lock(); }, unlock, unlock);
#endif
  }
  ~DefaultAllocator() {
    allocator().release_cached();
  }

 public:
  DefaultAllocator(const DefaultAllocator&) = delete;
  DefaultAllocator& operator=(const DefaultAllocator&) = delete;
};
inline Allocator& default_allocator() {
  return DefaultAllocator::get();
}
inline Allocator*& current_allocator() {
  static Allocator* allocator = &default_allocator();
  return allocator;
}
}  // namespace detail

/// Replaces the allocator of host memory for tensors made from now on; nullptr restores the
/// default. Each tensor returns its memory to the allocator it came from, which must outlive it.
inline void set_allocator(Allocator* allocator) {
  detail::current_allocator() = allocator != nullptr ? allocator : &detail::default_allocator();
}

}  // namespace ldlm
