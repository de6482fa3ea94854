#pragma once
// The registry: device -> kernel table, filled at start-up by the backends that a program includes
// or links. The one piece of global state that every op reads.

#include <array>
#include <atomic>

#include <ldlm/core/device.hpp>
#include <ldlm/core/kernel_table.hpp>

namespace ldlm {

namespace detail {

template <class T>
struct RegistryEntry {
  std::atomic<const KernelTable<T>*> table{nullptr};
  std::atomic<int> priority{-1};
};

template <class T>
inline std::array<RegistryEntry<T>, device_type_count> registry{};

/// The place of a device among these, checked: a program may make a Device of any number.
inline std::size_t registry_index(DeviceType type) {
  const auto index = static_cast<std::size_t>(type);
  if (index >= static_cast<std::size_t>(device_type_count)) [[unlikely]] {
    fail_unknown("DeviceType", type);
  }
  return index;
}

/// Why a device has no kernels though backends are there, or null.
inline std::array<std::atomic<const char*>, device_type_count> reasons{};

/// for_what: such as " for f32"
[[noreturn]] inline void fail_missing_backend(DeviceType type, std::string_view for_what = {}) {
  const char* const reason = reasons[registry_index(type)].load();
  LDLM_CHECK_DEVICE(reason == nullptr, "device", reason);
  constexpr std::string_view hints[] = {
      "include <ldlm/implementation.hpp> in one file, or <ldlm/ldlm.hpp> without LDLM_LINKED, or "
      "link "
      "the CMake target ldlm::ldlm",
      "include <ldlm_reference/reference.hpp> in one file, or link the CMake target ldlm::ldlm",
      "link the CMake target ldlm::cuda"};
  static_assert(std::size(hints) == device_type_count);
  fail_as(ErrorCode::device, "device", "no ", name_of(type), " backend", for_what,
          " in this program; ", hints[registry_index(type)]);
}

}  // namespace detail

/// Makes `table` (of static lifetime) the device's, unless one of higher priority is there.
/// Called by backends during static initialisation; returns true so that it can initialise a flag.
template <class T>
bool register_kernels(DeviceType type, const KernelTable<T>& table, int priority) {
  auto& entry = detail::registry<T>[detail::registry_index(type)];
  if (priority > entry.priority.load()) {
    entry.priority.store(priority);
    entry.table.store(&table, std::memory_order_release);
  }
  return true;
}

/// Takes a device from every table of a lower priority than `least`, those to come included. What
/// asks for its kernels, if there are no others, gets an Error with this reason, a string of static
/// lifetime.
template <class T>
void refuse_kernels(DeviceType type, int least, const char* reason) {
  auto& entry = detail::registry<T>[detail::registry_index(type)];
  if (least > entry.priority.load()) {
    entry.priority.store(least);
    entry.table.store(nullptr, std::memory_order_release);
  }
  detail::reasons[detail::registry_index(type)].store(reason);
}

/// The kernels for T on a device. Throws an Error that names what to include or link if none is
/// there.
template <class T>
const KernelTable<T>& kernels(Device device) {
  const KernelTable<T>* table = detail::registry<T>[detail::registry_index(device.type)].table.load(
      std::memory_order_acquire);
  if (table == nullptr) [[unlikely]] {
    detail::fail_missing_backend(device.type, detail::concat(" for ", name_of(dtype_of<T>)));
  }
  return *table;
}

namespace detail {
/// One kernel of the device's table; throws when T has none, e.g. softmax of int32:
/// `detail::kernel(device, &KernelTable<T>::softmax, "softmax")(x, y)`.
template <class T, class Function>
Function* kernel(Device device, Function* KernelTable<T>::*entry, std::string_view op) {
  Function* const found = kernels<T>(device).*entry;
  LDLM_CHECK_AS(dtype, found != nullptr, op, "is not defined for elements of type ",
                name_of(dtype_of<T>));
  return found;
}
}  // namespace detail

}  // namespace ldlm
