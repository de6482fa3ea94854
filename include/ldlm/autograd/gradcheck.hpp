#pragma once
// gradcheck: whether the gradients of a function are those that central differences give.
//
//   gradcheck([](const auto& in) { return my_function(in[0], in[1]); }, {x, w});

#include <cmath>
#include <concepts>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include <ldlm/autograd/functions/elementwise.hpp>
#include <ldlm/autograd/functions/reduce.hpp>
#include <ldlm/core/random.hpp>

namespace ldlm {

/// How gradcheck differentiates and compares; the names and numbers are those of
/// torch.autograd.gradcheck.
struct GradcheckOptions {
  double eps = 1e-6;   // an element is moved by so much, up and down
  double atol = 1e-5;  // |backward - numeric| <= atol + rtol * |numeric|
  double rtol = 1e-3;

  /// Throws ValueError for an option that is out of range.
  void validate() const {
    LDLM_CHECK(eps > 0 && std::isfinite(eps), "gradcheck", "eps must be a positive number, got ",
               eps);
    LDLM_CHECK(atol >= 0 && rtol >= 0 && std::isfinite(atol + rtol), "gradcheck",
               "atol and rtol must be numbers that are not negative, got ", atol, " and ", rtol);
  }
};

/// What compare_gradients found: nothing, or the first element that is wrong.
struct GradcheckResult {
  bool passed = true;
  std::size_t input = 0;     // position among the inputs
  Shape shape{};             // of that input
  std::int64_t element = 0;  // in row-major order
  double backward = 0;       // d loss / d element by the backward pass, of a weighted sum of what
  double numeric = 0;        // the function gives, see compare_gradients; by central differences

  explicit operator bool() const noexcept { return passed; }
};

/// "element 4 of input 1, (2, 3): the backward pass gives 2, central differences give 1"
[[nodiscard]] inline std::string to_string(const GradcheckResult& result) {
  return result.passed
             ? "all gradients are right"
             : detail::concat("element ", result.element, " of input ", result.input, ", ",
                              result.shape, ": the backward pass gives ", result.backward,
                              ", central differences give ", result.numeric);
}

/// d loss / d inputs[which] by central differences, row-major: of a function that maps a
/// std::vector<Variable<double>> to a Variable of one element. Costs two calls for each element.
/// Throws IndexError if there is no such input.
template <class Function>
[[nodiscard]] Tensor<double> numeric_gradient(const Function& function,
                                              const std::vector<Tensor<double>>& inputs,
                                              std::size_t which, double eps = 1e-6) {
  LDLM_CHECK_INDEX(which < inputs.size(), "numeric_gradient", "input ", which, " of ",
                   inputs.size());
  LDLM_CHECK(eps > 0 && std::isfinite(eps), "numeric_gradient",
             "eps must be a positive number, got ", eps);
  const NoGrad scope;
  std::vector<Variable<double>> variables;
  variables.reserve(inputs.size());
  for (const Tensor<double>& input : inputs) {
    variables.emplace_back(input);
  }
  const Tensor<double> moved = inputs[which].clone();
  variables[which] = Variable<double>(moved);
  Tensor<double> grad = Tensor<double>::empty(moved.shape());
  for (std::int64_t i = 0; i < moved.numel(); ++i) {
    double& element = moved.data()[i];
    const double kept = element;
    element = kept + eps;
    const double above = function(variables).item();
    element = kept - eps;
    const double below = function(variables).item();
    element = kept;
    grad.data()[i] = (above - below) / (2 * eps);
  }
  return grad;
}

/// Compares the gradients of `function`, a map of a std::vector<Variable<double>> to a Variable of
/// any shape, with central differences, for every input that requires a gradient; an input without
/// one is a constant. What is differentiated is the sum of the result's elements, each multiplied
/// by a number of its own, so that mistakes do not cancel. The inputs' own gradients stay as they
/// are; parameters that the function captures get theirs. Throws ValueError if no input requires a
/// gradient, if two calls give different results, or for options out of range, and StateError in a
/// NoGrad scope or if no gradient flows to the result.
template <class Function>
[[nodiscard]] GradcheckResult compare_gradients(const Function& function,
                                                const std::vector<Variable<double>>& inputs,
                                                const GradcheckOptions& options = {}) {
  options.validate();
  LDLM_CHECK_STATE(grad_enabled(), "gradcheck", "a NoGrad scope records no gradients");
  std::vector<Tensor<double>> values;
  std::vector<Variable<double>> variables;
  bool any = false;
  for (const Variable<double>& input : inputs) {
    values.push_back(input.value("gradcheck"));
    variables.emplace_back(input.value(), input.requires_grad());
    any = any || input.requires_grad();
  }
  LDLM_CHECK(any, "gradcheck", "no input requires a gradient");
  const Variable<double> result = function(variables);
  LDLM_CHECK_STATE(result.defined(), "gradcheck", "the function gives an undefined Variable");
  LDLM_CHECK_STATE(result.requires_grad(), "gradcheck",
                   "the function's result depends on no input that requires a gradient");
  Generator generator(0);
  const Tensor<double> weights = rand<double>(result.shape(), generator, 0.5, 1.5);
  const auto loss = [&](const std::vector<Variable<double>>& in) {
    return sum(function(in) * weights);
  };
  const Variable<double> total = sum(result * weights);
  {
    const NoGrad scope;
    const double first = total.item();
    const double again = loss(variables).item();
    LDLM_CHECK(first == again || (std::isnan(first) && std::isnan(again)), "gradcheck",
               "the function gives other values when it is called again");
  }
  total.backward();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].requires_grad()) {
      continue;
    }
    const Tensor<double> expected = numeric_gradient(loss, values, i, options.eps);
    const Tensor<double> grad = variables[i].grad().defined()
                                    ? variables[i].grad()
                                    : Tensor<double>::zeros(expected.shape());
    for (std::int64_t k = 0; k < expected.numel(); ++k) {
      const double backward = grad.data()[k];
      const double numeric = expected.data()[k];
      const double bound = options.atol + options.rtol * std::abs(numeric);
      if (backward != numeric && !(std::isfinite(bound) && std::abs(backward - numeric) <= bound)) {
        return {false, i, values[i].shape(), k, backward, numeric};
      }
    }
  }
  return {};
}

