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
  void validate() const {
    const auto check = [](const char* name, double value, double least, double most) {
      LDLM_CHECK(value >= least && value <= most, "train", name, " must lie in [", least, ", ",
                 most, "], got ", value);
    };
    constexpr double most_steps = 1e9;
    constexpr double infinity = std::numeric_limits<double>::max();
    constexpr double below_one = 1.0 - 1e-12;
    check("steps", static_cast<double>(steps), 0, most_steps);
    check("batch_size", static_cast<double>(batch_size), 1, most_steps);
    check("learning_rate", learning_rate, 0, infinity);
    check("warmup", static_cast<double>(warmup), 0, most_steps);
    check("final_rate", final_rate, 0, 1);
    check("weight_decay", weight_decay, 0, infinity);
    check("beta2", beta2, 0, below_one);
    check("clip_norm", clip_norm, 0, infinity);
    check("ema_decay", ema_decay, 0, below_one);
    check("checkpoint_every", static_cast<double>(checkpoint_every), 1, most_steps);
    check("report_every", static_cast<double>(report_every), 1, most_steps);
  }

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
                              {"seed", seed},
                              {"context", context}});
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
  void finish() {
    if (ema_) {
      ema_->swap();
    }
  }

 private:
  static TrainOptions validated(TrainOptions options) {
    options.validate();
    return options;
  }

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

  void check_finite(const char* what, double value) const {
    LDLM_CHECK(std::isfinite(value), "train", what, " is ", value, " at step ", step_ + 1, "; ",
               last_ ? "the last checkpoint is " + last_->native()
                     : std::string("there is no checkpoint yet"));
  }

  /// The first of the tensors that holds NaN or infinity, or null.
  static const std::string* first_not_finite(const NamedTensors<float>& tensors) {
    for (const auto& [name, tensor] : tensors) {
      const Tensor<float> values = tensor.contiguous();
      const float* const data = values.data();
      if (!std::all_of(data, data + values.numel(), [](float v) { return std::isfinite(v); })) {
        return &name;
      }
    }
    return nullptr;
  }

  void save() {
    if (options_.folder.empty()) {
      return;
    }
    if (const std::string* const name = first_not_finite(state_)) {
      check_finite(name->c_str(), std::numeric_limits<double>::quiet_NaN());
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
    last_ = save_checkpoint(options_.folder, checkpoint, 2);
  }

  void resume(const std::filesystem::path& folder) {
    const Checkpoint checkpoint = load_checkpoint(folder);
    check_options(folder, checkpoint);
    for (const auto& [name, tensor] : state_) {
      const Tensor<float>* const saved = find(checkpoint.model, name);
      LDLM_CHECK(saved != nullptr && saved->shape() == tensor.shape(), "train", folder.native(),
                 " does not fit the model: ", name, " is ", to_string(tensor.shape()), " here and ",
                 saved != nullptr ? to_string(saved->shape()) : std::string("missing"), " there");
    }
    check_context(folder, checkpoint);
    for (const auto& [file, part] : detail::checkpoint_parts) {
      const std::string* const name = first_not_finite(checkpoint.*part);
      LDLM_CHECK(name == nullptr, "train", (folder / file).native(), ": ", *name,
                 " holds NaN or infinity. To go on from an earlier checkpoint, remove ",
                 folder.native());
    }
    load_part(folder / "optimizer.safetensors", checkpoint.optimizer, optimizer_);
    if (options_.ema_decay > 0.0) {
      ema_.emplace(trained_, options_.ema_decay, true);
      load_part(folder / "ema.safetensors", checkpoint.ema, *ema_);
    }
    for (const auto& [name, tensor] : state_) {
      tensor.copy_(*find(checkpoint.model, name));
    }
    step_ = checkpoint.step;
  }

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

    Comparison(const JsonValue& checkpoint, const std::string& name, const JsonValue& value)
        : here(to_string(value)) {
      const JsonValue* const found = checkpoint.is_object() ? checkpoint.find(name) : nullptr;
      there = found != nullptr ? to_string(*found) : "missing";
      same = there == here;
    }
  };

  void check_options(const std::filesystem::path& folder, const Checkpoint& checkpoint) {
    LDLM_CHECK(checkpoint.config.is_object(), "train", (folder / "state.json").native(),
               ": config must be an object, got ", checkpoint.config.preview());
    LDLM_CHECK(checkpoint.step <= options_.steps, "train", folder.native(), ": is of step ",
               checkpoint.step, ", beyond the last one, ", options_.steps,
               ". Train for more steps, or remove it");
    constexpr std::array may_change{"steps", "learning_rate", "warmup", "final_rate"};
    const JsonValue wanted = options_.to_json();
    for (const auto& [name, value] : wanted.members()) {
      const Comparison compared(checkpoint.config, name, value);
      if (compared.same || name == "context") {
        continue;
      }
      LDLM_CHECK(std::find(may_change.begin(), may_change.end(), name) != may_change.end(), "train",
                 folder.native(), " was made with other options: ", name, " is ", compared.there,
                 " there and ", compared.here, " here. To begin anew, remove it");
      const JsonValue* const there = checkpoint.config.find(name);
      LDLM_CHECK(there != nullptr && there->get_if<double>(), "train",
                 (folder / "state.json").native(), ": ", name, " must be a number, got ",
                 compared.there);
      changes_.push_back(name + " is " + compared.here + " now, was " + compared.there);
    }
  }

  void check_context(const std::filesystem::path& folder, const Checkpoint& checkpoint) {
    const JsonValue* const context = checkpoint.config.find("context");
    if (context == nullptr) {
      changes_.emplace_back("the checkpoint does not say what data it was trained on");
      return;
    }
    for (const auto& [name, value] : options_.context.members()) {
      const Comparison compared(*context, name, value);
      LDLM_CHECK(compared.same, "train", folder.native(), " was made in another context: ", name,
                 " is ", compared.there, " there and ", compared.here,
                 " here. To begin anew, remove it");
    }
  }

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
