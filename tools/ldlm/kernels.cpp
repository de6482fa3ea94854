// The kernels of the command, compiled once.

#include <ldlm_simd/simd.hpp>
