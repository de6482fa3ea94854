#pragma once
// The SIMD backend of the CPU. Including this file registers its kernels for the instruction set
// that this unit is compiled for, if the processor has it; a unit compiled for a larger set wins.

#include <ldlm_reference/reference.hpp>
#include <ldlm_simd/table.hpp>

namespace ldlm::simd::detail {

// Not inline: each unit registers the kernels of its own instruction set, and the widest win.
[[maybe_unused]] static const bool registered =
    register_tables<NativeArch>(reference::detail::reference_table);

}  // namespace ldlm::simd::detail
