// Gradients exist for floating-point types only.
// expect: Floating

#include <ldlm/autograd/variable.hpp>

#ifdef LDLM_MUST_FAIL
using Element = std::int64_t;
#else
using Element = double;
#endif

bool needs(const ldlm::Variable<Element>& x) {
  return x.requires_grad();
}
