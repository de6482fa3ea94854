#pragma once
// Trainer: the one training loop of all stages. AdamW with warm-up and cosine decay, clipping, EMA,
// and checkpoints from which a killed training goes on bit for bit.
//
// Step n draws all its randomness from Generator(seed).fork(n) and its rows from the step number,
// so a checkpoint needs no more than the weights, the optimiser's state and n.

#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <optional>
#include <utility>

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

  /// What must be the same for a checkpoint to be resumed.
  [[nodiscard]] JsonValue to_json() const {
    return JsonValue::object({{"steps", steps},
                              {"batch_size", batch_size},
                              {"learning_rate", learning_rate},
                              {"warmup", warmup},
                              {"final_rate", final_rate},
                              {"weight_decay", weight_decay},
                              {"beta2", beta2},
                              {"clip_norm", clip_norm},
                              {"ema_decay", ema_decay},
                              {"seed", seed}});
  }
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
  /// Resumes from the last checkpoint in options.folder if there is one; throws if that was made
  /// with other options. The module must outlive the trainer.
  template <class Model>
  Trainer(Model& model, TrainOptions options)
      : options_(std::move(options)),
        state_(nn::state_dict(model)),
        trained_(trainable(model)),
        optimizer_(optim::decay_groups(trained_, options_.weight_decay),
                   {.learning_rate = options_.learning_rate, .beta2 = options_.beta2}) {
    LDLM_CHECK(options_.steps >= 0 && options_.batch_size > 0, "train",
               "steps must not be negative and batch_size must be positive, got ", options_.steps,
               " and ", options_.batch_size);
    for (const auto& [name, parameter] : trained_) {
      parameters_.push_back(parameter);
    }
    if (const auto latest =
            options_.folder.empty() ? std::nullopt : latest_checkpoint(options_.folder)) {
      resume(*latest);
    }
    if (options_.ema_decay > 0.0 && !ema_) {
      ema_.emplace(trained_, options_.ema_decay, true);
    }
  }

  /// Optimizer steps done.
  [[nodiscard]] std::int64_t step() const { return step_; }
  [[nodiscard]] const TrainOptions& options() const { return options_; }

  /// Steps until options.steps, or until `stop` says true after some step; then writes a
  /// checkpoint. `loss(step, generator)` gives the loss of a step as a Variable. Throws, leaving
  /// the last checkpoint, when the loss or the gradient is no number.
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
        const auto result = loss(step_, generator);
        value = static_cast<double>(result.item());
        LDLM_CHECK(std::isfinite(value), "train", "the loss is ", value, " at step ", step_);
        result.backward();
      }
      const double norm = optim::grad_norm(parameters_);
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
  void finish() {
    if (ema_) {
      ema_->swap();
    }
  }

 private:
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

  void save() const {
    if (options_.folder.empty()) {
      return;
    }
    Checkpoint checkpoint;
    checkpoint.step = step_;
    checkpoint.data_position = step_ * options_.batch_size;
    checkpoint.generators = {{"train", Generator(options_.seed)}};
    checkpoint.config = options_.to_json();
    checkpoint.model = state_;
    checkpoint.optimizer = optimizer_.state_dict();
    if (ema_) {
      checkpoint.ema = ema_->state_dict();
    }
    save_checkpoint(options_.folder, checkpoint, 2);
  }

  void resume(const std::filesystem::path& folder) {
    const Checkpoint checkpoint = load_checkpoint(folder);
    const JsonValue wanted = options_.to_json();
    for (const auto& [name, value] : wanted.members()) {
      const JsonValue* const found = checkpoint.config.find(name);
      const std::string expected = to_string(value);
      const std::string before = found != nullptr ? to_string(*found) : "missing";
      LDLM_CHECK(before == expected, "train", folder.native(),
                 " was made with other options: ", name, " is ", before, " there and ", expected,
                 " here. To begin anew, remove it");
    }
    for (const auto& [name, tensor] : state_) {
      const Tensor<float>* const saved = find(checkpoint.model, name);
      LDLM_CHECK(saved != nullptr && saved->shape() == tensor.shape(), "train", folder.native(),
                 " does not fit the model: ", name, " is ", to_string(tensor.shape()), " here and ",
                 saved != nullptr ? to_string(saved->shape()) : std::string("missing"), " there");
      tensor.copy_(*saved);
    }
    optimizer_.load_state_dict(checkpoint.optimizer);
    if (options_.ema_decay > 0.0) {
      ema_.emplace(trained_, options_.ema_decay, true);
      ema_->load_state_dict(checkpoint.ema);
    }
    step_ = checkpoint.step;
  }

  TrainOptions options_;
  NamedTensors<float> state_;
  nn::NamedParameters<float> trained_;
  std::vector<Variable<float>> parameters_;
  optim::AdamW<float> optimizer_;
  std::optional<optim::Ema<float>> ema_;
  std::int64_t step_ = 0;
};

}  // namespace ldlm
