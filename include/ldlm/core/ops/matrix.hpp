#pragma once
// Matrix products: matmul with batch broadcasting, linear with fused bias, activation and residual.
//
// A transpose costs nothing here: it is a view, and GEMM takes any strides.

#include <ldlm/core/ops/elementwise.hpp>
#include <ldlm/core/precision.hpp>

namespace ldlm {

namespace detail {

/// Fills the Gemm of out = a b for layouts of equal rank >= 2 whose batch axes are broadcast.
template <class T>
Gemm<T> make_gemm(View<const T> a, View<const T> b, View<T> out) {
  const int r = out.rank();
  Gemm<T> args;
  args.m = out.size(r - 2);
  args.n = out.size(r - 1);
  args.k = a.size(r - 1);
  args.a = a.data;
  args.a_row = a.stride(r - 2);
  args.a_col = a.stride(r - 1);
  args.b = b.data;
  args.b_row = b.stride(r - 2);
  args.b_col = b.stride(r - 1);
  args.c = out.data;
  args.c_row = out.stride(r - 2);
  args.allow_tf32 = matmul_precision() == MatmulPrecision::high;
  args.allow_bf16 = matmul_precision() == MatmulPrecision::medium;
  args.batch_rank = r - 2;
  for (int i = 0; i < r - 2; ++i) {
    args.batch_shape[i] = out.size(i);
    args.a_batch[i] = a.stride(i);
    args.b_batch[i] = b.stride(i);
    args.c_batch[i] = out.stride(i);
  }
  return args;
}

// The batch axes of `shape` (all but the last two).
inline Shape batch_axes(const Shape& shape) {
  return Shape(std::span<const std::int64_t>(shape.begin(), shape.end() - 2));
}

inline Shape with_matrix(Shape batch, std::int64_t rows, std::int64_t columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return batch;
}

// Batch axes of a (m, k)-shaped product's three matrices, broadcast together. Throws on mismatch.
inline Shape matmul_batch(std::string_view op, const Shape& a, const Shape& b) {
  LDLM_CHECK_SHAPE(a.rank() >= 2 && b.rank() >= 2, op, "needs matrices or vectors, got ",
                   to_string(a), " x ", to_string(b));
  LDLM_CHECK_SHAPE(a.back() == b[b.rank() - 2], op, "inner sizes differ: ", to_string(a), " x ",
                   to_string(b));
  return broadcast_shapes(batch_axes(a), batch_axes(b), op);
}

template <Floating T>
void matmul_into_as(std::string_view op, const Tensor<T>& a, const Tensor<T>& b,
                    const Tensor<T>& out, Number<T> alpha, Number<T> beta) {
  const Device device = common_device(op, a, b, out);
  const Shape batch = matmul_batch(op, a.shape(), b.shape());
  const std::int64_t m = a.size(-2);
  const std::int64_t k = a.size(-1);
  const std::int64_t n = b.size(-1);
  LDLM_CHECK_SHAPE(out.shape() == with_matrix(batch, m, n), op, "product of ", to_string(a.shape()),
                   " x ", to_string(b.shape()), " does not fit ", to_string(out.shape()));
  LDLM_CHECK_SHAPE(n <= 1 || out.layout().stride(out.rank() - 1) == 1, op,
                   "the output needs unit stride on its last axis");
  if (out.numel() == 0) {
    return;
  }
  check_into(op, out.view(), a.view(), b.view());
  Gemm<T> args = make_gemm<T>(broadcast_view(a, with_matrix(batch, m, k), op),
                              broadcast_view(b, with_matrix(batch, k, n), op), out.view());
  args.alpha = alpha;
  args.beta = beta;
  kernel(device, &KernelTable<T>::gemm, op)(args);
  out.storage().bump_version();
}

}  // namespace detail

/// out = alpha * a b + beta * out, in place. a (..., m, k), b (..., k, n), out (..., m, n) with
/// unit stride on n; the batch axes of a and b broadcast to those of out. Throws if `out` overlaps
/// a or b in memory, or itself.
template <Floating T>
void matmul_into(const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& out, Number<T> alpha = 1,
                 Number<T> beta = 0) {
  detail::matmul_into_as("matmul_into", a, b, out, alpha, beta);
}

/// Matrix product (..., m, k) x (..., k, n) -> (..., m, n) with broadcast batch axes; a vector (k)
/// on the left is a row, on the right a column, and its axis goes away.
template <Floating T>
Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b) {
  const Device device = detail::common_device("matmul", a, b);
  if (a.rank() == 1 && b.rank() >= 1) {
    return matmul(a.unsqueeze(0), b).squeeze(b.rank() == 1 ? 0 : -2);
  }
  if (b.rank() == 1) {
    return matmul(a, b.unsqueeze(1)).squeeze(-1);
  }
  const Shape batch = detail::matmul_batch("matmul", a.shape(), b.shape());
  const Shape shape = detail::with_matrix(batch, a.size(-2), b.size(-1));
  if (a.rank() > 2 && b.rank() == 2 && a.is_contiguous()) {
    return matmul(a.flatten(0, -2), b).reshape(shape);  // one longer matrix, not a batch
  }
  Tensor<T> out = Tensor<T>::empty(shape, device);
  detail::matmul_into_as<T>("matmul", a, b, out, 1, 0);
  return out;
}

