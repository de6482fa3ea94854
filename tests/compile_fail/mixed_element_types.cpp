// Element types never mix silently: a float and a double tensor have no sum before a cast.
// expect: no matching function

#include <ldlm/core/ops.hpp>

ldlm::Tensor<double> sum(const ldlm::Tensor<float>& a, const ldlm::Tensor<double>& b) {
#ifdef LDLM_MUST_FAIL
  return ldlm::add(a, b);
#else
  return ldlm::add(ldlm::cast<double>(a), b);
#endif
}
