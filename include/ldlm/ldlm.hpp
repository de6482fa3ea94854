#pragma once
// LDLM: everything, for users. Including it also registers the CPU kernels compiled for this
// unit's own instruction set. The library itself never includes this file.

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/core/ops.hpp>
#include <ldlm_simd/simd.hpp>
