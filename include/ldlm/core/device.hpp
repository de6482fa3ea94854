#pragma once
// Devices: where a tensor lives, and thereby which kernel table computes on it.

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include <ldlm/core/enumeration.hpp>

namespace ldlm {

/// `reference` is host memory too, computed with the naive loops: the oracle of the tests.
enum class DeviceType : std::uint8_t { cpu, reference, cuda };
inline constexpr int device_type_count = 3;

struct Device {
  DeviceType type = DeviceType::cpu;
  std::int8_t index = 0;

  friend constexpr bool operator==(Device, Device) = default;
};

inline constexpr Device cpu{};
inline constexpr Device reference_cpu{DeviceType::reference, 0};
inline constexpr Device cuda{DeviceType::cuda, 0};

constexpr std::string_view name_of(DeviceType type) {
  constexpr std::string_view names[] = {"cpu", "reference", "cuda"};
  return detail::name_in(names, type);
}
/// "cpu:0"
inline std::string to_string(Device device) {
  return std::string(name_of(device.type)) + ':' + std::to_string(int{device.index});
}
/// (A template, so that this header needs no streams.)
template <class Traits>
std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& stream,
                                             Device device) {
  return stream << to_string(device);
}

}  // namespace ldlm
