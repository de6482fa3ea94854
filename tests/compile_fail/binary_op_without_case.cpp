// A value that is added to BinaryOp needs a case, whatever the warnings of the build.
// expect: appended
#ifdef LDLM_MUST_FAIL
#define maximum maximum, appended
#endif
#include <ldlm/core/kernel_ops.hpp>
#undef maximum
#include <ldlm/core/visit_op.hpp>

int main() {}
