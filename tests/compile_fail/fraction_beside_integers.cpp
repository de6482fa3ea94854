// A fraction would lose what is behind its point.
// expect: fraction

#include <ldlm/core/ops/elementwise.hpp>

#ifdef LDLM_MUST_FAIL
using Element = int;
#else
using Element = float;
#endif

ldlm::Tensor<Element> more(const ldlm::Tensor<Element>& x) {
  return x * 2.7;
}
