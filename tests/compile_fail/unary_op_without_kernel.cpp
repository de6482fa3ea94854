// A value that is added to UnaryOp needs a case in the reference kernels: of floats, gradients and
// integers.
// expect: ldlm_reference/elementwise.hpp:[0-9]+:[0-9]+: error: .*appended
#ifdef LDLM_MUST_FAIL
#define clamp clamp, appended
#endif
#include <ldlm/core/kernel_ops.hpp>
#undef clamp
#include <ldlm_reference/elementwise.hpp>

template float ldlm::reference::unary_value(ldlm::UnaryOp, float, float, float);
template int ldlm::reference::unary_value(ldlm::UnaryOp, int, int, int);
template float ldlm::reference::unary_gradient(ldlm::UnaryOp, float, float, float, float);

int main() {}
