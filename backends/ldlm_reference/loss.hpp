#pragma once
// Softmax cross-entropy. logits (N, V), targets (N).

#include <cmath>

#include <ldlm_reference/rows.hpp>

namespace ldlm::reference {

/// loss = lse - (1 - smoothing) x[target] - smoothing mean(x); 0 in ignored rows. The largest x is
/// taken from all first, so that a row of large equal logits keeps its digits.
template <std::floating_point T>
void cross_entropy(View<const T> logits, View<const std::int64_t> targets, std::int64_t ignore,
                   T smoothing, View<T> loss, View<T> lse) {
  using W = Wide<T>;
  const std::int64_t V = logits.size(1);
  walk(
      row_shape(logits.shape()),
      [&](const T* x, const std::int64_t* target, T* loss_out, T* lse_out) {
        const ExpSum<T> row(x, V);
        *lse_out = static_cast<T>(row.log_sum_exp());
        if (*target == ignore) {
          *loss_out = T{0};
          return;
        }
        W wanted = (1 - W{smoothing}) * (x[*target] - row.largest);
        if (smoothing != T{0}) {
          W sum{};
          for (std::int64_t c = 0; c < V; ++c) {
            sum += x[c] - row.largest;
          }
          wanted += smoothing * sum / static_cast<W>(V);
        }
        *loss_out = static_cast<T>(std::log(row.sum) - wanted);
      },
      logits, targets, loss, lse);
}

/// dlogits = dloss (exp(x - lse) - target), with target = (1 - smoothing) [c = target] + smoothing
/// / V; 0 in ignored rows. dlogits may be logits.
template <std::floating_point T>
void cross_entropy_backward(View<const T> logits, View<const std::int64_t> targets,
                            std::int64_t ignore, T smoothing, View<const T> lse,
                            View<const T> dloss, View<T> dlogits) {
  using W = Wide<T>;
  const std::int64_t V = logits.size(1);
  walk(
      row_shape(logits.shape()),
      [&](const T* x, const std::int64_t* target, const T* total, const T* scale, T* out) {
        for (std::int64_t c = 0; c < V; ++c) {
          const W wanted =
              W{smoothing} / static_cast<W>(V) + (c == *target ? 1 - W{smoothing} : W{0});
          const W gradient = *scale * (std::exp(W{x[c]} - *total) - wanted);
          out[c] = *target == ignore ? T{0} : static_cast<T>(gradient);
        }
      },
      logits, targets, lse, dloss, dlogits);
}

}  // namespace ldlm::reference
