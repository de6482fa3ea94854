// Every way to make a tensor has a name: a list of numbers in braces is no tensor.
// expect: no matching function|no matching constructor

#include <ldlm/core/tensor.hpp>

ldlm::Tensor<float> make() {
#ifdef LDLM_MUST_FAIL
  return ldlm::Tensor<float>({2, 3});
#else
  return ldlm::Tensor<float>::empty({2, 3});
#endif
}
