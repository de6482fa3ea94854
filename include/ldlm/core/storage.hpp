#pragma once
// Storage: a reference-counted block of memory on a device, shared by all views of a tensor.

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <ldlm/core/allocator.hpp>
#include <ldlm/core/device.hpp>
#include <ldlm/core/device_memory.hpp>

namespace ldlm {

namespace detail {
class Release;

/// What a Release may be made of.
template <class Function>
concept ReleaseFunction = !std::is_same_v<std::remove_cvref_t<Function>, Release> &&
                          std::is_invocable_v<std::decay_t<Function>&>;

/// What to do when borrowed memory is no longer used: any callable without arguments, or nothing.
class Release {
 public:
  Release() = default;
  template <ReleaseFunction Function>
  // NOLINTNEXTLINE(google-explicit-constructor,bugprone-forwarding-reference-overload)
  Release(Function&& function)
      : function_(new std::decay_t<Function>(std::forward<Function>(function))),
        run_([](void* stored) {
          auto* const f = static_cast<std::decay_t<Function>*>(stored);
          if constexpr (requires { static_cast<bool>(*f); }) {  // a std::function may be empty
            if (static_cast<bool>(*f)) {
              (*f)();
            }
          } else {
            (*f)();
          }
          delete f;
        }) {}
  Release(const Release&) = delete;
  Release& operator=(const Release&) = delete;
  Release(Release&& other) noexcept
      : function_(std::exchange(other.function_, nullptr)), run_(other.run_) {}
  Release& operator=(Release&&) = delete;
  /// Calls it.
  ~Release() {
    if (function_ != nullptr) {
      run_(function_);
    }
  }

 private:
  void* function_ = nullptr;
  void (*run_)(void*) = nullptr;
};
}  // namespace detail

/// Intrusive handle: copying it is one atomic increment. Null by default.
class Storage {
 public:
  Storage() = default;

  /// Fresh, uninitialised memory: the current allocator's for the host, else the device's.
  static Storage allocate(std::size_t bytes, Device device) {
    Storage storage;
    if (is_host_memory(device)) {
      Allocator& allocator = *detail::current_allocator();
      void* const data = bytes > 0 ? allocator.allocate(bytes) : nullptr;
      storage.block_ = new Block{data, bytes, device, &allocator, nullptr, {}, {}, {}};
    } else {
      const DeviceMemory& memory = device_memory(device);
      void* const data = bytes > 0 ? memory.allocate(device, bytes) : nullptr;
      storage.block_ = new Block{data, bytes, device, nullptr, &memory, {}, {}, {}};
    }
    return storage;
  }

  /// Memory that someone else owns; `release`, if it is anything, runs when the last handle goes.
  static Storage borrow(void* data, std::size_t bytes, Device device, detail::Release release) {
    Storage storage;
    storage.block_ = new Block{data, bytes, device, nullptr, nullptr, std::move(release), {}, {}};
    return storage;
  }

  Storage(const Storage& other) noexcept : block_(other.block_) {
    if (block_ != nullptr) {
      block_->references.fetch_add(1, std::memory_order_relaxed);
    }
  }
  Storage(Storage&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Storage& operator=(Storage other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Storage() {
    if (block_ != nullptr && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 0) {
      block_->destroy();
    }
  }

  explicit operator bool() const noexcept { return block_ != nullptr; }
  [[nodiscard]] void* data() const noexcept { return block_->data; }
  [[nodiscard]] std::size_t bytes() const noexcept { return block_->bytes; }
  [[nodiscard]] Device device() const noexcept { return block_->device; }

  /// Counts in-place changes, so that autograd can tell whether a saved value is still what it was.
  [[nodiscard]] std::uint64_t version() const noexcept {
    return block_->version.load(std::memory_order_relaxed);
  }
  void bump_version() const noexcept { block_->version.fetch_add(1, std::memory_order_relaxed); }
  /// Whether this is the only handle, and the memory nobody else's.
  [[nodiscard]] bool unique() const noexcept {
    return (block_->allocator != nullptr || block_->memory != nullptr) &&
           block_->references.load(std::memory_order_acquire) == 0;
  }
  friend bool operator==(const Storage&, const Storage&) = default;

 private:
  struct Block {
    void* data;
    std::size_t bytes;
    Device device;
    Allocator* allocator;                  // one of these two owns the memory, unless it is
    const DeviceMemory* memory;            // borrowed
    detail::Release release;               // runs when the block goes
    std::atomic<std::int64_t> references;  // further handles beside the first
    std::atomic<std::uint64_t> version;

    void destroy() noexcept {
      if (data != nullptr && allocator != nullptr) {
        allocator->deallocate(data, bytes);
      } else if (data != nullptr && memory != nullptr) {
        memory->deallocate(device, data, bytes);
      }
      delete this;
    }
  };

  Block* block_ = nullptr;
};

}  // namespace ldlm
