// compare_gradients compares in double, and so refuses a vector of Variables of floats by name.
// expect: gradients are checked in double
#include <vector>

#include <ldlm/autograd/gradcheck.hpp>

#ifdef LDLM_MUST_FAIL
using T = float;
#else
using T = double;
#endif

int main() {
  const std::vector<ldlm::Variable<T>> inputs{ldlm::Variable<T>(ldlm::Tensor<T>::ones({2}), true)};
  const auto result = ldlm::compare_gradients([](const auto& in) { return in[0] * in[0]; }, inputs);
  return result ? 0 : 1;
}
