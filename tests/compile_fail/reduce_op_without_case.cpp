// A value that is added to ReduceOp needs a case, whatever the warnings of the build.
// expect: appended
#ifdef LDLM_MUST_FAIL
#define sum_squares sum_squares, appended
#endif
#include <ldlm/core/kernel_ops.hpp>
#undef sum_squares
#include <ldlm/core/visit_op.hpp>

int main() {}
