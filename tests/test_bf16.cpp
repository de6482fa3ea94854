// Tensors and Variables of bf16: gradients beside those of float, the master weights of optimisers,
// trainings and generation.

#include <cmath>
#include <filesystem>
#include <functional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <ldlm/autograd/autograd.hpp>
#include <ldlm/generate/generate.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/models/gpt2.hpp>
#include <ldlm/models/pooling.hpp>
#include <ldlm/nn/nn.hpp>
#include <ldlm/optim/optim.hpp>
#include <ldlm/train/trainer.hpp>

#include "device_under_test.hpp"
#include "error_message.hpp"
#include "io_support.hpp"
#include "model_support.hpp"

using namespace ldlm;
using ldlm_test::contains;
using ldlm_test::device_under_test;

namespace {

/// Numbers that bf16 can hold, as T.
template <class T>
Tensor<T> numbers(const Shape& shape, std::uint64_t seed, double low = -2, double high = 2) {
  Generator generator(seed);
  return cast<T>(cast<bf16>(rand<float>(shape, generator, low, high))).to(device_under_test());
}

double largest(const Tensor<float>& x) {
  return x.numel() > 0 ? double{max(abs(x)).item()} : 0.0;
}

/// Whether a and b differ by a few roundings of the largest element.
void check_near(const Tensor<float>& a, const Tensor<float>& b, double limit = 0.02) {
  REQUIRE(a.shape() == b.shape());
  CHECK(largest(a - b) <= limit * largest(b));
}

/// The value and the gradients of a function of bf16 are those of float, but for rounding.
template <class Function>
void check_function(const char* name, const std::vector<Shape>& shapes, const Function& function,
                    double low = -2, double high = 2) {
  CAPTURE(name);
  const auto run = [&]<class T>(std::type_identity<T>) {
    std::vector<Variable<T>> in;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      in.emplace_back(numbers<T>(shapes[i], i + 1, low, high), true);
    }
    const auto out = function(in);
    using Out = typename std::decay_t<decltype(out)>::value_type;
    out.backward({.seed = numbers<Out>(out.shape(), 77, 0.5, 1.5)});
    std::vector<Tensor<float>> results{cast<float>(out.value())};
    for (const Variable<T>& x : in) {
      REQUIRE(x.grad().defined());
      results.push_back(cast<float>(x.grad()));
    }
    return results;
  };
  const auto rounded = run(std::type_identity<bf16>{});
  const auto exact = run(std::type_identity<float>{});
  for (std::size_t i = 0; i < exact.size(); ++i) {
    CAPTURE(i);
    check_near(rounded[i], exact[i]);
  }
}

Gpt2Config small_gpt2() {
  Gpt2Config config;
  config.vocab_size = 40;
  config.n_positions = 16;
  config.n_embd = 32;
  config.n_layer = 2;
  config.n_head = 2;
  return config;
}

/// A GPT-2 whose weights bf16 can hold.
template <class T>
Gpt2<T> make_gpt2(std::uint64_t seed) {
  Generator generator(seed);
  const Gpt2<float> source(small_gpt2(), generator);
  Generator unused(0);
  Gpt2<T> model(small_gpt2(), unused);
  load_state_dict(model, cast<T>(cast<bf16>(state_dict(source))));
  return model_support::on_device(std::move(model));
}

Tensor<std::int64_t> some_ids(const Shape& shape, std::uint64_t seed) {
  Generator generator(seed);
  return cast<std::int64_t>(rand<float>(shape, generator, 0, 40));
}

}  // namespace

TEST_CASE("numbers beside bf16 are floats, and so are losses") {
  const Tensor<bf16> x = numbers<bf16>({3, 4}, 1);
  check_near(cast<float>(x * 0.1 + 1), cast<float>(x) * 0.1F + 1);
  check_near(cast<float>(x * x.select(0, 0).select(0, 0).item()),
             cast<float>(x) * float{x.select(0, 0).select(0, 0).item()});
  const Variable<bf16> v(x, true);
  const auto targets = Tensor<std::int64_t>::from_values({3}, {0, 3, 1});
  CHECK(equal(cast<float>(Tensor<bf16>::from_values({3}, {1, 0.5, -3})),
              Tensor<>::from_values({3}, {1, 0.5, -3})));
  static_assert(std::same_as<decltype(cross_entropy(v, targets)), Variable<float>>);
  static_assert(std::same_as<decltype(mse_loss(v, x)), Variable<float>>);
  static_assert(std::same_as<decltype(mse_loss(x, x)), Tensor<float>>);
  static_assert(std::same_as<decltype(mean(v)), Variable<bf16>>);
  // A mean of many is not summed up in bf16, where 256 + 1 is 256.
  const auto ones = Tensor<bf16>::ones({4096}, device_under_test());
  CHECK(float{sum(ones).item()} == 4096);
  CHECK(mse_loss(ones, ones * 0).item() == 1);
}

