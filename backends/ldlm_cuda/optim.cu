// The optimiser's step.

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/launch.cuh>

namespace ldlm::cuda_backend {

namespace {

template <class T>
__global__ void adam_kernel(const __grid_constant__ AdamStep<T> step, T* parameter, const T* grad,
                            T* m, T* v, std::int64_t n) {
  for (std::int64_t i = first_index(); i < n; i += index_step()) {
    T w = parameter[i];
    T g = grad[i] * step.grad_scale;
    if (step.decoupled) {
      w -= step.learning_rate * step.weight_decay * w;
    } else {
      g += step.weight_decay * w;
    }
    const T first = step.beta1 * m[i] + (T{1} - step.beta1) * g;
    const T second = step.beta2 * v[i] + (T{1} - step.beta2) * g * g;
    w -= step.learning_rate * (first / step.bias_correction1) /
         (sqrt(second / step.bias_correction2) + step.epsilon);
    parameter[i] = w;
    m[i] = first;
    v[i] = second;
  }
}

}  // namespace

template <class T>
void adam(const AdamStep<T>& step, View<T> parameter, View<const T> grad, View<T> m, View<T> v) {
  const std::int64_t n = parameter.numel();
  if (n > 0) {
    launch("adam", adam_kernel<T>, grid_over(n), step, parameter.data, grad.data, m.data, v.data,
           n);
  }
}

#define LDLM_INSTANTIATE(T) \
  template void adam(const AdamStep<T>&, View<T>, View<const T>, View<T>, View<T>);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
