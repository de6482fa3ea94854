#pragma once
// The optimiser's step. All views are contiguous and of one size.

#include <cmath>

#include <ldlm_reference/walk.hpp>

namespace ldlm::reference {

/// Adam (Kingma & Ba, 2015, algorithm 1); `decoupled` decays the weight itself (Loshchilov &
/// Hutter, 2019, algorithm 2).
template <std::floating_point T>
void adam(const AdamStep<T>& step, View<T> parameter, View<const T> grad, View<T> /*master*/,
          View<T> m, View<T> v) {
  using W = Wide<T>;
  for (std::int64_t i = 0; i < parameter.numel(); ++i) {
    W w = parameter.data[i];
    W g = W{grad.data[i]} * step.grad_scale;
    if (step.decoupled) {
      w -= W{step.learning_rate} * step.weight_decay * w;
    } else {
      g += step.weight_decay * w;
    }
    const W first = W{step.beta1} * m.data[i] + (1 - W{step.beta1}) * g;
    const W second = W{step.beta2} * v.data[i] + (1 - W{step.beta2}) * g * g;
    w -= step.learning_rate * (first / step.bias_correction1) /
         (std::sqrt(second / step.bias_correction2) + step.epsilon);
    parameter.data[i] = static_cast<T>(w);
    m.data[i] = static_cast<T>(first);
    v.data[i] = static_cast<T>(second);
  }
}

}  // namespace ldlm::reference
