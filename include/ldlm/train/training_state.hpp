#pragma once
// What a checkpoint keeps of a training, and how it is written and read.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/files/folder_lock.hpp>
#include <ldlm/io/checkpoint.hpp>
#include <ldlm/nn/module.hpp>
#include <ldlm/optim/ema.hpp>
#include <ldlm/optim/optimizer.hpp>
#include <ldlm/optim/parameter_group.hpp>
#include <ldlm/train/train_options.hpp>

namespace ldlm::detail {

/// A module, its optimiser, the average of its parameters, and how far the training is.
template <Floating T>
class TrainingState {
 public:
  template <class Model>
  TrainingState(Model& model, std::unique_ptr<detail::AnyOptimizer<T>> with, TrainOptions training)
      : options(validated(std::move(training))),
        optimizer(std::move(with)),
        learning_rate(optimizer->learning_rate()),
        trained(trainable_parameters(model)),
        weights_([&model] { return state_dict(model); }) {
    check_parameters(named_parameters(model));
    if (!options.folder.empty()) {
      lock_.emplace(options.folder);
    }
  }

  TrainOptions options;
  std::unique_ptr<detail::AnyOptimizer<T>> optimizer;
  double learning_rate;  // before the schedule, as it was when this run began
  NamedParameters<T> trained;
  std::optional<Ema<T>> ema{};
  std::int64_t step = 0;
  BestEvaluation best{};
  std::vector<std::string> changes{};

  /// Throws unless the rows are those of the checkpoint that was resumed (0: the order is none of
  /// the trainer's), and if there is one that was not.
  void begin(std::int64_t rows);
  /// Returns the checkpoint's folder; nothing if no checkpoints are written.
  std::optional<std::filesystem::path> save();
  /// Keeps a copy of the present weights.
  void keep_best() {
    best_weights_.clear();
    for (const auto& [name, tensor] : weights_()) {
      best_weights_.emplace_back(name, tensor.clone());
    }
  }
  /// See Trainer::finish.
  void finish() {
    if (!best_weights_.empty()) {
      copy_tensors(best_weights_, weights_(), true, "train");
    } else if (ema) {
      ema->swap();
    }
  }
  /// See Trainer::resume.
  std::optional<std::int64_t> resume();

  void check_finite(const std::string& what, double value) const {
    LDLM_CHECK(std::isfinite(value), "train", what, " is ", value, " at step ", step + 1, "; ",
               last_ ? "the last checkpoint is " + last_->native()
                     : std::string("there is no checkpoint yet"));
  }

 private:
  static TrainOptions validated(TrainOptions options) {
    options.validate();
    return options;
  }

  [[nodiscard]] JsonValue config() const {
    JsonValue settings = JsonValue::object({{"name", optimizer->name()}});
    for (const auto& [name, value] : optimizer->settings()) {
      settings.set(name, value);
    }
    JsonValue out = to_json(options);
    out.set("learning_rate", learning_rate);
    out.set("optimizer", std::move(settings));
    return out;
  }

  void check_parameters(const NamedParameters<T>& own) const;
  void check_fits(const std::filesystem::path& folder, const NamedTensors<T>& saved) const;

  /// The first of the tensors that holds NaN or infinity, or null.
  template <Floating U>
  static const std::string* first_not_finite(const NamedTensors<U>& tensors) {
    for (const auto& [name, tensor] : tensors) {
      const Tensor<U> values = tensor.to(cpu).contiguous();
      const U* const data = values.data();
      if (!std::all_of(data, data + values.numel(),
                       [](ComputeType<U> v) { return std::isfinite(v); })) {
        return &name;
      }
    }
    return nullptr;
  }

  template <class Part>
  static void load_part(const std::filesystem::path& file,
                        const NamedTensors<ComputeType<T>>& tensors, Part& part) {
    try {
      part.load_state_dict(tensors);
    } catch (const Error& error) {
      fail_at(error.code(), "train", file.native(), ": ", error.what());
    }
  }

