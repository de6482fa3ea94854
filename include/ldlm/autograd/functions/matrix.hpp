#pragma once
// Matrix products of Variables. Their gradients are products again, written or added straight into
// the gradients of the inputs.

#include <ldlm/autograd/functions/elementwise.hpp>
#include <ldlm/core/ops/matrix.hpp>
#include <ldlm/core/ops/nn.hpp>

namespace ldlm {

namespace detail {

/// grad += a b, for matrices a (M, K) and b (K, N) and an input whose M * N elements are the
/// product's in row-major order.
template <Floating T>
void add_product(const InputGrad<T>& grad, const Tensor<T>& a, const Tensor<T>& b) {
  GradTarget<T> target = grad.open(true);
  if (!target.buffer.defined()) {
    grad.add(matmul(a, b).reshape(grad.shape()));
    return;
  }
  const std::int64_t m = a.size(0);
  const std::int64_t n = b.size(1);
  const Tensor<T> rows = view_as(target.buffer, {m, n});
  const ComputeType<T> beta = target.add ? 1 : 0;
  if (rows.defined() && (n == 1 || rows.layout().stride(1) == 1)) {
    matmul_into(a, b, rows, 1, beta);
  } else if (rows.defined() && (m == 1 || rows.layout().stride(0) == 1)) {
    matmul_into(b.transpose(0, 1), a.transpose(0, 1), rows.transpose(0, 1), 1, beta);
  } else if (target.add) {
    add_(target.buffer, matmul(a, b).reshape(grad.shape()));
  } else {
    target.buffer.copy_(matmul(a, b).reshape(grad.shape()));
  }
}

template <Floating T>
Variable<T> matmul(const Variable<T>& a, const Variable<T>& b) {
  const Tensor<T>& left_value = a.value("matmul");
  const Tensor<T>& right_value = b.value("matmul");
  if (a.rank() == 1 && b.rank() >= 1) {
    return matmul(a.unsqueeze(0), b).squeeze(b.rank() == 1 ? 0 : -2);
  }
  if (b.rank() == 1) {
    return matmul(a, b.unsqueeze(1)).squeeze(-1);
  }
  Tensor<T> product = ldlm::matmul(left_value, right_value);
  Saved<T> left("matmul", b.requires_grad() ? left_value : Tensor<T>());
  Saved<T> right("matmul", a.requires_grad() ? right_value : Tensor<T>());
  return record("matmul", std::move(product), {a.node(), b.node()},
                [left = std::move(left), right = std::move(right), shared = b.rank() == 2](
                    Tensor<T> dy, InputGrads<T> in) {
                  // One matrix b for the whole batch: the batch is a longer matrix a.
                  const auto rows = [](const Tensor<T>& x) {
                    return x.rank() == 2 ? x : x.flatten(0, -2);
                  };
                  if (in[0]) {
                    const Tensor<T> transposed = right.get().transpose(-2, -1);
                    if (shared) {
                      add_product(in[0], rows(dy), transposed);
                    } else {
                      in[0].add(ldlm::matmul(dy, transposed));
                    }
                  }
                  if (in[1]) {
                    if (shared) {
                      add_product(in[1], rows(left.get()).transpose(0, 1), rows(dy));
                    } else {
                      in[1].add(ldlm::matmul(left.get().transpose(-2, -1), dy));
                    }
                  }
                });
}

LDLM_COMPLETE_SWITCHES
inline UnaryOp unary_op(Activation activation) {
  switch (activation) {
    case Activation::relu:
      return UnaryOp::relu;
    case Activation::silu:
      return UnaryOp::silu;
    case Activation::gelu:
      return UnaryOp::gelu;
    case Activation::gelu_tanh:
      return UnaryOp::gelu_tanh;
    case Activation::none:
      break;
  }
  fail_unknown("Activation", activation);
}
LDLM_END_COMPLETE_SWITCHES

}  // namespace detail

/// Matrix product (..., m, k) x (..., k, n) -> (..., m, n) with broadcast batch axes; a vector (k)
/// on the left is a row, on the right a column, and its axis goes away.
template <class A, class B>
requires detail::AnyVariable<A, B>
auto matmul(const A& a, const B& b) {
  return detail::matmul(as_variable(a), as_variable(b));
}

/// act(x W^T + bias). x (..., K); weight (N, K), which may be a transposed view, as GPT-2's is;
/// bias (N) or undefined; result (..., N).
template <Floating T>
Variable<T> linear(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias = {},
                   Activation activation = Activation::none) {
  LinearEpilogue<T> epilogue{detail::value_of(bias), activation, {}, nullptr};
  if (!detail::records(x, weight, bias)) {
    return Variable<T>(fused_linear(x.value("linear"), weight.value("linear"), epilogue));
  }
  // ReLU's slope is read off its output; the others need their argument.
  Tensor<T> argument;
  if (activation != Activation::none && activation != Activation::relu) {
    epilogue.pre_activation = &argument;
  }
  Tensor<T> y = fused_linear(x.value("linear"), weight.value("linear"), epilogue);
  Saved<T> slope("linear", activation == Activation::relu ? y : argument);
  Saved<T> input("linear", weight.requires_grad() ? x.value() : Tensor<T>());
  Saved<T> matrix("linear", x.requires_grad() ? weight.value() : Tensor<T>());
  const std::int64_t m = detail::without_last(x.shape()).numel();
  return record("linear", std::move(y), {x.node(), weight.node(), detail::node_of(bias)},
                [activation, m, slope = std::move(slope), input = std::move(input),
                 matrix = std::move(matrix)](Tensor<T> dy, InputGrads<T> in) {
                  if (activation != Activation::none) {
                    dy = detail::unary_backward(detail::unary_op(activation), slope.get(),
                                                std::move(dy));
                  }
                  const Tensor<T> dz = dy.reshape({m, dy.size(-1)});
                  if (in[0]) {
                    detail::add_product(in[0], dz, matrix.get());
                  }
                  if (in[1]) {
                    const Tensor<T> rows = input.get().reshape({m, in[1].shape()[1]});
                    detail::add_product(in[1], dz.transpose(0, 1), rows);
                  }
                  in[2].add([&] { return sum(dz, 0); });
                });
}

/// The same of Variables and Tensors.
template <class X, class W, class B = Variable<element_t<X>>>
requires detail::Mixed<X, W, B> Variable<element_t<X>> linear(
    const X& x, const W& weight, const B& bias = {}, Activation activation = Activation::none) {
  return linear(as_variable(x), as_variable(weight), as_variable(bias), activation);
}

}  // namespace ldlm
