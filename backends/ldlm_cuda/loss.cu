// Softmax cross-entropy. logits (N, V), targets (N). A block works on a row.

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/rows.cuh>

namespace ldlm::cuda_backend {

namespace {

template <class T>
struct CrossEntropy {
  using C = ComputeType<T>;
  std::int64_t classes, ignore;
  C smoothing;
  const T* logits;
  const std::int64_t* targets;
  C *loss, *lse;
  /// logits, targets, loss, lse
  __device__ void operator()(const std::int64_t (&at)[4]) const {
    const T* const x = logits + at[0];
    const C lowest = -static_cast<C>(INFINITY);
    C largest = lowest;
    for_columns(classes,
                [&](std::int64_t c) { largest = Largest::combine(largest, widened(x[c])); });
    largest = combine_block<Largest>(largest, lowest);
    C sum{};
    C distances{};  // what the mean of a smoothed target needs
    for_columns(classes, [&](std::int64_t c) {
      sum += largest != lowest ? exp(widened(x[c]) - largest) : C{};
      distances += smoothing != C{} ? widened(x[c]) - largest : C{};
    });
    sum = sum_block(sum);
    distances = sum_block(distances);
    if (threadIdx.x != 0) {
      return;
    }
    const C log_sum = log(sum);
    lse[at[3]] = largest + log_sum;
    const std::int64_t target = targets[at[1]];
    if (target == ignore) {
      loss[at[2]] = C{};
      return;
    }
    C wanted = (C{1} - smoothing) * (widened(x[target]) - largest);
    if (smoothing != C{}) {
      wanted += smoothing * distances / static_cast<C>(classes);
    }
    loss[at[2]] = log_sum - wanted;
  }
};

template <class T>
struct CrossEntropyBackward {
  using C = ComputeType<T>;
  std::int64_t classes, ignore;
  C smoothing;
  const T* logits;
  const std::int64_t* targets;
  const C *lse, *dloss;
  T* dlogits;
  /// logits, targets, lse, dloss, dlogits
  __device__ void operator()(const std::int64_t (&at)[5]) const {
    const std::int64_t target = targets[at[1]];
    const C total = lse[at[2]];
    const C scale = dloss[at[3]];
    for_columns(classes, [&](std::int64_t c) {
      const C wanted = smoothing / static_cast<C>(classes) + (c == target ? C{1} - smoothing : C{});
      const C gradient = scale * (exp(widened(logits[at[0] + c]) - total) - wanted);
      dlogits[at[4] + c] = rounded<T>(target == ignore ? C{} : gradient);
    });
  }
};

}  // namespace

template <class T>
void cross_entropy(View<const T> logits, View<const std::int64_t> targets, std::int64_t ignore,
                   ComputeType<T> smoothing, View<ComputeType<T>> loss, View<ComputeType<T>> lse) {
  run_rows("cross_entropy", logits.size(1),
           CrossEntropy<T>{logits.size(1), ignore, smoothing, logits.data, targets.data, loss.data,
                           lse.data},
           row_starts(logits), targets, loss, lse);
}
template <class T>
void cross_entropy_backward(View<const T> logits, View<const std::int64_t> targets,
                            std::int64_t ignore, ComputeType<T> smoothing,
                            View<const ComputeType<T>> lse, View<const ComputeType<T>> dloss,
                            View<T> dlogits) {
  run_rows("cross_entropy_backward", logits.size(1),
           CrossEntropyBackward<T>{logits.size(1), ignore, smoothing, logits.data, targets.data,
                                   lse.data, dloss.data, dlogits.data},
           row_starts(logits), targets, lse, dloss, row_starts(dlogits));
}

#define LDLM_INSTANTIATE(T)                                                                   \
  template void cross_entropy(View<const T>, View<const std::int64_t>, std::int64_t,          \
                              ComputeType<T>, View<ComputeType<T>>, View<ComputeType<T>>);    \
  template void cross_entropy_backward(View<const T>, View<const std::int64_t>, std::int64_t, \
                                       ComputeType<T>, View<const ComputeType<T>>,            \
                                       View<const ComputeType<T>>, View<T>);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