TEST_CASE("means, norms and variances of bf16 are rounded once") {
  const auto many = Tensor<bf16>::full({257}, bf16(3), device_under_test());
  CHECK(float{mean(many).item()} == 3);
  CHECK(float{mean(Variable<bf16>(many)).value().item()} == 3);
  CHECK(float{var(many).item()} == 0);
  const Tensor<bf16> x = numbers<bf16>({7, 301}, 5);
  const Tensor<float> exact = cast<float>(x);
  CHECK(equal(mean(x, 1), cast<bf16>(mean(exact, 1))));
  CHECK(equal(norm(x, 0, true), cast<bf16>(norm(exact, 0, true))));
  CHECK(equal(var(x, 1, 0), cast<bf16>(var(exact, 1, 0))));
}

TEST_CASE("vectors of states of bf16 are rounded once") {
  const Tensor<bf16> x = numbers<bf16>({3, 301, 8}, 5);
  const Tensor<float> exact = cast<float>(x);
  auto mask = Tensor<bool>::zeros({3, 301});
  for (std::int64_t b = 0; b < 3; ++b) {
    for (std::int64_t t = 0; t < 301 - 20 * b; ++t) {
      mask.at({b, t}) = true;
    }
  }
  CHECK(equal(mean_pool(x), cast<bf16>(mean_pool(exact))));
  CHECK(equal(mean_pool(x, mask), cast<bf16>(mean_pool(exact, mask))));
  for (const PoolingMode mode :
       {PoolingMode::cls, PoolingMode::max, PoolingMode::mean, PoolingMode::mean_sqrt_len_tokens,
        PoolingMode::weightedmean, PoolingMode::lasttoken}) {
    CAPTURE(static_cast<int>(mode));
    CHECK(equal(pool(x, mode, mask), cast<bf16>(pool(exact, mode, mask))));
  }
  CHECK(equal(normalize_rows(x), cast<bf16>(normalize_rows(exact))));
  const Variable<bf16> v(x, true);
  sum(cast<float>(mean_pool(v, mask))).backward();
  CHECK(float{v.grad().to(cpu).at({1, 5, 0})} == float{bf16(1.0F / 281)});
  CHECK(float{v.grad().to(cpu).at({1, 281, 0})} == 0);
}

TEST_CASE("bf16 of no elements is reduced as float of none") {
  const Device device = device_under_test();
  const auto none = Tensor<bf16>::zeros({0, 3}, device);
  CHECK(float{sum(none).item()} == 0);
  CHECK(sum(none, 0).to_vector() == std::vector<bf16>(3, bf16(0)));
  CHECK(sum(none, 1).shape() == Shape{0});
  CHECK(std::isnan(float{mean(none).item()}));
  CHECK(float{norm(none).item()} == 0);
  CHECK(sum_to(none, {1, 3}).to_vector() == std::vector<bf16>(3, bf16(0)));
  CHECK(Tensor<bf16>::from_values({0}, {}).numel() == 0);
  Generator generator(1);
  Linear<bf16> linear(3, 2, generator);
  to(linear, device);
  sum(cast<float>(linear(none))).backward();
  for (const Variable<bf16>& parameter : parameters(linear)) {
    CHECK(largest(cast<float>(parameter.grad())) == 0);
  }
  CHECK(grad_norm(parameters(linear)) == 0);
}

