#pragma once
// Scopes: NoGrad, in which functions compute values only; TrainingMode, in which dropout drops, and
// EvaluationMode. Each holds for its thread, and models keep nothing of it. A scope needs a name:
// compilers warn of `NoGrad();`, which ends at once.

#include <atomic>
#include <cstdint>
#include <utility>

#include <ldlm/core/random.hpp>

namespace ldlm {

/// What the parts of a model that differ in training do.
enum class ModelMode : std::uint8_t {
  unsaid,  // as in evaluation; a model with dropout whose gradient is recorded says so once
  training,
  evaluation,
};

namespace detail {

/// What the functions of this thread record. `graph` numbers the graph that new nodes belong to: 0,
/// or the number of the recomputation that a checkpoint's backward pass is making. `generator` is
/// what dropout draws from in training.
struct Recording {
  bool enabled = true;
  std::uint64_t graph = 0;
  ModelMode mode = ModelMode::unsaid;
  Generator* generator = nullptr;
};
inline Recording& recording() noexcept {
  thread_local Recording state;
  return state;
}

/// Replaces the thread's Recording for a scope.
class RecordingScope {
 public:
  [[nodiscard]] explicit RecordingScope(Recording state) noexcept
      : previous_(std::exchange(recording(), state)) {}
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;
  ~RecordingScope() { recording() = previous_; }

 private:
  Recording previous_;
};

inline std::uint64_t new_graph() noexcept {
  static std::atomic<std::uint64_t> count{0};
  return ++count;
}

}  // namespace detail

/// While one lives, functions called in this thread record no graph and save nothing:
/// `{ const NoGrad scope; auto y = model(x); }`. Scopes nest.
class NoGrad {
 public:
  [[nodiscard]] NoGrad() noexcept : scope_(changed()) {}

 private:
  static detail::Recording changed() noexcept {
    detail::Recording state = detail::recording();
    state.enabled = false;
    return state;
  }
  detail::RecordingScope scope_;
};

/// While one lives, models that are called in this thread are in training: dropout drops, drawing
/// from `generator`, which must outlive the scope. A training step opens one:
/// `{ const TrainingMode scope(generator); loss = ...; } loss.backward();`. Scopes nest.
class TrainingMode {
 public:
  [[nodiscard]] explicit TrainingMode(Generator& generator) noexcept : scope_(changed(generator)) {}

 private:
  static detail::Recording changed(Generator& generator) noexcept {
    detail::Recording state = detail::recording();
    state.mode = ModelMode::training;
    state.generator = &generator;
    return state;
  }
  detail::RecordingScope scope_;
};

/// While one lives, models that are called in this thread are in evaluation, as they are without
/// any scope: for evaluating within a training step, or for gradients without dropout on purpose.
class EvaluationMode {
 public:
  [[nodiscard]] EvaluationMode() noexcept : scope_(changed()) {}

 private:
  static detail::Recording changed() noexcept {
    detail::Recording state = detail::recording();
    state.mode = ModelMode::evaluation;
    state.generator = nullptr;
    return state;
  }
  detail::RecordingScope scope_;
};

/// The mode of models that are called in this thread.
[[nodiscard]] inline ModelMode model_mode() noexcept {
  return detail::recording().mode;
}

/// Whether functions called in this thread record a graph.
[[nodiscard]] inline bool grad_enabled() noexcept {
  return detail::recording().enabled;
}

}  // namespace ldlm
