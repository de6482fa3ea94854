// A function and a module of one's own: a backward pass, its check, and state without a gradient.

#include <iostream>

#include <ldlm/ldlm.hpp>

using ldlm::Tensor;
using ldlm::Variable;

// x / (1 + |x|), with a gradient by hand: 1 / (1 + |x|)^2. `record` keeps the function that turns
// the gradient of the result into that of the input; Saved notices when x is changed in place
// before it runs.
template <ldlm::Floating T>
Variable<T> softsign(const Variable<T>& x) {
  const Tensor<T> y = div(x.value(), abs(x.value()) + T{1});
  return record(
      "softsign", y, {x.node()},
      [saved = ldlm::Saved<T>("softsign", x.value())](const Tensor<T>& dy, ldlm::InputGrads<T> in) {
        in[0].add(div(dy, square(abs(saved.get()) + T{1})));
      });
}

// Subtracts the mean that its inputs have had in training. The mean is a buffer: it is saved and
// loaded with the parameters, and no optimiser touches it.
struct Centre {
  Tensor<float> mean;  // (C)
  float momentum = 0.1F;

  explicit Centre(std::int64_t channels) : mean(Tensor<float>::zeros({channels})) {}

  // (B, C) -> (B, C)
  Variable<float> operator()(const ldlm::Operand<float> auto& x) const {
    if (ldlm::model_mode() == ldlm::ModelMode::training) {
      const Tensor<float> now = ldlm::mean(ldlm::as_tensor(x), 0);
      ldlm::mul_(mean, 1 - momentum);
      ldlm::axpy_(mean, momentum, now);
    }
    return ldlm::as_variable(x) - mean;
  }

  void visit(auto&& v) { v.buffer("mean", mean); }
};

struct Model {
  Centre centre{3};
  ldlm::Linear<float> linear;

  explicit Model(ldlm::Generator& generator) : linear(3, 1, generator) {}

  // (B, 3) -> (B, 1)
  Variable<float> operator()(const Tensor<float>& x) const { return softsign(linear(centre(x))); }

  void visit(auto&& v) { v("centre", centre), v("linear", linear); }
};

int main() {
  ldlm::Generator generator(3);

  // Every gradient is beside central differences, in double; an Error names one that is wrong.
  const Variable<double> probe(ldlm::randn<double>({4, 5}, generator), true);
  ldlm::gradcheck([](const auto& in) { return softsign(in[0]); }, {probe});

  // Points around (1, 2, 3): on which side of a plane through their middle do they lie?
  const Tensor<float> x =
      ldlm::randn<float>({200, 3}, generator) + Tensor<float>::from_values({3}, {1, 2, 3});
  const Tensor<bool> above =
      gt(matmul(x - mean(x, 0), Tensor<float>::from_values({3, 1}, {2, -1, 1})), 0);
  const Tensor<float> side = ldlm::cast<float>(above) * 2.0F - 1.0F;  // -1 or 1: (B, 1)

  Model model(generator);
  ldlm::AdamW optimizer(ldlm::parameters(model), {.learning_rate = 0.05});
  for (int step = 1; step <= 200; ++step) {
    const ldlm::TrainingMode training(generator);
    optimizer.zero_grad();
    const Variable<float> loss = mse_loss(model(x), side);
    loss.backward();
    optimizer.step();
    if (step % 50 == 0) {
      std::cout << "step " << step << "  loss " << loss.item() << "\n";
    }
  }

  for (const auto& [name, tensor] : ldlm::state_dict(model)) {
    std::cout << name << " " << tensor << "\n";
  }
  const ldlm::NoGrad scope;
  const double right = mean(ldlm::cast<double>(eq(gt(model(x), 0), above))).item();
  std::cout << "right: " << right << "\n";
  return right > 0.97 ? 0 : 1;
}