TEST_CASE("functions of bf16 have the gradients of float") {
  const auto ids = Tensor<std::int64_t>::from_values({5}, {1, 0, 3, 1, 1});
  const auto f = [](const auto& function) {
    return [function](const auto& in) { return function(in[0]); };
  };
  check_function("exp", {{4, 5}}, f([](const auto& x) { return exp(x); }));
  check_function("log", {{4, 5}}, f([](const auto& x) { return log(x); }), 0.5, 3);
  check_function("tanh", {{4, 5}}, f([](const auto& x) { return tanh(x); }));
  check_function("pow", {{4, 5}}, f([](const auto& x) { return pow(x, 2.5); }), 0.5, 3);
  check_function("clamp", {{4, 5}}, f([](const auto& x) { return clamp(x, -0.7, 0.9); }));
  check_function("sum", {{4, 5}}, f([](const auto& x) { return sum(x, 0); }));
  check_function("mean", {{4, 5}}, f([](const auto& x) { return mean(x, 1); }));
  check_function("var", {{4, 5}}, f([](const auto& x) { return var(x, 1); }));
  check_function("norm", {{4, 5}}, f([](const auto& x) { return norm(x); }));
  check_function("max", {{4, 5}}, f([](const auto& x) { return max(x, 1); }));
  check_function("softmax", {{4, 5}}, f([](const auto& x) { return softmax(x); }));
  check_function("log_softmax", {{4, 5}}, f([](const auto& x) { return log_softmax(x, 0); }));
  check_function("views", {{4, 5}}, f([](const auto& x) {
                   return concat({x.transpose(0, 1).slice(0, 1, 3), x.reshape({5, 4})}, 0);
                 }));
  check_function("embedding", {{4, 5}}, f([&](const auto& x) { return embedding(x, ids); }));
  check_function("dropout", {{40, 5}}, f([](const auto& x) {
                   Generator generator(3);
                   return dropout(x, 0.4, generator);
                 }));
  check_function(
      "arithmetic", {{4, 5}, {5}}, [](const auto& in) { return in[0] * in[1] - in[0] / in[1] + 2; },
      0.5, 2);
  check_function("matmul", {{3, 4, 6}, {6, 5}},
                 [](const auto& in) { return matmul(in[0], in[1]); });
  for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu_tanh}) {
    check_function("linear", {{70, 60}, {50, 60}, {50}},
                   [&](const auto& in) { return linear(in[0], in[1], in[2], activation); });
  }
  check_function("layer_norm", {{6, 32}, {32}, {32}},
                 [](const auto& in) { return layer_norm(in[0], in[1], in[2]); });
  check_function("add_layer_norm", {{6, 32}, {6, 32}, {32}, {32}}, [](const auto& in) {
    const auto out = add_layer_norm(in[0], in[1], in[2], in[3]);
    return out.sum + out.normalized;
  });
  check_function("rms_norm", {{6, 32}, {32}},
                 [](const auto& in) { return rms_norm(in[0], in[1]); });
  for (const Shape& shape : {Shape{2, 2, 9, 16}, Shape{1, 2, 3, 144}}) {
    check_function("attention", {shape, shape, shape}, [](const auto& in) {
      return scaled_dot_product_attention(in[0], in[1], in[2], {.causal = true});
    });
  }
  check_function("cross_entropy", {{5, 7}}, f([&](const auto& x) {
                   return cross_entropy(x, ids, {.label_smoothing = 0.1F});
                 }));
  check_function("linear_cross_entropy", {{5, 8}, {7, 8}},
                 [&](const auto& in) { return linear_cross_entropy(in[0], in[1], ids); });
  check_function("mse_loss", {{5, 8}, {5, 8}},
                 [](const auto& in) { return mse_loss(in[0], in[1]); });
  // Of several chunks, whose gradients are summed up in floats.
  const auto many = some_ids({700}, 5);
  check_function("linear_cross_entropy of chunks", {{700, 6}, {9000, 6}},
                 [&](const auto& in) { return linear_cross_entropy(in[0], in[1], many); });
}

TEST_CASE("a gradient flows from float to bf16 and back") {
  const Variable<bf16> x(numbers<bf16>({3, 4}, 1), true);
  const Variable<float> y = mean(square(cast<float>(x)));
  y.backward();
  CHECK(x.grad().device() == device_under_test());
  check_near(cast<float>(x.grad()), cast<float>(x.value()) * (2.0F / 12));
}

