// The kernels for AVX2 with FMA.

#include <ldlm_simd/units/unit.hpp>

namespace ldlm::simd::units {

[[maybe_unused]] static const bool registered = register_tables<Avx2>(base);

}  // namespace ldlm::simd::units
