// Gradients of elementwise functions.

#include <cmath>

#include "gradcheck.hpp"

using namespace ldlm;

namespace {

const std::vector<Shape> unary_shapes{{}, {5}, {2, 3}, {2, 1, 3}, {2, 2, 1, 2, 2}, {0}, {2, 0, 3}};

// One function of one argument over all shapes.
template <class Function>
void check_unary(const char* name, gradcheck::Range range, Function function) {
  for (const Shape& shape : unary_shapes) {
    gradcheck::check(name, {shape}, range, [&](const auto& in) { return function(in[0]); });
  }
}

struct Pair {
  Shape a, b;
};
const std::vector<Pair> pairs{
    {{}, {}},      {{4}, {4}},       {{2, 3}, {2, 3}},    {{2, 3}, {3}},
    {{3}, {2, 3}}, {{2, 3}, {}},     {{2, 1, 3}, {4, 1}}, {{1, 3}, {2, 1}},
    {{1, 1}, {1}}, {{2, 0}, {1, 0}}, {{0, 3}, {3}},       {{2, 1, 2, 1, 2, 1}, {1, 2, 1, 2, 1, 2}}};

template <class Function>
void check_binary(const char* name, gradcheck::Range range, Function function) {
  for (const Pair& pair : pairs) {
    gradcheck::check(name, {pair.a, pair.b}, range,
                     [&](const auto& in) { return function(in[0], in[1]); });
  }
}

constexpr gradcheck::Range any{-2, 2}, positive{0.3, 2.5};

}  // namespace

TEST_CASE("gradients of functions of one argument") {
  check_unary("neg", any, [](const auto& x) { return neg(x); });
  check_unary("unary minus", any, [](const auto& x) { return -x; });
  check_unary("abs", any, [](const auto& x) { return abs(x); });
  check_unary("exp", any, [](const auto& x) { return exp(x); });
  check_unary("log", positive, [](const auto& x) { return log(x); });
  check_unary("sqrt", positive, [](const auto& x) { return sqrt(x); });
  check_unary("rsqrt", positive, [](const auto& x) { return rsqrt(x); });
  check_unary("square", any, [](const auto& x) { return square(x); });
  check_unary("reciprocal", positive, [](const auto& x) { return reciprocal(x); });
  check_unary("sin", any, [](const auto& x) { return sin(x); });
  check_unary("cos", any, [](const auto& x) { return cos(x); });
  check_unary("tanh", any, [](const auto& x) { return tanh(x); });
  check_unary("sigmoid", any, [](const auto& x) { return sigmoid(x); });
  check_unary("erf", any, [](const auto& x) { return erf(x); });
}

TEST_CASE("gradients of activations, powers and clamp") {
  check_unary("relu", any, [](const auto& x) { return relu(x); });
  check_unary("silu", any, [](const auto& x) { return silu(x); });
  check_unary("gelu", any, [](const auto& x) { return gelu(x); });
  check_unary("gelu_tanh", any, [](const auto& x) { return gelu_tanh(x); });
  check_unary("pow 3", any, [](const auto& x) { return pow(x, 3); });
  check_unary("pow -1.5", positive, [](const auto& x) { return pow(x, -1.5F); });
  check_unary("clamp", any, [](const auto& x) { return clamp(x, -0.71F, 0.93F); });
}

TEST_CASE("gradients of arithmetic with numbers") {
  check_unary("x + c", any, [](const auto& x) { return x + 3; });
  check_unary("c + x", any, [](const auto& x) { return 3 + x; });
  check_unary("x - c", any, [](const auto& x) { return x - 3; });
  check_unary("c - x", any, [](const auto& x) { return 3 - x; });
  check_unary("x * c", any, [](const auto& x) { return x * 3; });
  check_unary("c * x", any, [](const auto& x) { return 3 * x; });
  check_unary("x / c", any, [](const auto& x) { return x / 3; });
  check_unary("c / x", positive, [](const auto& x) { return 3 / x; });
}

