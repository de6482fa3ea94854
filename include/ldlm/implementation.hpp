#pragma once
// What LDLM_LINKED promises: the bodies of functions that are no templates, and the CPU kernels for
// this unit's own instruction set. One unit of a program of several includes this file, and all are
// compiled with -DLDLM_LINKED.

#include <ldlm/bodies.hpp>
#include <ldlm_simd/simd.hpp>
