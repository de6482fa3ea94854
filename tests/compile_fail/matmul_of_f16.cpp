// f16 is a storage type: it is cast before it is computed with.
// expect: no matching function|constraints not satisfied

#include <ldlm/core/ops.hpp>

ldlm::Tensor<float> product(const ldlm::Tensor<ldlm::f16>& a) {
#ifdef LDLM_MUST_FAIL
  return ldlm::matmul(a, a);
#else
  const auto wide = ldlm::cast<float>(a);
  return ldlm::matmul(wide, wide);
#endif
}
