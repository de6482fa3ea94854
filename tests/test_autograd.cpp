// Variables and the engine: graphs, accumulation, retained graphs, NoGrad, in-place changes, depth.

#include <pthread.h>

#include <cmath>
#include <functional>
#include <thread>

#include "error_message.hpp"
#include "gradcheck.hpp"

using namespace ldlm;
using ldlm_test::message_of;

namespace {

Variable<double> leaf(const Shape& shape, std::initializer_list<double> values) {
  return Variable<double>(Tensor<double>::from_values(shape, values), true);
}

// Runs a function in a thread with a stack of that many bytes.
void run_with_stack(std::size_t bytes, const std::function<void()>& function) {
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, bytes) == 0);
  pthread_t thread{};
  const auto start = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  auto copy = function;
  REQUIRE(pthread_create(&thread, &attributes, start, &copy) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

}  // namespace

TEST_CASE("the example of the README") {
  const auto x = Tensor<float>::from_values({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto y = Tensor<float>::from_values({2, 1}, {1, 2});
  auto w = Variable(Tensor<float>::zeros({3, 1}), true);
  auto loss = mean(square(matmul(x, w) - y));
  loss.backward();
  CHECK(w.grad().shape() == Shape{3, 1});
  CHECK(w.grad().to_vector() == std::vector<float>{-9, -12, -15});
}

TEST_CASE("leaves: value, gradient, flags") {
  Variable<double> none;
  CHECK(!none.defined());
  CHECK_THROWS_WITH_AS(static_cast<void>(none.value()),
                       doctest::Contains("[value] the Variable is undefined"), Error);
  CHECK_THROWS_WITH_AS(Variable<float>(Tensor<float>()), "[Variable] the tensor is undefined",
                       Error);

  const Variable<double> x(Tensor<double>::full({2, 3}, 2));
  CHECK(x.is_leaf());
  CHECK(!x.requires_grad());
  CHECK(!x.grad().defined());
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.rank() == 2);
  CHECK(x.numel() == 6);
  CHECK(x.size(-1) == 3);

  const Variable<double> same = x;  // a handle
  x.set_requires_grad(true);
  CHECK(same.requires_grad());
  sum(x * 3).backward();
  CHECK(same.grad().to_vector() == std::vector<double>(6, 3));
  x.set_requires_grad(true);  // no change
  CHECK(x.grad().defined());
  same.zero_grad();
  CHECK(!x.grad().defined());

  x.set_value(Tensor<double>::full({2, 3}, 5));
  CHECK(same.value().at({1, 1}) == 5);
  CHECK_THROWS_WITH_AS(x.set_value(Tensor<double>::ones({3, 2})),
                       "[set_value] shapes differ: (2, 3) and (3, 2)", Error);

  const Variable<double> y = x * 2;
  CHECK(!y.is_leaf());
  CHECK(!y.grad().defined());
  CHECK_THROWS_WITH_AS(y.set_value(x.value()), doctest::Contains("a result of 'mul'"), Error);
  CHECK_THROWS_WITH_AS(y.set_requires_grad(false), doctest::Contains("a result of 'mul'"), Error);
  x.set_requires_grad(false);
  CHECK(!(x * 2).requires_grad());
}

TEST_CASE("gradients add up over uses and over backward passes") {
  const Variable<double> x = leaf({2}, {3, 4});
  sum(x * x + x).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{7, 9});
  sum(x).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{8, 10});
}

TEST_CASE("diamonds: every path counts, each function runs once") {
  const Variable<double> x = leaf({}, {2});
  int runs = 0;
  const Variable<double> y =
      record("counted", mul(x.value(), 3.0), {x.node()}, [&runs](Tensor<double> dy, auto in) {
        ++runs;
        in[0].add(mul(dy, 3.0));
      });
  const Variable<double> a = y * y;
  const Variable<double> b = exp(y * 0.1) + a;
  (a * b + y).backward();  // a b + y with a = 9x^2, b = exp(.3x) + 9x^2
  CHECK(runs == 1);
  const double e = std::exp(0.6);
  CHECK(x.grad().item() == doctest::Approx(36 * (e + 36) + 36 * (0.3 * e + 36) + 3).epsilon(1e-12));

  // 2^40 paths through 40 diamonds, in 120 nodes.
  Variable<double> z = x;
  for (int i = 0; i < 40; ++i) {
    z = z * 0.5 + z * 0.5;
  }
  x.zero_grad();
  z.backward();
  CHECK(x.grad().item() == doctest::Approx(1).epsilon(1e-12));
}

