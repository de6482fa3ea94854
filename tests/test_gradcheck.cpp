// The public gradcheck finds wrong gradients, and says where they are.

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include <ldlm/autograd/autograd.hpp>

#include "error_message.hpp"

using namespace ldlm;
using ldlm_test::contains;
using ldlm_test::message_of;

namespace {

using Inputs = std::vector<Variable<double>>;

Variable<double> leaf(std::initializer_list<double> values, bool requires_grad = true) {
  return Variable(Tensor<double>::from_values({static_cast<std::int64_t>(values.size())}, values),
                  requires_grad);
}

/// x * w whose gradient of w is wrong in one element.
Variable<double> wrong_product(const Variable<double>& x, const Variable<double>& w) {
  return record("wrong_product", mul(x.value(), w.value()), {x.node(), w.node()},
                [x = x.value(), w = w.value()](Tensor<double> dy, InputGrads<double> in) {
                  in[0].add([&] { return mul(dy, w); });
                  in[1].add([&] {
                    const Tensor<double> grad = mul(dy, x);
                    grad.at({1}) *= 2;
                    return grad;
                  });
                });
}

}  // namespace

TEST_CASE("gradcheck passes right gradients") {
  const Inputs inputs{leaf({0.5, -1, 2}), leaf({1, 2, 3}, false), leaf({0.3, 0.2, 0.1})};
  ldlm::gradcheck([](const auto& in) { return exp(in[0]) * in[1] + log(in[2]); }, inputs);
  ldlm::gradcheck([](const auto& in) { return matmul(in[0], in[2]); }, inputs);
  CHECK(compare_gradients([](const auto& in) { return in[0].reshape({3, 1}) * in[1]; }, inputs));
  // An input that the function does not use has the gradient 0, and none is left in the inputs.
  ldlm::gradcheck([](const auto& in) { return in[2] * 2; }, inputs);
  CHECK(!inputs[0].grad().defined());
}

TEST_CASE("gradcheck takes inputs as they lie in memory") {
  Generator generator(3);
  const Variable x(rand<double>({4, 3}, generator).transpose(0, 1), true);
  ldlm::gradcheck([](const auto& in) { return softmax(in[0]); }, {x});
}

TEST_CASE("gradcheck names the element and both numbers") {
  const Inputs inputs{leaf({1, 2, 3}), leaf({4, 5, 6})};
  const auto function = [](const Inputs& in) { return wrong_product(in[0], in[1]); };
  const GradcheckResult result = compare_gradients(function, inputs);
  CHECK(!result);
  CHECK(result.input == 1);
  CHECK(result.element == 1);
  CHECK(result.shape == Shape{3});
  CHECK(result.backward == doctest::Approx(2 * result.numeric));
  CHECK(message_of([&] { ldlm::gradcheck(function, inputs); }) ==
        "[gradcheck] " + to_string(result));
  CHECK(to_string(result).find("element 1 of input 1, (3,): the backward pass gives ") == 0);
  // The input with the wrong gradient may be left out.
  ldlm::gradcheck(function, {inputs[0], leaf({4, 5, 6}, false)});
}

TEST_CASE("gradcheck refuses what it cannot check") {
  CHECK(message_of([] {
          ldlm::gradcheck([](const auto& in) { return in[0]; }, {leaf({1}, false)});
        }) == "[gradcheck] no input requires a gradient");
  int calls = 0;
  CHECK(message_of([&] {
          ldlm::gradcheck([&](const auto& in) { return in[0] * ++calls; }, {leaf({1})});
        }) == "[gradcheck] the function gives other values when it is called again");
  CHECK_THROWS_AS(ldlm::gradcheck([](const auto& in) { return in[0].detach(); }, {leaf({1})}),
                  StateError);
  CHECK(message_of([] {
          ldlm::gradcheck([](const auto& in) { return in[0].detach(); }, {leaf({1})});
        }) == "[gradcheck] the function's result depends on no input that requires a gradient");
  CHECK(message_of([] {
          const ldlm::NoGrad scope;
          ldlm::gradcheck([](const auto& in) { return in[0]; }, {leaf({1})});
        }) == "[gradcheck] a NoGrad scope records no gradients");
  const auto with = [](const ldlm::GradcheckOptions& options) {
    return message_of(
        [&] { ldlm::gradcheck([](const auto& in) { return in[0]; }, {leaf({1})}, options); });
  };
  CHECK(with({.eps = 0}) == "[gradcheck] eps must be a positive number, got 0");
  CHECK(with({.eps = std::nan("")}) == "[gradcheck] eps must be a positive number, got nan");
  CHECK(with({.atol = -1}) ==
        "[gradcheck] atol and rtol must be numbers that are not negative, got -1 and 0.001");
  CHECK(with({.rtol = std::nan("")}) ==
        "[gradcheck] atol and rtol must be numbers that are not negative, got 1e-05 and nan");
  CHECK(with({.atol = std::numeric_limits<double>::infinity()}) ==
        "[gradcheck] atol and rtol must be numbers that are not negative, got inf and 0.001");
  // Where a difference is infinite, a finite gradient is none.
  CHECK(contains(message_of([] {
                   ldlm::gradcheck([](const auto& in) { return log(in[0]); }, {leaf({1e-6})});
                 }),
                 "central differences give inf"));
  CHECK(message_of([] {
          (void)numeric_gradient([](const auto& in) { return in[0]; }, {Tensor<double>::ones({1})},
                                 0, 0.0);
        }) == "[numeric_gradient] eps must be a positive number, got 0");
  const std::vector<Tensor<double>> one{Tensor<double>::ones({1})};
  CHECK_THROWS_AS(static_cast<void>(numeric_gradient([](const auto& in) { return in[0]; }, one, 1)),
                  IndexError);
}