  std::function<NamedTensors<T>()> weights_;
  NamedTensors<T> best_weights_{};
  std::optional<FolderLock> lock_;
  std::optional<std::filesystem::path> last_;  // the last checkpoint
  std::optional<std::int64_t> saved_rows_;     // of the one that was resumed
  std::int64_t rows_ = 0;
};

template <Floating T>
void TrainingState<T>::begin(std::int64_t rows) {
  LDLM_CHECK_FILE(!saved_rows_ || *saved_rows_ == rows, "train", last_->native(),
                  " was made with other data: ", *saved_rows_,
                  " rows in the trainer's order there and ", rows,
                  " here. To begin anew, remove it");
  if (!options.folder.empty() && !last_) {
    const auto earlier = latest_checkpoint(options.folder);
    LDLM_CHECK_STATE(!earlier, "train", earlier->native(),
                     " is a checkpoint of an earlier training: resume() goes on from it. To begin "
                     "anew, remove it");
  }
  learning_rate = optimizer->learning_rate();
  rows_ = rows;
  if (options.ema_decay > 0.0 && !ema) {
    ema.emplace(trained, options.ema_decay, true);
  }
}

template <Floating T>
std::optional<std::filesystem::path> TrainingState<T>::save() {
  if (options.folder.empty()) {
    return std::nullopt;
  }
  BasicCheckpoint<T> checkpoint;
  checkpoint.model = weights_();
  if (const std::string* const name = first_not_finite(checkpoint.model)) {
    check_finite(*name, std::numeric_limits<double>::quiet_NaN());
  }
  checkpoint.step = step;
  checkpoint.data_position = step * options.batch_size;
  checkpoint.generators = {{"train", Generator(options.seed)}};
  checkpoint.config = config();
  checkpoint.config.set("rows", rows_);
  checkpoint.extra = best.to_json();
  checkpoint.optimizer = optimizer->state_dict();
  if (ema) {
    checkpoint.ema = ema->state_dict();
  }
  checkpoint.best = best_weights_;
  last_ = save_checkpoint(options.folder, checkpoint, 2);
  return last_;
}

template <Floating T>
std::optional<std::int64_t> TrainingState<T>::resume() {
  LDLM_CHECK_STATE(!options.folder.empty(), "train", "resume() without a folder of checkpoints");
  const std::optional<std::filesystem::path> folder = latest_checkpoint(options.folder);
  if (!folder) {
    return std::nullopt;
  }
  learning_rate = optimizer->learning_rate();
  const auto checkpoint = load_checkpoint<T>(*folder);
  const auto evaluated = BestEvaluation::from_json(checkpoint.extra, *folder / "state.json");
  auto changed = compare_options(*folder, checkpoint.step, checkpoint.config, config());
  check_fits(*folder, checkpoint.model);
  const bool has_best = options.keep_best && evaluated.value;
  if (has_best) {
    check_fits(*folder / "best.safetensors", checkpoint.best);
  }
  compare_context(*folder, checkpoint.config, options.context, changed);
  for_each_part(checkpoint, [&](const char* file, const auto& part) {
    const std::string* const name = first_not_finite(part);
    LDLM_CHECK_FILE(name == nullptr, "train", (*folder / file).native(), ": ", *name,
                    " holds NaN or infinity. To go on from an earlier checkpoint, remove ",
                    folder->native());
  });
  std::optional<Ema<T>> averages;
  if (options.ema_decay > 0.0) {
    averages.emplace(trained, options.ema_decay, true);
    load_part(*folder / "ema.safetensors", checkpoint.ema, *averages);
  }
  load_part(*folder / "optimizer.safetensors", checkpoint.optimizer, *optimizer);
  for (const auto& [name, tensor] : weights_()) {
    tensor.copy_(*find(checkpoint.model, name));
  }
  ema = std::move(averages);
  best = evaluated;
  best_weights_.clear();
  if (has_best) {
    for (const auto& [name, tensor] : checkpoint.best) {  // whose file may go
      best_weights_.emplace_back(name, tensor.clone());
    }
  }
  step = checkpoint.step;
  changes = std::move(changed);
  const JsonValue* const rows = checkpoint.config.find("rows");
  saved_rows_ = rows != nullptr ? rows->get_if<std::int64_t>() : std::nullopt;
  last_ = folder;
  return step;
}

template <Floating T>
void TrainingState<T>::check_parameters(const NamedParameters<T>& own) const {
  for (const auto& [name, parameter] : optimizer->parameters()) {
    if (parameter.numel() == 0) {
      continue;
    }
    const T* const data = parameter.value().data();
    const auto found = std::find_if(own.begin(), own.end(), [data](const auto& entry) {
      return entry.second.value().data() == data;
    });
    LDLM_CHECK(found != own.end(), "train", "the optimiser's '", name,
               "' is no parameter of the module");
    LDLM_CHECK(found->first == name, "train", "the optimiser has the module's '", found->first,
               "' under the name '", name,
               "'; make it of named parameters, such as ldlm::trainable_parameters(module)");
  }
}

template <Floating T>
void TrainingState<T>::check_fits(const std::filesystem::path& folder,
                                  const NamedTensors<T>& saved) const {
  const NamedTensors<T> here = weights_();
  for (const auto& [name, tensor] : saved) {
    LDLM_CHECK_FILE(find(here, name) != nullptr, "train", folder.native(),
                    " does not fit the model: ", name, " is missing here and ",
                    to_string(tensor.shape()), " there");
  }
  for (const auto& [name, tensor] : here) {
    const Tensor<T>* const there = find(saved, name);
    LDLM_CHECK_FILE(
        there != nullptr && there->shape() == tensor.shape(), "train", folder.native(),
        " does not fit the model: ", name, " is ", to_string(tensor.shape()), " here and ",
        there != nullptr ? to_string(there->shape()) : std::string("missing"), " there");
  }
}

}  // namespace ldlm::detail
