#pragma once
// The reference backend: every kernel as a plain loop. It is the oracle of the tests (device
// `reference`), the documentation of each kernel, and what the CPU computes with where no faster
// backend is included. Including this file registers it.

#include <ldlm/core/registry.hpp>
#include <ldlm_reference/table.hpp>

namespace ldlm::reference {

namespace detail {

/// Registers a table for every element type: `make(std::type_identity<T>{})` returns it.
template <class Make>
bool register_all(DeviceType device, int priority, Make&& make) {
  visit_dtypes([&]<class T>(std::type_identity<T> element) {
    register_kernels<T>(device, make(element), priority);
  });
  return true;
}

inline constexpr auto reference_table = []<class T>(std::type_identity<T>) -> const auto& {
  return table<T>();
};
inline const bool registered = register_all(DeviceType::reference, 0, reference_table) &&
                               register_all(DeviceType::cpu, 0, reference_table);

}  // namespace detail

}  // namespace ldlm::reference
