// A Tensor holds scalars of the library, not just any type.
// expect: Scalar

#include <string>

#include <ldlm/core/tensor.hpp>

#ifdef LDLM_MUST_FAIL
using Element = std::string;
#else
using Element = float;
#endif

std::int64_t count(const ldlm::Tensor<Element>& x) {
  return x.numel();
}
