// Checkpoints of trainings: what is in them, what is gone on from, and what is not.

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <ldlm/train/trainer.hpp>

#include "io_support.hpp"
#include "trainer_support.hpp"

using namespace ldlm;
using namespace trainer_support;

namespace {

// Trainings with each optimiser: one that is stopped thrice ends with the same bits.
template <class T, class Make>
void check_resumes(const std::string& name, Make make) {
  CAPTURE(name);
  const std::function<Trainer<T>(Regressor<T>&, const TrainOptions&)> trainer =
      [make](Regressor<T>& net, const TrainOptions& o) { return Trainer<T>(net, make(net), o); };
  TrainOptions options = small_options({});
  options.steps = 120;
  const NamedTensors<T> undisturbed = train<T>(options, -1, {}, trainer);
  const io_support::TempFolder folder;
  options = small_options(folder.path());
  options.steps = 120;
  for (const std::int64_t steps : {1, 13, 70}) {
    (void)train<T>(options, steps, {}, trainer);
  }
  CHECK(latest_checkpoint(folder.path())->filename() == "step-00000084");
  CHECK(same(train<T>(options, -1, {}, trainer), undisturbed));
  CHECK(same(train<T>(options, -1, {}, trainer), undisturbed));  // nothing is left to do
}

}  // namespace

TEST_CASE_TEMPLATE("a training that is stopped and resumed ends with the same bits", T, float,
                   double) {
  check_resumes<T>("AdamW", [](const auto& net) { return adamw(net); });
  check_resumes<T>("SGD", [](const auto& net) { return sgd(net); });
  check_resumes<T>("SGD without momentum", [](const auto& net) {
    return ldlm::SGD(ldlm::named_parameters(net), {.learning_rate = small_rate});
  });
  check_resumes<T>("one's own",
                   [](const auto& net) { return Signs<T>(ldlm::named_parameters(net)); });
}

TEST_CASE("a checkpoint keeps the optimiser's state under the parameters' names") {
  const auto names_of = [](const NamedTensors<float>& tensors) {
    std::string names;
    for (const auto& [name, tensor] : tensors) {
      names += name + " ";
    }
    return names;
  };
  const io_support::TempFolder folder;
  (void)train(small_options(folder / "adamw"), 1);
  const auto saved = load_checkpoint(*latest_checkpoint(folder / "adamw"));
  CHECK(names_of(saved.optimizer) ==
        "hidden.bias.exp_avg hidden.bias.exp_avg_sq hidden.bias.step hidden.weight.exp_avg "
        "hidden.weight.exp_avg_sq hidden.weight.step out.bias.exp_avg out.bias.exp_avg_sq "
        "out.bias.step out.weight.exp_avg out.weight.exp_avg_sq out.weight.step ");

  // A part that was frozen has none, and one that is unfrozen is missed by its name.
  Generator generator(3);
  Regressor<float> net(generator);
  ldlm::set_requires_grad(net.hidden, false);
  const auto loss = [&](const Tensor<std::int64_t>& rows) { return loss_of(net, rows); };
  TrainOptions options = small_options(folder / "frozen");
  options.steps = 2;
  options.ema_decay = 0;
  Trainer(net, adamw(net), options).run(row_count, loss);
  CHECK(names_of(load_checkpoint(*latest_checkpoint(folder / "frozen")).optimizer) ==
        "out.bias.exp_avg out.bias.exp_avg_sq out.bias.step out.weight.exp_avg "
        "out.weight.exp_avg_sq out.weight.step ");
  ldlm::set_requires_grad(net.hidden, true);
  const auto resume = [&](auto&& optimizer) {
    return io_support::message_of([&] { Trainer(net, optimizer, options).resume(); },
                                  folder.path());
  };
  CHECK(resume(adamw(net)) ==
        "[train] frozen/step-00000002/optimizer.safetensors: [AdamW] missing: "
        "hidden.weight.exp_avg, hidden.weight.exp_avg_sq, hidden.weight.step, hidden.bias.exp_avg, "
        "hidden.bias.exp_avg_sq, hidden.bias.step");
  CHECK(
      resume(sgd(net)) ==
      "[train] frozen/step-00000002 was made with other options: optimizer is \"AdamW\" there and "
      "\"SGD\" here. To begin anew, remove it");
  CHECK(
      resume(Signs<float>(ldlm::named_parameters(net))).find("optimizer is \"AdamW\" there and") !=
      std::string::npos);
}

