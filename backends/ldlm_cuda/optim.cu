// The optimiser's step, of many parameters at a time.

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/launch.cuh>
#include <ldlm_cuda/math.cuh>

namespace ldlm::cuda_backend {

namespace {

/// As many items as kernel parameters hold (4 KiB), and the blocks of each: item i has those from
/// first_block[i] on, each of which moves block_elements.
template <class T>
struct AdamBatch {
  static constexpr int most = static_cast<int>(3900 / (sizeof(AdamItem<T>) + sizeof(unsigned)));
  AdamItem<T> items[most];
  unsigned first_block[most + 1];
  int count;
};
inline constexpr std::int64_t block_elements = 4096;

template <class T>
__global__ void adam_kernel(const __grid_constant__ AdamBatch<T> batch) {
  using C = ComputeType<T>;
  int number = 0;
  while (number + 1 < batch.count && batch.first_block[number + 1] <= blockIdx.x) {
    ++number;
  }
  const AdamItem<T>& item = batch.items[number];
  const AdamStep<C>& step = item.step;
  const std::int64_t begin = (blockIdx.x - batch.first_block[number]) * block_elements;
  const std::int64_t end = begin + block_elements < item.n ? begin + block_elements : item.n;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    C w;
    if constexpr (std::is_same_v<T, C>) {
      w = item.parameter[i];
    } else {
      const C parameter = widened(item.parameter[i]);
      w = item.master[i];
      w = widened(rounded<T>(w)) == parameter ? w : parameter;
    }
    C g = widened(item.grad[i]) * step.grad_scale;
    if (step.decoupled) {
      w -= step.learning_rate * step.weight_decay * w;
    } else {
      g += step.weight_decay * w;
    }
    const C first = step.beta1 * item.m[i] + (C{1} - step.beta1) * g;
    const C second = step.beta2 * item.v[i] + (C{1} - step.beta2) * g * g;
    w -= step.learning_rate * (first / step.bias_correction1) /
         (sqrt(second / step.bias_correction2) + step.epsilon);
    if constexpr (!std::is_same_v<T, C>) {
      item.master[i] = w;
    }
    item.parameter[i] = rounded<T>(w);
    item.m[i] = first;
    item.v[i] = second;
  }
}

}  // namespace

template <class T>
void adam(const AdamItem<T>* items, std::int64_t count) {
  AdamBatch<T> batch;
  batch.count = 0;
  batch.first_block[0] = 0;
  const auto run = [&] {
    if (batch.count > 0) {
      launch("adam", adam_kernel<T>,
             Grid{dim3(batch.first_block[batch.count]), dim3(usual_threads)}, batch);
    }
    batch.count = 0;
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t blocks = (items[i].n + block_elements - 1) / block_elements;
    constexpr std::int64_t most_blocks = 0x7fffffff;
    LDLM_CHECK_SHAPE(blocks <= most_blocks, "adam", "a parameter of ", items[i].n,
                     " elements is too large");
    if (batch.count == AdamBatch<T>::most ||
        batch.first_block[batch.count] + blocks > most_blocks) {
      run();
    }
    if (blocks > 0) {
      batch.items[batch.count] = items[i];
      batch.first_block[batch.count + 1] =
          batch.first_block[batch.count] + static_cast<unsigned>(blocks);
      ++batch.count;
    }
  }
  run();
}

#define LDLM_INSTANTIATE(T) template void adam(const AdamItem<T>*, std::int64_t);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
