#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <ldlm/train/trainer.hpp>

#include "io_support.hpp"
#include "trainer_support.hpp"

using namespace ldlm;
using namespace trainer_support;

static_assert(ldlm::Optimizer<Signs<double>, double>);
static_assert(ldlm::Optimizer<ldlm::AdamW<float>, float>);
static_assert(!ldlm::Optimizer<ldlm::AdamW<float>, double>);
static_assert(!ldlm::Optimizer<const ldlm::AdamW<float>, float>);

TEST_CASE("a training learns and reports") {
  std::vector<TrainProgress> reports;
  TrainOptions options = small_options({});
  options.report_every = 10;
  (void)train(options, -1, {.report = [&](const TrainProgress& p) { reports.push_back(p); }});
  REQUIRE(reports.size() == 40);
  CHECK(reports.front().step == 10);
  CHECK(reports.front().steps == 400);
  CHECK(reports.back().step == 400);
  CHECK(reports.back().loss < 0.2 * reports.front().loss);
  CHECK(reports[5].learning_rate < 1e-2);
  CHECK(reports.back().learning_rate == doctest::Approx(0.05 * 1e-2));
  CHECK(reports.back().rows_per_second > 0.0);
}

TEST_CASE("an optimiser of other parameters, or without their names, is refused") {
  Generator generator(3);
  Regressor<float> net(generator);
  Regressor<float> other(generator);
  const auto refusal = [&](auto&& optimizer) {
    return io_support::message_of([&] { Trainer(net, optimizer, {.steps = 1}); });
  };
  CHECK(refusal(adamw(other)) ==
        "[train] the optimiser's 'hidden.weight' is no parameter of the module");
  CHECK(refusal(ldlm::AdamW(ldlm::parameters(net))) ==
        "[train] the optimiser has the module's 'hidden.weight' under the name '0'; make it of "
        "named parameters, such as ldlm::trainable_parameters(module)");
}

TEST_CASE("an optimiser that is given by name is referred to, and keeps its rate") {
  Generator generator(3);
  Regressor<float> net(generator);
  auto optimizer = adamw(net);
  Trainer trainer(net, optimizer, {.steps = 3, .warmup = 0});
  CHECK(trainer.run(row_count, [&](const Tensor<std::int64_t>& rows) {
    return loss_of(net, rows);
  }) == TrainEnd::completed);
  CHECK(find(optimizer.state_dict(), "out.bias.step")->item() == 3);
  CHECK(optimizer.learning_rate() == small_rate);
  CHECK_THROWS_AS(Trainer(net, optimizer).run([&](std::int64_t step) {
    return step > 2 ? Variable<float>() : loss_of(net, Tensor<std::int64_t>::zeros({1}));
  }),
                  Error);
  CHECK(optimizer.learning_rate() == small_rate);
}

TEST_CASE("a loss of another module is refused") {
  Generator generator(3);
  Regressor<float> net(generator);
  Regressor<float> other(generator);
  CHECK(io_support::message_of([&] {
          Trainer(net, adamw(net), {.steps = 2}).run([&](std::int64_t) {
            return loss_of(other, Tensor<std::int64_t>::zeros({2}));
          });
        }) == "[train] the loss depends on none of the module's parameters at step 1");
}

TEST_CASE("the learning rate is the one that the optimiser has when a run begins") {
  Generator generator(3);
  Regressor<float> net(generator);
  auto optimizer = adamw(net);
  std::vector<double> rates;
  Trainer trainer(net, optimizer, {.steps = 4, .warmup = 0, .final_rate = 1, .report_every = 1});
  const auto run = [&] {
    trainer.run(row_count, [&](const Tensor<std::int64_t>& rows) { return loss_of(net, rows); },
                {.report = [&](const TrainProgress& p) { rates.push_back(p.learning_rate); },
                 .stop = [&] { return trainer.step() == 2; }});
  };
  optimizer.set_learning_rate(0.5);
  run();
  optimizer.set_learning_rate(0.25);
  run();
  CHECK(rates == std::vector<double>{0.5, 0.5, 0.25, 0.25});
  CHECK(optimizer.learning_rate() == 0.25);
}