TEST_CASE_TEMPLATE("optimisers move bf16 by masters of float", O, AdamW<bf16>, SGD<bf16>) {
  constexpr bool adam = std::same_as<O, AdamW<bf16>>;
  using Exact = std::conditional_t<adam, AdamW<float>, SGD<float>>;
  const Tensor<float> start = numbers<float>({300}, 1, 1, 2);
  const Variable<bf16> rounded(cast<bf16>(start), true);
  const Variable<float> exact(start.clone(), true);
  // Steps of a hundredth of a bf16's last bit.
  O optimizer({rounded}, {.learning_rate = 1e-4, .weight_decay = 0.01});
  Exact other({exact}, {.learning_rate = 1e-4, .weight_decay = 0.01});
  const auto step = [&](O& with, const Variable<bf16>& parameter) {
    with.zero_grad();
    sum(cast<float>(parameter)).backward();
    with.step();
  };
  for (int i = 0; i < 200; ++i) {
    step(optimizer, rounded);
    other.zero_grad();
    sum(exact).backward();
    other.step();
  }
  CHECK(largest(cast<float>(rounded.value()) - start) > 0.015);
  const auto state = optimizer.state_dict();
  const Tensor<float>* const master = find(state, "0.master");
  REQUIRE(master != nullptr);
  CHECK(largest(*master - exact.value()) < 1e-5);
  CHECK(equal(cast<bf16>(*master), rounded.value()));

  // Another one that loads its state and the rounded parameter goes on with the same bits.
  const Variable<bf16> copy(rounded.value().clone(), true);
  O resumed({copy}, {.learning_rate = 1e-4, .weight_decay = 0.01});
  resumed.load_state_dict(state);
  for (int i = 0; i < 30; ++i) {
    step(optimizer, rounded);
    step(resumed, copy);
  }
  CHECK(equal(rounded.value(), copy.value()));
  CHECK(equal(*find(optimizer.state_dict(), "0.master"), *find(resumed.state_dict(), "0.master")));

  // What someone else writes into the parameter is taken over, the rest of the master stays.
  const Tensor<float> before = find(optimizer.state_dict(), "0.master")->clone();
  rounded.value().slice(0, 0, 10).fill_(5);
  step(optimizer, rounded);
  const Tensor<float> after = *find(optimizer.state_dict(), "0.master");
  CHECK(largest(after.slice(0, 0, 10) - 5) < 1e-3);
  CHECK(largest(after.slice(0, 10) - before.slice(0, 10)) < 1e-3);
  // ... also by pointer.
  if (device_under_test() == cpu) {
    rounded.value().at({20}) = bf16(7);
    rounded.value().data()[30] = bf16(8);
    step(optimizer, rounded);
    const Tensor<float> again = *find(optimizer.state_dict(), "0.master");
    CHECK(std::abs(again.at({20}) - 7) < 1e-3F);
    CHECK(std::abs(again.at({30}) - 8) < 1e-3F);
    CHECK(largest(again.slice(0, 40) - after.slice(0, 40)) < 1e-3);
  }
}

TEST_CASE("an average of bf16 is of float") {
  const Variable<bf16> x(Tensor<bf16>::ones({4}, device_under_test()), true);
  Ema<bf16> ema({{"x", x}}, 0.999);
  x.value().fill_(2);
  for (int i = 0; i < 100; ++i) {
    ema.update();
  }
  const double expected = 2 - std::pow(0.999, 100);
  CHECK(std::abs(double{find(ema.state_dict(), "x")->to_vector()[0]} - expected) < 1e-4);
  {
    const EmaScope<bf16> scope(ema);
    CHECK(std::abs(double{float{x.value().to_vector()[0]}} - expected) < 0.01);
  }
  CHECK(float{x.value().to_vector()[0]} == 2);
}

TEST_CASE("GPT-2 of bf16 learns as that of float") {
  auto rounded = make_gpt2<bf16>(3);
  auto exact = make_gpt2<float>(3);
  const auto ids = some_ids({4, 12}, 9);
  AdamW slow(trainable_parameters(rounded), {.learning_rate = 3e-3});
  AdamW fast(trainable_parameters(exact), {.learning_rate = 3e-3});
  double first = 0;
  for (int step = 0; step < 30; ++step) {
    slow.zero_grad();
    fast.zero_grad();
    const Variable<float> a = rounded.loss({.ids = ids}, ids);
    const Variable<float> b = exact.loss({.ids = ids}, ids);
    first = step == 0 ? double{b.item()} : first;
    CHECK(std::abs(double{a.item()} - double{b.item()}) < 0.03 * first);
    a.backward();
    b.backward();
    if (step == 0) {
      CHECK(grad_norm(parameters(rounded)) ==
            doctest::Approx(grad_norm(parameters(exact))).epsilon(0.02));
    }
    slow.step();
    fast.step();
  }
  CHECK(double{exact.loss({.ids = ids}, ids).item()} < 0.7 * first);
}

