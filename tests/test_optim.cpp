// Optimisers, clipping and schedules against PyTorch (tests/golden/nn/optim.safetensors), and what
// they do beside it.

#include <cmath>
#include <functional>

#include <doctest/doctest.h>
#include <ldlm/autograd/autograd.hpp>
#include <ldlm/nn/nn.hpp>
#include <ldlm/optim/optim.hpp>

#include "nn_support.hpp"

using ldlm::Generator;
using ldlm::Tensor;
using ldlm::Variable;
using nn_support::check_close;
using nn_support::contains;
using nn_support::golden;
using nn_support::message_of;

namespace {

template <class T>
Tensor<T> golden_tensor(const std::string& name) {
  return golden("optim").load<T>(name);
}

/// Gives a parameter exactly this gradient.
template <class T>
void set_grad(const Variable<T>& parameter, const Tensor<T>& grad) {
  parameter.zero_grad();
  sum(parameter * Variable<T>(grad)).backward();
}

/// Runs the case's gradients through make(parameters) and compares the parameter after each step;
/// before_step(optimiser, parameter, step) does what else the case has, and returns the scale.
template <class T, class Make>
void check_optimiser(
    const std::string& name, Make&& make,
    const std::function<double(decltype(make(std::vector<Variable<T>>()))&, const Variable<T>&,
                               std::int64_t)>& before_step = {}) {
  CAPTURE(name);
  const Variable<T> parameter(golden_tensor<T>(name + ".initial").clone(), true);
  const Tensor<T> gradients = golden_tensor<T>(name + ".gradients");
  const Tensor<T> values = golden_tensor<T>(name + ".values");
  auto optimiser = make(std::vector<Variable<T>>{parameter});
  for (std::int64_t step = 0; step < gradients.size(0); ++step) {
    set_grad(parameter, gradients.select(0, step));
    optimiser.step(before_step ? before_step(optimiser, parameter, step) : 1.0);
    check_close(parameter.value(), values.select(0, step), "step " + std::to_string(step));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("SGD is PyTorch's", T, float, double) {
  const auto with = [](const ldlm::SgdOptions& options) {
    return [options](const std::vector<Variable<T>>& p) { return ldlm::SGD<T>(p, options); };
  };
  check_optimiser<T>("sgd", with({.learning_rate = 0.1}));
  check_optimiser<T>("sgd_decay", with({.learning_rate = 0.1, .weight_decay = 0.2}));
  check_optimiser<T>("sgd_momentum",
                     with({.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.2}));
  check_optimiser<T>(
      "sgd_nesterov",
      with({.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.2, .nesterov = true}));
}

TEST_CASE_TEMPLATE("Adam and AdamW are PyTorch's", T, float, double) {
  check_optimiser<T>("adam", [](const std::vector<Variable<T>>& p) {
    return ldlm::Adam<T>(p, {.learning_rate = 0.1});
  });
  check_optimiser<T>("adam_decay", [](const std::vector<Variable<T>>& p) {
    return ldlm::Adam<T>(
        p,
        {.learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.3});
  });
  check_optimiser<T>("adamw", [](const std::vector<Variable<T>>& p) {
    return ldlm::AdamW<T>(p, {.learning_rate = 0.05, .weight_decay = 0.3});
  });
}

TEST_CASE_TEMPLATE("clipping and a schedule are PyTorch's, in place and folded in", T, float,
                   double) {
  const auto make = [](const std::vector<Variable<T>>& p) {
    return ldlm::AdamW<T>(p, {.learning_rate = 0.05});
  };
  const ldlm::WarmupLinear schedule{.warmup = 5, .total = 20};
  check_optimiser<T>("adamw_clipped", make, [&](auto& optimiser, const auto& p, auto step) {
    optimiser.set_learning_rate(0.05 * schedule(step));
    ldlm::clip_grad_norm_<T>({p}, 1.5);
    return 1.0;
  });
  check_optimiser<T>("adamw_clipped", make, [&](auto& optimiser, const auto& p, auto step) {
    optimiser.set_learning_rate(0.05 * schedule(step));
    return ldlm::clip_factor(ldlm::grad_norm<T>({p}), 1.5);
  });
}

namespace {

/// The network that the fixture trains: Linear, tanh, LayerNorm, Linear, as a torch.nn.Sequential.
template <class T>
struct Net {
  using value_type = T;
  ldlm::Linear<T> first, last;
  ldlm::LayerNorm<T> norm;

  explicit Net(Generator& g) : first(3, 6, g), last(6, 2, g), norm(6) {}
  Variable<T> operator()(const Variable<T>& x) const { return last(norm(tanh(first(x)))); }
  template <class V>
  void visit(V&& v) {
    v("0", first);
    v("2", norm);
    v("3", last);
  }
};

}  // namespace

TEST_CASE_TEMPLATE("a training run is PyTorch's", T, float, double) {
  Generator g(1);
  Net<T> net(g);
  ldlm::NamedTensors<T> initial;
  for (const auto& [name, tensor] : ldlm::state_dict(net)) {
    initial.emplace_back(name, golden_tensor<T>("training.initial." + name));
  }
  ldlm::load_state_dict(net, initial);
  const Variable<T> inputs(golden_tensor<T>("training.inputs"));
  const Variable<T> targets(golden_tensor<T>("training.targets"));
  const auto losses = golden_tensor<T>("training.losses");
  const auto norms = golden_tensor<T>("training.norms");
  ldlm::AdamW<T> optimiser(ldlm::decay_groups(ldlm::named_parameters(net), 0.1));
  const ldlm::WarmupCosine schedule{.warmup = 4, .total = 20};
  constexpr double drift = sizeof(T) == 4 ? 5e-5 : 1e-11;  // rounding adds up over the steps
  for (std::int64_t step = 0; step < 20; ++step) {
    optimiser.zero_grad();
    const Variable<T> loss = ldlm::mse_loss(net(inputs), targets);
    loss.backward();
    const double norm = ldlm::grad_norm(ldlm::parameters(net));
    optimiser.set_learning_rate(0.05 * schedule(step));
    optimiser.step(ldlm::clip_factor(norm, 1.0));
    CAPTURE(step);
    CHECK(static_cast<double>(loss.item()) ==
          doctest::Approx(static_cast<double>(losses.at({step}))).epsilon(drift));
    CHECK(norm == doctest::Approx(static_cast<double>(norms.at({step}))).epsilon(drift));
  }
  for (const auto& [name, tensor] : ldlm::state_dict(net)) {
    check_close(tensor, golden_tensor<T>("training.final." + name), name, drift);
  }
}

TEST_CASE("schedules are those of transformers, and have a floor") {
  const auto check = [](const std::string& name, const auto& schedule) {
    const auto expected = golden_tensor<double>("schedule." + name);
    for (std::int64_t step = 0; step < expected.numel(); ++step) {
      CAPTURE(step);
      CHECK(schedule(step) == doctest::Approx(expected.at({step})).epsilon(1e-12));
    }
  };
  check("linear", ldlm::WarmupLinear{.warmup = 7, .total = 40});
  check("cosine", ldlm::WarmupCosine{.warmup = 7, .total = 40});
  const ldlm::WarmupConstant constant{.warmup = 4};
  CHECK(constant(1) == 0.25);
  CHECK(constant(4) == 1);
  CHECK(constant(1000) == 1);
  CHECK(ldlm::WarmupConstant{}(0) == 1);
  const ldlm::WarmupCosine cosine{.warmup = 2, .total = 10, .floor = 0.1};
  CHECK(cosine(2) == 1);
  CHECK(cosine(6) == doctest::Approx(0.55));
  CHECK(cosine(10) == doctest::Approx(0.1));
  CHECK(cosine(99) == doctest::Approx(0.1));
  CHECK(ldlm::WarmupLinear{.warmup = 2, .total = 10, .floor = 0.2}(6) == doctest::Approx(0.6));
  CHECK(ldlm::WarmupLinear{.warmup = 5, .total = 6}(5) == 1);
}

TEST_CASE("a schedule whose total was forgotten, or is no more than the warm-up, is refused") {
  CHECK(message_of([] { (void)ldlm::WarmupCosine{.warmup = 5}(1); }) ==
        "[WarmupCosine] total must be set to more steps than the warmup of 5, got 0");
  CHECK(message_of([] { (void)ldlm::WarmupLinear{}(0); }) ==
        "[WarmupLinear] total must be set to more steps than the warmup of 0, got 0");
  CHECK(contains(message_of([] { (void)ldlm::WarmupLinear{5, 5}(1); }), "total must be set"));
  CHECK(contains(message_of([] { (void)ldlm::WarmupCosine{5, 4}(9); }), "total must be set"));
}

TEST_CASE("clipping scales only what is too long, and refuses what no factor mends") {
  const Variable<double> a(Tensor<double>::zeros({2}), true);
  const Variable<double> b(Tensor<double>::zeros({1}), true);
  const Variable<double> without(Tensor<double>::zeros({3}), true);
  set_grad(a, Tensor<double>::from_values({2}, {3, 0}));
  set_grad(b, Tensor<double>::from_values({1}, {-4}));
  CHECK(ldlm::clip_grad_norm_<double>({a, b, without}, 10) == doctest::Approx(5));
  CHECK(a.grad().at({0}) == 3);
  CHECK(ldlm::clip_grad_norm_<double>({a, b, without}, 1) == doctest::Approx(5));
  CHECK(a.grad().at({0}) == doctest::Approx(0.6).epsilon(1e-5));
  CHECK(b.grad().at({0}) == doctest::Approx(-0.8).epsilon(1e-5));
  set_grad(b, Tensor<double>::from_values({1}, {NAN}));
  CHECK(message_of([&] {
          ldlm::clip_grad_norm_<double>({a, b}, 1);
        }) == "[clip_grad_norm_] the norm of the gradients is nan");
  CHECK(a.grad().at({0}) == doctest::Approx(0.6).epsilon(1e-5));
  CHECK(contains(message_of([] { (void)ldlm::clip_factor(1, 0); }), "must be positive"));
}

TEST_CASE("parameters without a gradient stay, and steps count for each parameter alone") {
  const Variable<double> a(Tensor<double>::ones({2}), true);
  const Variable<double> b(Tensor<double>::ones({2}), true);
  ldlm::AdamW<double> optimiser(std::vector{a, b}, {.learning_rate = 0.1, .weight_decay = 0});
  const auto grad = Tensor<double>::ones({2});
  set_grad(a, grad);
  const auto version = a.value().storage().version();
  optimiser.step();
  CHECK(a.value().storage().version() > version);
  CHECK(a.value().at({0}) == doctest::Approx(0.9));
  CHECK(b.value().at({0}) == 1);
  optimiser.zero_grad();
  CHECK_FALSE(a.grad().defined());
  set_grad(b, grad);
  optimiser.step();
  CHECK(a.value().at({0}) == doctest::Approx(0.9));
  CHECK(b.value().at({0}) == doctest::Approx(0.9));  // as in the first step of a
}

TEST_CASE("groups have decays and learning rates of their own") {
  Generator g(1);
  const ldlm::Linear<double> linear(2, 2, g);
  const auto groups = ldlm::decay_groups(ldlm::named_parameters(linear), 0.5);
  CHECK(groups.size() == 2);
  CHECK(groups[0].parameters[0].first == "weight");
  CHECK(groups[0].weight_decay == 0.5);
  CHECK(groups[1].parameters[0].first == "bias");
  CHECK(groups[1].weight_decay == 0);

  const Variable<double> a(Tensor<double>::full({1}, 8), true);
  const Variable<double> b(Tensor<double>::full({1}, 8), true);
  const auto zero = Tensor<double>::zeros({1});
  const auto one = Tensor<double>::ones({1});
  set_grad(a, zero);
  set_grad(b, zero);
  ldlm::AdamW<double> decaying({{{{"a", a}}, 0.5}, {{{"b", b}}, 0.0}}, {.learning_rate = 0.25});
  decaying.step();
  CHECK(a.value().item() == 7);
  CHECK(b.value().item() == 8);
  ldlm::SGD<double> scaled({{{{"a", a}}}, {{{"b", b}}, 0.0, 0.5}}, {.learning_rate = 1});
  set_grad(a, one);
  set_grad(b, one);
  scaled.step();
  CHECK(a.value().item() == 6);
  CHECK(b.value().item() == 7.5);
  // The first step of Adam is the rate, whatever the gradient's size.
  ldlm::Adam<double> paced({{{{"a", a}}}, {{{"b", b}}, 0.0, 0.5}}, {.learning_rate = 1});
  paced.step();
  CHECK(a.value().item() == doctest::Approx(5));
  CHECK(b.value().item() == doctest::Approx(7));
}

TEST_CASE("what is not a parameter is refused") {
  using Group = std::vector<std::pair<std::string, Variable<float>>>;
  const Variable<float> w(Tensor<float>::ones({2, 3}), true);
  const auto error = [](const Group& group) {
    return message_of([&] { ldlm::AdamW<float>{group}; });
  };
  CHECK(error({{"w", w}}) == "no error");
  CHECK(error({{"w", w + 1}}) == "[AdamW] 'w' is not a parameter: it is the result of a function");
  CHECK(error({{"w", Variable<float>()}}) == "[AdamW] 'w' is not a parameter: it is undefined");
  CHECK(error({{"w", w}, {"v", w}}) == "[AdamW] 'v' was given before under another name");
  CHECK(error({{"w", w}, {"w", Variable<float>(Tensor<float>::ones({1}), true)}}) ==
        "[AdamW] two parameters are named 'w'");
  CHECK(error({{"w", Variable<float>(Tensor<float>::ones({2, 3}).transpose(0, 1), true)}}) ==
        "[AdamW] 'w' is strided; parameters must be contiguous");
  CHECK(contains(message_of([&] {
                   ldlm::Adam<float>(Group{{"w", w}}, {.beta2 = 1});
                 }),
                 "betas must lie in [0, 1), got 1"));
  CHECK(contains(message_of([&] {
                   ldlm::SGD<float>(Group{{"w", w}}, {.nesterov = true});
                 }),
                 "Nesterov's momentum must be positive"));
}

TEST_CASE("an optimiser of nothing that moves is refused") {
  const auto refusal = [](const auto& source, const std::string& reason) {
    CHECK(message_of([&] { ldlm::AdamW<float>{source}; }) == "[AdamW] " + reason);
    CHECK(message_of([&] { ldlm::Adam<float>{source}; }) == "[Adam] " + reason);
    CHECK(message_of([&] { ldlm::SGD<float>{source}; }) == "[SGD] " + reason);
  };
  refusal(std::vector<Variable<float>>{}, "needs parameters, got none");
  refusal(ldlm::NamedParameters<float>{}, "needs parameters, got none");
  refusal(std::vector<ldlm::ParameterGroup<float>>(2), "needs parameters, got none");
  const Variable<float> frozen(Tensor<float>::ones({2}));
  const Variable<float> other(Tensor<float>::ones({2}));
  refusal(std::vector{frozen, other},
          "needs parameters to move; of the 2 that were given none requires a gradient");
  const Variable<float> trained(Tensor<float>::ones({2}), true);
  CHECK(message_of([&] { ldlm::AdamW<float>{std::vector{frozen, trained}}; }) == "no error");
}

TEST_CASE_TEMPLATE("a state of numbers that no training leaves is refused by its key", T, float,
                   double) {
  const Variable<T> w(Tensor<T>::ones({3}), true);
  const ldlm::NamedParameters<T> named{{"w", w}};
  const auto refusal = [](auto& part, std::size_t changed, double value) {
    ldlm::NamedTensors<T> state;
    for (const auto& [key, tensor] : part.state_dict()) {
      state.emplace_back(key, Tensor<T>::ones(tensor.shape()));
    }
    state[changed].second.fill_(static_cast<T>(value));
    ldlm::NamedTensors<T> before;
    for (const auto& [key, tensor] : part.state_dict()) {
      before.emplace_back(key, tensor.clone());
    }
    const std::string message = message_of([&] { part.load_state_dict(state); });
    if (message != "no error") {
      const ldlm::NamedTensors<T> after = part.state_dict();
      for (std::size_t i = 0; i < before.size(); ++i) {
        CHECK(equal(before[i].second, after[i].second));
      }
    }
    return message;
  };
  ldlm::AdamW<T> adamw(named);
  ldlm::SGD<T> sgd(named, {.momentum = 0.9});
  ldlm::Ema<T> ema(named);
  for (const double bad :
       {0.5, -1.0, 1e30, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    CHECK(refusal(adamw, 2, bad)
              .starts_with("[AdamW] w.step must be a whole number from 0 to 2^53, got "));
    CHECK(refusal(ema, 1, bad)
              .starts_with("[Ema] ema.updates must be a whole number from 0 to 2^53, got "));
  }
  for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    CHECK(refusal(adamw, 0, bad) == "[AdamW] w.exp_avg holds NaN or infinity");
    CHECK(refusal(adamw, 0, -bad) == "[AdamW] w.exp_avg holds NaN or infinity");
    CHECK(refusal(adamw, 1, bad) == "[AdamW] w.exp_avg_sq holds NaN or infinity");
    CHECK(refusal(sgd, 0, bad) == "[SGD] w.momentum_buffer holds NaN or infinity");
  }
  CHECK(refusal(adamw, 1, -1) == "[AdamW] w.exp_avg_sq holds a negative number");
  CHECK(refusal(adamw, 0, -1) == "no error");
  CHECK(refusal(adamw, 2, 7) == "no error");
  CHECK(refusal(ema, 1, 7) == "no error");
}

TEST_CASE("rates, decays and other options that are negative or no number are refused") {
  const std::vector<Variable<float>> w{Variable<float>(Tensor<float>::ones({2}), true)};
  const auto adam = [&](const ldlm::AdamWOptions& options) {
    return message_of([&] { ldlm::AdamW<float>(w, options); });
  };
  const auto sgd = [&](const ldlm::SgdOptions& options) {
    return message_of([&] { ldlm::SGD<float>(w, options); });
  };
  CHECK(adam({.learning_rate = -1}) ==
        "[AdamW] learning_rate must be a number that is not negative, got -1");
  for (const double bad : {-1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    CHECK(contains(adam({.learning_rate = bad}), "learning_rate"));
    CHECK(contains(adam({.epsilon = bad}), "epsilon"));
    CHECK(contains(adam({.weight_decay = bad}), "weight_decay"));
    CHECK(contains(adam({.beta1 = bad}), "betas"));
    CHECK(contains(sgd({.learning_rate = bad}), "learning_rate"));
    CHECK(contains(sgd({.momentum = bad}), "momentum"));
    CHECK(contains(sgd({.weight_decay = bad}), "weight_decay"));
    ldlm::AdamW<float> optimizer(w);
    CHECK_THROWS_AS(optimizer.set_learning_rate(bad), ldlm::Error);
    CHECK(optimizer.learning_rate() == 1e-3);
    const std::vector<ldlm::ParameterGroup<float>> decays{{{{"w", w[0]}}, bad, 1}};
    const std::vector<ldlm::ParameterGroup<float>> factors{{{{"w", w[0]}}, 0, bad}};
    CHECK(contains(message_of([&] { ldlm::AdamW<float>{decays}; }), "weight_decay"));
    CHECK(contains(message_of([&] { ldlm::SGD<float>{factors}; }), "learning_rate_factor"));
  }
  CHECK(adam({.learning_rate = 0, .epsilon = 0, .weight_decay = 0}) == "no error");
  const ldlm::WarmupCosine cosine{2, 10};
  const ldlm::WarmupLinear linear{2, 10};
  CHECK_THROWS_AS((void)cosine(-1), ldlm::Error);
  CHECK_THROWS_AS((void)linear(-1), ldlm::Error);
}

TEST_CASE_TEMPLATE("a saved optimiser goes on bit for bit", T, float, double) {
  const auto run = [](auto make) {
    Generator g(1);
    const auto gradients = ldlm::randn<T>({10, 3}, g);
    const auto initial = ldlm::randn<T>({3}, g);
    const Variable<T> straight(initial.clone(), true);
    auto whole = make(straight);
    for (std::int64_t i = 0; i < 10; ++i) {
      set_grad(straight, gradients.select(0, i));
      whole.step();
    }
    const Variable<T> stopped(initial.clone(), true);
    ldlm::NamedTensors<T> saved;
    {
      auto first = make(stopped);
      for (std::int64_t i = 0; i < 4; ++i) {
        set_grad(stopped, gradients.select(0, i));
        first.step();
      }
      for (const auto& [name, tensor] : first.state_dict()) {
        saved.emplace_back(name, tensor.clone());
      }
    }
    auto second = make(stopped);
    second.load_state_dict(saved);
    for (std::int64_t i = 4; i < 10; ++i) {
      set_grad(stopped, gradients.select(0, i));
      second.step();
    }
    CHECK(equal(stopped.value(), straight.value()));
    // What does not fit changes nothing.
    const auto before = second.state_dict()[0].second.to_vector();
    saved[0].second.fill_(1);
    saved.emplace_back("v.exp_avg", Tensor<T>::zeros({3}));
    CHECK(contains(message_of([&] { second.load_state_dict(saved); }), "unexpected: v.exp_avg"));
    saved.pop_back();
    saved.back().second = Tensor<T>::zeros({4});
    CHECK(contains(message_of([&] { second.load_state_dict(saved); }), "given (4,)"));
    CHECK(contains(message_of([&] { second.load_state_dict({}); }), "missing: w."));
    CHECK(second.state_dict()[0].second.to_vector() == before);
  };
  run([](const Variable<T>& w) {
    return ldlm::AdamW<T>(ldlm::NamedParameters<T>{{"w", w}}, {.learning_rate = 0.1});
  });
  run([](const Variable<T>& w) {
    return ldlm::SGD<T>(ldlm::NamedParameters<T>{{"w", w}},
                        {.learning_rate = 0.1, .momentum = 0.9});
  });
}

TEST_CASE("Ema averages, stands in and goes away") {
  const Variable<double> w(Tensor<double>::zeros({2}), true);
  ldlm::Ema<double> ema({{"w", w}}, 0.9);
  w.value().fill_(1);
  ema.update();
  w.value().fill_(2);
  ema.update();
  const double average = 0.9 * 0.1 + 0.1 * 2;
  CHECK(ema.state_dict()[0].second.at({0}) == doctest::Approx(average));
  const double* const data = w.value().data();
  {
    const ldlm::EmaScope<double> scope(ema);
    CHECK(w.value().at({1}) == doctest::Approx(average));
    CHECK(ema.state_dict()[0].second.at({0}) == doctest::Approx(average));
    CHECK(contains(message_of([&] { ema.update(); }), "swapped in"));
  }
  CHECK(w.value().data() == data);
  CHECK(w.value().at({1}) == 2);

  ldlm::Ema<double> restored({{"w", w}}, 0.9);
  restored.load_state_dict(ema.state_dict());
  restored.update();
  ema.update();
  CHECK(restored.state_dict()[0].second.at({0}) == ema.state_dict()[0].second.at({0}));
  CHECK(restored.state_dict()[1].second.item() == 3);

  ldlm::Ema<double> warm({{"w", w}}, 0.999, true);
  w.value().fill_(12);
  warm.update();  // d = 2 / 11
  CHECK(warm.state_dict()[0].second.at({0}) == doctest::Approx(2 * 2.0 / 11 + 12 * 9.0 / 11));
}

TEST_CASE("an optimiser takes its type from its parameters") {
  const Variable w(Tensor<double>::ones({2, 3}), true);
  const ldlm::NamedParameters<double> named{{"w", w}};
  const std::vector<Variable<double>> some{w};
  ldlm::AdamW by_groups(ldlm::decay_groups(named, 0.1), {.learning_rate = 0.5});
  ldlm::AdamW by_name(named);
  ldlm::Adam plain(some, {.beta1 = 0});
  ldlm::Adam listed({w}, {.learning_rate = 0.5});
  ldlm::SGD sgd(some);
  ldlm::SGD listed_sgd({w}, {.momentum = 0.9});
  static_assert(std::is_same_v<decltype(by_groups), ldlm::AdamW<double>>);
  static_assert(std::is_same_v<decltype(by_name), ldlm::AdamW<double>>);
  static_assert(std::is_same_v<decltype(plain), ldlm::Adam<double>>);
  static_assert(std::is_same_v<decltype(listed), ldlm::Adam<double>>);
  static_assert(std::is_same_v<decltype(sgd), ldlm::SGD<double>>);
  static_assert(std::is_same_v<decltype(listed_sgd), ldlm::SGD<double>>);
  static_assert(std::is_same_v<decltype(ldlm::Ema(named)), ldlm::Ema<double>>);
  CHECK(by_groups.learning_rate() == 0.5);
  CHECK(listed.learning_rate() == 0.5);
}

TEST_CASE("a weight decay beside groups that have their own is refused") {
  const Variable w(Tensor<float>::ones({2}), true);
  const auto groups = ldlm::decay_groups(ldlm::NamedParameters<float>{{"w", w}}, 0.1);
  CHECK(message_of([&] { ldlm::AdamW(groups, {.weight_decay = 0.01}); }) ==
        "[AdamW] weight_decay beside groups, which have their own: set theirs");
  CHECK(message_of([&] { ldlm::Adam(groups, {.weight_decay = 0}); }) ==
        "[Adam] weight_decay beside groups, which have their own: set theirs");
  CHECK(message_of([&] { ldlm::SGD(groups, {.weight_decay = 0}); }) ==
        "[SGD] weight_decay beside groups, which have their own: set theirs");
  CHECK(message_of([&] { ldlm::AdamW(groups, {.learning_rate = 0.1}); }) == "no error");
}

TEST_CASE("the state of an optimiser goes by the names of parameters, not by their order") {
  const auto leaf = [](float value) { return Variable(Tensor<>::full({2}, value), true); };
  const Variable a = leaf(1);
  const Variable b = leaf(2);
  ldlm::AdamW first(ldlm::NamedParameters<float>{{"a", a}, {"b", b}});
  sum(a * 3 + b).backward();
  first.step();
  first.zero_grad();
  const Variable c = leaf(0);
  std::vector<ldlm::ParameterGroup<float>> groups(2);
  groups[0].parameters = {{"b", leaf(0)}};
  groups[1].parameters = {{"a", c}};
  ldlm::AdamW second(groups);
  second.load_state_dict(first.state_dict());
  const ldlm::NamedTensors<float> expected = first.state_dict();
  for (const auto& [name, tensor] : second.state_dict()) {
    INFO(name);
    REQUIRE(find(expected, name) != nullptr);
    CHECK(equal(*find(expected, name), tensor));
  }
  CHECK(expected.size() == second.state_dict().size());
}

TEST_CASE("an optimiser of a module's trainable parameters leaves out what is frozen") {
  Generator g(1);
  Net<double> two(g);
  ldlm::set_requires_grad(two.first, false);
  ldlm::set_requires_grad(two.norm, false);
  const auto names = [](const auto& parameters) {
    std::string out;
    for (const auto& [name, parameter] : parameters) {
      out += name + " ";
    }
    return out;
  };
  CHECK(names(ldlm::trainable_parameters(two)) == "3.weight 3.bias ");
  const auto groups = ldlm::decay_groups(two, 0.1);
  CHECK(names(groups[0].parameters) == "3.weight ");
  CHECK(groups[0].weight_decay == 0.1);
  CHECK(names(groups[1].parameters) == "3.bias ");
  CHECK(groups[1].weight_decay == 0);
  const ldlm::AdamW adamw(groups);
  CHECK(names(adamw.parameters()) == "3.weight 3.bias ");
  CHECK(names(ldlm::SGD(ldlm::named_parameters(two)).parameters()) ==
        "0.weight 0.bias 2.weight 2.bias 3.weight 3.bias ");
}

TEST_CASE("an optimiser says by what settings it steps") {
  const Variable w(Tensor<float>::ones({2}), true);
  const ldlm::NamedParameters<float> named{{"w", w}};
  using ldlm::OptimizerSettings;
  CHECK(ldlm::AdamW(named, {.beta2 = 0.98}).settings() == OptimizerSettings{{"beta1", 0.9},
                                                                            {"beta2", 0.98},
                                                                            {"epsilon", 1e-8},
                                                                            {"weight_decay", 0.01},
                                                                            {"groups", 1}});
  CHECK(ldlm::SGD(named, {.momentum = 0.5, .nesterov = true}).settings() ==
        OptimizerSettings{{"momentum", 0.5}, {"nesterov", 1}, {"weight_decay", 0}, {"groups", 1}});
  // Other groups are other settings.
  const Variable v(Tensor<float>::ones({6}), true);
  const auto sgd =
      ldlm::SGD(std::vector<ldlm::ParameterGroup<float>>{{named, 0.4}, {{{"v", v}}, 0, 3}},
                {.momentum = 0.5});
  CHECK(sgd.settings() == OptimizerSettings{{"momentum", 0.5},
                                            {"nesterov", 0},
                                            {"weight_decay", 0.4},
                                            {"groups", 2},
                                            {"weight_decay of group 1", 0.4},
                                            {"learning_rate_factor of group 1", 1},
                                            {"weight_decay of group 2", 0},
                                            {"learning_rate_factor of group 2", 3}});
  static_assert(ldlm::Optimizer<ldlm::SGD<float>, float>);
  static_assert(ldlm::Optimizer<ldlm::Adam<double>, double>);
  static_assert(!ldlm::Optimizer<ldlm::Adam<double>, float>);
  static_assert(!ldlm::Optimizer<ldlm::Ema<float>, float>);
}
