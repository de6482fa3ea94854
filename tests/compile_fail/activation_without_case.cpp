// A value that is added to Activation needs a case, whatever the warnings of the build.
// expect: appended
#ifdef LDLM_MUST_FAIL
#define silu silu, appended
#endif
#include <ldlm/core/kernel_ops.hpp>
#undef silu
#include <ldlm/core/visit_op.hpp>

int main() {}
