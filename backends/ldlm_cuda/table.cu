// The kernel tables of DeviceType::cuda, registered before main.

#include <ldlm/core/registry.hpp>
#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/runtime.cuh>

namespace ldlm::cuda_backend {

namespace {

template <class T>
constexpr KernelTable<T> make_table() {
  KernelTable<T> t;
  t.name = "cuda";
  t.fill = fill<T>;
  t.copy = copy<T>;
  t.cast = cast<T>;
  t.gather_rows = gather_rows<T>;
  t.scatter_rows = scatter_rows<T>;
  if constexpr (Computing<T>) {
    t.unary = unary<T>;
    t.binary = binary<T>;
    t.compare = compare<T>;
    t.where = where<T>;
    t.axpy = axpy<T>;
    t.reduce = reduce<T>;
    t.arg_reduce = arg_reduce<T>;
    t.top_k = top_k<T>;
    t.scatter_add_rows = scatter_add_rows<T>;
    t.gather = gather<T>;
    t.scatter_add = scatter_add<T>;
  }
  if constexpr (Computing<T> && std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    t.find_outside = find_outside<T>;
  }
  if constexpr (Floating<T>) {
    t.unary_backward = unary_backward<T>;
    t.softmax = softmax<T>;
    t.softmax_backward = softmax_backward<T>;
    t.log_softmax = log_softmax<T>;
    t.log_softmax_backward = log_softmax_backward<T>;
    t.layer_norm = layer_norm<T>;
    t.layer_norm_backward = layer_norm_backward<T>;
    t.rms_norm = rms_norm<T>;
    t.rms_norm_backward = rms_norm_backward<T>;
    t.gemm = gemm<T>;
    t.attention = attention<T>;
    t.attention_backward = attention_backward<T>;
    t.cross_entropy = cross_entropy<T>;
    t.cross_entropy_backward = cross_entropy_backward<T>;
    t.uniform = uniform<T>;
    t.normal = normal<T>;
    t.bernoulli = bernoulli<T>;
    t.dropout = dropout<T>;
    t.categorical = categorical<T>;
    t.adam = adam<T>;
  }
  return t;
}

template <class T>
bool register_table() {
  static constexpr KernelTable<T> table = make_table<T>();
  return register_kernels<T>(DeviceType::cuda, table, 0);
}

bool register_tables() {
#define LDLM_REGISTER(T) register_table<T>();
  LDLM_ALL_TYPES(LDLM_REGISTER)
#undef LDLM_REGISTER
  return register_memory();
}
[[maybe_unused]] const bool registered = register_tables();

}  // namespace

}  // namespace ldlm::cuda_backend
