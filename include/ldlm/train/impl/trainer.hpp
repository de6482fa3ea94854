#pragma once
// Bodies of train/trainer.hpp.

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
#include <ldlm/train/trainer.hpp>

namespace ldlm {

LDLM_BODY void TrainOptions::validate() const {
  const auto check = [](const char* name, double value, double least, double most) {
    LDLM_CHECK(value >= least && value <= most, "train", name, " must lie in [", least, ", ", most,
               "], got ", value);
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

LDLM_BODY JsonValue TrainOptions::to_json() const {
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

LDLM_BODY void Trainer::finish() {
  if (ema_) {
    ema_->swap();
  }
}

LDLM_BODY TrainOptions Trainer::validated(TrainOptions options) {
  options.validate();
  return options;
}

LDLM_BODY void Trainer::check_finite(const char* what, double value) const {
  LDLM_CHECK(std::isfinite(value), "train", what, " is ", value, " at step ", step_ + 1, "; ",
             last_ ? "the last checkpoint is " + last_->native()
                   : std::string("there is no checkpoint yet"));
}

LDLM_BODY const std::string* Trainer::first_not_finite(const NamedTensors<float>& tensors) {
  for (const auto& [name, tensor] : tensors) {
    const Tensor<float> values = tensor.contiguous();
    const float* const data = values.data();
    if (!std::all_of(data, data + values.numel(), [](float v) { return std::isfinite(v); })) {
      return &name;
    }
  }
  return nullptr;
}

LDLM_BODY void Trainer::save() {
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

LDLM_BODY void Trainer::resume(const std::filesystem::path& folder) {
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

LDLM_BODY Trainer::Comparison::Comparison(const JsonValue& checkpoint, const std::string& name,
                                          const JsonValue& value)
    : here(to_string(value)) {
  const JsonValue* const found = checkpoint.is_object() ? checkpoint.find(name) : nullptr;
  there = found != nullptr ? to_string(*found) : "missing";
  same = there == here;
}

LDLM_BODY void Trainer::check_options(const std::filesystem::path& folder,
                                      const Checkpoint& checkpoint) {
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

LDLM_BODY void Trainer::check_context(const std::filesystem::path& folder,
                                      const Checkpoint& checkpoint) {
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

}  // namespace ldlm