TEST_CASE("leaves' gradients are row-major and share no memory") {
  const Variable<double> a = leaf({2, 2}, {1, 2, 3, 4});
  const Variable<double> b = leaf({2, 2}, {1, 2, 3, 4});
  const Variable<double> c = leaf({1, 2}, {1, 2});
  sum(a + b + c + a.transpose(0, 1)).backward();
  CHECK(a.grad().is_contiguous());
  CHECK(b.grad().is_contiguous());
  mul_(a.grad(), 10.0);
  CHECK(a.grad().to_vector() == std::vector<double>(4, 20));
  CHECK(b.grad().to_vector() == std::vector<double>(4, 1));
  CHECK(c.grad().to_vector() == std::vector<double>{2, 2});

  const Variable<double> d = leaf({2}, {1, 2});
  const Tensor<double> seed = Tensor<double>::ones({2});
  (d + 0).backward({seed, false});
  d.grad().fill_(7);
  CHECK(seed.to_vector() == std::vector<double>{1, 1});
}

TEST_CASE("seeds") {
  const Variable<double> x = leaf({2}, {1, 2});
  const Variable<double> y = x * 3;
  CHECK_THROWS_WITH_AS(y.backward(),
                       "[backward] shape (2,) is not a single element and needs a seed", Error);
  CHECK_THROWS_WITH_AS(y.backward({Tensor<double>::ones({3}), false}),
                       "[backward] seed (3,) does not fit (2,)", Error);
  y.backward({Tensor<double>::from_values({2}, {10, 20}), false});
  CHECK(x.grad().to_vector() == std::vector<double>{30, 60});
  // A leaf, and a single element of rank 2.
  const Variable<double> z = leaf({1, 1}, {4});
  z.backward();
  CHECK(z.grad().to_vector() == std::vector<double>{1});
  x.zero_grad();
  x.slice(0, 1).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{0, 1});
}

TEST_CASE("without a graph backward says why") {
  const Variable<double> x(Tensor<double>::ones({}));
  CHECK_THROWS_WITH_AS((x * 2).backward(), doctest::Contains("no graph"), Error);
}

TEST_CASE("a second backward pass needs retain_graph") {
  const Variable<double> x = leaf({2}, {1, 2});
  const Variable<double> loss = sum(square(x));
  loss.backward({{}, true});
  loss.backward();
  CHECK(x.grad().to_vector() == std::vector<double>{4, 8});
  CHECK_THROWS_WITH_AS(loss.backward(), doctest::Contains("[sum] backward ran here before"), Error);
  // A failed pass leaves no gradients behind in the graph.
  const Variable<double> shared = square(x);
  sum(shared * 2).backward();
  const Variable<double> again = sum(shared * 3) + sum(x);
  x.zero_grad();
  CHECK_THROWS_WITH_AS(again.backward(), doctest::Contains("[square]"), Error);
  x.zero_grad();
  sum(x * 5).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{5, 5});
}

TEST_CASE("a failed backward pass can be repeated once its cause is gone") {
  const Variable<double> x = leaf({}, {2});
  bool broken = true;
  const Variable<double> y = square(x);
  const Variable<double> loss = record("flaky", y.value(), {y.node()},
                                       [&broken](Tensor<double> dy, auto in) {
                                         in[0].add(dy);
                                         LDLM_CHECK(!broken, "flaky", "broken");
                                       }) +
                                y;
  CHECK_THROWS_WITH_AS(loss.backward({{}, true}), "[flaky] broken", Error);
  broken = false;
  x.zero_grad();
  loss.backward();
  CHECK(x.grad().item() == 8);
}

TEST_CASE("backward frees what was saved, unless retained") {
  const Variable<double> x = leaf({3}, {1, 2, 3});
  const Tensor<double> factor = Tensor<double>::full({3}, 2);
  const Variable<double> loss = sum(x * factor);
  CHECK(!factor.storage().unique());
  loss.backward({{}, true});
  CHECK(!factor.storage().unique());
  loss.backward();
  CHECK(factor.storage().unique());
}

