#pragma once
// DeviceMemory: what can be done with the memory of a device that is not the host's. Registered per
// device, as kernel tables are; cpu and reference have none, since theirs is the host's.

#include <array>
#include <atomic>
#include <cstddef>
#include <string>

#include <ldlm/core/device.hpp>
#include <ldlm/core/registry.hpp>

namespace ldlm {

struct DeviceInfo {
  Device device{};
  std::string name{};      // such as "NVIDIA H100 80GB HBM3, compute capability 9.0"
  std::size_t memory = 0;  // bytes of its own; 0: it has the host's
  std::size_t free = 0;    // of them, at the moment
};

/// How a device records work, see device_graph.hpp. What a thread asks for between begin() and
/// end() is recorded and not done; end() ends the recording, also where it throws.
struct DeviceRecorder {
  void (*begin)(Device device) = nullptr;
  void* (*end)(Device device) = nullptr;
  void (*run)(Device device, void* recorded) = nullptr;
  void (*forget)(Device device, void* recorded) noexcept = nullptr;
  bool (*is_recording)(Device device) = nullptr;  // by this thread
};

/// All throw Error, but for deallocate. A device does its work in the order in which it is asked
/// for, and may do it later: only to_host and synchronize wait.
struct DeviceMemory {
  /// At least `bytes` (> 0) bytes, aligned for any access of a kernel.
  void* (*allocate)(Device device, std::size_t bytes) = nullptr;
  void (*deallocate)(Device device, void* pointer, std::size_t bytes) noexcept = nullptr;
  /// From the host, whose memory may be used for other things when this returns; and to the host.
  void (*from_host)(Device device, void* to, const void* from, std::size_t bytes) = nullptr;
  void (*to_host)(Device device, void* to, const void* from, std::size_t bytes) = nullptr;
  /// Waits until all work is done.
  void (*synchronize)(Device device) = nullptr;
  /// Throws, saying why, if there is no such device that can be used.
  DeviceInfo (*info)(Device device) = nullptr;
  const DeviceRecorder* recorder = nullptr;  // null: it cannot record
};

namespace detail {
inline std::array<std::atomic<const DeviceMemory*>, device_type_count> device_memories{};
}  // namespace detail

/// Makes `memory` (of static lifetime) that of the device. Called by backends during static
/// initialisation; returns true so that it can initialise a flag.
inline bool register_device_memory(DeviceType type, const DeviceMemory& memory) {
  detail::device_memories[detail::registry_index(type)].store(&memory, std::memory_order_release);
  return true;
}

/// Whether a device's memory is the host's, where a pointer to it can be read.
constexpr bool is_host_memory(Device device) {
  return device.type == DeviceType::cpu || device.type == DeviceType::reference;
}

/// The memory of a device that is not the host's. Throws an Error that names what to link if the
/// program has no backend for it.
inline const DeviceMemory& device_memory(Device device) {
  const DeviceMemory* const memory =
      detail::device_memories[detail::registry_index(device.type)].load(std::memory_order_acquire);
  if (memory == nullptr) [[unlikely]] {
    detail::fail_missing_backend(device.type);
  }
  return *memory;
}

namespace detail {
/// Null if the device cannot record work, as the host.
inline const DeviceRecorder* recorder(Device device) {
  return is_host_memory(device) ? nullptr : device_memory(device).recorder;
}
/// Whether this thread's work for the device is being recorded.
inline bool is_recording(Device device) {
  const DeviceRecorder* const of_device = recorder(device);
  return of_device != nullptr && of_device->is_recording(device);
}
}  // namespace detail

/// Waits until a device has done all it was asked for. (The host's work is done when a call
/// returns.)
inline void synchronize(Device device) {
  if (!is_host_memory(device)) {
    device_memory(device).synchronize(device);
  }
}

}  // namespace ldlm
