// The kernels for AVX-512 (F, CD, DQ, BW), and for AMX where the processor has it.

#include <ldlm_simd/units/unit.hpp>

namespace ldlm::simd::units {

[[maybe_unused]] static const bool registered = register_tables<Avx512>(base);

}  // namespace ldlm::simd::units
