#pragma once
// Trainer: the one training loop of all stages. AdamW with warm-up and cosine decay, clipping, EMA,
// and checkpoints from which a killed training goes on bit for bit.
//
// Step n draws all its randomness from Generator(seed).fork(n) and its rows from the step number,
// so a checkpoint needs no more than the weights, the optimiser's state and n.

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/files/folder_lock.hpp>
#include <ldlm/io/checkpoint.hpp>
#include <ldlm/nn/module.hpp>
#include <ldlm/optim/adam.hpp>
#include <ldlm/optim/clip.hpp>
#include <ldlm/optim/ema.hpp>
#include <ldlm/optim/schedule.hpp>

namespace ldlm {

struct TrainOptions {
  std::filesystem::path folder{};  // of the checkpoints; empty: none are written
  std::int64_t steps = 1000;       // in all, those before a resumption included
  std::int64_t batch_size = 32;
  double learning_rate = 1e-3;
  std::int64_t warmup = 100;
  double final_rate = 0.05;  // of the learning rate, reached at the last step
  double weight_decay = 0.01;
  double beta2 = 0.98;
  double clip_norm = 1.0;  // 0: no clipping
  double ema_decay = 0.0;  // 0: no average is kept
  std::uint64_t seed = 0;
  std::int64_t checkpoint_every = 1000;
  std::int64_t report_every = 50;

  /// What else the training depends on, by name, such as Dataset::fingerprint(): a checkpoint is
  /// resumed only where it is the same.
  JsonValue context = JsonValue::object();

  /// Throws an Error that names the option which is out of range.
  void validate() const;

  [[nodiscard]] JsonValue to_json() const;
};

/// What a report tells: means over the steps since the last one.
struct TrainProgress {
  std::int64_t step = 0;
  std::int64_t steps = 0;
  double loss = 0.0;
  double grad_norm = 0.0;
  double learning_rate = 0.0;
  double rows_per_second = 0.0;
};

/// Trains the parameters of a module that require a gradient.
class Trainer {
 public:
  /// Resumes from the last checkpoint in options.folder if there is one; throws, and leaves the
  /// module as it is, if that was made with other options than those of the learning rate and the
  /// number of steps, for another model or in another context, lies beyond the last step or is
  /// broken. The folder is locked (FolderLock) as long as the trainer lives, as must the module.
  template <class Model>
  Trainer(Model& model, TrainOptions options)
      : options_(validated(std::move(options))),
        state_(nn::state_dict(model)),
        trained_(trainable(model)),
        optimizer_(optim::decay_groups(trained_, options_.weight_decay),
                   {.learning_rate = options_.learning_rate, .beta2 = options_.beta2}) {
    for (const auto& [name, parameter] : trained_) {
      parameters_.push_back(parameter);
    }
    if (!options_.folder.empty()) {
      lock_.emplace(options_.folder);
      last_ = latest_checkpoint(options_.folder);
    }
    if (last_) {
      resume(*last_);
    }
    if (options_.ema_decay > 0.0 && !ema_) {
      ema_.emplace(trained_, options_.ema_decay, true);
    }
  }

  /// Optimizer steps done.
  [[nodiscard]] std::int64_t step() const { return step_; }
  [[nodiscard]] const TrainOptions& options() const { return options_; }
  /// What is not as it was when the checkpoint was made from which this one goes on, in words.
  [[nodiscard]] const std::vector<std::string>& changes() const { return changes_; }

  /// Steps until options.steps, or until `stop` says true after some step; then writes a
  /// checkpoint. `loss(step, generator)` gives the loss of a step, counted from 0, as a Variable.
  /// Throws, leaving the last checkpoint, when the loss, the gradient or a weight is no number; the
  /// message has the step, counted from 1 as in the reports.
  template <class Loss>
  void run(Loss&& loss, const std::function<void(const TrainProgress&)>& report = {},
           const std::function<bool()>& stop = {}) {
    using Clock = std::chrono::steady_clock;
    const optim::WarmupCosine schedule{options_.warmup, options_.steps, options_.final_rate};
    TrainProgress sums;
    std::int64_t summed = 0;
    auto since = Clock::now();
    bool stopped = false;
    while (step_ < options_.steps && !stopped) {
      Generator generator = Generator(options_.seed).fork(static_cast<std::uint64_t>(step_));
      const double rate = options_.learning_rate * schedule(step_ + 1);
      optimizer_.set_learning_rate(rate);
      optimizer_.zero_grad();
      double value = 0.0;
      {
        const TrainingMode training(generator);
        const auto result = loss(step_, generator);
        value = static_cast<double>(result.item());
        check_finite("the loss", value);
        result.backward();
      }
      const double norm = optim::grad_norm(parameters_);
      check_finite("the norm of the gradient", norm);
      optimizer_.step(options_.clip_norm > 0.0 ? optim::clip_factor(norm, options_.clip_norm)
                                               : 1.0);
      if (ema_) {
        ema_->update();
      }
      ++step_;
      sums.loss += value;
      sums.grad_norm += norm;
      ++summed;
      if (report && (step_ % options_.report_every == 0 || step_ == options_.steps)) {
        const std::chrono::duration<double> elapsed = Clock::now() - since;
        const auto n = static_cast<double>(summed);
        report({step_, options_.steps, sums.loss / n, sums.grad_norm / n, rate,
                n * static_cast<double>(options_.batch_size) / elapsed.count()});
        sums = {};
        summed = 0;
        since = Clock::now();
      }
      stopped = stop && stop();
      if (stopped || step_ == options_.steps || step_ % options_.checkpoint_every == 0) {
        save();
      }
    }
  }

  /// Puts the averaged weights in place of the trained ones, if an average is kept. The trainer is
  /// then done.
  void finish();

 private:
  static TrainOptions validated(TrainOptions options);

  template <class Model>
  static nn::NamedParameters<float> trainable(const Model& model) {
    nn::NamedParameters<float> out;
    for (auto& [name, parameter] : nn::named_parameters(model)) {
      if (parameter.requires_grad()) {
        out.emplace_back(name, parameter);
      }
    }
    return out;
  }

  void check_finite(const char* what, double value) const;

  /// The first of the tensors that holds NaN or infinity, or null.
  static const std::string* first_not_finite(const NamedTensors<float>& tensors);

  void save();

  void resume(const std::filesystem::path& folder);

  template <class Part>
  static void load_part(const std::filesystem::path& file, const NamedTensors<float>& tensors,
                        Part& part) {
    try {
      part.load_state_dict(tensors);
    } catch (const Error& error) {
      detail::fail_as(error.code(), "train", file.native(), ": ", error.what());
    }
  }

  /// Whether a value is the same in a checkpoint's JSON as here, and both in words.
  struct Comparison {
    bool same;
    std::string there, here;

    Comparison(const JsonValue& checkpoint, const std::string& name, const JsonValue& value);
  };

  void check_options(const std::filesystem::path& folder, const Checkpoint& checkpoint);

  void check_context(const std::filesystem::path& folder, const Checkpoint& checkpoint);

  TrainOptions options_;
  NamedTensors<float> state_;
  nn::NamedParameters<float> trained_;
  std::vector<Variable<float>> parameters_;
  optim::AdamW<float> optimizer_;
  std::optional<optim::Ema<float>> ema_;
  std::int64_t step_ = 0;
  std::optional<FolderLock> lock_;
  std::optional<std::filesystem::path> last_;  // the last checkpoint
  std::vector<std::string> changes_;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/train/impl/trainer.hpp>
#endif