TEST_CASE("gradients of functions of two arguments") {
  check_binary("add", any, [](const auto& a, const auto& b) { return a + b; });
  check_binary("sub", any, [](const auto& a, const auto& b) { return a - b; });
  check_binary("mul", any, [](const auto& a, const auto& b) { return a * b; });
  check_binary("div", positive, [](const auto& a, const auto& b) { return a / b; });
  check_binary("pow", positive, [](const auto& a, const auto& b) { return pow(a, b); });
  // Shifted, as the two arguments' grids have values in common.
  check_binary("minimum", any, [](const auto& a, const auto& b) { return minimum(a, b + 0.01F); });
  check_binary("maximum", any, [](const auto& a, const auto& b) { return maximum(a, b + 0.01F); });
}

TEST_CASE("gradients of where") {
  check_binary("where", any, [](const auto& a, const auto& b) {
    const Shape shape = broadcast_shapes(a.shape(), b.shape(), "test");
    const auto chosen = gt(gradcheck::values<float>(shape, {-1, 1}, 5), Tensor<float>::scalar(0));
    return where(chosen, a, b);
  });
  gradcheck::check("where of a broadcast condition", {{2, 3}, {3}}, [](const auto& in) {
    return where(Tensor<bool>::from_values({2, 1}, {true, false}), in[0], in[1]);
  });
  gradcheck::check("where with a number", {{2, 3}}, [](const auto& in) {
    const auto chosen = Tensor<bool>::from_values({2, 1}, {true, false});
    return where(chosen, in[0], 0) * 2 + where(chosen, 1, in[0]);
  });
  const auto chosen = Tensor<bool>::from_values({3}, {true, false, true});
  const auto x = Tensor<float>::from_values({3}, {1, 2, 3});
  CHECK(where(chosen, x, 0).to_vector() == std::vector<float>{1, 0, 3});
  CHECK(where(chosen, -1, x).to_vector() == std::vector<float>{-1, 2, -1});
  CHECK(where(chosen, ldlm::Variable<>(x), 0.5F).value().to_vector() ==
        std::vector<float>{1, 0.5F, 3});
}

TEST_CASE("gradients of a Variable and a Tensor") {
  gradcheck::check("mixed", {{2, 3}}, [](const auto& in) {
    const auto& x = in[0];
    using T = typename std::decay_t<decltype(x)>::value_type;
    const Tensor<T> c = gradcheck::values<T>({3}, {0.5, 2}, 7);
    return (x + c) * (c - x) / (c + 1) + maximum(c, x * c) + where(gt(c, c * T{0}), x, c) +
           (c * x - c) / (square(x) + c);
  });
}

TEST_CASE("minimum and maximum share the gradient of equal arguments") {
  const Variable<double> a(Tensor<double>::from_values({3}, {1, 2, 3}), true);
  const Variable<double> b(Tensor<double>::from_values({3}, {1, 3, 2}), true);
  sum(maximum(a, b)).backward();
  CHECK(a.grad().to_vector() == std::vector<double>{0.5, 0, 1});
  CHECK(b.grad().to_vector() == std::vector<double>{0.5, 1, 0});
}

TEST_CASE("pow has finite gradients at 0") {
  const Variable<double> base(Tensor<double>::from_values({3}, {0, 0, 2}), true);
  const Variable<double> exponent(Tensor<double>::from_values({3}, {0, 2, 0}), true);
  sum(pow(base, exponent)).backward();
  CHECK(base.grad().to_vector() == std::vector<double>{0, 0, 0});
  CHECK(exponent.grad().to_vector() == std::vector<double>{0, 0, std::log(2.0)});
}

TEST_CASE("gradients flow through casts") {
  const Variable<float> x(Tensor<float>::from_values({3}, {1, -2, 3}), true);
  const Variable<double> y = square(cast<double>(x));
  CHECK(y.value().to_vector() == std::vector<double>{1, 4, 9});
  sum(y * 0.5).backward();
  CHECK(x.grad().to_vector() == std::vector<float>{1, -2, 3});
  CHECK(cast<float>(x).node() == x.node());
}
