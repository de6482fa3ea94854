// What a user's first program does: a tensor op, and loss.backward().
#include <ldlm/ldlm.hpp>

#include <cstdio>

#include "part.hpp"

int main() {
  std::printf("%s\n", to_string(ldlm::backend_info()).c_str());
  const auto x = ldlm::Tensor<float>::from_values({2, 3}, {1, 2, 3, 4, 5, 6});
  const ldlm::Variable<float> inputs(x);
  const ldlm::Variable<float> w(ldlm::Tensor<float>::ones({3, 1}), true);

  const auto loss = sum_of_squares(inputs, w);
  loss.backward();

  // The rows sum to 6 and 15: loss = 36 + 225, gradient = 2 * (6 * row 0 + 15 * row 1).
  std::printf("loss %g, gradient %g %g %g\n", loss.item(), w.grad().at({0, 0}), w.grad().at({1, 0}),
              w.grad().at({2, 0}));
  const bool right = loss.item() == 261.0F && w.grad().at({0, 0}) == 132.0F &&
                     w.grad().at({1, 0}) == 174.0F && w.grad().at({2, 0}) == 216.0F;
  try {
    static_cast<void>(ldlm::matmul(x, x));
  } catch (const ldlm::Error& error) {
    std::printf("%s\n", error.what());
    return right ? 0 : 1;
  }
  return 1;
}
