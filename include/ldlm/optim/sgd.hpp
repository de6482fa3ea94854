#pragma once
// Stochastic gradient descent with momentum, as torch.optim.SGD.

#include <algorithm>
#include <optional>

#include <ldlm/core/ops/elementwise.hpp>
#include <ldlm/optim/master.hpp>
#include <ldlm/optim/optimizer.hpp>
#include <ldlm/optim/parameter_group.hpp>

namespace ldlm {

struct SgdOptions {
  double learning_rate = 1e-3;
  double momentum = 0;
  std::optional<double> weight_decay{};  // unset: 0; must be, beside groups
  bool nesterov = false;
};

/// g = gradient + decay * p; b = momentum * b + g; p -= lr * b (Nesterov: lr * (g + momentum * b)).
template <Floating T = float>
class SGD {
 public:
  static constexpr std::string_view name = "SGD";

  /// Throws ValueError for options out of range, a weight decay beside groups that have their own,
  /// what is no parameter or given twice, and parameters of which none requires a gradient;
  /// ShapeError for one that is strided.
  explicit SGD(const std::vector<ParameterGroup<T>>& groups, const SgdOptions& options = {})
      : SGD(options, detail::without_decay("SGD", groups, options.weight_decay)) {}
  explicit SGD(const NamedParameters<T>& parameters, const SgdOptions& options = {})
      : SGD(options, detail::one_group(parameters, options.weight_decay.value_or(0))) {}
  explicit SGD(const std::vector<Variable<T>>& parameters, const SgdOptions& options = {})
      : SGD(options, detail::one_group(parameters, options.weight_decay.value_or(0))) {}

  [[nodiscard]] double learning_rate() const noexcept { return options_.learning_rate; }
  void set_learning_rate(double rate) {
    detail::check_not_negative("SGD", "learning_rate", rate);
    options_.learning_rate = rate;
  }

  /// What steps depend on beside the learning rate; of several groups the largest weight decay.
  [[nodiscard]] OptimizerSettings settings() const {
    return detail::with_group_settings(
        {{"momentum", options_.momentum}, {"nesterov", options_.nesterov ? 1.0 : 0.0}}, slots_);
  }
  /// Those that it moves, with their names.
  [[nodiscard]] NamedParameters<T> parameters() const {
    NamedParameters<T> all;
    for (const auto& slot : slots_) {
      all.emplace_back(slot.name, slot.parameter);
    }
    return all;
  }

  /// Moves every parameter that has a gradient. `grad_scale` multiplies the gradients on the way:
  /// clipping without a pass of its own, see clip_factor.
  void step(double grad_scale = 1) {
    for (const auto& slot : slots_) {
      if (slot.parameter.grad().defined()) {
        detail::check_contiguous(name, slot.name, slot.parameter);
      }
    }
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      const auto& slot = slots_[i];
      if (!slot.parameter.grad().defined()) {
        continue;
      }
      const Tensor<C> grad = cast<C>(slot.parameter.grad());
      const Tensor<C> p = moved(i);
      const double rate = options_.learning_rate * slot.learning_rate_factor;
      const double mu = options_.momentum;
      if (mu > 0) {
        const Tensor<C>& b = momentum_[i];
        mul_(b, mu);
        axpy_(b, grad_scale, grad);
        if (slot.weight_decay != 0) {
          axpy_(b, slot.weight_decay, p);
        }
      }
      const bool plain = mu == 0 || options_.nesterov;  // the gradient itself moves p, too
      if (plain && slot.weight_decay != 0) {
        mul_(p, 1 - rate * slot.weight_decay);
      }
      if (plain) {
        axpy_(p, -rate * grad_scale, grad);
      }
      if (mu > 0) {
        axpy_(p, options_.nesterov ? -rate * mu : -rate, momentum_[i]);
      }
      if constexpr (detail::Master<T>::exists) {
        slot.parameter.value().copy_(cast<T>(p));
      }
    }
  }

  /// Drops the gradients.
  void zero_grad() {
    for (auto& slot : slots_) {
      slot.parameter.zero_grad();
    }
  }

  /// "<name>.momentum_buffer", if there is momentum, and for bf16 "<name>.master". Shares memory
  /// with the optimiser.
  [[nodiscard]] NamedTensors<ComputeType<T>> state_dict() const {
    NamedTensors<C> state;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      masters_[i].add_to(state, slots_[i].name);
    }
    for (std::size_t i = 0; i < momentum_.size(); ++i) {
      state.emplace_back(slots_[i].name + ".momentum_buffer", momentum_[i]);
    }
    return state;
  }
  /// Throws, and changes nothing, unless names and shapes are those of state_dict(), and all is
  /// finite.
  void load_state_dict(const NamedTensors<ComputeType<T>>& state) {
    for (const auto& [key, tensor] : state) {
      detail::check_finite_state("SGD", key, tensor);
    }
    copy_tensors(state, state_dict(), true, "SGD");
  }

 private:
  using C = ComputeType<T>;

  /// What a step changes: the parameter, or its floats.
  [[nodiscard]] Tensor<C> moved(std::size_t i) {
    const Tensor<T>& parameter = slots_[i].parameter.value();
    if constexpr (detail::Master<T>::exists) {
      return masters_[i].up_to_date(parameter);
    } else {
      return parameter;
    }
  }

  SGD(const SgdOptions& options, const std::vector<ParameterGroup<T>>& groups)
      : options_(options), slots_(detail::make_slots(groups, "SGD")) {
    detail::check_not_negative("SGD", "learning_rate", options.learning_rate);
    detail::check_not_negative("SGD", "momentum", options.momentum);
    LDLM_CHECK(!options.nesterov || options.momentum > 0, "SGD",
               "Nesterov's momentum must be positive");
    for (const auto& slot : slots_) {
      masters_.emplace_back(slot.parameter.value());
      if (options_.momentum > 0) {
        momentum_.push_back(
            Tensor<C>::zeros(slot.parameter.shape(), slot.parameter.value().device()));
      }
    }
  }

  SgdOptions options_;
  std::vector<detail::Slot<T>> slots_;
  std::vector<detail::Master<T>> masters_;
  std::vector<Tensor<C>> momentum_;
};

template <Floating T>
SGD(std::initializer_list<Variable<T>> parameters, SgdOptions options = {}) -> SGD<T>;

}  // namespace ldlm
