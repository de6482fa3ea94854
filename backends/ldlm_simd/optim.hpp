#pragma once
// The optimiser's step, in one pass over parameter, gradient and moments.

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/fma.hpp>
#include <ldlm_simd/loops.hpp>

namespace ldlm::simd {

template <class T, class Arch>
void adam(const AdamItem<T>& item) {
  const AdamStep<T>& step = item.step;
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const B keep1(step.beta1), keep2(step.beta2), add1(1 - step.beta1), add2(1 - step.beta2);
  const B scale(step.grad_scale), epsilon(step.epsilon);
  const B rate(step.learning_rate / step.bias_correction1);
  const B spread(1 / step.bias_correction2);
  const B shrink(step.decoupled ? 1 - step.learning_rate * step.weight_decay : T{1});
  const B decay(step.decoupled ? T{0} : step.weight_decay);
  const auto update = [&](B& w, const B& g, B& first, B& second) {
    const B slope = simd::fma(decay, w, g * scale);
    first = simd::fma(keep1, first, add1 * slope);
    second = simd::fma(keep2, second, add2 * slope * slope);
    w = simd::fnma(rate, first / (xsimd::sqrt(second * spread) + epsilon), w * shrink);
  };
  parallel_for(0, item.n, cheap_grain / 4, [&](std::int64_t lo, std::int64_t hi) {
    for (std::int64_t i = lo; i < hi; i += W) {
      const std::int64_t n = std::min(W, hi - i);
      const auto at = [&](const T* p) {
        return n == W ? load<T, Arch>(p + i) : load_first<T, Arch>(p + i, n);
      };
      const auto put = [&](T* p, const B& x) {
        n == W ? x.store_unaligned(p + i) : store_first<T, Arch>(p + i, x, n);
      };
      B w = at(item.parameter), first = at(item.m), second = at(item.v);
      update(w, at(item.grad), first, second);
      put(item.parameter, w);
      put(item.m, first);
      put(item.v, second);
    }
  });
}
template <class T, class Arch>
void adam(const AdamItem<T>* items, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    adam<T, Arch>(items[i]);
  }
}

}  // namespace ldlm::simd
