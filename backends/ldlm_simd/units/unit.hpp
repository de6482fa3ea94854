#pragma once
// What the units of ldlm::ldlm share. Each is compiled for one instruction set and registers its
// kernels at start-up; the widest set that the processor has, and LDLM_ISA allows, wins.
//
// The kernels are templated on their Arch, so that units share none; everything else that they have
// in common must come from the baseline unit, which every processor runs.

#include <ldlm_simd/table.hpp>

namespace ldlm::simd::units {

/// What the kernels of all units lie over; defined in baseline.cpp.
template <class T>
const KernelTable<T>& base_table();

inline constexpr auto base = []<class T>(std::type_identity<T>) -> const auto& {
  return base_table<T>();
};

}  // namespace ldlm::simd::units
