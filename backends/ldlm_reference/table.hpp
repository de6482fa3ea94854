#pragma once
// The reference kernels as tables: every kernel as a plain loop, for every element type that gives
// it a meaning.

#include <ldlm_bf16/table.hpp>
#include <ldlm_reference/attention.hpp>
#include <ldlm_reference/index.hpp>
#include <ldlm_reference/loss.hpp>
#include <ldlm_reference/matrix.hpp>
#include <ldlm_reference/optim.hpp>
#include <ldlm_reference/random.hpp>
#include <ldlm_reference/reduce.hpp>

namespace ldlm::reference {

namespace detail {

template <Scalar T>
constexpr KernelTable<T> make_table() {
  KernelTable<T> t;
  t.name = "reference";
  t.fill = fill<T>;
  t.copy = copy<T>;
  t.cast = cast<T>;
  t.gather_rows = gather_rows<T>;
  t.scatter_rows = scatter_rows<T>;
  if constexpr (Computing<T>) {
    t.gather = gather<T>;
  }
  if constexpr (Computing<T> && !std::same_as<T, bf16>) {
    t.unary = unary<T>;
    t.binary = binary<T>;
    t.compare = compare<T>;
    t.where = where<T>;
    t.axpy = axpy<T>;
    t.reduce = reduce<T>;
    t.arg_reduce = arg_reduce<T>;
    t.top_k = top_k<T>;
    t.scatter_add_rows = scatter_add_rows<T>;
    t.scatter_add = scatter_add<T>;
  }
  if constexpr (Computing<T> && std::integral<T> && !std::same_as<T, bool>) {
    t.find_outside = find_outside<T>;
  }
  if constexpr (std::floating_point<T>) {
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

}  // namespace detail

/// The reference kernels for elements of type T.
template <Scalar T>
const KernelTable<T>& table();

namespace detail {
/// Those of bf16 are made of these.
struct Bf16Tables {
  static const KernelTable<float>& of_float() { return table<float>(); }
  static const KernelTable<bf16>& of_bf16() { return table<bf16>(); }
  template <class F>
  static void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t /*grain*/,
                           const F& f) {
    f(begin, end);
  }
};
}  // namespace detail

template <Scalar T>
const KernelTable<T>& table() {
  if constexpr (std::same_as<T, bf16>) {
    static constexpr KernelTable<T> kernels =
        bf16_backend::make_table<detail::Bf16Tables>(detail::make_table<T>());
    return kernels;
  } else {
    static constexpr KernelTable<T> kernels = detail::make_table<T>();
    return kernels;
  }
}

}  // namespace ldlm::reference
