// A value that is added to Activation needs a derivative.
// expect: functions/matrix.hpp:[0-9]+:[0-9]+: error: .*appended
#ifdef LDLM_MUST_FAIL
#define silu silu, appended
#endif
#include <ldlm/core/kernel_ops.hpp>
#undef silu
#include <ldlm/autograd/functions/matrix.hpp>

int main() {}