TEST_CASE("a checkpoint that was not resumed is not written over") {
  const io_support::TempFolder folder;
  TrainOptions options = small_options(folder.path());
  (void)train(options, 20);
  Generator generator(3);
  Regressor<float> net(generator);
  const auto loss = [&](const Tensor<std::int64_t>& rows) { return loss_of(net, rows); };
  {
    Trainer trainer(net, adamw(net), options);
    CHECK(trainer.step() == 0);  // nothing was read
    CHECK(io_support::message_of([&] { trainer.run(row_count, loss); }, folder.path()) ==
          "[train] step-00000020 is a checkpoint of an earlier training: resume() goes on from it. "
          "To begin anew, remove it");
    CHECK(trainer.step() == 0);
    CHECK(trainer.resume() == 20);
    CHECK(io_support::message_of([&] { trainer.run(60, loss); }, folder.path()) ==
          "[train] step-00000020 was made with other data: 50 rows in the trainer's order there "
          "and 60 here. To begin anew, remove it");
    CHECK(
        io_support::message_of([&] { trainer.run([&](std::int64_t) { return loss_of(net, {}); }); },
                               folder.path()) ==
        "[train] step-00000020 was made with other data: 50 rows in the trainer's order there "
        "and 0 here. To begin anew, remove it");
  }
  fs::remove_all(folder.path());
  options.steps = 3;
  Trainer trainer(net, adamw(net), options);
  CHECK(trainer.resume() == std::nullopt);
  CHECK(trainer.run(row_count, loss) == TrainEnd::completed);
  CHECK(folder.listing() == ".ldlm-lock step-00000003");
  trainer.finish();
  CHECK(io_support::message_of([&] { trainer.run(row_count, loss); }) ==
        "[train] run() after finish()");
  CHECK(io_support::message_of([&] { trainer.resume(); }) == "[train] resume() after finish()");
  CHECK(io_support::message_of([&] { Trainer(net, adamw(net)).resume(); }) ==
        "[train] resume() without a folder of checkpoints");
}

TEST_CASE("a training goes back to its last checkpoint") {
  const io_support::TempFolder folder;
  TrainOptions options = small_options(folder.path());
  options.steps = 20;
  Generator generator(3);
  Regressor<float> net(generator);
  Trainer trainer(net, adamw(net), options);
  bool broken = true;
  const auto loss = [&](const Tensor<std::int64_t>& rows) {
    const auto value = loss_of(net, rows);
    return broken && trainer.step() == 10 ? value * std::numeric_limits<float>::infinity() : value;
  };
  CHECK_THROWS_WITH_AS(trainer.run(row_count, loss), doctest::Contains("at step 11"), Error);
  CHECK(trainer.resume() == 7);
  broken = false;
  CHECK(trainer.run(row_count, loss) == TrainEnd::completed);
  trainer.finish();
  const io_support::TempFolder other;
  options.folder = other.path();
  CHECK(same(ldlm::state_dict(net), train(options)));
}

TEST_CASE("a checkpoint of floats is none of doubles") {
  const io_support::TempFolder folder;
  (void)train<float>(small_options(folder.path()), 1);
  CHECK(io_support::message_of([&] { (void)train<double>(small_options(folder.path())); },
                               folder.path()) ==
        "[safetensors] step-00000001/model.safetensors: tensor \"hidden.bias\" is F32, not F64");
}

