// A tensor becomes a variable only where that is asked for: a leaf made by accident would get no
// gradient.
// expect: could not convert|no viable conversion

#include <ldlm/autograd/variable.hpp>

ldlm::Variable<float> leaf(const ldlm::Tensor<float>& x) {
#ifdef LDLM_MUST_FAIL
  return x;
#else
  return ldlm::Variable<float>(x);
#endif
}
