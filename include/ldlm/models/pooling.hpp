#pragma once
// From the states of a sequence to one vector.

#include <cmath>
#include <concepts>
#include <limits>
#include <vector>

#include <ldlm/autograd/autograd.hpp>

namespace ldlm {

/// Ways from states to a vector, under the names of sentence-transformers.
enum class PoolingMode : std::uint8_t {
  cls,                   // the first real position's state
  max,                   // the largest of each channel
  mean,                  // the mean
  mean_sqrt_len_tokens,  // the sum, divided by the root of the number of positions
  weightedmean,          // the mean with weights 1, 2, 3, ... of the positions
  lasttoken,             // the last real position's state
};

namespace detail {

/// Whether vectors of T are computed in another type, and rounded once.
template <Floating T>
inline constexpr bool is_widened = !std::same_as<T, ComputeType<T>>;

/// The weights (B, T) of the positions that `mask` (B, T) marks as real; `counted`, a part of
/// those, is what is pooled. Throws for a row without such a position.
template <Floating T>
[[nodiscard]] Tensor<T> pooling_weights(const Tensor<bool>& counted, const Tensor<bool>& mask,
                                        PoolingMode mode) {
  const std::int64_t rows = mask.size(0);
  const std::int64_t length = mask.size(1);
  const std::vector<bool> real = mask.to_vector();
  const std::vector<bool> pooled = counted.to_vector();
  Tensor<T> out = Tensor<T>::zeros({rows, length});
  for (std::int64_t b = 0; b < rows; ++b) {
    T* const weights = out.data() + b * length;
    double total = 0;
    std::int64_t number = 0;  // of the real positions so far
    std::int64_t first = -1, last = -1;
    for (std::int64_t t = 0; t < length; ++t) {
      const auto i = static_cast<std::size_t>(b * length + t);
      number += real[i] ? 1 : 0;
      if (real[i] && pooled[i]) {
        first = first < 0 ? t : first;
        last = t;
        const double weight = mode == PoolingMode::weightedmean ? static_cast<double>(number) : 1.0;
        weights[t] = convert<T>(weight);
        total += weight;
      }
    }
    LDLM_CHECK(first >= 0, "pool", "a sequence has no real position");
    const double divisor = mode == PoolingMode::mean_sqrt_len_tokens ? std::sqrt(total) : total;
    for (std::int64_t t = 0; t < length; ++t) {
      if (mode == PoolingMode::cls || mode == PoolingMode::lasttoken) {
        weights[t] = convert<T>(t == (mode == PoolingMode::cls ? first : last) ? 1 : 0);
      } else {
        weights[t] = convert<T>(static_cast<double>(weights[t]) / divisor);
      }
    }
  }
  return out;
}

}  // namespace detail

/// Mean over the positions that `mask` (B, T) marks as real: (B, T, C) -> (B, C). Without a mask,
/// over all. Throws for a row without a real position.
template <TensorOrVariable X>
[[nodiscard]] X mean_pool(const X& states, const Tensor<bool>& mask = {}) {
  using T = element_t<X>;
  LDLM_CHECK_STATE(states.defined(), "mean_pool", "the states are undefined");
  LDLM_CHECK_SHAPE(states.rank() == 3, "mean_pool", "needs (B, T, C), got ",
                   to_string(states.shape()));
  if (!mask.defined()) {
    LDLM_CHECK_SHAPE(states.size(1) > 0, "mean_pool", "of no positions, ",
                     to_string(states.shape()));
    return mean(states, 1);
  }
  LDLM_CHECK_SHAPE(
      mask.rank() == 2 && mask.size(0) == states.size(0) && mask.size(1) == states.size(1),
      "mean_pool", "mask ", to_string(mask.shape()), " does not fit states ",
      to_string(states.shape()));
  if constexpr (detail::is_widened<T>) {
    return cast<T>(mean_pool(cast<ComputeType<T>>(states), mask));
  } else {
    const Tensor<T> weights = cast<T>(mask);
    const Tensor<T> counts = sum(weights, 1, true);  // (B, 1)
    for (const T count : counts.to_vector()) {
      LDLM_CHECK(count > T{0}, "mean_pool", "a sequence has no real position");
    }
    // (B, 1, T) x (B, T, C): one pass over the states.
    return matmul((weights / counts).to(states.device()).unsqueeze(1), states).squeeze(1);
  }
}

/// One vector of each sequence of states (B, T, C): (B, C). `mask` (B, T) marks the real positions,
/// all if undefined; `counted`, if defined, those of them that are pooled. Throws for a row with
/// none.
template <TensorOrVariable X>
[[nodiscard]] X pool(const X& states, PoolingMode mode, const Tensor<bool>& mask = {},
                     const Tensor<bool>& counted = {}) {
  using T = element_t<X>;
  LDLM_CHECK_STATE(states.defined(), "pool", "the states are undefined");
  LDLM_CHECK_SHAPE(states.rank() == 3, "pool", "needs (B, T, C), got ", to_string(states.shape()));
  if (mode > PoolingMode::lasttoken) {
    detail::fail_unknown("PoolingMode", mode);
  }
  const Shape expected{states.size(0), states.size(1)};
  const Tensor<bool> real = mask.defined() ? mask : Tensor<bool>::full(expected, true);
  const Tensor<bool> pooled = counted.defined() ? counted : real;
  LDLM_CHECK_SHAPE(real.shape() == expected && pooled.shape() == expected, "pool", "masks ",
                   to_string(real.shape()), " and ", to_string(pooled.shape()),
                   " do not fit states ", to_string(states.shape()));
  if (mode == PoolingMode::mean && !counted.defined()) {
    return mean_pool(states, mask);  // which needs no look at the mask
  }
  if constexpr (detail::is_widened<T>) {
    return cast<T>(pool(cast<ComputeType<T>>(states), mode, real, pooled));
  } else {
    const Tensor<T> weights = detail::pooling_weights<T>(pooled, real, mode).to(states.device());
    if (mode == PoolingMode::max) {
      const Tensor<T> hidden =
          Tensor<T>::scalar(-std::numeric_limits<T>::infinity(), states.device());
      const Tensor<T> zero = Tensor<T>::scalar(0, states.device());
      return max(states + where(gt(weights, zero), zero, hidden).unsqueeze(2), 1);
    }
    // (B, 1, T) x (B, T, C): one pass over the states.
    return matmul(weights.unsqueeze(1), states).squeeze(1);
  }
}

/// Rows of length 1: x / max(|x|, 1e-12) over the last axis. Zeros stay zeros.
template <TensorOrVariable X>
[[nodiscard]] X normalize_rows(const X& x) {
  using T = element_t<X>;
  LDLM_CHECK_STATE(x.defined(), "normalize_rows", "the rows are undefined");
  LDLM_CHECK_SHAPE(x.rank() >= 1, "normalize_rows", "needs rows (..., C), got ",
                   to_string(x.shape()));
  if constexpr (detail::is_widened<T>) {
    return cast<T>(normalize_rows(cast<ComputeType<T>>(x)));
  } else {
    return x / maximum(norm(x, -1, true), Tensor<T>::scalar(1e-12, x.device()));
  }
}

}  // namespace ldlm
