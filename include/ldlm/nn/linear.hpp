#pragma once
// Linear: an affine map of the last axis, with the activation that follows it fused in.

#include <cmath>
#include <optional>
#include <type_traits>

#include <ldlm/autograd/functions/matrix.hpp>
#include <ldlm/nn/init.hpp>
#include <ldlm/nn/module.hpp>

namespace ldlm::nn {

/// act(x W^T + b): (..., K) -> (..., N).
template <Floating T>
struct Linear {
  using value_type = T;

  Variable<T> weight;                          // (N, K)
  Variable<T> bias;                            // (N), or undefined
  std::optional<QuantizedMatrix> quantized{};  // in place of weight, see nn/quantize.hpp

  Linear() = default;
  /// Uniform within 1 / sqrt(K), as PyTorch's default.
  Linear(std::int64_t in, std::int64_t out, Generator& generator, bool with_bias = true) {
    LDLM_CHECK(in > 0 && out > 0, "Linear", "extents must be positive, got ", in, " and ", out);
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    const auto draw = [&](const Shape& shape) {
      return Variable<T>(rand<T>(shape, generator, static_cast<T>(-bound), static_cast<T>(bound)),
                         true);
    };
    weight = draw({out, in});
    if (with_bias) {
      bias = draw({out});
    }
  }

  [[nodiscard]] bool defined() const { return weight.defined() || quantized.has_value(); }

  Variable<T> operator()(const Variable<T>& x, Activation activation = Activation::none) const {
    if constexpr (std::is_same_v<T, float>) {
      if (quantized) {
        return linear(x, *quantized, bias, activation);
      }
    }
    return linear(x, weight, bias, activation);
  }

  template <class V>
  void visit(V&& v) {
    v.matrix("weight", weight, quantized);
    v("bias", bias);
  }
};

}  // namespace ldlm::nn
