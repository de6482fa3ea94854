// Evenly spaced integers would have to be rounded, so that linspace is for floating-point types.
// expect: linspace

#include <ldlm/core/tensor.hpp>

#ifdef LDLM_MUST_FAIL
using Element = int;
#else
using Element = double;
#endif

ldlm::Tensor<Element> ten() {
  return ldlm::Tensor<Element>::linspace(Element{0}, Element{9}, 10);
}
