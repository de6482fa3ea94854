// gradcheck compares in double: central differences of other types are too rough.
// expect: gradients are checked in double
#include <ldlm/autograd/gradcheck.hpp>

#ifdef LDLM_MUST_FAIL
using T = ldlm::bf16;
#else
using T = double;
#endif

int main() {
  const ldlm::Variable<T> x(ldlm::Tensor<T>::ones({2}), true);
  ldlm::gradcheck([](const auto& in) { return in[0] * in[0]; }, {x});
}