TEST_CASE("only what the gradients need is saved and computed") {
  const Tensor<double> constant = Tensor<double>::full({2}, 2);
  const Variable<double> fixed(constant);
  const Variable<double> x = leaf({2}, {1, 2});
  const Variable<double> y = x * fixed;  // x itself is not needed
  add_(x.value(), 1.0);
  sum(y).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{2, 2});
  CHECK(!fixed.grad().defined());
  CHECK(!(fixed * fixed).requires_grad());
}

TEST_CASE("detach cuts the graph and shares the value") {
  const Variable<double> x = leaf({2}, {1, 2});
  const Variable<double> y = square(x);
  const Variable<double> cut = y.detach();
  CHECK(cut.is_leaf());
  CHECK(!cut.requires_grad());
  CHECK(cut.value().data() == y.value().data());
  sum(y * cut).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{2, 16});  // 2 x * x^2
}

TEST_CASE("NoGrad records nothing, nests, and belongs to its thread") {
  const Variable<double> x = leaf({2}, {1, 2});
  {
    const NoGrad outer;
    CHECK(!grad_enabled());
    { const NoGrad inner; }
    CHECK(!grad_enabled());
    const Variable<double> y = split(x * x, 1)[0].reshape({1, 1}).expand({2, 2});
    CHECK(!y.requires_grad());
    CHECK(y.is_leaf());
    CHECK(x.value().storage().unique());
    bool other_thread = false;
    std::thread([&] { other_thread = (x * 2).requires_grad(); }).join();
    CHECK(other_thread);
  }
  CHECK(grad_enabled());
  const Variable<double> loss = sum(x * x);
  const NoGrad scope;
  loss.backward();  // needs no recording
  CHECK(x.grad().to_vector() == std::vector<double>{2, 4});
}

TEST_CASE("a needed value changed in place is an error that names the function") {
  const Variable<double> x = leaf({2}, {1, 2});
  const Variable<double> w = leaf({2}, {3, 4});
  const Variable<double> loss = sum(x * w);
  add_(w.value(), 1.0);
  CHECK_THROWS_WITH_AS(
      loss.backward(),
      "[mul] a value that its backward pass needs, of shape (2,), was changed in place after the "
      "forward pass (version 1, saved at 0)",
      Error);
  // Through a view, too.
  const Variable<double> y = exp(x);
  const Variable<double> z = sum(y * 2);
  y.value().slice(0, 1).fill_(0);
  CHECK_THROWS_WITH_AS(z.backward(), doctest::Contains("[exp]"), Error);
  // Replacing a leaf's value, rather than changing it, is fine.
  x.zero_grad();
  const Variable<double> v = sum(x * w);
  w.set_value(Tensor<double>::zeros({2}));
  v.backward();
  CHECK(x.grad().to_vector() == std::vector<double>{4, 5});
}

TEST_CASE("a chain of 100,000 functions goes backward and is destroyed with a small stack") {
  constexpr int length = 100'000;
  const Variable<float> x(Tensor<float>::ones({1}), true);
  const Variable<float> v(Tensor<float>::ones({1, 1}), true);
  run_with_stack(128 << 10, [&] {
    Variable<float> y = x;
    for (int i = 0; i < length; ++i) {
      y = y + 1;
    }
    y.backward();
    CHECK(y.item() == length + 1);

    Variable<float> wide = x;  // two inputs each, one of them shared
    for (int i = 0; i < length; ++i) {
      wide = wide + x;
    }
    wide.backward();

    Variable<float> views = v;
    for (int i = 0; i < length; ++i) {
      views = i % 3 == 0   ? views.transpose(0, 1)
              : i % 3 == 1 ? views.reshape({1, 1})
                           : views.slice(0, 0, 1);
    }
    views.backward();
  });
  CHECK(x.grad().item() == length + 2);
  CHECK(v.grad().item() == 1);
}

TEST_CASE("graphs that were never used are destroyed with a small stack") {
  const Variable<float> x(Tensor<float>::ones({1}), true);
  run_with_stack(128 << 10, [&] {
    Variable<float> y = x;
    for (int i = 0; i < 100'000; ++i) {
      y = maximum(y * 2, square(y));
      if (i % 50 == 0) {
        y = y * 0;
      }
    }
  });
  CHECK(x.value().storage().unique());
}

