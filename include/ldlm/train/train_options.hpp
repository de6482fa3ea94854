#pragma once
// What a training is told, and what it tells.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/json/value.hpp>

namespace ldlm {

struct TrainOptions {
  std::filesystem::path folder{};  // of the checkpoints; empty: none are written
  std::int64_t steps = 1000;       // in all, those before a resumption included
  /// Rows of a step. A loss that finds its own data takes as many as it likes: there this is only
  /// what rows_per_second counts, and what resume() compares.
  std::int64_t batch_size = 32;

  /// Number of a step, from 1, -> factor on the optimiser's learning rate. Without one the rate
  /// rises in a line for `warmup` steps, then falls in half a cosine to `final_rate` at the last.
  std::function<double(std::int64_t)> schedule{};
  std::optional<std::int64_t>
      warmup{};  // unset: 100, or a tenth of the steps; must be, beside a schedule
  std::optional<double> final_rate{};  // unset: 0.05; must be, beside a schedule

  double clip_norm = 1.0;  // the largest norm of a gradient; 0: no clipping
  double ema_decay = 0.0;  // 0: no average is kept
  std::uint64_t seed = 0;

  std::optional<std::int64_t> checkpoint_every{};  // steps; unset: 1000; must be, without a folder
  std::optional<std::int64_t> report_every{};      // steps; unset: 50; must be, without a report
  std::optional<std::int64_t> evaluate_every{};    // steps; must be set to evaluate
  /// The training ends after so many evaluations without a better one than before.
  std::optional<std::int64_t> patience{};
  bool keep_best = false;  // finish() puts the weights of the best evaluation in place

  /// What else the training depends on, by name, such as Dataset::fingerprint(): a checkpoint is
  /// resumed only where it is the same.
  JsonValue context = JsonValue::object();

  /// Throws an Error that names the option which is out of range, or without effect beside the
  /// others.
  void validate() const;
};

/// What a report tells: means over the steps since the last one.
struct TrainProgress {
  std::int64_t step = 0;
  std::int64_t steps = 0;
  double loss = 0.0;
  double grad_norm = 0.0;
  double learning_rate = 0.0;
  double rows_per_second = 0.0;  // time for evaluations and checkpoints counts
};

/// What came of an evaluation. The smaller, the better.
struct Evaluation {
  std::int64_t step = 0;
  double value = 0.0;
  double best = 0.0;  // so far, this one included
  std::int64_t best_step = 0;

  [[nodiscard]] bool is_best() const { return step == best_step; }
};

/// What a training calls, in this order after a step. All may be empty.
struct TrainHooks {
  /// Every report_every steps, and after the last one.
  std::function<void(const TrainProgress&)> report{};
  /// Every evaluate_every steps, and after the last one: the error on other data, a finite number.
  /// It is called in EvaluationMode and under NoGrad, with the averaged weights in place if an
  /// average is kept.
  std::function<double()> evaluate{};
  std::function<void(const Evaluation&)> evaluated{};
  /// After every step: true ends the training there, with a checkpoint.
  std::function<bool()> stop{};
  /// After every checkpoint, with its folder.
  std::function<void(const std::filesystem::path&)> saved{};

  /// Throws an Error that names a hook or option which the other ones leave without effect.
  void validate(const TrainOptions& options) const;
};

/// Why a training has ended.
enum class TrainEnd : std::uint8_t { completed, patience, stopped };

namespace detail {

/// The options that a checkpoint keeps, but for those of the optimiser: all that the weights depend
/// on. Of a schedule of one's own there is no more to keep than that it is one.
JsonValue to_json(const TrainOptions& options);

/// options.schedule, or the one that stands in for it.
std::function<double(std::int64_t)> schedule_of(const TrainOptions& options);

/// What is not as in the checkpoint `folder` of step `step` and may change, in words. Throws if
/// anything else is not: options (of the trainer or its optimiser), or the context.
std::vector<std::string> compare_options(const std::filesystem::path& folder, std::int64_t step,
                                         const JsonValue& saved, const JsonValue& here);
void compare_context(const std::filesystem::path& folder, const JsonValue& there,
                     const JsonValue& here, std::vector<std::string>& changes);

/// The best evaluation so far, which a checkpoint keeps.
struct BestEvaluation {
  std::optional<double> value{};
  std::int64_t step = 0;
  std::int64_t since = 0;  // evaluations after it

  Evaluation update(std::int64_t at, double now);
  [[nodiscard]] JsonValue to_json() const;
  /// Throws an Error that names `file` if that is no such thing; null is none.
  static BestEvaluation from_json(const JsonValue& extra, const std::filesystem::path& file);
};

}  // namespace detail

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/train/impl/train_options.hpp>
#endif
