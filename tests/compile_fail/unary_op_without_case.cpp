// A value that is added to UnaryOp needs a case, whatever the warnings of the build.
// expect: appended
#ifdef LDLM_MUST_FAIL
#define clamp clamp, appended
#endif
#include <ldlm/core/kernel_ops.hpp>
#undef clamp
#include <ldlm/core/visit_op.hpp>

int main() {}
