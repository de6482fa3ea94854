// Autograd: record a computation, go backward, read the gradients; then learn with them by hand.

#include <cmath>
#include <iostream>

#include <ldlm/ldlm.hpp>

using ldlm::Tensor;
using ldlm::Variable;

// A function of your own with a backward pass of your own: softplus(x) = log(1 + exp(x)), whose
// derivative is sigmoid(x). `record` keeps the lambda if a gradient is wanted, and calls it once.
Variable<double> softplus(const Variable<double>& x) {
  const Tensor<double> value = x.value();
  return ldlm::record("softplus", log(exp(value) + 1.0), {x.node()},
                      [value](const Tensor<double>& dy, const ldlm::InputGrads<double>& in) {
                        in[0].add(dy * sigmoid(value));
                      });
}

int main() {
  std::cout << "-- Variables remember how they were made.\n";
  const Variable<double> a(Tensor<double>::scalar(3), true);  // true: we want d/da
  const Variable<double> b(Tensor<double>::scalar(-2), true);
  const Variable<double> y = a * square(b) + sin(a);
  y.backward();
  std::cout << "y = a b^2 + sin(a) = " << y.item() << " at a = 3, b = -2\n";
  std::cout << "dy/da = b^2 + cos(a) = " << a.grad() << "\n";
  std::cout << "dy/db = 2 a b = " << b.grad() << "\n\n";

  std::cout << "-- The gradient of a function of your own, beside finite differences.\n";
  const auto point = Tensor<double>::from_values({4}, {-3, -0.5, 0.5, 3});
  const Variable<double> x(point, true);
  sum(softplus(x)).backward();
  const double h = 1e-5;
  const auto above = softplus(Variable<double>(point + h)).value();
  const auto below = softplus(Variable<double>(point - h)).value();
  const auto differences = (above - below) / (2 * h);
  std::cout << "backward:           " << x.grad() << "\n";
  std::cout << "finite differences: " << differences << "\n\n";
  const double gradient_error = max(abs(x.grad() - differences)).item();

  std::cout << "-- Gradients add up until they are dropped; NoGrad records nothing.\n";
  a.zero_grad();
  (a * 5.0).backward();
  (a * 5.0).backward();
  std::cout << "after two backward passes of 5 a: " << a.grad() << "\n";
  {
    const ldlm::NoGrad scope;
    std::cout << "under NoGrad a result requires a gradient: " << std::boolalpha
              << (a * 5.0).requires_grad() << "\n\n";
  }

  std::cout << "-- Learning by hand: fit a parabola to noisy points.\n";
  ldlm::Generator generator(1);
  const auto t = ldlm::rand<double>({200, 1}, generator, -1, 1);
  const auto truth = Tensor<double>::from_values({3, 1}, {0.5, -1, 2});  // 0.5 - t + 2 t^2
  const auto powers = ldlm::concat({Tensor<double>::ones({200, 1}), t, square(t)}, 1);
  const auto observed = matmul(powers, truth) + ldlm::randn<double>({200, 1}, generator, 0, 0.05);

  const Variable<double> weights(Tensor<double>::zeros({3, 1}), true);
  for (int step = 0; step <= 300; ++step) {
    const Variable<double> loss = mse_loss(matmul(powers, weights), observed);
    if (step % 100 == 0) {
      std::cout << "step " << step << "  loss " << loss.item() << "\n";
    }
    weights.zero_grad();
    loss.backward();
    axpy_(weights.value(), -0.5, weights.grad());  // weights -= 0.5 * gradient, in place
  }
  std::cout << "learned weights: " << weights.value().flatten() << " (truth: " << truth.flatten()
            << ")\n\n";
  const double fit_error = max(abs(weights.value() - truth)).item();

  std::cout << "-- What backward needs must not change under its feet.\n";
  bool caught = false;
  const Variable<double> squared = square(weights);
  weights.value().fill_(0);
  try {
    sum(squared).backward();
  } catch (const ldlm::Error& error) {
    caught = true;
    std::cout << error.what() << "\n";
  }

  if (gradient_error > 1e-8 || fit_error > 0.05 || !caught) {
    std::cerr << "something above is wrong: errors " << gradient_error << " and " << fit_error
              << "\n";
    return 1;
  }
}
