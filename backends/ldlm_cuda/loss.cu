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
  template <bool kept>
  __device__ void run(const std::int64_t (&at)[4]) const {
    const T* const x = logits + at[0];
    using Part = Columns<T, kept>;
    const Part columns(x, classes);
    const Row<Part> row(columns, x);
    const auto [largest, sum] = exp_sum(columns, row);
    C distances{};  // what the mean of a smoothed target needs
    if (smoothing != C{}) {
      for_elements(
          columns, [&, most = largest](C logit) { distances += logit - most; }, row);
      distances = sum_block(distances);
    }
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
  template <bool kept>
  __device__ void run(const std::int64_t (&at)[5]) const {
    const std::int64_t target = targets[at[1]];
    const C total = lse[at[2]];
    const C scale = dloss[at[3]];
    const C everywhere = smoothing / static_cast<C>(classes);
    using Part = Columns<T, kept>;
    const Part columns(logits + at[0], classes);
    const Row<Part> row(columns, logits + at[0]);
    write_row(
        columns, dlogits + at[4], 1,
        [&](std::int64_t c, C logit) {
          const C wanted = everywhere + (c == target ? C{1} - smoothing : C{});
          return target == ignore ? C{} : scale * (exp(logit - total) - wanted);
        },
        row);
  }
};

}  // namespace

template <class T>
void cross_entropy(View<const T> logits, View<const std::int64_t> targets, std::int64_t ignore,
                   ComputeType<T> smoothing, View<ComputeType<T>> loss, View<ComputeType<T>> lse) {
  run_rows<T, true>("cross_entropy", logits.size(1),
                    CrossEntropy<T>{logits.size(1), ignore, smoothing, logits.data, targets.data,
                                    loss.data, lse.data},
                    row_starts(logits), targets, loss, lse);
}
template <class T>
void cross_entropy_backward(View<const T> logits, View<const std::int64_t> targets,
                            std::int64_t ignore, ComputeType<T> smoothing,
                            View<const ComputeType<T>> lse, View<const ComputeType<T>> dloss,
                            View<T> dlogits) {
  run_rows<T, true>("cross_entropy_backward", logits.size(1),
                    CrossEntropyBackward<T>{logits.size(1), ignore, smoothing, logits.data,
                                            targets.data, lse.data, dloss.data, dlogits.data},
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
