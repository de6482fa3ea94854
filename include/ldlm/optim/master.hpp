#pragma once
// Master: what an optimiser moves in the place of a parameter of bf16, whose 8 bits of mantissa
// would swallow most steps: a copy in floats, of which the parameter is the rounding (Micikevicius
// et al., 2018).

#include <string>

#include <ldlm/core/named_tensors.hpp>
#include <ldlm/core/ops/elementwise.hpp>

namespace ldlm::detail {

/// Of other types there is none, and the parameter itself is moved.
template <Floating T>
class Master {
 public:
  explicit Master(const Tensor<T>& /*parameter*/) {}

  static constexpr bool exists = false;
  /// Undefined.
  [[nodiscard]] Tensor<T> floats() const { return {}; }
  void add_to(NamedTensors<T>& /*state*/, const std::string& /*name*/) const {}
};

template <>
class Master<bf16> {
 public:
  explicit Master(const Tensor<bf16>& parameter) : value_(cast<float>(parameter.clone())) {}

  static constexpr bool exists = true;
  /// The floats as the last step left them.
  [[nodiscard]] const Tensor<float>& floats() const { return value_; }
  /// The floats. Elements of the parameter that are not their rounding were written by someone
  /// else, and are taken over.
  [[nodiscard]] const Tensor<float>& up_to_date(const Tensor<bf16>& parameter) const {
    const Tensor<bool> own = eq(cast<bf16>(value_), parameter);
    value_.copy_(where(own, value_, cast<float>(parameter)));
    return value_;
  }
  /// "<name>.master"; shares memory.
  void add_to(NamedTensors<float>& state, const std::string& name) const {
    state.emplace_back(name + ".master", value_);
  }

 private:
  Tensor<float> value_;
};

}  // namespace ldlm::detail
