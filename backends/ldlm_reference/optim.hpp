#pragma once
// The optimiser's step.

#include <algorithm>
#include <cmath>

#include <ldlm_reference/walk.hpp>

namespace ldlm::reference {

/// Adam (Kingma & Ba, 2015, algorithm 1); `decoupled` decays the weight itself (Loshchilov &
/// Hutter, 2019, algorithm 2).
template <std::floating_point T>
void adam(const AdamItem<T>& item) {
  using W = Wide<T>;
  const AdamStep<T>& step = item.step;
  for (std::int64_t i = 0; i < item.n; ++i) {
    W w = item.parameter[i];
    W g = W{item.grad[i]} * step.grad_scale;
    if (step.decoupled) {
      w -= W{step.learning_rate} * step.weight_decay * w;
    } else {
      g += step.weight_decay * w;
    }
    const W first = W{step.beta1} * item.m[i] + (1 - W{step.beta1}) * g;
    const W second = W{step.beta2} * item.v[i] + (1 - W{step.beta2}) * g * g;
    w -= step.learning_rate * (first / step.bias_correction1) /
         (std::sqrt(second / step.bias_correction2) + step.epsilon);
    item.parameter[i] = static_cast<T>(w);
    item.m[i] = static_cast<T>(first);
    item.v[i] = static_cast<T>(second);
  }
}
template <std::floating_point T>
void adam(const AdamItem<T>* items, std::int64_t count) {
  std::for_each(items, items + count, [](const AdamItem<T>& item) { adam(item); });
}

}  // namespace ldlm::reference
