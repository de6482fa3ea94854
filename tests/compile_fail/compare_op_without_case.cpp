// A value that is added to CompareOp needs a case, whatever the warnings of the build.
// expect: appended
#ifdef LDLM_MUST_FAIL
#define ge ge, appended
#endif
#include <ldlm/core/kernel_ops.hpp>
#undef ge
#include <ldlm/core/visit_op.hpp>

int main() {}
