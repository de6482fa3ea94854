#pragma once
// Linear: an affine map of the last axis, with the activation that follows it fused in.

#include <cmath>

#include <ldlm/nn/init.hpp>
#include <ldlm/nn/module.hpp>

namespace ldlm {

/// act(x W^T + b): (..., K) -> (..., N).
template <Floating T = float>
struct Linear {
  using value_type = T;

  Weight<T> weight;  // (N, K), or (K, N) if it says so
  Variable<T> bias;  // (N), or undefined

  Linear() = default;
  /// Uniform within 1 / sqrt(K), as PyTorch's default.
  Linear(std::int64_t in, std::int64_t out, Generator& generator, bool with_bias = true) {
    LDLM_CHECK(in > 0 && out > 0, "Linear", "extents must be positive, got ", in, " and ", out);
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    const auto draw = [&](const Shape& shape) {
      return Variable<T>(rand<T>(shape, generator, -bound, bound), true);
    };
    weight = Weight<T>(draw({out, in}));
    if (with_bias) {
      bias = draw({out});
    }
  }

  [[nodiscard]] bool defined() const { return weight.defined(); }

  Variable<T> operator()(const Operand<T> auto& x, Activation activation = Activation::none) const {
    return linear(as_variable(x), weight, bias, activation);
  }

  template <class V>
  void visit(V&& v) {
    v("weight", weight);
    v("bias", bias);
  }
};

}  // namespace ldlm
