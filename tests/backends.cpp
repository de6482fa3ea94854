// Linked into every test: the CPU kernels, compiled once. Tests include the headers that they test
// and not <ldlm/ldlm.hpp>, which would compile the kernels again in each of them.
#include <ldlm_simd/simd.hpp>
