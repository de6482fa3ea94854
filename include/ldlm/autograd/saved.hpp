#pragma once
// Saved: a value that a function keeps for its backward pass, guarded against in-place changes.

#include <ldlm/core/tensor.hpp>

namespace ldlm {

namespace detail {
/// Whether a tensor may be changed in place: no one else sees it, no two elements are one.
template <class T>
[[nodiscard]] bool is_writable(const Tensor<T>& x) noexcept {
  return x.storage().unique() && !overlaps_itself(x.layout());
}
}  // namespace detail

/// A tensor and the version that its storage had when it was saved.
template <Scalar T>
class Saved {
 public:
  Saved() = default;
  /// `op` is named in the error. Undefined tensors may be saved.
  Saved(std::string_view op, Tensor<T> value)
      : op_(op),
        value_(std::move(value)),
        version_(value_.defined() ? value_.storage().version() : 0) {}

  /// The value. Throws if its storage was changed in place since.
  [[nodiscard]] const Tensor<T>& get() const {
    LDLM_CHECK_STATE(!value_.defined() || value_.storage().version() == version_, op_,
                     "a value that its backward pass needs, of shape ", to_string(value_.shape()),
                     ", was changed in place after the forward pass (version ",
                     value_.storage().version(), ", saved at ", version_, ")");
    return value_;
  }
  /// Whether the backward pass may overwrite the value: no tensor outside the graph, and no other
  /// function, holds these elements, and no two of them are one.
  [[nodiscard]] bool is_writable() const noexcept {
    return value_.defined() && detail::is_writable(value_);
  }

 private:
  std::string_view op_;
  Tensor<T> value_;
  std::uint64_t version_ = 0;
};

}  // namespace ldlm
