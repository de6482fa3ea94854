// Gradients of matrix products: matmul and linear.

#include "gradcheck.hpp"

using namespace ldlm;

namespace {

struct Product {
  Shape a, b;
};

}  // namespace

TEST_CASE("gradients of matmul over ranks, broadcasts and empty extents") {
  const std::vector<Product> products{{{2, 3}, {3, 4}},       {{1, 3}, {3, 1}},
                                      {{2, 1}, {1, 3}},       {{3}, {3}},
                                      {{3}, {3, 2}},          {{2, 3}, {3}},
                                      {{2, 2, 3}, {3, 2}},    {{2, 2, 3}, {3}},
                                      {{3}, {2, 3, 2}},       {{2, 2, 3}, {2, 3, 2}},
                                      {{2, 2, 3}, {1, 3, 2}}, {{1, 2, 3}, {2, 3, 2}},
                                      {{2, 3}, {2, 3, 2}},    {{2, 1, 2, 2}, {3, 2, 2}},
                                      {{0, 3}, {3, 2}},       {{2, 0}, {0, 3}},
                                      {{2, 3}, {3, 0}},       {{0, 2, 3}, {3, 2}},
                                      {{2, 2, 0}, {0, 2}},    {{2, 1, 2, 2}, {1, 0, 2, 2}}};
  for (const Product& product : products) {
    gradcheck::check("matmul", {product.a, product.b},
                     [](const auto& in) { return matmul(in[0], in[1]); });
  }
}

TEST_CASE("gradients of matmul with transposed views and Tensors") {
  gradcheck::check("a^T b", {{3, 2}, {3, 2}},
                   [](const auto& in) { return matmul(in[0].transpose(0, 1), in[1]); });
  gradcheck::check("a b^T", {{2, 3}, {4, 3}},
                   [](const auto& in) { return matmul(in[0], in[1].transpose(0, 1)); });
  gradcheck::check("batched (a b^T) b", {{2, 2, 3}, {2, 4, 3}}, [](const auto& in) {
    return matmul(matmul(in[0], in[1].transpose(-1, -2)), in[1]);
  });
  gradcheck::check("a a", {{3, 3}}, [](const auto& in) { return matmul(in[0], in[0]); });
  gradcheck::check("c a c", {{3, 3}}, [](const auto& in) {
    using T = typename std::decay_t<decltype(in[0])>::value_type;
    const Tensor<T> c = gradcheck::values<T>({3, 3}, {-1, 1}, 5);
    return matmul(matmul(c, in[0]), c);
  });
}

TEST_CASE("gradients of linear with every activation") {
  for (const Activation activation : ldlm::all_ops<Activation>) {
    INFO("activation " << ldlm::name_of(activation));
    gradcheck::check("linear", {{3, 2}, {4, 2}, {4}},
                     [=](const auto& in) { return linear(in[0], in[1], in[2], activation); });
    gradcheck::check("linear without bias", {{2, 2, 3}, {2, 3}},
                     [=](const auto& in) { return linear(in[0], in[1], {}, activation); });
  }
}

TEST_CASE("gradients of linear over ranks, layouts and empty extents") {
  const std::vector<Product> products{{{3}, {2, 3}},    {{1, 3}, {2, 3}},   {{2, 1, 2, 3}, {4, 3}},
                                      {{0, 3}, {2, 3}}, {{2, 0}, {3, 0}},   {{2, 3}, {0, 3}},
                                      {{3, 1}, {1, 1}}, {{2, 0, 3}, {2, 3}}};
  for (const Product& product : products) {
    gradcheck::check("linear", {product.a, product.b, {product.b[0]}},
                     [](const auto& in) { return linear(in[0], in[1], in[2]); });
  }
  gradcheck::check("a transposed weight", {{3, 2}, {2, 4}, {4}}, [](const auto& in) {
    return linear(in[0], in[1].transpose(0, 1), in[2], Activation::gelu);
  });
  gradcheck::check("slices of a packed weight", {{3, 2}, {6, 2}, {6}}, [](const auto& in) {
    const auto q = linear(in[0], in[1].slice(0, 0, 2), in[2].slice(0, 0, 2));
    return q * linear(in[0], in[1].slice(0, 4, 6), in[2].slice(0, 4, 6));
  });
  gradcheck::check("a strided slice of the input", {{3, 4}, {2, 2}},
                   [](const auto& in) { return linear(in[0].slice(1, 0, to_end, 2), in[1]); });
  gradcheck::check("a permuted input", {{2, 3, 2}, {2, 2}}, [](const auto& in) {
    return linear(in[0].permute({1, 0, 2}), in[1]);
  });
  gradcheck::check("one weight twice", {{3, 2}, {2, 2}}, [](const auto& in) {
    return linear(linear(in[0], in[1], {}, Activation::silu), in[1]);
  });
}

TEST_CASE("linear accumulates into an existing gradient without another buffer") {
  const Variable<double> x(gradcheck::values<double>({3, 2}, {}, 1), true);
  const Variable<double> w(gradcheck::values<double>({4, 2}, {}, 2), true);
  sum(linear(x, w)).backward();
  const Tensor<double> once = w.grad().clone();
  const double* const data = w.grad().data();
  sum(linear(x, w)).backward();
  CHECK(w.grad().data() == data);
  gradcheck::check_close(w.grad(), mul(once, 2.0), 1e-12);

  const Tensor<double> held = w.grad();  // someone looks on: it must not change under their eyes
  sum(linear(x, w)).backward();
  gradcheck::check_close(held, mul(once, 2.0), 1e-12);
  gradcheck::check_close(w.grad(), mul(once, 3.0), 1e-12);
}

TEST_CASE("errors of linear and matmul name both shapes") {
  const Variable<float> x(Tensor<float>::zeros({2, 3}), true);
  const Variable<float> w(Tensor<float>::zeros({4, 5}), true);
  CHECK_THROWS_WITH_AS(static_cast<void>(linear(x, w)),
                       "[linear] inner sizes differ: input (2, 3), weight (4, 5)", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(matmul(x, w)),
                       "[matmul] inner sizes differ: (2, 3) x (4, 5)", Error);
  const Variable<float> bias(Tensor<float>::zeros({3}), true);
  CHECK_THROWS_WITH_AS(static_cast<void>(linear(x, x, bias)),
                       "[linear] bias (3,) does not fit weight (2, 3)", Error);
}
