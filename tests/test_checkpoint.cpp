// Gradient checkpointing.

#include <cmath>

#include <ldlm/nn/nn.hpp>

#include "gradcheck.hpp"

using namespace ldlm;
using Inputs = std::vector<Variable<double>>;

namespace {

struct Block {
  Variable<double> w1{gradcheck::values<double>({4, 6}, {-1, 1}, 1), true};
  Variable<double> w2{gradcheck::values<double>({6, 4}, {-1, 1}, 2), true};

  Variable<double> operator()(const Variable<double>& x, Generator& generator) const {
    const Variable<double> h = dropout(matmul(x, w1), 0.3, generator);
    return x + matmul(gelu(h), w2);
  }
};

}  // namespace

TEST_CASE("checkpointed blocks give the same results and gradients, dropout included") {
  const auto run = [](bool checkpointed) {
    const Block block;
    const Variable<double> x(gradcheck::values<double>({3, 4}, {}, 3), true);
    Generator generator(5);
    Variable<double> y = x;
    for (int i = 0; i < 4; ++i) {
      y = checkpointed
              ? checkpoint([&](const Variable<double>& in) { return block(in, generator); }, y,
                           generator)
              : block(y, generator);
    }
    const Variable<double> noise = dropout(y, 0.5, generator);
    const std::uint64_t drawn = generator.offset();
    const Variable<double> loss = mean(square(noise));
    loss.backward();
    CHECK(generator.offset() == drawn);
    return std::vector<Tensor<double>>{loss.value(), x.grad(), block.w1.grad(), block.w2.grad()};
  };
  const auto plain = run(false);
  const auto checkpointed = run(true);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    gradcheck::check_close(checkpointed[i], plain[i], 1e-14);
  }
}

TEST_CASE("gradients of checkpoint by central differences") {
  gradcheck::check("checkpoint", {{2, 3}, {3, 2}}, [](const auto& in) {
    const auto f = [](const auto& x) { return exp(matmul(square(x[0]), x[1])); };
    return checkpoint(f, in) * sum(in[0]);
  });
  gradcheck::check("nested", {{2, 3}}, [](const auto& in) {
    return checkpoint(
        [](const auto& x) {
          const auto y = checkpoint([](const auto& z) { return square(z); }, x * 2);
          return y * x;
        },
        in[0]);
  });
  gradcheck::check("a view as result", {{2, 3}}, [](const auto& in) {
    return checkpoint([](const auto& x) { return square(x).transpose(0, 1); }, in[0]);
  });
  gradcheck::check("an input that is not used", {{2, 3}, {2}}, [](const auto& in) {
    return checkpoint([](const auto& x) { return square(x[0]); }, in) + sum(in[1]);
  });
}

TEST_CASE("a list of one input is a list for a function of a list") {
  const Variable<double> x(Tensor<double>::full({2}, 3), true);
  const auto of_list = [](const std::vector<Variable<double>>& in) { return square(in.at(0)); };
  const auto of_one = [](const Variable<double>& in) { return square(in); };
  CHECK(checkpoint<double>(of_list, {x}).value().to_vector() == std::vector<double>{9, 9});
  CHECK(checkpoint<double>(of_one, {x}).value().to_vector() == std::vector<double>{9, 9});
}

TEST_CASE("checkpoint keeps nothing but its inputs") {
  const Variable<double> x(Tensor<double>::ones({4}), true);
  int calls = 0;
  Tensor<double> inner;
  const Variable<double> y = checkpoint(
      [&](const Variable<double>& in) {
        ++calls;
        const Variable<double> h = exp(in);
        inner = h.value();
        return square(h);
      },
      x);
  CHECK(calls == 1);
  CHECK(inner.storage().unique());
  sum(y).backward();
  CHECK(calls == 2);
  CHECK(inner.storage().unique());
  CHECK(x.grad().at({0}) == doctest::Approx(2 * std::exp(2.0)));
  const NoGrad scope;
  CHECK(!checkpoint([](const Variable<double>& in) { return in * 2; }, x).requires_grad());
}

TEST_CASE("only parameters of a checkpointed function need gradients") {
  const Variable<double> w(Tensor<double>::full({2}, 3), true);
  const Variable<double> x(Tensor<double>::full({2}, 2));
  const Variable<double> y =
      checkpoint([&](const Variable<double>& in) { return square(in) * w; }, x);
  sum(y).backward({{}, true});
  sum(y).backward();
  CHECK(w.grad().to_vector() == std::vector<double>{8, 8});
  CHECK(!x.grad().defined());
}

TEST_CASE("errors of checkpoint") {
  const Variable<double> x(Tensor<double>::full({2}, 2), true);
  const Variable<double> outside = square(x);
  const Variable<double> y =
      checkpoint([&](const Variable<double>& in) { return in * outside; }, x);
  CHECK_THROWS_WITH_AS(sum(y).backward(),
                       "[checkpoint] the function uses a result of 'square' that was computed "
                       "outside of it; pass it among the inputs",
                       Error);
  const Variable<double> returned = checkpoint([&](const Variable<double>&) { return outside; }, x);
  CHECK_THROWS_WITH_AS(sum(returned).backward(), doctest::Contains("a result of 'square' that"),
                       Error);
  const Variable<double> z = checkpoint([](const Variable<double>& in) { return exp(in); }, x);
  x.value().fill_(1);
  CHECK_THROWS_WITH_AS(sum(z).backward(), doctest::Contains("[checkpoint] a value that"), Error);
  const auto nothing = [](const Variable<double>&) { return Variable<double>(); };
  CHECK_THROWS_WITH_AS((void)checkpoint(nothing, x),
                       "[checkpoint] the function gives an undefined Variable", ldlm::StateError);
  {
    const ldlm::NoGrad scope;
    CHECK_THROWS_WITH_AS((void)checkpoint(nothing, Variable<double>()),
                         "[checkpoint] the Variable is undefined", ldlm::StateError);
  }
  // A Tensor is a constant.
  const Tensor<double> constant = Tensor<double>::full({2}, 3);
  CHECK(checkpoint([&](const Variable<double>& in) { return in * x; }, constant)
            .value()
            .to_vector() == (constant * x.value()).to_vector());
  int calls = 0;
  const Variable<double> unsteady =
      checkpoint([&](const Variable<double>& in) { return in.slice(0, calls++); }, x);
  CHECK_THROWS_WITH_AS(sum(unsteady).backward(),
                       "[checkpoint] the function gave (2,) the first time and (1,) when it was "
                       "repeated",
                       Error);
}

TEST_CASE("dropout in a recomputed block drops what it dropped the first time") {
  Generator g(4);
  const ldlm::Linear<double> linear(8, 8, g);
  const ldlm::Dropout<double> dropout(0.4);
  const auto block = [&](const Variable<double>& x) { return dropout(square(linear(dropout(x)))); };
  const Tensor<double> values = ldlm::randn<double>({16, 8}, g);
  const auto gradient = [&](bool recomputed) {
    Variable<double> x(values, true);
    Generator drops(11);
    Variable<double> loss;
    {
      const ldlm::TrainingMode training(drops);
      const Variable<double> y = recomputed ? ldlm::checkpoint<double>(block, x) : block(x);
      loss = sum(square(dropout(y)));  // draws after the block, too
    }
    loss.backward();  // after the scope
    CHECK(drops.offset() == 3 * 16 * 8 / 4);
    return std::pair(x.grad().to_vector(), loss.item());
  };
  CHECK(gradient(true) == gradient(false));
}