TEST_CASE("an optimiser keeps its rate where a step fails") {
  Generator generator(3);
  Regressor<float> net(generator);
  auto optimizer = adamw(net);
  Trainer trainer(net, optimizer, {.steps = 4, .warmup = 2});
  CHECK_THROWS_WITH_AS(
      trainer.run(
          row_count,
          [&](const Tensor<std::int64_t>& rows) {
            const auto loss = loss_of(net, rows);
            net.hidden.weight.variable().set_value(Tensor<float>::ones({4, 16}).transpose(0, 1));
            return loss;
          }),
      doctest::Contains("is strided"), Error);
  CHECK(optimizer.learning_rate() == small_rate);
}

static_assert(!std::is_copy_constructible_v<Trainer<float>>);
static_assert(!std::is_move_constructible_v<Trainer<float>>);
static_assert(!std::is_move_assignable_v<Trainer<float>>);

TEST_CASE("a loss that cannot be trained with is told what it must be, with its step") {
  Generator generator(3);
  Regressor<float> net(generator);
  const auto refusal = [&](auto&& bad, const TrainOptions& options = {}) {
    return io_support::message_of([&] {
      Trainer(net, adamw(net), options).run([&](std::int64_t step) {
        const auto loss = loss_of(net, Tensor<std::int64_t>::zeros({2}));
        return step < 2 ? loss : bad(loss);
      });
    });
  };
  using Loss = Variable<float>;
  CHECK(refusal([](const Loss&) { return Loss(); }) ==
        "[train] the loss is undefined at step 3; it must be a Variable of one element");
  CHECK(refusal([](const Loss& loss) { return loss + Tensor<float>::zeros({3}); }) ==
        "[train] the loss has the shape (3,) at step 3; it must be of one element, such as its "
        "mean()");
  CHECK(refusal([](const Loss& loss) { return Loss(loss.value()); }) ==
        "[train] the loss has no graph at step 3; it must depend on a parameter that requires a "
        "gradient, and not be computed under NoGrad");
  for (const double factor :
       {std::numeric_limits<double>::quiet_NaN(), -1.0, std::numeric_limits<double>::infinity()}) {
    const std::string message =
        refusal([](const Loss& loss) { return loss; },
                {.schedule = [factor](std::int64_t step) { return step < 3 ? 1.0 : factor; }});
    CHECK_MESSAGE(message.starts_with("[train] the schedule gives "), message);
    CHECK_MESSAGE(
        message.ends_with(" for step 3, which must be a finite number that is not negative"),
        message);
  }
}

TEST_CASE("a training may end before its warm-up does") {
  std::vector<double> rates;
  TrainOptions options = small_options({});
  options.report_every = 1;
  for (const std::int64_t steps : {0, 3, 4}) {
    rates.clear();
    options.steps = steps;
    options.warmup = 4;
    (void)train(options, -1,
                {.report = [&](const TrainProgress& p) { rates.push_back(p.learning_rate); }});
    REQUIRE(rates.size() == static_cast<std::size_t>(steps));
    for (std::size_t i = 0; i < rates.size(); ++i) {
      CHECK(rates[i] == doctest::Approx(small_rate * static_cast<double>(i + 1) / 4));
    }
  }
}

TEST_CASE("a schedule of one's own takes the place of warm-up and decay") {
  std::vector<double> rates;
  TrainOptions options = small_options({});
  options.steps = 3;
  options.warmup.reset();
  options.schedule = [](std::int64_t step) { return 1.0 / static_cast<double>(step); };
  options.report_every = 1;
  (void)train(options, -1,
              {.report = [&](const TrainProgress& p) { rates.push_back(p.learning_rate); }});
  CHECK(rates == std::vector<double>{1e-2, 1e-2 * (1.0 / 2), 1e-2 * (1.0 / 3)});
}

