#pragma once
// Dropout: there is some in a TrainingMode scope, and none without.

#include <atomic>
#include <cstdio>

#include <ldlm/autograd/functions/nn.hpp>
#include <ldlm/autograd/scopes.hpp>

namespace ldlm {

namespace detail {

/// Says once in the life of a program that a model is trained without the dropout that it has.
inline void say_dropout_is_off(double p) {
  static std::atomic<bool> said{false};
  if (!said.exchange(true)) {
    std::fprintf(
        stderr,
        "ldlm: gradients are recorded without the dropout of %g that the model has: open an "
        "ldlm::TrainingMode in training, or an ldlm::EvaluationMode\n",
        p);
  }
}

}  // namespace detail

/// In training (TrainingMode) zeroes each element with probability p and scales the rest by
/// 1 / (1 - p); else returns its argument.
template <Floating T = float>
class Dropout {
 public:
  using value_type = T;

  Dropout() = default;
  explicit Dropout(double p) : p_(static_cast<ComputeType<T>>(p)) {
    LDLM_CHECK(p >= 0 && p < 1, "Dropout", "p must lie in [0, 1), got ", p);
    LDLM_CHECK(p_ < 1, "Dropout", "p is so near to 1 that it is 1 as ",
               name_of(dtype_of<ComputeType<T>>));
  }

  Variable<T> operator()(const Operand<T> auto& x) const {
    const Variable<T>& v = as_variable(x);
    Generator* const generator = active(v.defined() && v.requires_grad());
    return generator != nullptr ? dropout(v, p_, *generator) : v;
  }

  [[nodiscard]] ComputeType<T> p() const noexcept { return p_; }
  /// What to draw from, if anything is dropped: in training, with p > 0; else null. `recorded`:
  /// whether what it is for has a gradient.
  [[nodiscard]] Generator* active(bool recorded = false) const {
    if (!(p_ > 0)) {
      return nullptr;
    }
    if (recorded && grad_enabled() && model_mode() == ModelMode::unsaid) {
      detail::say_dropout_is_off(static_cast<double>(p_));
    }
    return detail::recording().generator;
  }

  template <class V>
  void visit(V&& /*v*/) {}

 private:
  ComputeType<T> p_{};
};

}  // namespace ldlm