TEST_CASE("a training of bf16 that was cut goes on with the same bits") {
  const io_support::TempFolder folder;
  const auto ids = some_ids({24, 12}, 9);
  const auto train = [&](const std::filesystem::path& into, std::int64_t until) {
    auto model = make_gpt2<bf16>(4);
    TrainOptions options;
    options.folder = into;
    options.steps = 12;
    options.batch_size = 4;
    options.checkpoint_every = 3;
    options.ema_decay = 0.9;
    Trainer trainer(model, AdamW(trainable_parameters(model), {.learning_rate = 1e-3}), options);
    trainer.resume();
    TrainHooks hooks;
    hooks.stop = [&] { return trainer.step() == until; };
    trainer.run(
        ids.size(0),
        [&](const Tensor<std::int64_t>& rows) {
          const auto batch = embedding(ids, rows);
          return model.loss({.ids = batch}, batch);
        },
        hooks);
    std::vector<Tensor<bf16>> weights;
    for (const auto& [name, tensor] : state_dict(model)) {
      weights.push_back(tensor.to(cpu).clone());
    }
    return weights;
  };
  const auto whole = train(folder.path() / "whole", 100);
  static_cast<void>(train(folder.path() / "cut", 5));
  const auto cut = train(folder.path() / "cut", 100);
  REQUIRE(whole.size() == cut.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CHECK(equal(whole[i], cut[i]));
  }
  // Of float, another type, it is no checkpoint.
  CHECK(contains(ldlm_test::message_of([&] {
                   static_cast<void>(
                       load_checkpoint<float>(*latest_checkpoint(folder.path() / "cut")));
                 }),
                 "BF16"));
}

TEST_CASE("a Trainer takes a loss of bf16, too") {
  Generator generator(1);
  Linear<bf16> layer(4, 1, generator);
  to(layer, device_under_test());
  const Tensor<bf16> x = numbers<bf16>({8, 4}, 2);
  TrainOptions options;
  options.steps = 3;
  options.batch_size = 2;
  Trainer trainer(layer, AdamW(trainable_parameters(layer)), options);
  CHECK(trainer.run(8, [&](const Tensor<std::int64_t>& rows) {
    return mean(square(layer(embedding(x, rows))));
  }) == TrainEnd::completed);
}

TEST_CASE("GPT-2 of bf16 generates, and is saved and loaded as it is") {
  const auto model = make_gpt2<bf16>(6);
  const auto exact = make_gpt2<float>(6);
  Generator generator(1);
  const auto prompt = some_ids({2, 4}, 8);
  const Tensor<bf16> logits = model(prompt).value();
  check_near(cast<float>(logits), exact(prompt).value(), 0.03);
  // With a cache token by token.
  Gpt2Session<bf16> session(model);
  session.begin(prompt.size(1));
  Tensor<bf16> last;
  for (std::int64_t t = 0; t < prompt.size(1); ++t) {
    last = session.step(prompt.slice(1, t, t + 1).contiguous());
  }
  check_near(cast<float>(last), cast<float>(logits.select(1, prompt.size(1) - 1)), 0.03);
  for (const auto& tokens : greedy(session, prompt, {.max_new_tokens = 5})) {
    CHECK(tokens.size() == 5);
  }
  for (const auto& texts : beam_search(session, prompt, {.stop = {.max_new_tokens = 5}})) {
    CHECK(texts.front().tokens.size() == 5);
    CHECK(texts.front().score < 0);
  }
  CHECK(sample(session, prompt, {.stop = {.max_new_tokens = 5}, .top_p = 0.9}, generator).size() ==
        2);

  const io_support::TempFolder folder;
  model.save_pretrained(folder.path());
  const auto file = SafetensorsModel::open(folder.path());
  CHECK(file.info("transformer.wte.weight").dtype == to_file_dtype(DType::bf16));
  const auto loaded = Gpt2<bf16>::from_pretrained(folder.path());
  const auto before = state_dict(model);
  const auto after = state_dict(loaded);
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(equal(before[i].second.to(cpu), after[i].second));
  }
}
