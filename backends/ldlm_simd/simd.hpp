#pragma once
// The SIMD backend of the CPU. Including this file registers its kernels for the instruction set
// that this unit is compiled for, if the processor has it; a unit compiled for a larger set wins.

#include <ldlm_reference/table.hpp>
#include <ldlm_simd/bf16.hpp>
#include <ldlm_simd/table.hpp>

namespace ldlm::simd::detail {

/// The reference kernels that make_table keeps; the others need not be compiled for it.
template <class T>
constexpr KernelTable<T> make_base() {
  KernelTable<T> t;
  if constexpr (std::floating_point<T>) {
    t.scatter_rows = reference::scatter_rows<T>;
    t.scatter_add = reference::scatter_add<T>;
    t.categorical = reference::categorical<T>;
  } else {
    t = reference::detail::make_table<T>();
    t.copy = nullptr;
    t.cast = nullptr;
    t.gather_rows = nullptr;
  }
  if constexpr (std::same_as<T, bf16>) {
    t = bf16_backend::make_table<Bf16Tables>(t);
  }
  return t;
}

inline constexpr auto base_table = []<class T>(std::type_identity<T>) -> const auto& {
  static constexpr KernelTable<T> kernels = make_base<T>();
  return kernels;
};

// Not inline: each unit registers the kernels of its own instruction set, and the widest win.
[[maybe_unused]] static const bool registered = register_tables<NativeArch>(base_table);

}  // namespace ldlm::simd::detail
