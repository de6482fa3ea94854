// A multilayer perceptron that tells two spirals apart: modules, an optimiser, a held-out test.

#include <cmath>
#include <iostream>
#include <numbers>

#include <ldlm/ldlm.hpp>

using ldlm::Generator;
using ldlm::Tensor;
using ldlm::Variable;

// A module is a plain struct whose `visit` names its parts. That is all it takes to be trained,
// saved and loaded.
struct Mlp {
  ldlm::Linear<float> first, second, last;

  Mlp(std::int64_t width, Generator& generator)
      : first(2, width, generator), second(width, width, generator), last(width, 2, generator) {}

  // (N, 2) points -> (N, 2) logits
  Variable<float> operator()(const Tensor<float>& points) const {
    const auto hidden = first(points, ldlm::Activation::silu);  // fused into the product
    return last(second(hidden, ldlm::Activation::silu));
  }

  void visit(auto&& v) { v("first", first), v("second", second), v("last", last); }
};

struct Spirals {
  Tensor<float> points;         // (N, 2)
  Tensor<std::int64_t> labels;  // (N): which of the two spirals
};

Spirals make_spirals(std::int64_t count, Generator& generator) {
  Spirals data{Tensor<float>::empty({count, 2}), Tensor<std::int64_t>::empty({count})};
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t label = i % 2;
    const double radius = std::sqrt(generator.uniform());
    const double angle = (3 * radius + static_cast<double>(label)) * std::numbers::pi;
    data.points.at({i, 0}) = static_cast<float>(radius * std::cos(angle));
    data.points.at({i, 1}) = static_cast<float>(radius * std::sin(angle));
    data.labels.at({i}) = label;
  }
  ldlm::add_(data.points, ldlm::randn<float>({count, 2}, generator, 0, 0.02F));
  return data;
}

double accuracy(const Mlp& model, const Spirals& data) {
  const ldlm::NoGrad no_graph;  // evaluation needs no gradients
  const auto guesses = argmax(model(data.points), 1);
  return mean(ldlm::cast<double>(eq(guesses, data.labels))).item();
}

// What the model answers all over the square.
void draw(const Mlp& model) {
  constexpr std::int64_t rows = 21;
  constexpr std::int64_t columns = 42;
  const auto ys = Tensor<float>::linspace(1.1F, -1.1F, rows).reshape({rows, 1, 1});
  const auto xs = Tensor<float>::linspace(-1.1F, 1.1F, columns).reshape({1, columns, 1});
  const auto grid = ldlm::concat({xs.expand({rows, columns, 1}), ys.expand({rows, columns, 1})},
                                 2);  // (rows, columns, 2)
  const ldlm::NoGrad no_graph;
  const auto answers = argmax(model(grid.reshape({-1, 2})), 1);
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    std::cout << (answers.at({i}) == 0 ? '.' : '#') << ((i + 1) % columns == 0 ? "\n" : "");
  }
}

int main() {
  Generator generator(7);
  const Spirals train = make_spirals(1000, generator);
  const Spirals test = make_spirals(500, generator);

  Mlp model(64, generator);
  std::cout << "the model has " << ldlm::num_parameters(model) << " parameters:\n";
  for (const auto& [name, parameter] : ldlm::named_parameters(model)) {
    std::cout << "  " << name << " " << parameter.shape() << "\n";
  }

  constexpr std::int64_t steps = 600;
  constexpr double rate = 0.01;
  ldlm::AdamW optimizer(ldlm::parameters(model));
  const ldlm::WarmupCosine schedule{.warmup = 20, .total = steps};
  for (std::int64_t step = 1; step <= steps; ++step) {
    optimizer.set_learning_rate(rate * schedule(step));
    optimizer.zero_grad();
    const Variable<float> loss = cross_entropy(model(train.points), train.labels);
    loss.backward();
    optimizer.step();
    if (step % 100 == 0) {
      std::cout << "step " << step << "  loss " << loss.item() << "  held-out accuracy "
                << accuracy(model, test) << "\n";
    }
  }
  draw(model);

  // A state dict is a list of names and tensors; safetensors.hpp writes and reads it as a file.
  Mlp copy(64, generator);
  ldlm::load_state_dict(copy, ldlm::state_dict(model));
  const double result = accuracy(copy, test);
  if (result < 0.97) {
    std::cerr << "held-out accuracy " << result << " is too low\n";
    return 1;
  }
}
