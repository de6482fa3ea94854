#pragma once
// LayerNorm and RMSNorm over the last axis.

#include <ldlm/autograd/functions/nn.hpp>
#include <ldlm/nn/module.hpp>

namespace ldlm {

namespace detail {
inline void check_norm(std::string_view op, std::int64_t dim, double epsilon) {
  LDLM_CHECK(dim > 0, op, "the extent must be positive, got ", dim);
  LDLM_CHECK(epsilon >= 0 && epsilon <= 1, op, "epsilon must lie in [0, 1], got ", epsilon);
}
}  // namespace detail

/// (x - mean) / sqrt(variance + epsilon) * weight + bias: (..., C) -> (..., C).
template <Floating T = float>
struct LayerNorm {
  using value_type = T;

  Variable<T> weight;  // (C), or undefined: no affine map
  Variable<T> bias;    // (C), or undefined
  double epsilon = 1e-5;

  LayerNorm() = default;
  explicit LayerNorm(std::int64_t dim, double with_epsilon = 1e-5, bool affine = true)
      : epsilon(with_epsilon) {
    detail::check_norm("LayerNorm", dim, epsilon);
    if (affine) {
      weight = Variable<T>(Tensor<T>::ones({dim}), true);
      bias = Variable<T>(Tensor<T>::zeros({dim}), true);
    }
  }

  Variable<T> operator()(const Operand<T> auto& x) const {
    return layer_norm(as_variable(x), weight, bias, epsilon);
  }
  /// {sum, normalized}: x + residual and its normalisation, made in one pass over memory.
  AddLayerNorm<T> operator()(const Operand<T> auto& x, const Operand<T> auto& residual) const {
    return add_layer_norm(as_variable(x), as_variable(residual), weight, bias, epsilon);
  }

  template <class V>
  void visit(V&& v) {
    v("weight", weight);
    v("bias", bias);
  }
};

/// x / sqrt(mean(x^2) + epsilon) * weight: (..., C) -> (..., C).
template <Floating T = float>
struct RMSNorm {
  using value_type = T;

  Variable<T> weight;  // (C)
  double epsilon = 1e-6;

  RMSNorm() = default;
  explicit RMSNorm(std::int64_t dim, double with_epsilon = 1e-6) : epsilon(with_epsilon) {
    detail::check_norm("RMSNorm", dim, epsilon);
    weight = Variable<T>(Tensor<T>::ones({dim}), true);
  }

  Variable<T> operator()(const Operand<T> auto& x) const {
    return rms_norm(as_variable(x), weight, epsilon);
  }

  template <class V>
  void visit(V&& v) {
    v("weight", weight);
  }
};

}  // namespace ldlm
