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
  [[nodiscard]] Tensor<T> up_to_date(const Tensor<T>& /*parameter*/) { return {}; }
  void note(const Tensor<T>& /*parameter*/) {}
  void forget() {}
  void add_to(NamedTensors<T>& /*state*/, const std::string& /*name*/) const {}
};

template <>
class Master<bf16> {
 public:
  explicit Master(const Tensor<bf16>& parameter) : value_(cast<float>(parameter.clone())) {
    note(parameter);
  }

  static constexpr bool exists = true;
  /// The floats. Where someone else has changed the parameter since note(), they are its elements.
  [[nodiscard]] const Tensor<float>& up_to_date(const Tensor<bf16>& parameter) {
    if (parameter.storage() != storage_ || parameter.storage().version() != version_) {
      const Tensor<bool> own = eq(cast<bf16>(value_), parameter);
      value_.copy_(where(own, value_, cast<float>(parameter)));
      note(parameter);
    }
    return value_;
  }
  /// The parameter is the rounding of the floats now.
  void note(const Tensor<bf16>& parameter) {
    storage_ = parameter.storage();
    version_ = storage_.version();
  }
  /// They were loaded: which of the parameter's elements are theirs is to be seen.
  void forget() { storage_ = {}; }
  /// "<name>.master"; shares memory.
  void add_to(NamedTensors<float>& state, const std::string& name) const {
    state.emplace_back(name + ".master", value_);
  }

 private:
  Tensor<float> value_;
  Storage storage_;
  std::uint64_t version_ = 0;
};

}  // namespace ldlm::detail
