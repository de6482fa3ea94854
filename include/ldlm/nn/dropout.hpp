#pragma once
// Dropout, and how training and evaluation differ: with a generator there is dropout, without none.

#include <ldlm/autograd/functions/nn.hpp>
#include <ldlm/nn/module.hpp>

namespace ldlm::nn {

/// In training zeroes each element with probability p and scales the rest by 1 / (1 - p); in
/// evaluation returns its argument.
template <Floating T>
class Dropout {
 public:
  using value_type = T;

  Dropout() = default;
  explicit Dropout(double p) : p_(static_cast<T>(p)) {
    LDLM_CHECK(p >= 0 && p < 1, "Dropout", "p must lie in [0, 1), got ", p);
  }

  Variable<T> operator()(const Variable<T>& x) const {
    return active() ? dropout(x, p_, *generator_) : x;
  }

  [[nodiscard]] T p() const noexcept { return p_; }
  /// Whether it drops anything: in training, with p > 0.
  [[nodiscard]] bool active() const noexcept { return generator_ != nullptr && p_ > T{0}; }
  /// Where it draws from in training; null in evaluation. See nn::train.
  [[nodiscard]] Generator* generator() const noexcept { return generator_; }
  void set_generator(Generator* generator) noexcept { generator_ = generator; }

  template <class V>
  void visit(V&& /*v*/) {}

 private:
  T p_{};
  Generator* generator_ = nullptr;
};

}  // namespace ldlm::nn