TEST_CASE("rows are in the trainer's order, or the loss finds its own") {
  Generator generator(3);
  Regressor<float> net(generator);
  std::vector<std::int64_t> seen;
  Trainer(net, adamw(net), {.steps = 2, .batch_size = 5})
      .run(10, [&](const Tensor<std::int64_t>& rows, Generator&) {
        const auto some = rows.to_vector();
        seen.insert(seen.end(), some.begin(), some.end());
        return loss_of(net, rows);
      });
  std::sort(seen.begin(), seen.end());
  CHECK(seen == row_numbers(0, 10));

  std::vector<std::int64_t> steps;
  std::vector<double> draws;
  const auto rows = Tensor<std::int64_t>::zeros({1});
  Trainer(net, adamw(net), {.steps = 2}).run([&](std::int64_t step) {
    steps.push_back(step);
    return loss_of(net, rows);
  });
  Trainer(net, adamw(net), {.steps = 2, .seed = 4}).run([&](std::int64_t, Generator& g) {
    draws.push_back(g.uniform());
    return loss_of(net, rows);
  });
  CHECK(steps == std::vector<std::int64_t>{0, 1});
  CHECK(draws[1] == Generator(4).fork(1).uniform());
}

TEST_CASE("hooks are called in their order, evaluations without graph and dropout") {
  const io_support::TempFolder folder;
  Generator generator(3);
  Regressor<float> net(generator);
  TrainOptions options = small_options(folder.path());
  options.steps = 4;
  options.checkpoint_every = 2;
  options.report_every = 2;
  options.evaluate_every = 2;
  options.ema_decay = 0.5;
  std::string calls;
  const auto out = [&] { return net.out.weight.value().to_vector()[0]; };
  float trained = 0;
  Trainer trainer(net, adamw(net), options);
  trainer.run(row_count,
              [&](const Tensor<std::int64_t>& rows) {
                CHECK(model_mode() == ModelMode::training);
                CHECK(grad_enabled());
                if (trainer.step() == 2) {
                  CHECK(out() == trained);  // the weights are back
                }
                return loss_of(net, rows);
              },
              {.report =
                   [&](const TrainProgress& p) {
                     calls += "report " + std::to_string(p.step) + ", ";
                     trained = out();
                   },
               .evaluate =
                   [&] {
                     CHECK(model_mode() == ModelMode::evaluation);
                     CHECK(!grad_enabled());
                     CHECK(out() != trained);  // the average
                     calls += "evaluate, ";
                     return trainer.step() == 2 ? 0.5 : 0.75;
                   },
               .evaluated =
                   [&](const Evaluation& e) {
                     CHECK(e.best == 0.5);
                     CHECK(e.best_step == 2);
                     calls += "evaluated " + std::to_string(e.step) + ", ";
                   },
               .stop =
                   [&] {
                     calls += "stop? ";
                     return false;
                   },
               .saved = [&](const fs::path& path) { calls += path.filename().native() + ", "; }});
  CHECK(calls ==
        "stop? report 2, evaluate, evaluated 2, stop? step-00000002, "
        "stop? report 4, evaluate, evaluated 4, stop? step-00000004, ");
}

TEST_CASE("a training ends when its patience does, and a resumed one at the same step") {
  const io_support::TempFolder folder;
  Generator generator(3);
  Regressor<float> net(generator);
  // Best at step 30.
  const auto train_on = [&](std::int64_t pause, std::int64_t patience, Trainer<float>& trainer) {
    return trainer.run(
        row_count, [&](const Tensor<std::int64_t>& rows) { return loss_of(net, rows); },
        {.evaluate = [&] { return std::abs(static_cast<double>(trainer.step()) - 30.0) + 0.1; },
         .stop = [&, patience] { return patience > 0 && trainer.step() == pause; }});
  };
  const auto run = [&](std::int64_t pause, std::int64_t patience) {
    TrainOptions options = small_options(folder.path());
    options.steps = 100;
    options.evaluate_every = 10;
    options.patience = patience;
    Trainer trainer(net, adamw(net), options);
    trainer.resume();
    const TrainEnd end = train_on(pause, patience, trainer);
    return std::pair(end, trainer.step());
  };
  CHECK(run(45, 3) == std::pair(TrainEnd::stopped, std::int64_t{45}));
  CHECK(run(-1, 3) == std::pair(TrainEnd::patience, std::int64_t{60}));
  CHECK(run(-1, 3) == std::pair(TrainEnd::patience, std::int64_t{60}));  // it had ended
  CHECK(run(-1, 5) == std::pair(TrainEnd::patience, std::int64_t{80}));  // with more it goes on
  CHECK(run(-1, 50) == std::pair(TrainEnd::completed, std::int64_t{100}));
}

