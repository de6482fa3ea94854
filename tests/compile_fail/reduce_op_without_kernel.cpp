// A value that is added to ReduceOp needs a case in the reference kernels.
// expect: ldlm_reference/reduce.hpp:[0-9]+:[0-9]+: error: .*appended
#ifdef LDLM_MUST_FAIL
#define sum_squares sum_squares, appended
#endif
#include <ldlm/core/kernel_ops.hpp>
#undef sum_squares
#include <ldlm_reference/reduce.hpp>

template void ldlm::reference::reduce(ldlm::ReduceOp, ldlm::View<const float>, ldlm::View<float>);

int main() {}
