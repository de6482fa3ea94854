// Gradients of softmax, normalisation, dropout, attention and losses.

#include <cmath>

#include "gradcheck.hpp"

using namespace ldlm;
using IdTensor = Tensor<std::int64_t>;

TEST_CASE("gradients of softmax and log_softmax along any axis") {
  for (const Shape& shape : {Shape{4}, {2, 3}, {2, 3, 2}, {1, 1}, {0, 3}, {2, 0}}) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      INFO("axis " << axis);
      gradcheck::check("softmax", {shape}, [=](const auto& in) { return softmax(in[0], axis); });
      gradcheck::check("log_softmax", {shape},
                       [=](const auto& in) { return log_softmax(in[0], axis - shape.rank()); });
    }
  }
}

TEST_CASE("gradients of layer_norm") {
  for (const Shape& shape : {Shape{4}, {3, 4}, {2, 2, 4}, {0, 4}}) {
    gradcheck::check("layer_norm", {shape, {4}, {4}},
                     [](const auto& in) { return layer_norm(in[0], in[1], in[2], 1e-2F); });
    gradcheck::check("layer_norm without beta", {shape, {4}},
                     [](const auto& in) { return layer_norm(in[0], in[1], {}, 1e-2F); });
    gradcheck::check("layer_norm alone", {shape},
                     [](const auto& in) { return layer_norm(in[0], {}, {}, 1e-2F); });
    gradcheck::check("rms_norm", {shape, {4}},
                     [](const auto& in) { return rms_norm(in[0], in[1], 1e-2F); });
    gradcheck::check("rms_norm alone", {shape},
                     [](const auto& in) { return rms_norm(in[0], {}, 1e-2F); });
  }
  gradcheck::check("of one column", {{3, 1}, {1}, {1}},
                   [](const auto& in) { return layer_norm(in[0], in[1], in[2], 1e-2F); });
  gradcheck::check("with a fixed input", {{4}, {4}}, [](const auto& in) {
    using T = typename std::decay_t<decltype(in[0])>::value_type;
    const Variable<T> x(gradcheck::values<T>({3, 4}, {}, 8));
    return layer_norm(x, in[0], in[1]) * rms_norm(x, in[0]);
  });
}

TEST_CASE("gradients of add_layer_norm") {
  gradcheck::check("both results", {{2, 4}, {2, 4}, {4}, {4}}, [](const auto& in) {
    const auto out = add_layer_norm(in[0], in[1], in[2], in[3], 1e-2F);
    return out.sum * out.normalized;
  });
  gradcheck::check("the sum only", {{2, 4}, {2, 4}},
                   [](const auto& in) { return add_layer_norm(in[0], in[1], {}, {}).sum; });
  gradcheck::check("the norm only", {{2, 2, 4}, {4}, {4}}, [](const auto& in) {
    return add_layer_norm(in[0], in[0] * 2, in[1], in[2], 1e-2F).normalized;
  });
  const Variable<float> fixed(Tensor<float>::ones({2, 4}));
  CHECK(!add_layer_norm(fixed, fixed, {}, {}).normalized.requires_grad());
}

TEST_CASE("gradients of dropout, whose mask is the same in both passes") {
  gradcheck::check("dropout", {{3, 5}}, [](const auto& in) {
    Generator generator(3);
    return dropout(in[0], 0.4F, generator);
  });
  gradcheck::check("dropout of a function", {{3, 5}}, [](const auto& in) {
    Generator generator(3);
    return square(dropout(square(in[0]), 0.4F, generator)) + in[0];
  });
  gradcheck::check("dropout of nothing", {{0, 5}}, [](const auto& in) {
    Generator generator(3);
    return dropout(in[0], 0.4F, generator);
  });
  Generator generator(3);
  const Variable<float> x(Tensor<float>::ones({1000}), true);
  CHECK(dropout(x, 0, generator).node() == x.node());
  CHECK(generator.offset() == 0);
  const Variable<float> y = dropout(x, 0.25F, generator);
  sum(y).backward();
  CHECK(equal(x.grad(), y.value()));
  CHECK(y.value().at({0}) * (y.value().at({0}) - 4.0F / 3) == doctest::Approx(0));
}

