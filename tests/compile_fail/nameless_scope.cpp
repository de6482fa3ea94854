// A scope without a name ends at once, which is no scope.
// flags: -Werror=unused-result -Werror=unused-value
// expect: nodiscard
#include <ldlm/autograd/scopes.hpp>

void evaluate() {
#ifdef LDLM_MUST_FAIL
  ldlm::NoGrad();
#else
  const ldlm::NoGrad scope;
#endif
}