/// What fused_linear() does in the same pass as its matrix product.
template <class T>
struct LinearEpilogue {
  Tensor<T> bias{};  // (N)
  Activation activation = Activation::none;
  Tensor<T> residual{};                 // (..., N); added after the activation
  Tensor<T>* pre_activation = nullptr;  // receives the value before the activation, (..., N)
};

namespace detail {

/// fused_linear() for a weight (N, K) of this shape, which set_weight(args) puts in as B.
template <Floating T, class SetWeight>
Tensor<T> linear(const Tensor<T>& x, const Shape& weight, const LinearEpilogue<T>& epilogue,
                 const SetWeight& set_weight) {
  LDLM_CHECK_SHAPE(weight.rank() == 2 && x.rank() >= 1 && x.size(-1) == weight[1], "linear",
                   "inner sizes differ: input ", to_string(x.shape()), ", weight ",
                   to_string(weight));
  check_activation(epilogue.activation);
  const std::int64_t n = weight[0];
  LDLM_CHECK_SHAPE(!epilogue.bias.defined() || epilogue.bias.shape() == Shape{n}, "linear", "bias ",
                   to_string(epilogue.bias.shape()), " does not fit weight ", to_string(weight));
  Shape shape = x.shape();
  shape[shape.rank() - 1] = n;
  LDLM_CHECK_SHAPE(!epilogue.residual.defined() || epilogue.residual.shape() == shape, "linear",
                   "residual must be of shape ", to_string(shape), ", got ",
                   to_string(epilogue.residual.shape()));
  const Device device = x.device("linear");
  check_optional_devices("linear", device, epilogue.bias, epilogue.residual);
  Tensor<T> out = Tensor<T>::empty(shape, device);
  if (epilogue.pre_activation != nullptr) {
    *epilogue.pre_activation = Tensor<T>::empty(shape, x.device());
  }
  if (out.numel() == 0) {
    return out;
  }
  const Tensor<T> rows = x.reshape({out.numel() / n, x.size(-1)});
  const Tensor<T> bias = epilogue.bias.contiguous();
  const Tensor<T> residual = epilogue.residual.contiguous();
  Gemm<T> args;
  args.m = rows.size(0);
  args.n = n;
  args.k = weight[1];
  args.a = rows.data();
  args.a_row = rows.layout().stride(0);
  args.a_col = rows.layout().stride(1);
  args.c = out.data();
  args.c_row = n;
  args.allow_tf32 = matmul_precision() == MatmulPrecision::high;
  args.allow_bf16 = matmul_precision() == MatmulPrecision::medium;
  set_weight(args);
  args.bias = bias.data();
  args.activation = epilogue.activation;
  args.residual = residual.data();
  args.pre_activation =
      epilogue.pre_activation != nullptr ? epilogue.pre_activation->data() : nullptr;
  kernel(x.device(), &KernelTable<T>::gemm, "linear")(args);
  return out;
}

}  // namespace detail

/// act(x W^T + bias) + residual. x (..., K), weight (N, K), result (..., N).
template <Floating T>
Tensor<T> fused_linear(const Tensor<T>& x, const Tensor<T>& weight,
                       const LinearEpilogue<std::type_identity_t<T>>& epilogue) {
  detail::common_device("linear", x, weight);
  return detail::linear<T>(x, weight.shape(), epilogue, [&](Gemm<T>& args) {
    args.b = weight.data();
    args.b_row = weight.layout().stride(1);
    args.b_col = weight.layout().stride(0);
  });
}
/// act(x W^T + bias). x (..., K); weight (N, K), which may be a transposed view; bias (N) or
/// undefined; result (..., N).
template <Floating T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& weight,
                 const Tensor<std::type_identity_t<T>>& bias = {},
                 Activation activation = Activation::none) {
  return fused_linear(x, weight, {.bias = bias, .activation = activation});
}

}  // namespace ldlm
