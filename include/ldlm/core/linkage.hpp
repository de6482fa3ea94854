#pragma once
// Where the bodies of functions that are no templates are compiled. A header declares them, and the
// header of the same name in the folder `impl` beside it has the bodies, each marked LDLM_BODY. By
// default every unit compiles those that it includes, inline. Where LDLM_LINKED is defined, as it
// is by the CMake target ldlm::ldlm, another unit of the program has them, and the kernels too: the
// one that includes <ldlm/implementation.hpp>.

#ifdef LDLM_LINKED
#define LDLM_BODY
#else
#define LDLM_BODY inline
#endif