TEST_CASE("graphs of several threads share leaves' values") {
  const Variable<double> w = leaf({2, 2}, {1, 2, 3, 4});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&w, t] {
      for (int i = 0; i < 50; ++i) {
        const Variable<double> x(Tensor<double>::full({1, 2}, t), true);
        const Variable<double> fixed = w.detach();
        sum(matmul(x, fixed)).backward();
        CHECK(x.grad().to_vector() == std::vector<double>{3, 7});
        const NoGrad scope;
        CHECK(!matmul(x, w).requires_grad());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_CASE("a function of the user's own") {
  const Variable<double> a = leaf({2, 1}, {1, 2});
  const Variable<double> b(Tensor<double>::from_values({3}, {1, 2, 3}));
  const Variable<double> y = record(
      "outer_square", mul(square(a.value()), b.value()), {a.node(), b.node()},
      [a = Saved<double>("outer_square", a.value()), b = Saved<double>("outer_square", b.value())](
          Tensor<double> dy, InputGrads<double> in) {
        CHECK(in.size() == 2);
        CHECK(!in[1]);
        in[0].add(mul(mul(dy, b.get()), mul(a.get(), 2.0)));  // summed to (2, 1)
      });
  sum(y).backward();
  CHECK(a.grad().to_vector() == std::vector<double>{12, 24});
}

TEST_CASE("mistakes in a function of the user's own are named") {
  const Variable<double> a = leaf({2}, {1, 2});
  const auto backward = [&](auto pass) {
    return message_of([&] { sum(record("mine", a.value() * 2, {a.node()}, pass)).backward(); });
  };
  CHECK(backward([](Tensor<double> dy, InputGrads<double> in) { in[1].add(dy); }) ==
        "[mine] its backward pass asks for input 1 of 1 that were recorded");
  CHECK(backward([](Tensor<double>, InputGrads<double> in) { in[0].add(Tensor<double>()); }) ==
        "[mine] its backward pass gives an undefined gradient");
  CHECK(backward([](Tensor<double>, InputGrads<double> in) {
          in[0].add(Tensor<double>::ones({7}));
        }) == "[mine] its backward pass gives a gradient of shape (7,) to an input of shape (2,)");
  CHECK(message_of([&] {
          sum(record("narrow", cast<float>(a.value()), {a.node()},
                     [](Tensor<float> dy, InputGrads<float> in) { in[0].add(dy); }))
              .backward();
        }) ==
        "[narrow] its backward pass gives input 0 a gradient of f32, its elements are f64: "
        "in.as<...>(0)");
  CHECK(message_of([&] {
          (void)record("nothing", Tensor<double>(), {a.node()},
                       [](Tensor<double>, InputGrads<double>) {});
        }) == "[nothing] its value is undefined");
  CHECK_FALSE(a.grad().defined());
}

TEST_CASE("undefined Variables are refused in the name of what was called") {
  const Variable<float> none;
  Generator generator(1);
  const auto check = [](const std::string& op, auto function) {
    CHECK(message_of(function) == '[' + op + "] the Variable is undefined");
  };
  check("sub", [&] { (void)(1.0F - none); });
  check("div", [&] { (void)(1.0F / none); });
  check("stack", [&] { (void)stack({none, none}); });
  check("dropout", [&] { (void)dropout(none, 0.5F, generator); });
  check("linear_cross_entropy",
        [&] { (void)linear_cross_entropy(none, none, Tensor<std::int64_t>::zeros({1})); });
  check("zero_grad", [&] { none.zero_grad(); });
  check("grad", [&] { (void)none.grad(); });
  check("checkpoint", [&] { (void)checkpoint([](const Variable<float>& x) { return x; }, none); });
  check("checkpoint",
        [&] { (void)checkpoint([](const Variable<float>& x) { return x; }, Tensor<float>()); });
  check("gradcheck",
        [&] { ldlm::gradcheck([](const auto& in) { return in[0]; }, {Variable<double>()}); });
  CHECK(message_of([&] {
          ldlm::gradcheck([](const auto&) { return Variable<double>(); }, {leaf({1}, {1})});
        }) == "[gradcheck] the function gives an undefined Variable");
}

TEST_CASE("sums and quotients with a number") {
  const Variable x(Tensor<double>::from_values({2}, {1, 4}), true);
  const auto y = (x - 3.0) / 2.0;
  CHECK(y.value().to_vector() == std::vector<double>{-1, 0.5});
  sum(y * y).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{-1, 0.5});
}
