#pragma once
// Which devices a program can compute on, and what they are.

#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/backend_info.hpp>
#include <ldlm/core/device_memory.hpp>
#include <ldlm/core/error.hpp>

namespace ldlm {

/// A device. Throws DeviceError, saying why, if it cannot be used: no backend in this program, no
/// driver, no card, or one that is too old.
inline DeviceInfo device_info(Device device) {
  if (is_host_memory(device)) {
    return {device, to_string(backend_info(device)), 0, 0};
  }
  return device_memory(device).info(device);
}

/// The devices that this program can compute on: the CPU, and a card if there is one.
inline std::vector<DeviceInfo> devices() {
  std::vector<DeviceInfo> out;
  for (const Device device : {cpu, cuda}) {
    try {
      out.push_back(device_info(device));
    } catch (const DeviceError&) {  // is none of them
    }
  }
  return out;
}

/// "cpu", "cuda" or "cuda:0". Throws ValueError for anything else.
inline Device device_named(std::string_view name) {
  for (const Device device : {cpu, cuda}) {
    if (name == name_of(device.type) || name == to_string(device)) {
      return device;
    }
  }
  detail::fail("device", "'", name, "' is none of cpu, cuda and cuda:0");
}

}  // namespace ldlm