TEST_CASE("gradients of attention") {
  struct Case {
    Shape q, k;
    bool causal;
  };
  for (const Case& c :
       {Case{{1, 1, 2, 2}, {1, 1, 3, 2}, false}, Case{{2, 2, 3, 2}, {2, 2, 3, 2}, true},
        Case{{1, 2, 2, 1}, {1, 2, 4, 1}, true}, Case{{1, 1, 1, 3}, {1, 1, 1, 3}, false},
        Case{{0, 2, 3, 2}, {0, 2, 3, 2}, false}, Case{{1, 1, 0, 2}, {1, 1, 2, 2}, false},
        Case{{1, 1, 2, 2}, {1, 1, 0, 2}, false}}) {
    INFO("causal " << c.causal);
    gradcheck::check("attention", {c.q, c.k, c.k}, [&](const auto& in) {
      return scaled_dot_product_attention(in[0], in[1], in[2], {{}, c.causal});
    });
  }
  gradcheck::check("masked, scaled, with dropout", {{2, 2, 3, 2}, {2, 2, 3, 2}, {2, 2, 3, 2}},
                   [](const auto& in) {
                     using T = typename std::decay_t<decltype(in[0])>::value_type;
                     const T hidden = -std::numeric_limits<T>::infinity();
                     AttentionOptions<T> options;
                     options.mask = Tensor<T>::from_values({2, 1, 1, 3}, {0, 1, hidden, 0, 0, -1});
                     options.scale = T{0.3F};
                     options.dropout = T{0.25F};
                     options.stream = {7, 9};
                     return scaled_dot_product_attention(in[0], in[1], in[2], options);
                   });
  gradcheck::check("of itself", {{1, 2, 3, 2}}, [](const auto& in) {
    return scaled_dot_product_attention(in[0], in[0], in[0], {{}, true});
  });
  gradcheck::check("q only", {{1, 2, 3, 2}}, [](const auto& in) {
    using T = typename std::decay_t<decltype(in[0])>::value_type;
    const Variable<T> fixed(gradcheck::values<T>(in[0].shape(), {}, 8));
    return scaled_dot_product_attention(in[0], fixed, fixed);
  });
}

TEST_CASE("gradients of attention over packed projections") {
  const auto heads = [](const auto& x) { return x.reshape({2, 3, 2, 2}).transpose(1, 2); };
  gradcheck::check("split", {{2, 3, 12}}, [&](const auto& in) {
    const auto parts = split(in[0], 4, -1);
    return scaled_dot_product_attention(heads(parts[0]), heads(parts[1]), heads(parts[2]));
  });
  gradcheck::check("slices", {{2, 3, 12}}, [&](const auto& in) {
    const auto part = [&](std::int64_t i) { return heads(in[0].slice(-1, 4 * i, 4 * i + 4)); };
    return scaled_dot_product_attention(part(0), part(1), part(2));
  });
  gradcheck::check("select", {{2, 3, 3, 2, 2}}, [](const auto& in) {
    const auto part = [&](int i) { return in[0].select(2, i).transpose(1, 2); };
    return scaled_dot_product_attention(part(0), part(1), part(2));
  });
  gradcheck::check("heads last in memory", {{2, 3, 2, 2}}, [](const auto& in) {
    const auto x = in[0].permute({0, 2, 3, 1});  // no unit stride on D
    return scaled_dot_product_attention(x, x * 2, x);
  });
  gradcheck::check("a block", {{2, 3, 4}, {12, 4}, {4, 4}}, [&](const auto& in) {
    const auto parts = split(linear(in[0], in[1]), 4, -1);
    const auto y =
        scaled_dot_product_attention(heads(parts[0]), heads(parts[1]), heads(parts[2]), {{}, true});
    return in[0] + linear(y.transpose(1, 2).reshape({2, 3, 4}), in[2]);
  });
}

