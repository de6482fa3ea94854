#pragma once
// The emulated card's memory: fresh memory holds NaN, lies between poisoned bytes, and can be
// touched only while a kernel or a copy runs. A host access at any other time ends the program with
// a line that says so.

#include <cstddef>
#include <mutex>

namespace cuda_emulator {

/// Null if the card has no room.
void* allocate_device_memory(std::size_t bytes);
/// False if `pointer` is not the beginning of an allocation.
bool free_device_memory(void* pointer);
/// Whether all these bytes lie in one allocation.
bool is_device_memory(const void* pointer, std::size_t bytes);

struct DeviceMemoryUse {
  std::size_t total = 0;  // of the card
  std::size_t used = 0;
  std::size_t allocations = 0;
};
DeviceMemoryUse device_memory_use();
/// Of the card from now on; what is allocated stays.
void set_device_memory(std::size_t total);

/// Opens memory for a scope, one at a time: all of it, as a kernel comes to it, or what is named.
class MemoryAccess {
 public:
  enum Kind { of_a_kernel, of_a_copy };
  explicit MemoryAccess(Kind kind);
  MemoryAccess(const MemoryAccess&) = delete;
  MemoryAccess& operator=(const MemoryAccess&) = delete;
  ~MemoryAccess();
  void open(const void* pointer, std::size_t bytes);

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace cuda_emulator