TEST_CASE("a checkpoint of an older release goes on") {
  const io_support::TempFolder folder;
  (void)train(small_options(folder.path()), 20);
  Checkpoint checkpoint = load_checkpoint(*latest_checkpoint(folder.path()));
  JsonValue::Object config;
  for (const auto& [name, value] : checkpoint.config.members()) {
    if (name != "optimizer" && name != "rows") {
      config.emplace_back(name, value);
    }
  }
  config.emplace_back("weight_decay", 0.01);
  config.emplace_back("beta2", 0.98);
  checkpoint.config = JsonValue::object(config);
  checkpoint.extra = {};
  save_checkpoint(folder.path(), checkpoint);
  Generator generator(3);
  Regressor<float> net(generator);
  const auto resume = [&](auto&& optimizer) {
    std::vector<std::string> changes;
    const std::string message = io_support::message_of(
        [&] {
          Trainer trainer(net, optimizer, small_options(folder.path()));
          trainer.resume();
          changes = trainer.changes();
        },
        folder.path());
    CHECK(changes.empty());
    return message;
  };
  CHECK(resume(ldlm::AdamW(ldlm::decay_groups(net, 0.02),
                           {.learning_rate = small_rate, .beta2 = 0.98})) ==
        "[train] step-00000020 was made with other options: weight_decay is 0.01 there and 0.02 "
        "here. To begin anew, remove it");
  CHECK(resume(ldlm::Adam(ldlm::decay_groups(net, 0.01),
                          {.learning_rate = small_rate, .beta2 = 0.98})) ==
        "[train] step-00000020 was made with other options: optimizer is \"AdamW\" there and "
        "\"Adam\" here. To begin anew, remove it");
  CHECK(resume(adamw(net)) == "no error");
  CHECK(same(train(small_options(folder.path())), train(small_options({}))));
}

TEST_CASE("a checkpoint of other options, another context or another model is refused") {
  const io_support::TempFolder folder;
  TrainOptions options = small_options(folder.path());
  options.context.set("data", "50 rows");
  (void)train(options, 20);
  const auto refuse = [&](auto&& change, const char* reason) {
    TrainOptions other = options;
    change(other);
    CHECK_THROWS_WITH_AS(train(other), doctest::Contains(reason), Error);
  };
  refuse([](TrainOptions& o) { o.batch_size = 9; }, "other options: batch_size is 8 there and 9");
  refuse([](TrainOptions& o) { o.ema_decay = 0.0; }, "other options: ema_decay is 0.9 there");
  refuse([](TrainOptions& o) { o.seed = 6; }, "other options: seed is 5 there and 6 here");
  refuse([](TrainOptions& o) { o.context.set("data", "60 rows"); },
         "another context: data is \"50 rows\" there and \"60 rows\" here");
  refuse([](TrainOptions& o) { o.context.set("noise", 1); }, "noise is missing there and 1 here");
  refuse([](TrainOptions& o) { o.context = JsonValue::object(); },
         "another context: data is \"50 rows\" there and missing here");
  refuse([](TrainOptions& o) { o.steps = 19; },
         "step-00000020: is of step 20, beyond the last one, 19");

  Generator generator(1);
  ldlm::Linear<float> another(2, 2, generator);
  CHECK_THROWS_WITH_AS(Trainer(another, adamw(another), options).resume(),
                       doctest::Contains("does not fit the model"), Error);
  Regressor<float> net(generator);
  const ldlm::AdamWOptions betas{.learning_rate = small_rate, .beta2 = 0.97};
  CHECK_THROWS_WITH_AS(
      Trainer(net, ldlm::AdamW(ldlm::decay_groups(net, 0.01), betas), options).resume(),
      doctest::Contains("other options: beta2 is 0.98 there and 0.97 here"), Error);
}

TEST_CASE("more steps and another learning rate are taken, and said") {
  const io_support::TempFolder folder;
  TrainOptions options = small_options(folder.path());
  options.steps = 20;
  (void)train(options);
  Generator generator(3);
  Regressor<float> net(generator);
  const auto changes = [&](double rate) {
    Trainer trainer(net, adamw(net, rate), options);
    trainer.resume();
    return trainer.changes();
  };
  CHECK(changes(small_rate).empty());
  options.steps = 30;
  CHECK(changes(2e-2) ==
        std::vector<std::string>{"steps is 30 now, was 20", "learning_rate is 0.02 now, was 0.01"});
  (void)train(options);
  CHECK(latest_checkpoint(folder.path())->filename() == "step-00000030");
}

