// Under -ffast-math the checks for NaN are folded away; who wants it says so.
// flags: -ffast-math
// expect: define LDLM_ALLOW_FAST_MATH
#ifndef LDLM_MUST_FAIL
#define LDLM_ALLOW_FAST_MATH
#endif
#include <ldlm/core/tensor.hpp>

int main() {
  return ldlm::Tensor<float>::zeros({1}).rank() == 1 ? 0 : 1;
}