TEST_CASE("the weights of the best evaluation are put in place at the end") {
  for (const double ema : {0.0, 0.9}) {
    const io_support::TempFolder folder;
    NamedTensors<float> best;
    const auto run = [&](std::int64_t pause) {
      Generator generator(3);
      Regressor<float> net(generator);
      TrainOptions options = small_options(folder.path());
      options.steps = 50;
      options.ema_decay = ema;
      options.evaluate_every = 10;
      options.keep_best = true;
      Trainer trainer(net, adamw(net), options);
      trainer.resume();
      trainer.run(row_count, [&](const Tensor<std::int64_t>& rows) { return loss_of(net, rows); },
                  {.evaluate =
                       [&] {
                         if (trainer.step() == 30) {
                           best.clear();
                           for (const auto& [name, tensor] : ldlm::state_dict(net)) {
                             best.emplace_back(name, tensor.clone());
                           }
                         }
                         return std::abs(static_cast<double>(trainer.step()) - 30.0);
                       },
                   .stop = [&] { return trainer.step() == pause; }});
      CHECK(!same(ldlm::state_dict(net), best));
      trainer.finish();
      return ldlm::state_dict(net);
    };
    CHECK(same(run(35), best));
    CHECK(same(run(-1), best));  // it was in the checkpoint
    CHECK(same(run(-1), best));
  }
}

TEST_CASE("an evaluation that is no number ends the training") {
  TrainOptions options = small_options({});
  options.evaluate_every = 3;
  const std::string message = io_support::message_of([&] {
    (void)train(options, -1, {.evaluate = [] { return std::numeric_limits<double>::quiet_NaN(); }});
  });
  CHECK_MESSAGE(message.starts_with("[train] the evaluation is "), message);
  CHECK_MESSAGE(message.ends_with(" after step 3"), message);
}