TEST_CASE("gradients of cross_entropy") {
  const IdTensor targets = IdTensor::from_values({4}, {2, -100, 0, 2});
  for (const double smoothing : {0.0, 0.1}) {
    gradcheck::check("cross_entropy", {{4, 3}}, [&](const auto& in) {
      using T = typename std::decay_t<decltype(in[0])>::value_type;
      return cross_entropy(in[0], targets, {-100, static_cast<T>(smoothing)});
    });
    gradcheck::check("of a function, in place", {{4, 3}}, [&](const auto& in) {
      using T = typename std::decay_t<decltype(in[0])>::value_type;
      return cross_entropy(square(in[0]) * 2, targets, {-100, static_cast<T>(smoothing)}) * 3;
    });
    gradcheck::check("linear_cross_entropy", {{4, 2}, {3, 2}}, [&](const auto& in) {
      using T = typename std::decay_t<decltype(in[0])>::value_type;
      return linear_cross_entropy(in[0], in[1], targets, {-100, static_cast<T>(smoothing)});
    });
  }
  gradcheck::check("another ignored index", {{4, 3}}, [&](const auto& in) {
    return cross_entropy(in[0], IdTensor::from_values({4}, {1, 0, 0, 2}), {0, 0});
  });
  gradcheck::check("the logits used twice", {{2, 3}}, [&](const auto& in) {
    const auto logits = in[0] * 2;
    return cross_entropy(logits, IdTensor::from_values({2}, {1, 2})) + sum(square(logits));
  });
  gradcheck::check("linear_cross_entropy, all rows, scaled", {{4, 2}, {3, 2}}, [&](const auto& in) {
    return linear_cross_entropy(in[0], in[1], IdTensor::from_values({4}, {1, 0, 0, 2})) * 5;
  });
}

TEST_CASE("cross_entropy writes the gradient over logits that nobody else holds") {
  const Variable<double> x(gradcheck::values<double>({4, 3}, {}, 1), true);
  const IdTensor targets = IdTensor::from_values({4}, {2, 1, 0, 2});
  const Variable<double> held = x * 2;
  const Tensor<double> before = held.value().clone();
  Variable<double> loss = cross_entropy(held, targets);
  loss.backward();
  CHECK(equal(held.value(), before));

  loss = cross_entropy(x * 2, targets);
  x.zero_grad();
  loss.backward({{}, true});
  const Tensor<double> once = x.grad().clone();
  loss.backward();  // the first pass left the logits alone
  gradcheck::check_close(x.grad(), mul(once, 2.0), 1e-14);
}

TEST_CASE("cross_entropy leaves alone what is not its own, or one memory of several rows") {
  const IdTensor targets = IdTensor::from_values({4}, {2, 1, 0, 2});
  gradcheck::check("of expanded rows", {{1, 3}}, [&](const auto& in) {
    return cross_entropy((in[0] * 2.0).expand({4, 3}), targets);
  });
  gradcheck::check("of one row", {{3}}, [&](const auto& in) {
    return cross_entropy((in[0] * 2.0).expand({4, 3}), targets);
  });
  // The graph lives longer than the logits.
  const Variable<double> w(gradcheck::values<double>({3}, {}, 1), true);
  const auto alike = [&](bool dense) {
    const Variable<double> rows = (w * 2.0).expand({4, 3});
    return cross_entropy(dense ? rows.contiguous() : rows, targets);
  };
  alike(true).backward();
  const Tensor<double> expected = w.grad().clone();
  w.zero_grad();
  alike(false).backward();
  gradcheck::check_close(w.grad(), expected, 1e-14);

  std::vector<double> memory{1, 2, 3, 4, 5, 6};
  const std::vector<double> before = memory;
  const auto of_memory = [&] {
    const Variable<double> borrowed(Tensor<double>::from_blob(memory.data(), {2, 3}), true);
    return cross_entropy(borrowed, IdTensor::from_values({2}, {0, 1}));
  };
  of_memory().backward();
  CHECK(memory == before);
}