TEST_CASE("another schedule, evaluation or patience is taken, and said; another best is refused") {
  const io_support::TempFolder folder;
  TrainOptions options = small_options(folder.path());
  options.evaluate_every = 5;
  options.patience = 9;
  options.keep_best = true;
  (void)train(options, 20, {.evaluate = [] { return 1.0; }});
  Generator generator(3);
  Regressor<float> net(generator);
  using Changes = std::vector<std::string>;
  const auto changes = [&](auto&& change) {
    TrainOptions other = options;
    change(other);
    Trainer trainer(net, adamw(net), other);
    trainer.resume();
    return trainer.changes();
  };
  const auto own = [](TrainOptions& o) {
    o.warmup.reset();
    o.schedule = [](std::int64_t) { return 1.0; };
  };
  CHECK(changes([](TrainOptions&) {}).empty());
  CHECK(changes([](TrainOptions& o) {
          o.report_every = 3;
          o.checkpoint_every = 8;
        }).empty());
  CHECK(changes(own) == Changes{"schedule is \"own\" now, was \"usual\""});
  CHECK(changes([](TrainOptions& o) {
          o.evaluate_every = 6;
          o.patience.reset();
        }) == Changes{"evaluate_every is 6 now, was 5", "patience is null now, was 9"});
  CHECK_THROWS_WITH_AS(changes([](TrainOptions& o) { o.keep_best = false; }),
                       doctest::Contains("keep_best is true there and false here"), Error);

  // Older checkpoints lack these, and a keep_best that is not set.
  const auto age = [&](const std::vector<std::string>& unknown) {
    Checkpoint checkpoint = load_checkpoint(*latest_checkpoint(folder.path()));
    JsonValue::Object config;
    for (const auto& [name, value] : checkpoint.config.members()) {
      if (std::find(unknown.begin(), unknown.end(), name) == unknown.end()) {
        config.emplace_back(name, value);
      }
    }
    checkpoint.config = JsonValue::object(config);
    save_checkpoint(folder.path(), checkpoint);
  };
  age({"schedule", "evaluate_every", "patience"});
  CHECK(changes([](TrainOptions&) {}).empty());
  CHECK(changes(own) == Changes{"schedule is \"own\" now, was \"usual\""});
  age({"warmup", "final_rate"});
  CHECK(changes(own).empty());
  CHECK(changes([](TrainOptions&) {}) == Changes{"schedule is \"usual\" now, was \"own\""});
  age({"keep_best"});
  CHECK_THROWS_WITH_AS(changes([](TrainOptions&) {}),
                       doctest::Contains("keep_best is false there and true here"), Error);
  CHECK(changes([&](TrainOptions& o) {
          own(o);
          o.keep_best = false;
        }).empty());
}

