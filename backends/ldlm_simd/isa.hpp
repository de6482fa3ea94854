#pragma once
// Instruction sets by the names that LDLM_ISA takes: the widest that kernels may use.
//
//   LDLM_ISA=avx2 ldlm demo        baseline < avx2 < avx512 on x86; neon is a baseline; empty: any

#include <cstdlib>
#include <string_view>
#include <type_traits>

#include <ldlm/core/instruction_set.hpp>
#include <ldlm_simd/batch.hpp>

namespace ldlm::simd {

/// The level of Arch among those names: 0, 1, 2.
template <class Arch>
constexpr int isa_level() {
  return std::is_base_of_v<xsimd::avx512f, Arch> ? 2 : std::is_base_of_v<xsimd::avx2, Arch> ? 1 : 0;
}

/// The set that Arch belongs to.
template <class Arch>
constexpr InstructionSet instruction_set() {
  return std::is_base_of_v<xsimd::avx512f, Arch>  ? InstructionSet::avx512
         : std::is_base_of_v<Avx2, Arch>          ? InstructionSet::avx2_fma
         : std::is_base_of_v<xsimd::avx2, Arch>   ? InstructionSet::avx2
         : std::is_base_of_v<xsimd::avx, Arch>    ? InstructionSet::avx
         : std::is_base_of_v<xsimd::sse4_2, Arch> ? InstructionSet::sse4_2
         : std::is_base_of_v<xsimd::sse2, Arch>   ? InstructionSet::sse2
                                                  : InstructionSet::other;
}

namespace detail {
/// The level of a name, or -1.
constexpr int isa_level(std::string_view name) {
  return name == "baseline" ? 0 : name == "avx2" ? 1 : name == "avx512" ? 2 : -1;
}
}  // namespace detail

/// LDLM_ISA; nothing where it is not set, or empty.
inline std::string_view wanted_isa() {
  const char* const wanted = std::getenv("LDLM_ISA");
  return wanted == nullptr ? std::string_view() : std::string_view(wanted);
}

/// Whether LDLM_ISA is unset or names a set.
inline bool isa_is_valid() {
  return wanted_isa().empty() || detail::isa_level(wanted_isa()) >= 0;
}

/// Whether LDLM_ISA lets kernels of Arch run.
template <class Arch>
bool isa_allows() {
  return wanted_isa().empty() || isa_level<Arch>() <= detail::isa_level(wanted_isa());
}

}  // namespace ldlm::simd