TEST_CASE("linear_cross_entropy agrees with cross_entropy of linear over several chunks") {
  constexpr std::int64_t N = 600, C = 3, V = 5000;  // three chunks of rows
  Generator generator(1);
  const auto x = rand<double>({N, C}, generator, -1, 1);
  const auto w = rand<double>({V, C}, generator, -1, 1);
  const IdTensor targets = IdTensor::empty({N});
  for (std::int64_t i = 0; i < N; ++i) {
    targets.data()[i] = i % 7 == 0 ? -100 : generator.below(V);
  }
  const Variable<double> x1(x, true), w1(w, true), x2(x, true), w2(w, true);
  const Variable<double> expected = cross_entropy(linear(x1, w1), targets);
  const Variable<double> actual = linear_cross_entropy(x2, w2, targets);
  CHECK(actual.item() == doctest::Approx(expected.item()).epsilon(1e-12));
  expected.backward();
  actual.backward({{}, true});
  gradcheck::check_close(x2.grad(), x1.grad(), 1e-12);
  gradcheck::check_close(w2.grad(), w1.grad(), 1e-12);
  actual.backward();
  gradcheck::check_close(w2.grad(), mul(w1.grad(), 2.0), 1e-12);
  const NoGrad scope;
  CHECK(linear_cross_entropy(x2, w2, targets).item() == actual.item());
}

TEST_CASE("losses of no counted rows are NaN and give no gradient") {
  const Variable<double> x(Tensor<double>::ones({2, 3}), true),
      w(Tensor<double>::ones({4, 3}), true);
  const IdTensor targets = IdTensor::from_values({2}, {-100, -100});
  const Variable<double> a = cross_entropy(x, targets);
  const Variable<double> b = linear_cross_entropy(x, w, targets);
  CHECK(std::isnan(a.item()));
  CHECK(std::isnan(b.item()));
  a.backward();
  b.backward();
  CHECK(equal(x.grad(), Tensor<double>::zeros({2, 3})));
  CHECK(equal(w.grad(), Tensor<double>::zeros({4, 3})));
}

TEST_CASE("errors of the losses") {
  const Variable<float> x(Tensor<float>::ones({2, 3}), true);
  CHECK_THROWS_WITH_AS(static_cast<void>(cross_entropy(x, IdTensor::from_values({2}, {0, 3}))),
                       "[cross_entropy] target 3 at position 1 is outside [0, 3)", Error);
  CHECK_THROWS_WITH_AS(
      static_cast<void>(linear_cross_entropy(x, x, IdTensor::from_values({2}, {0, 2}))),
      "[linear_cross_entropy] target 2 at position 1 is outside [0, 2)", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(linear_cross_entropy(x, x, IdTensor::zeros({3}))),
                       "[linear_cross_entropy] targets (3,) do not fit (2, 3)", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(mse_loss(x, Tensor<float>::ones({3}))),
                       "[mse_loss] shapes differ: (2, 3) and (3,)", Error);
}

TEST_CASE("gradients of mse_loss") {
  gradcheck::check("mse_loss", {{2, 3}, {2, 3}},
                   [](const auto& in) { return mse_loss(in[0], in[1] * 2); });
  gradcheck::check("of a Tensor", {{2, 3}}, [](const auto& in) {
    using T = typename std::decay_t<decltype(in[0])>::value_type;
    return mse_loss(in[0], Tensor<T>::ones({2, 3})) * 3;
  });
  gradcheck::check("with itself", {{4}}, [](const auto& in) { return mse_loss(in[0], in[0]); });
}
