#pragma once
// Softmax cross-entropy over large vocabularies: one pass over the logits forward, one backward.

#include <ldlm_simd/softmax.hpp>

namespace ldlm::simd {

namespace detail {

/// The largest of n elements, and log(sum(exp(x - largest))).
template <class T, class Arch>
struct LogSumExp {
  T largest, log_sum;
};

/// In one pass: blocks that stay in cache, each with its own maximum.
template <class T, class Arch>
LogSumExp<T, Arch> log_sum_exp(std::int64_t n, const T* x) {
  constexpr std::int64_t block = 1024;
  T largest = -std::numeric_limits<T>::infinity();
  T sum{};
  for (std::int64_t i = 0; i < n; i += block) {
    const std::int64_t count = std::min(block, n - i);
    const T top = max_of<T, Arch>(count, x + i);
    if (!(top <= largest)) {  // larger, or NaN
      sum *= sum != T{0} ? std::exp(largest - top) : T{1};
      largest = top;
    }
    if (top != -std::numeric_limits<T>::infinity()) {
      sum += sum_of_exp<T, Arch>(count, largest, x + i);
    }
  }
  return {largest, std::log(sum)};
}

}  // namespace detail

/// loss = lse - (1 - smoothing) x[target] - smoothing mean(x); 0 in ignored rows. The largest x is
/// taken from all first, so that a row of large equal logits keeps its digits.
template <class T, class Arch>
void cross_entropy(View<const T> logits, View<const std::int64_t> targets, std::int64_t ignore,
                   T smoothing, View<T> loss, View<T> lse) {
  const std::int64_t V = logits.size(1);
  for_rows<Arch>(
      detail::row_shape<Arch>(logits.shape()), detail::rows_grain<Arch>(V, 6),
      [&](const T* x, const std::int64_t* target, T* loss_out, T* lse_out) {
        const auto [largest, log_sum] = detail::log_sum_exp<T, Arch>(V, x);
        *lse_out = largest + log_sum;
        if (*target == ignore) {
          *loss_out = T{0};
          return;
        }
        T wanted = x[*target] - largest;
        if (smoothing != T{0}) {
          const T mean = sum_of<T, Arch>(
                             V, [m = Batch<T, Arch>(largest)](const auto& v) { return v - m; }, x) /
                         static_cast<T>(V);
          wanted = (1 - smoothing) * wanted + smoothing * mean;
        }
        *loss_out = log_sum - wanted;
      },
      logits, targets, loss, lse);
}

/// dlogits = dloss (exp(x - lse) - target); 0 in ignored rows. dlogits may be logits.
template <class T, class Arch>
void cross_entropy_backward(View<const T> logits, View<const std::int64_t> targets,
                            std::int64_t ignore, T smoothing, View<const T> lse,
                            View<const T> dloss, View<T> dlogits) {
  using B = Batch<T, Arch>;
  const std::int64_t V = logits.size(1);
  const bool past_caches = rows_go_past_caches<Arch>(dlogits, logits);
  for_rows<Arch>(
      detail::row_shape<Arch>(logits.shape()), detail::rows_grain<Arch>(V, 6),
      [&](const T* x, const std::int64_t* target, const T* total, const T* scale, T* out) {
        if (*target == ignore) {
          std::fill(out, out + V, T{0});
          return;
        }
        const B by(*total), factor(*scale), everywhere(smoothing / static_cast<T>(V));
        transform_row<Arch>(
            past_caches, x + 512, V,
            [&](const B& v) { return factor * (simd::exp(v - by) - everywhere); }, out, x);
        out[*target] -= *scale * (1 - smoothing);
      },
      logits, targets, lse, dloss, dlogits);
}

}  // namespace ldlm::simd
