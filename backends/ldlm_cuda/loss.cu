// Softmax cross-entropy. logits (N, V), targets (N). A block works on a row.

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/rows.cuh>

namespace ldlm::cuda_backend {

namespace {

template <class T>
struct CrossEntropy {
  std::int64_t classes, ignore;
  T smoothing;
  const T* logits;
  const std::int64_t* targets;
  T *loss, *lse;
  /// logits, targets, loss, lse
  __device__ void operator()(const std::int64_t (&at)[4]) const {
    const T* const x = logits + at[0];
    const T lowest = -static_cast<T>(INFINITY);
    T largest = lowest;
    for_columns(classes, [&](std::int64_t c) { largest = Largest::combine(largest, x[c]); });
    largest = combine_block<Largest>(largest, lowest);
    T sum{};
    T distances{};  // what the mean of a smoothed target needs
    for_columns(classes, [&](std::int64_t c) {
      sum += largest != lowest ? exp(x[c] - largest) : T{};
      distances += smoothing != T{} ? x[c] - largest : T{};
    });
    sum = sum_block(sum);
    distances = sum_block(distances);
    if (threadIdx.x != 0) {
      return;
    }
    const T log_sum = log(sum);
    lse[at[3]] = largest + log_sum;
    const std::int64_t target = targets[at[1]];
    if (target == ignore) {
      loss[at[2]] = T{};
      return;
    }
    T wanted = (T{1} - smoothing) * (x[target] - largest);
    if (smoothing != T{}) {
      wanted += smoothing * distances / static_cast<T>(classes);
    }
    loss[at[2]] = log_sum - wanted;
  }
};

template <class T>
struct CrossEntropyBackward {
  std::int64_t classes, ignore;
  T smoothing;
  const T* logits;
  const std::int64_t* targets;
  const T *lse, *dloss;
  T* dlogits;
  /// logits, targets, lse, dloss, dlogits
  __device__ void operator()(const std::int64_t (&at)[5]) const {
    const std::int64_t target = targets[at[1]];
    const T total = lse[at[2]];
    const T scale = dloss[at[3]];
    for_columns(classes, [&](std::int64_t c) {
      const T wanted = smoothing / static_cast<T>(classes) + (c == target ? T{1} - smoothing : T{});
      const T gradient = scale * (exp(logits[at[0] + c] - total) - wanted);
      dlogits[at[4] + c] = target == ignore ? T{} : gradient;
    });
  }
};

}  // namespace

template <class T>
void cross_entropy(View<const T> logits, View<const std::int64_t> targets, std::int64_t ignore,
                   T smoothing, View<T> loss, View<T> lse) {
  run_rows("cross_entropy", logits.size(1),
           CrossEntropy<T>{logits.size(1), ignore, smoothing, logits.data, targets.data, loss.data,
                           lse.data},
           row_starts(logits), targets, loss, lse);
}
template <class T>
void cross_entropy_backward(View<const T> logits, View<const std::int64_t> targets,
                            std::int64_t ignore, T smoothing, View<const T> lse,
                            View<const T> dloss, View<T> dlogits) {
  run_rows("cross_entropy_backward", logits.size(1),
           CrossEntropyBackward<T>{logits.size(1), ignore, smoothing, logits.data, targets.data,
                                   lse.data, dloss.data, dlogits.data},
           row_starts(logits), targets, lse, dloss, row_starts(dlogits));
}

#define LDLM_INSTANTIATE(T)                                                                      \
  template void cross_entropy(View<const T>, View<const std::int64_t>, std::int64_t, T, View<T>, \
                              View<T>);                                                          \
  template void cross_entropy_backward(View<const T>, View<const std::int64_t>, std::int64_t, T, \
                                       View<const T>, View<const T>, View<T>);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
