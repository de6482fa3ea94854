#pragma once
// The kernels of this backend, each declared once: entries of the kernel table. Every .cu file
// defines a family of them and instantiates it for the types below.

#include <ldlm/core/kernel_table.hpp>

/// X(T) for all element types; those with arithmetic; integers that may be indices; those with
/// gradients.
#define LDLM_ALL_TYPES(X) \
  LDLM_COMPUTING_TYPES(X) \
  X(f16) X(std::int16_t) X(std::uint16_t) X(std::uint32_t) X(std::uint64_t)
#define LDLM_COMPUTING_TYPES(X) LDLM_FLOATING_TYPES(X) LDLM_INDEX_TYPES(X) X(bool)
#define LDLM_INDEX_TYPES(X) X(std::int64_t) X(std::int32_t) X(std::int8_t) X(std::uint8_t)
#define LDLM_FLOATING_TYPES(X) X(float) X(double) X(bf16)

namespace ldlm::cuda_backend {

// clang-format off
// elementwise.cu
template <class T> void fill(View<T> out, T value);
template <class T> void copy(View<const T> in, View<T> out);
template <class T> void cast(DType from, View<const void> in, View<T> out);
template <class T> void unary(UnaryOp op, View<const T> x, View<T> y, ComputeType<T> a, ComputeType<T> b);
template <class T> void unary_backward(UnaryOp op, View<const T> saved, View<const T> dy, View<T> dx, ComputeType<T> a, ComputeType<T> b);
template <class T> void binary(BinaryOp op, View<const T> a, View<const T> b, View<T> out);
template <class T> void compare(CompareOp op, View<const T> a, View<const T> b, View<bool> out);
template <class T> void where(View<const bool> condition, View<const T> a, View<const T> b, View<T> out);
template <class T> void axpy(ComputeType<T> a, View<const T> x, View<T> y);
// reduce.cu
template <class T> void reduce(ReduceOp op, View<const T> in, View<T> out);
template <class T> std::int64_t find_outside(View<const T> indices, T low, T high);
// top_k.cu
template <class T> void arg_reduce(bool largest, View<const T> in, int axis, View<std::int64_t> out);
template <class T> void top_k(View<const T> in, View<T> values, View<std::int64_t> indices);
// rows.cu
template <class T> void softmax(View<const T> x, View<T> y);
template <class T> void softmax_backward(View<const T> y, View<const T> dy, View<T> dx);
template <class T> void log_softmax(View<const T> x, View<T> y);
template <class T> void log_softmax_backward(View<const T> y, View<const T> dy, View<T> dx);
template <class T> void layer_norm(View<const T> x, View<const T> residual, View<const T> gamma, View<const T> beta, ComputeType<T> epsilon, View<T> sum, View<T> y, View<ComputeType<T>> mean, View<ComputeType<T>> rstd);
template <class T> void layer_norm_backward(View<const T> x, View<const T> gamma, View<const ComputeType<T>> mean, View<const ComputeType<T>> rstd, View<const T> dy, View<T> dx, View<T> dgamma, View<T> dbeta);
template <class T> void rms_norm(View<const T> x, View<const T> gamma, ComputeType<T> epsilon, View<T> y, View<ComputeType<T>> rstd);
template <class T> void rms_norm_backward(View<const T> x, View<const T> gamma, View<const ComputeType<T>> rstd, View<const T> dy, View<T> dx, View<T> dgamma);
// gemm.cu
template <class T> void gemm(const Gemm<T>& args);
// attention.cu, attention_backward.cu
template <class T> void attention(const Attention<T>& args);
template <class T> void attention_backward(const AttentionBackward<T>& args);
// index.cu
template <class T> void gather_rows(View<const T> table, View<const std::int64_t> ids, View<T> out);
template <class T> void scatter_rows(View<const T> in, View<const std::int64_t> ids, View<T> out);
template <class T> void scatter_add_rows(View<const T> in, View<const std::int64_t> ids, View<T> out);
template <class T> void gather(View<const T> in, int axis, View<const std::int64_t> index, View<T> out);
template <class T> void scatter_add(View<const T> in, int axis, View<const std::int64_t> index, View<T> out);
// loss.cu
template <class T> void cross_entropy(View<const T> logits, View<const std::int64_t> targets, std::int64_t ignore, ComputeType<T> smoothing, View<ComputeType<T>> loss, View<ComputeType<T>> lse);
template <class T> void cross_entropy_backward(View<const T> logits, View<const std::int64_t> targets, std::int64_t ignore, ComputeType<T> smoothing, View<const ComputeType<T>> lse, View<const ComputeType<T>> dloss, View<T> dlogits);
// random.cu
template <class T> void uniform(PhiloxStream stream, ComputeType<T> low, ComputeType<T> high, View<T> out);
template <class T> void normal(PhiloxStream stream, ComputeType<T> mean, ComputeType<T> stddev, View<T> out);
template <class T> void bernoulli(PhiloxStream stream, ComputeType<T> probability, View<T> out);
template <class T> void dropout(PhiloxStream stream, ComputeType<T> p, View<const T> x, View<T> y);
template <class T> void categorical(PhiloxStream stream, View<const T> weights, View<std::int64_t> out);
// optim.cu
template <class T> void adam(const AdamItem<T>* items, std::int64_t count);
// clang-format on

}  // namespace ldlm::cuda_backend
