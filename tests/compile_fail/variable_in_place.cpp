// A Variable is not changed in place.
// expect: a Variable is not changed in place: write x = x [+] y

#include <ldlm/autograd/variable.hpp>

void grow(ldlm::Variable<> x, const ldlm::Tensor<>& y) {
#ifdef LDLM_MUST_FAIL
  x += y;
#else
  ldlm::add_(x.value(), y);
#endif
}
