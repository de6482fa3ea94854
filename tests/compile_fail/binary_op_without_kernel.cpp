// A value that is added to BinaryOp needs a case in the reference kernels.
// expect: ldlm_reference/elementwise.hpp:[0-9]+:[0-9]+: error: .*appended
#ifdef LDLM_MUST_FAIL
#define maximum maximum, appended
#endif
#include <ldlm/core/kernel_ops.hpp>
#undef maximum
#include <ldlm_reference/elementwise.hpp>

template float ldlm::reference::binary_value(ldlm::BinaryOp, float, float);

int main() {}
