#pragma once
// Trainer: trains any module with any optimiser, with warm-up and decay, clipping, a moving
// average, evaluation, early stopping, and checkpoints from which a training goes on bit for bit.
//
//   Trainer trainer(model, AdamW(trainable_parameters(model)),
//                   {.folder = "runs/a", .steps = 5000, .batch_size = 64});
//   trainer.resume();
//   trainer.run(data.size(), [&](const Tensor<std::int64_t>& rows, Generator& generator) {
//     return loss_of(model, data.rows(rows), generator);
//   });
//
// Step n draws all its randomness from Generator(seed).fork(n) and its rows from the step number,
// so a checkpoint needs no more than the weights, the optimiser's state and n.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ldlm/autograd/scopes.hpp>
#include <ldlm/nn/module.hpp>
#include <ldlm/optim/clip.hpp>
#include <ldlm/optim/ema.hpp>
#include <ldlm/optim/optimizer.hpp>
#include <ldlm/train/batch_order.hpp>
#include <ldlm/train/train_options.hpp>
#include <ldlm/train/training_state.hpp>

namespace ldlm {

/// What gives the loss of a step; called with the step's generator, too, if it takes one.
template <class Loss, class Argument>
concept StepLoss = std::invocable<Loss&, Argument, Generator&> || std::invocable<Loss&, Argument>;

/// Trains those parameters of a module of T that require a gradient.
template <Floating T>
class Trainer {
 public:
  /// The optimiser moves parameters of the module, under the names that they have there. The
  /// schedule multiplies the learning rate that the optimiser has when run() begins, and which it
  /// has again after each step: what a hook sets has no effect on that run. A temporary is kept;
  /// another one is referred to and must live as long as the trainer, as must the module. Throws
  /// ValueError for options out of range or without effect, and for an optimiser of other
  /// parameters or names. The folder is locked (FolderLock) as long as the trainer lives; what is
  /// in it is left to resume().
  template <class Model, class O>
  requires std::same_as<scalar_t<Model>, T> && Optimizer<std::remove_reference_t<O>, T> Trainer(
      Model& model, O&& optimizer, TrainOptions options = {})
      : state_(model, std::make_unique<detail::OptimizerOf<T, O>>(std::forward<O>(optimizer)),
               std::move(options)),
        schedule_(detail::schedule_of(state_.options)) {
    for (const auto& [name, parameter] : state_.trained) {
      parameters_.push_back(parameter);
    }
  }

  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;
  ~Trainer() = default;

  /// Optimizer steps done.
  [[nodiscard]] std::int64_t step() const { return state_.step; }
  [[nodiscard]] const TrainOptions& options() const { return state_.options; }
  /// Which of steps, learning_rate, schedule, warmup, final_rate, evaluate_every and patience are
  /// not as in the checkpoint from which this one goes on, in words. Two schedules of one's own
  /// cannot be told apart, and how often is reported and saved is not kept.
  [[nodiscard]] const std::vector<std::string>& changes() const { return state_.changes; }

  /// Goes on from the last checkpoint in the folder: returns its step, or nothing if there is none.
  /// Throws, and leaves module and optimiser as they are, if that was made with other options that
  /// the weights depend on than those that changes() tells, with another optimiser or for other
  /// parameters (the message names them), for another model or in another context, lies beyond the
  /// last step or is broken.
  std::optional<std::int64_t> resume() {
    LDLM_CHECK_STATE(!finished_, "train", "resume() after finish()");
    return state_.resume();
  }

  /// Steps until options.steps, until patience is at its end, or until the hook `stop` says so;
  /// then writes a checkpoint. `loss(rows, generator)`, or `loss(rows)`, gives a step's loss, a
  /// Variable of one element that depends on the parameters. Rows (B) are numbers of [0, count);
  /// every epoch is a permutation of its own, see BatchOrder.
  ///
  /// Throws, leaving the last checkpoint, when the loss, the gradient, a weight, an evaluation or
  /// the schedule's factor is no number; the message has the step, counted from 1 as in the
  /// reports. Throws before the first step for hooks without effect, and for a folder with a
  /// checkpoint that was not resumed: to begin anew, remove it.
  template <StepLoss<const Tensor<std::int64_t>&> Loss>
  TrainEnd run(std::int64_t count, Loss&& loss, const TrainHooks& hooks = {}) {
    LDLM_CHECK(count > 0, "train", "needs at least one row to train on, got ", count);
    return run_order(count, BatchOrder(count, options().batch_size, options().seed), loss, hooks);
  }
  /// The same of rows of these lengths, where those of a batch are of similar ones.
  template <StepLoss<const Tensor<std::int64_t>&> Loss>
  TrainEnd run(const std::vector<std::int64_t>& lengths, Loss&& loss,
               const TrainHooks& hooks = {}) {
    LDLM_CHECK(!lengths.empty(), "train", "needs at least one row to train on");
    return run_order(static_cast<std::int64_t>(lengths.size()),
                     BatchOrder(lengths, options().batch_size, options().seed), loss, hooks);
  }
  /// The same of data that the loss finds itself: `loss(step, generator)`, or `loss(step)`, of the
  /// step's number, counted from 0.
  template <StepLoss<std::int64_t> Loss>
  TrainEnd run(Loss&& loss, const TrainHooks& hooks = {}) {
    return run_steps(
        0, [&](std::int64_t step, Generator& generator) { return call(loss, step, generator); },
        hooks);
  }

