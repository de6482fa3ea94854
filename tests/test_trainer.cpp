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
#include <ldlm/ldlm/dataset.hpp>
#include <ldlm/ldlm/trainer.hpp>
#include <ldlm/nn/nn.hpp>

#include "io_support.hpp"

using namespace ldlm;
namespace fs = std::filesystem;

namespace {

// A regression with dropout, so that the random streams matter as well.
struct Net {
  nn::Linear<float> hidden, out;
  nn::Dropout<float> dropout;

  explicit Net(Generator& g) : hidden(4, 16, g), out(16, 1, g), dropout(0.1) {}
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
  Net net(generator);
  Trainer trainer(net, options);
  BatchOrder order(50, options.batch_size, options.seed);
  std::int64_t done = 0;
  trainer.run(
      [&](std::int64_t step, Generator& g) {
        nn::train(net, g);
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

TEST_CASE("a checkpoint of other options or another model is refused") {
  const io_support::TempFolder folder;
  (void)train(small_options(folder.path()), 20);
  TrainOptions other = small_options(folder.path());
  other.learning_rate = 2e-2;
  CHECK_THROWS_WITH_AS(train(other), doctest::Contains("other options"), Error);

  Generator generator(1);
  nn::Linear<float> another(2, 2, generator);
  CHECK_THROWS_WITH_AS(Trainer(another, small_options(folder.path())),
                       doctest::Contains("does not fit the model"), Error);
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
  CHECK_THROWS_WITH_AS(trainer.run(loss), doctest::Contains("at step 10"), Error);
  CHECK(latest_checkpoint(folder.path())->filename() == "step-00000007");
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
