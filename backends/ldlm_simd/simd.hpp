#pragma once
// The SIMD backend of the CPU. Including this file registers its kernels for the instruction set
// that this unit is compiled for.

#include <ldlm_reference/reference.hpp>