  /// After which step the best evaluation was; 0 before the first.
  [[nodiscard]] std::int64_t best_step() const { return state_.best.step; }
  /// Puts the weights that count in place of the last ones: with keep_best those of the best
  /// evaluation, else the averaged ones if an average is kept. The trainer is then done.
  void finish() {
    if (!finished_) {
      state_.finish();
    }
    finished_ = true;
  }

 private:
  using Loss = Variable<ComputeType<T>>;
  using AnyLoss = std::function<Loss(std::int64_t, Generator&)>;

  template <class F, class Argument>
  static Loss call(F& loss, const Argument& argument, Generator& generator) {
    if constexpr (std::invocable<F&, const Argument&, Generator&>) {
      return as_float(loss(argument, generator));
    } else {
      return as_float(loss(argument));
    }
  }
  /// A loss of bf16, such as a mean(), is taken, too.
  static Loss as_float(const Loss& loss) { return loss; }
  static Loss as_float(const Variable<T>& loss) requires(!std::same_as<Variable<T>, Loss>) {
    return loss.defined() ? cast<ComputeType<T>>(loss) : Loss();
  }

  template <class Other>
  static Loss as_float(const Other& /*loss*/) {
    static_assert(std::same_as<Other, Loss>,
                  "a loss must give a Variable of the trainer's type, of one element");
    return {};
  }

  /// What has come up since the last report.
  struct Sums {
    double loss = 0.0, grad_norm = 0.0, learning_rate = 0.0;  // the last one's rate
    std::int64_t steps = 0;
    std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
  };

  [[nodiscard]] bool out_of_patience() const {
    return options().patience && state_.best.since >= *options().patience;
  }

  template <class RowsLoss>
  TrainEnd run_order(std::int64_t count, BatchOrder order, RowsLoss& loss,
                     const TrainHooks& hooks) {
    return run_steps(
        count,
        [&](std::int64_t step, Generator& generator) {
          const std::vector<std::int64_t> rows = order.batch(step);
          return call(loss, Tensor<std::int64_t>::from_values({options().batch_size}, rows),
                      generator);
        },
        hooks);
  }
  TrainEnd run_steps(std::int64_t rows, const AnyLoss& loss, const TrainHooks& hooks);
  void take_step(const AnyLoss& loss, Sums& sums);
  void check_loss(const Loss& loss) const;
  void move_parameters(double learning_rate, double grad_scale);
  [[nodiscard]] TrainProgress progress(const Sums& sums) const;
  [[nodiscard]] Evaluation evaluate(const std::function<double()>& error);

