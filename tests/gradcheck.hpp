#pragma once
// Checks the gradients of a function of Variables against central differences in double, over
// layouts of its inputs and of the gradient that reaches it, and those in float against double.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ldlm/autograd/autograd.hpp>

namespace gradcheck {

using ldlm::Shape;
using ldlm::Tensor;
using ldlm::Variable;

/// Where the inputs' values lie: n distinct ones, evenly spaced and shuffled, so that no two are
/// equal and none is 0 where functions have a kink.
struct Range {
  double low = -2, high = 2;
};

template <class T>
Tensor<T> values(const Shape& shape, Range range, std::uint64_t seed) {
  const std::int64_t n = shape.numel();
  std::vector<double> grid;
  for (std::int64_t i = 0; i < n; ++i) {
    grid.push_back(range.low + (range.high - range.low) * (static_cast<double>(i) + 0.37) /
                                   static_cast<double>(n));
  }
  ldlm::Generator generator(seed);
  for (std::int64_t i = n - 1; i > 0; --i) {
    std::swap(grid[static_cast<std::size_t>(i)],
              grid[static_cast<std::size_t>(generator.below(i + 1))]);
  }
  Tensor<T> out = Tensor<T>::empty(shape);
  std::transform(grid.begin(), grid.end(), out.data(), [](double x) { return static_cast<T>(x); });
  return out;
}

enum class LayoutKind { row_major, reversed, strided };
constexpr LayoutKind all_layouts[] = {LayoutKind::row_major, LayoutKind::reversed,
                                      LayoutKind::strided};

/// The same values with other strides: axes stored in reverse order, or every other element of the
/// last axis of something larger.
template <class T>
Tensor<T> with_layout(const Tensor<T>& x, LayoutKind kind) {
  if (kind == LayoutKind::row_major || x.rank() == 0) {
    return x.clone();
  }
  if (kind == LayoutKind::reversed) {
    std::vector<int> order;
    for (int i = x.rank() - 1; i >= 0; --i) {
      order.push_back(i);
    }
    return x.permute(order).clone().permute(order);
  }
  Shape larger = x.shape();
  larger[x.rank() - 1] = 2 * larger.back() + 3;
  const Tensor<T> view = Tensor<T>::full(larger, T{77}).slice(-1, 2, 2 + 2 * x.size(-1), 2);
  view.copy_(x);
  return view;
}

/// How the loss is made of the function's result, and so what layout its gradient has.
enum class LossKind { weighted, transposed, sum };
constexpr LossKind all_losses[] = {LossKind::weighted, LossKind::transposed, LossKind::sum};

template <class T>
Variable<T> loss_of(const Variable<T>& y, LossKind kind) {
  if (kind == LossKind::sum) {
    return ldlm::sum(y);
  }
  const Variable<T> z = kind == LossKind::transposed && y.rank() >= 2 ? y.transpose(0, -1) : y;
  return ldlm::sum(z * values<T>(z.shape(), {0.5, 1.5}, 99));
}

template <class T, class Function>
std::vector<Tensor<T>> gradients(Function& function, const std::vector<Tensor<T>>& inputs,
                                 LossKind loss) {
  std::vector<Variable<T>> variables;
  for (const Tensor<T>& input : inputs) {
    variables.push_back(Variable<T>(input, true));
  }
  loss_of<T>(function(variables), loss).backward();
  std::vector<Tensor<T>> grads;
  for (const Variable<T>& variable : variables) {
    grads.push_back(variable.grad());
  }
  return grads;
}

/// |a - b| <= tolerance * (1 + |b|), elementwise; both defined and of one shape.
template <class A, class B>
void check_close(const Tensor<A>& a, const Tensor<B>& b, double tolerance) {
  REQUIRE(a.defined());
  REQUIRE(a.shape() == b.shape());
  const std::vector<A> x = a.to_vector();
  const std::vector<B> y = b.to_vector();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = static_cast<double>(y[i]);
    const double error = std::abs(static_cast<double>(x[i]) - expected);
    if (!(error <= tolerance * (1 + std::abs(expected)))) {
      FAIL_CHECK("element " << i << " of " << a.shape() << ": " << x[i] << ", expected "
                            << expected);
    }
  }
}

/// Checks d loss / d input for every input. `function` maps a vector of Variables (of double, and
/// of float) to a Variable.
template <class Function>
void check(const std::string& name, const std::vector<Shape>& shapes, Range range,
           Function function) {
  INFO(name);
  std::vector<Tensor<double>> inputs;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    inputs.push_back(values<double>(shapes[i], range, i + 1));
    INFO("input " << i << " " << shapes[i]);
  }
  std::vector<Variable<double>> leaves;
  for (const Tensor<double>& input : inputs) {
    leaves.emplace_back(input, true);
  }
  const ldlm::GradcheckResult found =
      ldlm::compare_gradients(function, leaves, {.eps = 1e-5, .atol = 1e-6, .rtol = 1e-6});
  CHECK_MESSAGE(found, to_string(found));
  for (const LossKind loss : all_losses) {
    INFO("loss " << static_cast<int>(loss));
    std::vector<Tensor<double>> expected;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const auto loss_of_inputs = [&](const std::vector<Variable<double>>& in) {
        return loss_of<double>(function(in), loss);
      };
      expected.push_back(ldlm::numeric_gradient(loss_of_inputs, inputs, i, 1e-5));
    }
    for (const LayoutKind layout : all_layouts) {
      INFO("layout " << static_cast<int>(layout));
      std::vector<Tensor<double>> exact;
      std::vector<Tensor<float>> rounded;
      for (const Tensor<double>& input : inputs) {
        exact.push_back(with_layout(input, layout));
        rounded.push_back(with_layout(ldlm::cast<float>(input), layout));
      }
      const std::vector<Tensor<double>> grads = gradients<double>(function, exact, loss);
      const std::vector<Tensor<float>> float_grads = gradients<float>(function, rounded, loss);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        INFO("gradient of input " << i << " " << shapes[i]);
        check_close(grads[i], expected[i], 1e-6);
        check_close(float_grads[i], grads[i], 2e-4);
        CHECK(grads[i].is_contiguous());
      }
    }
  }
}
template <class Function>
void check(const std::string& name, const std::vector<Shape>& shapes, Function function) {
  check(name, shapes, Range{}, function);
}

}  // namespace gradcheck