TEST_CASE("a broken checkpoint is refused with its file, and the module is left as it is") {
  const auto damaged = [](auto&& damage) {
    const io_support::TempFolder folder;
    (void)train(small_options(folder.path()), 3);
    Checkpoint checkpoint = load_checkpoint(*latest_checkpoint(folder.path()));
    damage(checkpoint);
    save_checkpoint(folder.path(), checkpoint);
    Generator generator(3);
    Regressor<float> net(generator);
    auto optimizer = adamw(net);
    NamedTensors<float> before;
    for (const auto& [name, tensor] : ldlm::state_dict(net)) {
      before.emplace_back(name, tensor.clone());
    }
    const std::string message = io_support::message_of(
        [&] { Trainer(net, optimizer, small_options(folder.path())).resume(); }, folder.path());
    CHECK(same(ldlm::state_dict(net), before));
    CHECK(find(optimizer.state_dict(), "out.bias.step")->item() == 0);
    return message;
  };
  const auto poison = [](Tensor<float>& tensor, float value) {
    tensor = tensor.clone();
    tensor.data()[0] = value;
  };
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::string end =
      " holds NaN or infinity. To go on from an earlier checkpoint, remove step-00000003";
  const auto says = [](const std::string& message, const std::string& start) {
    CHECK_MESSAGE(message.starts_with(start), message);
  };
  says(damaged([&](Checkpoint& c) { poison(c.model[0].second, nan); }),
       "[train] step-00000003/model.safetensors: hidden.bias holds NaN or infinity");
  says(damaged([&](Checkpoint& c) { poison(c.optimizer[0].second, infinity); }),
       "[train] step-00000003/optimizer.safetensors: hidden.bias.exp_avg holds NaN or infinity");
  says(damaged([&](Checkpoint& c) { poison(c.ema[1].second, -infinity); }),
       "[train] step-00000003/ema.safetensors: ");
  says(damaged([&](Checkpoint& c) { poison(c.optimizer[1].second, -1.0F); }),
       "[train] step-00000003/optimizer.safetensors: [AdamW] hidden.bias.exp_avg_sq holds a "
       "negative number");
  says(damaged([](Checkpoint& c) { c.model.emplace_back("more", Tensor<float>::ones({2})); }),
       "[train] step-00000003 does not fit the model: more is missing here and (2,) there");
  says(
      damaged([](Checkpoint& c) { c.model.pop_back(); }),
      "[train] step-00000003 does not fit the model: out.weight is (1, 16) here and missing there");
  says(damaged([](Checkpoint& c) { c.config = ldlm::JsonValue(3); }),
       "[train] step-00000003/state.json: config must be an object, got 3");
  says(damaged([](Checkpoint& c) { c.config.set("steps", ldlm::JsonValue::object({})); }),
       "[train] step-00000003/state.json: steps must be a number, got {}");
  says(damaged([](Checkpoint& c) { c.config.set("context", 3); }),
       "[train] step-00000003/state.json: context must be an object, got 3");
  says(damaged([](Checkpoint& c) {
         JsonValue settings = *c.config.find("optimizer");
         settings.set("more", 1);
         c.config.set("optimizer", settings);
       }),
       "[train] step-00000003 was made with other options: more is 1 there and missing here");
  says(damaged([](Checkpoint& c) { c.config.set("optimizer", 3); }),
       "[train] step-00000003/state.json: optimizer must be an object, got 3");
  says(damaged([](Checkpoint& c) { c.config.set("schedule", 3); }),
       "[train] step-00000003/state.json: schedule must be a string, got 3");
  says(damaged([](Checkpoint& c) {
         c.extra = ldlm::JsonValue::object({{"best", "x"}});
       }),
       "[train] step-00000003/state.json: extra: best must be a number, got \"x\"");
  says(damaged([](Checkpoint& c) { c.optimizer.clear(); }),
       "[train] step-00000003/optimizer.safetensors: [AdamW] missing: ");
  says(damaged([](Checkpoint& c) { c.optimizer.pop_back(); }),
       "[train] step-00000003/optimizer.safetensors: [AdamW] missing: ");
  says(damaged([](Checkpoint& c) { c.ema.clear(); }),
       "[train] step-00000003/ema.safetensors: [Ema] missing: ");
}

TEST_CASE("one trainer at a time has a folder of checkpoints") {
  const io_support::TempFolder folder;
  Generator generator(3);
  Regressor<float> net(generator);
  {
    const Trainer first(net, adamw(net), small_options(folder.path()));
    CHECK_THROWS_WITH_AS(Trainer(net, adamw(net), small_options(folder.path())),
                         doctest::Contains("is in use by process"), Error);
  }
  CHECK(folder.listing().empty());
  (void)train(small_options(folder.path()), 1);
  CHECK(folder.listing() == "step-00000001");
}

TEST_CASE("training child" * doctest::skip()) {
  const char* const folder = std::getenv("LDLM_TRAINING_CHILD");
  REQUIRE(folder != nullptr);
  (void)train(small_options(folder));
}

TEST_CASE("a training killed at twenty random moments ends with the same bits") {
  const NamedTensors<float> undisturbed = train(small_options({}));
  const io_support::TempFolder folder;
  Generator moments(11);
  int killed = 0;
  std::int64_t limit_ms = 40;
  for (int attempt = 0; killed < 20 && attempt < 400; ++attempt) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      setenv("LDLM_TRAINING_CHILD", folder.path().c_str(), 1);
      if (freopen("/dev/null", "w", stdout) == nullptr) {
        _exit(126);
      }
      execl("/proc/self/exe", "test", "--test-case=training child", "--no-skip", nullptr);
      _exit(127);
    }
    usleep(static_cast<useconds_t>(1000 * (5 + moments.below(limit_ms))));
    kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) {
      ++killed;
    } else {  // it came to its end before: begin anew, with less patience
      REQUIRE(WIFEXITED(status));
      REQUIRE(WEXITSTATUS(status) == 0);
      fs::remove_all(folder.path());
      limit_ms = std::max<std::int64_t>(2, limit_ms * 2 / 3);
    }
  }
  CHECK(killed == 20);
  CHECK(same(train(small_options(folder.path())), undisturbed));
}
