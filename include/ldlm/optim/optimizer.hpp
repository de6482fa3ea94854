#pragma once
// What an optimiser is to those who work with any of them: ldlm::Trainer takes AdamW, Adam, SGD and
// whatever else has these members.

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ldlm/core/named_tensors.hpp>
#include <ldlm/nn/module.hpp>
#include <ldlm/optim/parameter_group.hpp>

namespace ldlm {

/// Moves parameters of T. step(f) takes every gradient times f; state_dict() is what, beside the
/// settings, the next steps depend on (floats for parameters of bf16), under names
/// "<parameter>.<what>"; load_state_dict() throws, and changes nothing, for a state of other names
/// or shapes.
///
/// It may also have `name`, a string, settings(), numbers with their names on which the steps
/// depend as well (both are compared where a training is resumed), and parameters(), those that it
/// moves with their names.
template <class O, class T>
concept Optimizer = Floating<T> &&
    requires(O& optimizer, const O& fixed, const NamedTensors<ComputeType<T>>& state,
             double number) {
  { fixed.learning_rate() } -> std::convertible_to<double>;
  optimizer.set_learning_rate(number);
  optimizer.step(number);
  optimizer.zero_grad();
  { fixed.state_dict() } -> std::convertible_to<NamedTensors<ComputeType<T>>>;
  optimizer.load_state_dict(state);
};

namespace detail {

/// An optimiser of any type. What it lacks of the members that it need not have is empty.
template <Floating T>
class AnyOptimizer {
 public:
  AnyOptimizer() = default;
  AnyOptimizer(const AnyOptimizer&) = delete;
  AnyOptimizer& operator=(const AnyOptimizer&) = delete;
  virtual ~AnyOptimizer() = default;

  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual OptimizerSettings settings() const = 0;
  [[nodiscard]] virtual NamedParameters<T> parameters() const = 0;
  [[nodiscard]] virtual double learning_rate() const = 0;
  virtual void set_learning_rate(double rate) = 0;
  virtual void step(double grad_scale) = 0;
  virtual void zero_grad() = 0;
  [[nodiscard]] virtual NamedTensors<ComputeType<T>> state_dict() const = 0;
  virtual void load_state_dict(const NamedTensors<ComputeType<T>>& state) = 0;
};

/// Holds an optimiser, or refers to one where O is a reference.
template <Floating T, class O>
class OptimizerOf final : public AnyOptimizer<T> {
 public:
  explicit OptimizerOf(O&& optimizer) : optimizer_(std::forward<O>(optimizer)) {}

  [[nodiscard]] std::string name() const override {
    if constexpr (requires { std::string(optimizer_.name); }) {
      return std::string(optimizer_.name);
    } else {
      return {};
    }
  }
  [[nodiscard]] OptimizerSettings settings() const override {
    if constexpr (requires { OptimizerSettings(optimizer_.settings()); }) {
      return optimizer_.settings();
    } else {
      return {};
    }
  }
  [[nodiscard]] NamedParameters<T> parameters() const override {
    if constexpr (requires { NamedParameters<T>(optimizer_.parameters()); }) {
      return optimizer_.parameters();
    } else {
      return {};
    }
  }
  [[nodiscard]] double learning_rate() const override { return optimizer_.learning_rate(); }
  void set_learning_rate(double rate) override { optimizer_.set_learning_rate(rate); }
  void step(double grad_scale) override { optimizer_.step(grad_scale); }
  void zero_grad() override { optimizer_.zero_grad(); }
  [[nodiscard]] NamedTensors<ComputeType<T>> state_dict() const override {
    return optimizer_.state_dict();
  }
  void load_state_dict(const NamedTensors<ComputeType<T>>& state) override {
    optimizer_.load_state_dict(state);
  }

 private:
  O optimizer_;
};

}  // namespace detail

}  // namespace ldlm