/// The same, which throws ValueError with both numbers and where they are, if a gradient is wrong.
template <class Function>
void gradcheck(const Function& function, const std::vector<Variable<double>>& inputs,
               const GradcheckOptions& options = {}) {
  const GradcheckResult result = compare_gradients(function, inputs, options);
  LDLM_CHECK(result.passed, "gradcheck", to_string(result));
}

namespace detail {
template <Floating T>
constexpr void refuse_gradcheck() {
  static_assert(std::same_as<T, double>,
                "gradients are checked in double: differences of other types are too rough");
}
}  // namespace detail

// Of other types neither compiles.
template <class Function, Floating T>
requires(!std::same_as<T, double>) GradcheckResult
    compare_gradients(const Function& /*function*/, const std::vector<Variable<T>>& /*inputs*/,
                      const GradcheckOptions& /*options*/ = {}) {
  detail::refuse_gradcheck<T>();
  return {};
}
template <class Function, Floating T>
requires(!std::same_as<T, double>) GradcheckResult
    compare_gradients(const Function& /*function*/, std::initializer_list<Variable<T>> /*inputs*/,
                      const GradcheckOptions& /*options*/ = {}) {
  detail::refuse_gradcheck<T>();
  return {};
}
template <class Function, Floating T>
requires(!std::same_as<T, double>) void gradcheck(const Function& /*function*/,
                                                  const std::vector<Variable<T>>& /*inputs*/,
                                                  const GradcheckOptions& /*options*/ = {}) {
  detail::refuse_gradcheck<T>();
}
template <class Function, Floating T>
requires(!std::same_as<T, double>) void gradcheck(const Function& /*function*/,
                                                  std::initializer_list<Variable<T>> /*inputs*/,
                                                  const GradcheckOptions& /*options*/ = {}) {
  detail::refuse_gradcheck<T>();
}

}  // namespace ldlm
