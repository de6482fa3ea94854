#include <doctest/doctest.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/nn/nn.hpp>
#include <ldlm/train/dataset.hpp>
#include <ldlm/train/trainer.hpp>

#include "io_support.hpp"

using namespace ldlm;
namespace fs = std::filesystem;

namespace {

// A regression with dropout, so that the random streams matter as well.
struct Regressor {
  nn::Linear<float> hidden, out;
  nn::Dropout<float> dropout;

  explicit Regressor(Generator& g) : hidden(4, 16, g), out(16, 1, g), dropout(0.1) {}
  template <class V>
  void visit(V&& v) {
    v("hidden", hidden);
    v("out", out);
    v("dropout", dropout);
  }
};

TrainOptions small_options(const fs::path& folder) {
  TrainOptions options;
  options.folder = folder;
  options.steps = 400;
  options.batch_size = 8;
  options.learning_rate = 1e-2;
  options.warmup = 10;
  options.ema_decay = 0.9;
  options.seed = 5;
  options.checkpoint_every = 7;
  options.report_every = 10;
  return options;
}

// Trains a fresh net as far as it gets and returns its state.
NamedTensors<float> train(const TrainOptions& options, std::int64_t stop_after = -1,
                          std::vector<TrainProgress>* reports = nullptr) {
  Generator generator(3);
  Regressor net(generator);
  Trainer trainer(net, options);
  BatchOrder order(50, options.batch_size, options.seed);
  std::int64_t done = 0;
  trainer.run(
      [&](std::int64_t step, Generator& /*generator*/) {
        std::vector<float> rows;
        for (const std::int64_t row : order.batch(step)) {
          for (int i = 0; i < 4; ++i) {
            rows.push_back(std::sin(static_cast<float>(row * (i + 1))));
          }
        }
        const Variable<float> x(Tensor<float>::from_values({options.batch_size, 4}, rows));
        const auto y = net.out(net.dropout(net.hidden(x, Activation::gelu)));
        return mse_loss(y, Variable<float>(sum(x.value(), 1, true)));
      },
      [&](const TrainProgress& p) {
        if (reports != nullptr) {
          reports->push_back(p);
        }
      },
      [&] { return ++done == stop_after; });
  trainer.finish();
  return nn::state_dict(net);
}

bool same(const NamedTensors<float>& a, const NamedTensors<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].first != b[i].first || !equal(a[i].second, b[i].second)) {
      return false;
    }
  }
  return a.size() == b.size();
}

}  // namespace

TEST_CASE("a training learns and reports") {
  std::vector<TrainProgress> reports;
  (void)train(small_options({}), -1, &reports);
  REQUIRE(reports.size() == 40);
  CHECK(reports.front().step == 10);
  CHECK(reports.front().steps == 400);
  CHECK(reports.back().step == 400);
  CHECK(reports.back().loss < 0.2 * reports.front().loss);
  CHECK(reports[5].learning_rate < 1e-2);
  CHECK(reports.back().learning_rate == doctest::Approx(0.05 * 1e-2));
  CHECK(reports.back().rows_per_second > 0.0);
}

TEST_CASE("a training that is stopped and resumed ends with the same bits") {
  const NamedTensors<float> undisturbed = train(small_options({}));
  const io_support::TempFolder folder;
  for (const std::int64_t steps : {1, 13, 70}) {
    (void)train(small_options(folder.path()), steps);
  }
  CHECK(latest_checkpoint(folder.path())->filename() == "step-00000084");
  CHECK(same(train(small_options(folder.path())), undisturbed));
  CHECK(same(train(small_options(folder.path())), undisturbed));  // nothing is left to do
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
  refuse([](TrainOptions& o) { o.steps = 19; },
         "step-00000020: is of step 20, beyond the last one, 19");

  Generator generator(1);
  nn::Linear<float> another(2, 2, generator);
  CHECK_THROWS_WITH_AS(Trainer(another, options), doctest::Contains("does not fit the model"),
                       Error);
}