TEST_CASE("options that are out of range are refused by name") {
  Generator generator(3);
  Regressor<float> net(generator);
  const auto refuse = [&](const std::string& name, auto&& change) {
    TrainOptions options;
    change(options);
    CHECK_THROWS_WITH_AS(Trainer(net, adamw(net), options),
                         doctest::Contains(("[train] " + name).c_str()), Error);
  };
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  refuse("steps", [](TrainOptions& o) { o.steps = -1; });
  refuse("steps", [](TrainOptions& o) { o.steps = 2'000'000'000; });
  refuse("batch_size", [](TrainOptions& o) { o.batch_size = 0; });
  refuse("warmup", [](TrainOptions& o) { o.warmup = -1; });
  refuse("final_rate", [](TrainOptions& o) { o.final_rate = 1.5; });
  refuse("clip_norm", [](TrainOptions& o) { o.clip_norm = -1.0; });
  refuse("clip_norm", [](TrainOptions& o) { o.clip_norm = nan; });
  refuse("clip_norm must be a finite number that is not negative, got inf",
         [](TrainOptions& o) { o.clip_norm = std::numeric_limits<double>::infinity(); });
  refuse("ema_decay", [](TrainOptions& o) { o.ema_decay = 1.0; });
  refuse("checkpoint_every", [](TrainOptions& o) { o.checkpoint_every = 0; });
  refuse("report_every", [](TrainOptions& o) { o.report_every = 0; });
  refuse("evaluate_every", [](TrainOptions& o) { o.evaluate_every = 0; });
  refuse("patience", [](TrainOptions& o) { o.patience = 0; });
  refuse("context must be an object, got 3", [](TrainOptions& o) { o.context = JsonValue(3); });
  for (const std::int64_t count : {0, -1}) {
    CHECK_THROWS_WITH_AS(
        Trainer(net, adamw(net))
            .run(count, [&](const Tensor<std::int64_t>& rows) { return loss_of(net, rows); }),
        ("[train] needs at least one row to train on, got " + std::to_string(count)).c_str(),
        ldlm::ValueError);
  }
}

TEST_CASE("options and hooks that others leave without effect are refused by name") {
  Generator generator(3);
  Regressor<float> net(generator);
  const auto refuse = [&](const std::string& reason, const TrainOptions& options,
                          const TrainHooks& hooks = {}) {
    CHECK(io_support::message_of([&] {
            Trainer(net, adamw(net), options)
                .run(
                    row_count, [&](const auto& rows) { return loss_of(net, rows); }, hooks);
          }) == "[train] " + reason);
  };
  const auto schedule = [](std::int64_t) { return 1.0; };
  refuse("warmup has no effect beside a schedule", {.schedule = schedule, .warmup = 3});
  refuse("final_rate has no effect beside a schedule", {.schedule = schedule, .final_rate = 0});
  refuse("checkpoint_every has no effect without a folder", {.checkpoint_every = 3});
  refuse("context has no effect without a folder",
         {.context = JsonValue::object({{"data", "50 rows"}})});
  refuse("patience has no effect without evaluate_every", {.patience = 3});
  refuse("keep_best has no effect without evaluate_every", {.keep_best = true});
  refuse("report_every has no effect without the hook report", {.report_every = 3});
  refuse("evaluate_every has no effect without the hook evaluate", {.evaluate_every = 3});
  refuse("the hook evaluate has no effect without evaluate_every", {},
         {.evaluate = [] { return 0.0; }});
  refuse("the hook evaluated has no effect without the hook evaluate", {},
         {.evaluated = [](const Evaluation&) {}});
  refuse("the hook saved has no effect without a folder", {}, {.saved = [](const fs::path&) {}});
}

TEST_CASE("a loss that is no number ends the training and keeps the last checkpoint") {
  const io_support::TempFolder folder;
  Generator generator(1);
  ldlm::Linear<float> model(1, 1, generator);
  Trainer trainer(model, adamw(model), small_options(folder.path()));
  const auto loss = [&](std::int64_t step, Generator&) {
    const float x = step < 10 ? 1.0F : std::numeric_limits<float>::quiet_NaN();
    return mean(square(model(Variable<float>(Tensor<float>::full({1, 1}, x)))));
  };
  CHECK(io_support::message_of([&] { trainer.run(loss); }, folder.path()) ==
        "[train] the loss is nan at step 11; the last checkpoint is step-00000007");
  CHECK(latest_checkpoint(folder.path())->filename() == "step-00000007");
}

TEST_CASE("a gradient that is no number ends the training, and so does a weight") {
  const io_support::TempFolder folder;
  Generator generator(1);
  ldlm::Linear<float> model(1, 1, generator);
  TrainOptions options = small_options(folder.path());
  options.clip_norm = 0.0;
  {
    Trainer trainer(model, adamw(model), options);
    const auto loss = [&](std::int64_t step, Generator&) {
      // sqrt(0) is 0 and has no finite gradient.
      const auto w = model.weight.variable().flatten();
      return mean(step < 2 ? square(w) : sqrt(w - Variable<float>(w.value().clone())));
    };
    const std::string message = io_support::message_of([&] { trainer.run(loss); }, folder.path());
    CHECK_MESSAGE(message.starts_with("[train] the norm of the gradient is "), message);
    CHECK(message.ends_with(" at step 3; there is no checkpoint yet"));
    CHECK(std::isfinite(model.weight.value().to_vector()[0]));
  }
  options.checkpoint_every = 1;
  options.warmup = 0;
  Trainer trainer(model, adamw(model, 3e38), options);
  const auto loss = [&](std::int64_t, Generator&) {
    return mean(model.weight.variable()) * Variable<float>(Tensor<float>::scalar(1e-30F));
  };
  const std::string message = io_support::message_of([&] { trainer.run(loss); }, folder.path());
  CHECK_MESSAGE(message.find("at step ") != std::string::npos, message);
  if (const auto latest = latest_checkpoint(folder.path())) {
    for (const auto& [name, tensor] : load_checkpoint(*latest).model) {
      CHECK(std::isfinite(tensor.to_vector()[0]));
    }
  }
}

// Run by the next test in processes of their own.