  detail::TrainingState<T> state_;
  std::function<double(std::int64_t)> schedule_;
  std::vector<Variable<T>> parameters_;
  bool finished_ = false;
};

template <class Model, class O>
Trainer(Model& model, O&& optimizer) -> Trainer<scalar_t<Model>>;
template <class Model, class O>
Trainer(Model& model, O&& optimizer, TrainOptions options) -> Trainer<scalar_t<Model>>;

template <Floating T>
TrainEnd Trainer<T>::run_steps(std::int64_t rows, const AnyLoss& loss, const TrainHooks& hooks) {
  LDLM_CHECK_STATE(!finished_, "train", "run() after finish()");
  hooks.validate(options());
  state_.begin(rows);
  const auto due = [this](const std::optional<std::int64_t>& every, std::int64_t usual) {
    return step() == options().steps || step() % every.value_or(usual) == 0;
  };
  Sums sums;
  while (step() < options().steps && !out_of_patience()) {
    take_step(loss, sums);
    if (hooks.report && due(options().report_every, 50)) {
      hooks.report(progress(sums));
      sums = {};
    }
    if (hooks.evaluate && due(options().evaluate_every, 1)) {
      const Evaluation result = evaluate(hooks.evaluate);
      if (hooks.evaluated) {
        hooks.evaluated(result);
      }
    }
    const bool stopped = hooks.stop && hooks.stop();
    if (stopped || out_of_patience() || due(options().checkpoint_every, 1000)) {
      const auto folder = state_.save();
      if (hooks.saved) {
        hooks.saved(*folder);
      }
    }
    if (stopped) {
      return TrainEnd::stopped;
    }
  }
  return step() < options().steps ? TrainEnd::patience : TrainEnd::completed;
}

template <Floating T>
void Trainer<T>::take_step(const AnyLoss& loss, Sums& sums) {
  Generator generator = Generator(options().seed).fork(static_cast<std::uint64_t>(step()));
  state_.optimizer->zero_grad();
  for (const Variable<T>& parameter : parameters_) {  // the optimiser may have only some of them
    parameter.zero_grad();
  }
  double value = 0.0;
  {
    const TrainingMode training(generator);
    const Loss result = loss(step(), generator);
    check_loss(result);
    value = static_cast<double>(result.item());
    state_.check_finite("the loss", value);
    result.backward();
  }
  LDLM_CHECK_STATE(std::any_of(parameters_.begin(), parameters_.end(),
                               [](const Variable<T>& p) { return p.grad().defined(); }),
                   "train", "the loss depends on none of the module's parameters at step ",
                   step() + 1);
  const double norm = grad_norm(parameters_);
  state_.check_finite("the norm of the gradient", norm);
  const double most = options().clip_norm;
  const double factor = schedule_(step() + 1);
  LDLM_CHECK(factor >= 0.0 && std::isfinite(factor), "train", "the schedule gives ", factor,
             " for step ", step() + 1, ", which must be a finite number that is not negative");
  sums.learning_rate = state_.learning_rate * factor;
  move_parameters(sums.learning_rate, most > 0.0 ? clip_factor(norm, most) : 1.0);
  if (state_.ema) {
    state_.ema->update();
  }
  ++state_.step;
  sums.loss += value;
  sums.grad_norm += norm;
  ++sums.steps;
}

template <Floating T>
void Trainer<T>::check_loss(const Loss& loss) const {
  LDLM_CHECK_STATE(loss.defined(), "train", "the loss is undefined at step ", step() + 1,
                   "; it must be a Variable of one element");
  LDLM_CHECK_SHAPE(loss.numel() == 1, "train", "the loss has the shape ", to_string(loss.shape()),
                   " at step ", step() + 1, "; it must be of one element, such as its mean()");
  LDLM_CHECK_STATE(loss.requires_grad(), "train", "the loss has no graph at step ", step() + 1,
                   "; it must depend on a parameter that requires a gradient, and not be computed "
                   "under NoGrad");
}

/// The optimiser may be used elsewhere, too, and keeps its own rate, whatever happens.
template <Floating T>
void Trainer<T>::move_parameters(double learning_rate, double grad_scale) {
  state_.optimizer->set_learning_rate(learning_rate);
  try {
    state_.optimizer->step(grad_scale);
  } catch (...) {
    state_.optimizer->set_learning_rate(state_.learning_rate);
    throw;
  }
  state_.optimizer->set_learning_rate(state_.learning_rate);
}

template <Floating T>
TrainProgress Trainer<T>::progress(const Sums& sums) const {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - sums.since;
  const auto n = static_cast<double>(sums.steps);
  return {step(),
          options().steps,
          sums.loss / n,
          sums.grad_norm / n,
          sums.learning_rate,
          n * static_cast<double>(options().batch_size) / elapsed.count()};
}

template <Floating T>
Evaluation Trainer<T>::evaluate(const std::function<double()>& error) {
  const NoGrad no_graph;
  const EvaluationMode evaluation;
  std::optional<EmaScope<T>> averaged;
  if (state_.ema) {
    averaged.emplace(*state_.ema);
  }
  const double value = error();
  LDLM_CHECK(std::isfinite(value), "train", "the evaluation is ", value, " after step ", step());
  const Evaluation result = state_.best.update(step(), value);
  if (options().keep_best && result.is_best()) {
    state_.keep_best();
  }
  return result;
}

}  // namespace ldlm
