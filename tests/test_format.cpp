#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <sstream>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/core/format.hpp>

using namespace ldlm;

TEST_CASE("tensors are printed in nested brackets with aligned columns") {
  CHECK(to_string(Tensor<float>::scalar(2.5F)) == "2.5");
  CHECK(to_string(Tensor<float>::from_values({3}, {1, -2, 0.5F})) == "[  1,  -2, 0.5]");
  const auto x = Tensor<std::int64_t>::arange(1, 7).reshape({2, 3});
  CHECK(to_string(x) == "[[1, 2, 3],\n [4, 5, 6]]");
  CHECK(to_string(x.transpose(0, 1)) == "[[1, 4],\n [2, 5],\n [3, 6]]");
  CHECK(to_string(x.slice(1, 2)) == "[[3],\n [6]]");
  CHECK(to_string(x.unsqueeze(1)) == "[[[1, 2, 3]],\n\n [[4, 5, 6]]]");
  std::ostringstream stream;
  stream << x.select(0, 1);
  CHECK(stream.str() == "[4, 5, 6]");
}

TEST_CASE("every kind of element is printed as a value") {
  CHECK(to_string(Tensor<bool>::from_values({2}, {true, false})) == "[ true, false]");
  CHECK(to_string(Tensor<std::int8_t>::from_values({2}, {65, -1})) == "[65, -1]");
  CHECK(to_string(Tensor<f16>::from_values({1}, {f16(1.5F)})) == "[1.5]");
  CHECK(to_string(Tensor<double>::from_values({2}, {INFINITY, NAN})).find("inf") == 1);
  CHECK(to_string(Tensor<float>::from_values({2}, {-NAN, NAN})) == "[nan, nan]");
  CHECK(to_string(Tensor<double>::scalar(3.14159265), {.precision = 7}) == "3.141593");
}

TEST_CASE("empty and undefined tensors are printed") {
  CHECK(to_string(Tensor<float>()) == "undefined");
  CHECK(to_string(Tensor<float>::zeros({0})) == "[]");
  CHECK(to_string(Tensor<float>::zeros({2, 0})) == "[[],\n []]");
}

TEST_CASE("of a large tensor only the ends are printed") {
  const auto x = Tensor<std::int64_t>::arange(0, 2000);
  CHECK(to_string(x) == "[   0,    1,    2, ..., 1997, 1998, 1999]");
  CHECK(to_string(x.slice(0, 0, 4), {.threshold = 3, .edge = 1}) == "[0, ..., 3]");
  CHECK(to_string(x.reshape({1000, 2}), {.edge = 1}) == "[[   0,    1],\n ...,\n [1998, 1999]]");
  CHECK_THROWS_AS((void)to_string(x, {.edge = 0}), Error);
  CHECK_THROWS_AS((void)to_string(x, {.precision = 0}), Error);
}

TEST_CASE("a Variable is printed with its value and whether gradients flow to it") {
  const auto values = Tensor<>::from_values({2}, {1, 2});
  const Variable x(values, true);
  CHECK(to_string(Variable(values)) == "[1, 2]");
  CHECK(to_string(x) == "[1, 2], requires_grad");
  CHECK(to_string(x * 2) == "[2, 4], result of 'mul'");
  CHECK(to_string((x - 0.25F).detach(), {.precision = 1}) == "[0.8,   2]");
  CHECK(to_string(Variable<>()) == "undefined");
  std::ostringstream stream;
  stream << x << ' ' << x.shape() << ' ' << x.device();
  CHECK(stream.str() == "[1, 2], requires_grad (2,) cpu:0");
}
