#pragma once
// Instruction sets that CPU kernels are compiled for, and what the processor has of them.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <ldlm/core/enumeration.hpp>

namespace ldlm {

/// From narrow to wide. `other`: vectors that are part of their architecture, as NEON is.
enum class InstructionSet : std::uint8_t { none, other, sse2, sse4_2, avx, avx2, avx2_fma, avx512 };

constexpr std::string_view name_of(InstructionSet set) {
  constexpr std::string_view names[] = {"no vectors", "this architecture's vectors",
                                        "sse2",       "sse4.2",
                                        "avx",        "avx2 without fma",
                                        "avx2",       "avx512"};
  return detail::name_in(names, set);
}

/// Whether the running processor, and the system, have the set. (`Unit`: units that are compiled
/// with different flags each have a copy of their own.)
template <class Unit = void>
bool processor_has(InstructionSet set) {
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
  switch (set) {
    case InstructionSet::none:
    case InstructionSet::other:
      return true;
    case InstructionSet::sse2:
      return __builtin_cpu_supports("sse2");
    case InstructionSet::sse4_2:
      return __builtin_cpu_supports("sse4.2");
    case InstructionSet::avx:
      return __builtin_cpu_supports("avx");
    case InstructionSet::avx2:
      return __builtin_cpu_supports("avx2");
    case InstructionSet::avx2_fma:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case InstructionSet::avx512:
      return processor_has<Unit>(InstructionSet::avx2_fma) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512bw");
  }
#endif
  return set <= InstructionSet::other;
}

}  // namespace ldlm
