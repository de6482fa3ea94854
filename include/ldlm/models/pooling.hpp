#pragma once
// From the states of a sequence to one vector.

#include <ldlm/autograd/autograd.hpp>

namespace ldlm {

/// Mean over the positions that `mask` (B, T) marks as real: (B, T, C) -> (B, C). Without a mask,
/// over all. Throws for a row without a real position.
template <Floating T>
[[nodiscard]] Variable<T> mean_pool(const Variable<T>& states, const Tensor<bool>& mask = {}) {
  LDLM_CHECK(states.rank() == 3, "mean_pool", "needs (B, T, C), got ", to_string(states.shape()));
  if (!mask.defined()) {
    return mean(states, 1);
  }
  LDLM_CHECK(mask.rank() == 2 && mask.size(0) == states.size(0) && mask.size(1) == states.size(1),
             "mean_pool", "mask ", to_string(mask.shape()), " does not fit states ",
             to_string(states.shape()));
  const Tensor<T> weights = cast<T>(mask);
  const Tensor<T> counts = sum(weights, 1, true);  // (B, 1)
  for (const T count : counts.to_vector()) {
    LDLM_CHECK(count > T{0}, "mean_pool", "a sequence has no real position");
  }
  // (B, 1, T) x (B, T, C): one pass over the states.
  return matmul(Variable<T>((weights / counts).unsqueeze(1)), states).squeeze(1);
}

/// Rows of length 1: x / max(|x|, 1e-12) over the last axis. Zeros stay zeros.
template <Floating T>
[[nodiscard]] Variable<T> normalize_rows(const Variable<T>& x) {
  return x / maximum(norm(x, -1, true), Tensor<T>::scalar(static_cast<T>(1e-12), x.device()));
}

}  // namespace ldlm