TEST_CASE("more steps and another learning rate are taken, and said") {
  const io_support::TempFolder folder;
  TrainOptions options = small_options(folder.path());
  options.steps = 20;
  (void)train(options);
  Generator generator(3);
  Regressor net(generator);
  CHECK(Trainer(net, options).changes().empty());
  options.steps = 30;
  options.learning_rate = 2e-2;
  CHECK(Trainer(net, options).changes() ==
        std::vector<std::string>{"steps is 30 now, was 20", "learning_rate is 0.02 now, was 0.01"});
  (void)train(options);
  CHECK(latest_checkpoint(folder.path())->filename() == "step-00000030");
}

TEST_CASE("a broken checkpoint is refused with its file, and the module is left as it is") {
  const auto damaged = [](auto&& damage) {
    const io_support::TempFolder folder;
    (void)train(small_options(folder.path()), 3);
    Checkpoint checkpoint = load_checkpoint(*latest_checkpoint(folder.path()));
    damage(checkpoint);
    save_checkpoint(folder.path(), checkpoint);
    Generator generator(3);
    Regressor net(generator);
    NamedTensors<float> before;
    for (const auto& [name, tensor] : nn::state_dict(net)) {
      before.emplace_back(name, tensor.clone());
    }
    const std::string message =
        io_support::message_of([&] { Trainer(net, small_options(folder.path())); }, folder.path());
    CHECK(same(nn::state_dict(net), before));
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
       "negative number or NaN");
  says(damaged([](Checkpoint& c) { c.config = ldlm::JsonValue(3); }),
       "[train] step-00000003/state.json: config must be an object, got 3");
  says(damaged([](Checkpoint& c) { c.config.set("steps", ldlm::JsonValue::object({})); }),
       "[train] step-00000003/state.json: steps must be a number, got {}");
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
  Regressor net(generator);
  {
    const Trainer first(net, small_options(folder.path()));
    CHECK_THROWS_WITH_AS(Trainer(net, small_options(folder.path())),
                         doctest::Contains("is in use by process"), Error);
  }
  CHECK(folder.listing().empty());
  (void)train(small_options(folder.path()), 1);
  CHECK(folder.listing() == "step-00000001");
}

TEST_CASE("options that are out of range are refused by name") {
  Generator generator(3);
  Regressor net(generator);
  const auto refuse = [&](const std::string& name, auto&& change) {
    TrainOptions options;
    change(options);
    CHECK_THROWS_WITH_AS(Trainer(net, options), doctest::Contains(("[train] " + name).c_str()),
                         Error);
  };
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  refuse("steps", [](TrainOptions& o) { o.steps = -1; });
  refuse("steps", [](TrainOptions& o) { o.steps = 2'000'000'000; });
  refuse("batch_size", [](TrainOptions& o) { o.batch_size = 0; });
  refuse("learning_rate", [](TrainOptions& o) { o.learning_rate = nan; });
  refuse("learning_rate", [](TrainOptions& o) { o.learning_rate = -1e-3; });
  refuse("warmup", [](TrainOptions& o) { o.warmup = -1; });
  refuse("final_rate", [](TrainOptions& o) { o.final_rate = 1.5; });
  refuse("weight_decay", [](TrainOptions& o) { o.weight_decay = nan; });
  refuse("beta2", [](TrainOptions& o) { o.beta2 = 1.0; });
  refuse("clip_norm", [](TrainOptions& o) { o.clip_norm = -1.0; });
  refuse("ema_decay", [](TrainOptions& o) { o.ema_decay = 1.0; });
  refuse("checkpoint_every", [](TrainOptions& o) { o.checkpoint_every = 0; });
  refuse("report_every", [](TrainOptions& o) { o.report_every = 0; });
}

TEST_CASE("a loss that is no number ends the training and keeps the last checkpoint") {
  const io_support::TempFolder folder;
  Generator generator(1);
  nn::Linear<float> model(1, 1, generator);
  Trainer trainer(model, small_options(folder.path()));
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
  nn::Linear<float> model(1, 1, generator);
  TrainOptions options = small_options(folder.path());
  options.clip_norm = 0.0;
  {
    Trainer trainer(model, options);
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
  options.learning_rate = 3e38;
  options.checkpoint_every = 1;
  options.warmup = 0;
  Trainer trainer(model, options);
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
