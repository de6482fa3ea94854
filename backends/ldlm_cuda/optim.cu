// The optimiser's step.

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/launch.cuh>
#include <ldlm_cuda/math.cuh>

namespace ldlm::cuda_backend {

namespace {

/// `moved` is the parameter, or its master, of which `parameter` becomes the rounding.
template <class T, class C = ComputeType<T>>
__global__ void adam_kernel(const __grid_constant__ AdamStep<C> step, T* parameter, const T* grad,
                            C* moved, C* m, C* v, std::int64_t n) {
  for (std::int64_t i = first_index(); i < n; i += index_step()) {
    C w = moved[i];
    C g = widened(grad[i]) * step.grad_scale;
    if (step.decoupled) {
      w -= step.learning_rate * step.weight_decay * w;
    } else {
      g += step.weight_decay * w;
    }
    const C first = step.beta1 * m[i] + (C{1} - step.beta1) * g;
    const C second = step.beta2 * v[i] + (C{1} - step.beta2) * g * g;
    w -= step.learning_rate * (first / step.bias_correction1) /
         (sqrt(second / step.bias_correction2) + step.epsilon);
    moved[i] = w;
    if constexpr (!std::is_same_v<T, C>) {
      parameter[i] = rounded<T>(w);
    }
    m[i] = first;
    v[i] = second;
  }
}

}  // namespace

template <class T>
void adam(const AdamStep<ComputeType<T>>& step, View<T> parameter, View<const T> grad,
          View<ComputeType<T>> master, View<ComputeType<T>> m, View<ComputeType<T>> v) {
  const std::int64_t n = parameter.numel();
  ComputeType<T>* moved = master.data;
  if constexpr (std::is_same_v<T, ComputeType<T>>) {
    moved = parameter.data;
  }
  if (n > 0) {
    launch("adam", adam_kernel<T>, grid_over(n), step, parameter.data, grad.data, moved, m.data,
           v.data, n);
  }
}

#define LDLM_INSTANTIATE(T)                                                   \
  template void adam(const AdamStep<ComputeType<T>>&, View<T>, View<const T>, \
                     View<ComputeType<T>>, View<ComputeType<T>>, View<ComputeType<T>>);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
