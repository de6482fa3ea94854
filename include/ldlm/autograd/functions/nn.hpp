#pragma once
// Functions of neural networks on Variables: softmax, normalisation, dropout, attention. Those of
// several operands take Tensors among them.

#include <ldlm/autograd/operand.hpp>
#include <ldlm/core/ops/nn.hpp>

namespace ldlm {

namespace detail {

/// The gradient of softmax or log_softmax along an axis, from its output y. (Tables have one entry
/// for each: `entry`.)
template <Floating T, class Entry>
Tensor<T> softmax_backward(Entry entry, std::string_view op, const Tensor<T>& y,
                           const Tensor<T>& dy, int axis) {
  Tensor<T> dx = Tensor<T>::empty(y.shape(), y.device());
  if (dx.numel() > 0) {
    kernel(y.device(), entry, op)(y.transpose(axis, -1).view(), dy.transpose(axis, -1).view(),
                                  dx.transpose(axis, -1).view());
  }
  return dx;
}

/// dgamma and dbeta of a normalisation; those not wanted stay undefined.
template <Floating T>
Tensor<T> row_gradient(const InputGrad<T>& grad, Device device) {
  return grad ? Tensor<T>::zeros(grad.shape(), device) : Tensor<T>();
}

}  // namespace detail

/// exp(x) / sum(exp(x)) along an axis. Same shape as x.
template <Floating T>
Variable<T> softmax(const Variable<T>& x, int axis = -1) {
  Tensor<T> y = softmax(x.value("softmax"), axis);
  Saved<T> saved("softmax", y);
  return record("softmax", std::move(y), {x.node()},
                [axis, y = std::move(saved)](Tensor<T> dy, InputGrads<T> in) {
                  in[0].add(detail::softmax_backward(&KernelTable<T>::softmax_backward, "softmax",
                                                     y.get(), dy, axis));
                });
}
/// Logarithm of softmax along an axis.
template <Floating T>
Variable<T> log_softmax(const Variable<T>& x, int axis = -1) {
  Tensor<T> y = log_softmax(x.value("log_softmax"), axis);
  Saved<T> saved("log_softmax", y);
  return record("log_softmax", std::move(y), {x.node()},
                [axis, y = std::move(saved)](Tensor<T> dy, InputGrads<T> in) {
                  in[0].add(detail::softmax_backward(&KernelTable<T>::log_softmax_backward,
                                                     "log_softmax", y.get(), dy, axis));
                });
}

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta over rows (Ba et al., 2016). x (..., C),
/// gamma and beta (C) or undefined.
template <Floating T>
Variable<T> layer_norm(const Variable<T>& x, const Variable<T>& gamma, const Variable<T>& beta,
                       Number<T> epsilon = 1e-5);

template <Floating T>
using AddLayerNorm = AddLayerNormOf<Variable<T>>;

namespace detail {

/// Records the layer norm of `rows`, whose forward pass left `y` and `state`.
template <Floating T>
Variable<T> record_layer_norm(Node* rows, Tensor<T> y, LayerNormState<T> state,
                              const Variable<T>& gamma, const Variable<T>& beta) {
  static constexpr std::string_view op = "layer_norm";
  return record(op, std::move(y), {rows, node_of(gamma), node_of(beta)},
                [x = Saved<T>(op, std::move(state.sum)), mean = std::move(state.mean),
                 rstd = std::move(state.rstd),
                 gamma = Saved<T>(op, value_of(gamma))](Tensor<T> dy, InputGrads<T> in) {
                  const Device device = dy.device();
                  const Tensor<T> weight = gamma.get().contiguous();
                  const Tensor<T> dy_rows = with_unit_rows(dy, op);
                  Tensor<T> dx = Tensor<T>::empty(dy.shape(), device);
                  Tensor<T> dgamma = row_gradient(in[1], device);
                  Tensor<T> dbeta = row_gradient(in[2], device);
                  if (dx.numel() > 0) {
                    kernel(device, &KernelTable<T>::layer_norm_backward, op)(
                        x.get().view(), weight.view(), mean.view(), rstd.view(), dy_rows.view(),
                        dx.view(), dgamma.view(), dbeta.view());
                  }
                  in[0].add(std::move(dx));
                  in[1].add(std::move(dgamma));
                  in[2].add(std::move(dbeta));
                });
}

}  // namespace detail

template <Floating T>
Variable<T> layer_norm(const Variable<T>& x, const Variable<T>& gamma, const Variable<T>& beta,
                       Number<T> epsilon) {
  LayerNormState<T> state;
  const bool recorded = detail::records(x, gamma, beta);
  Tensor<T> y =
      detail::layer_norm_as<T>("layer_norm", x.value("layer_norm"), detail::value_of(gamma),
                               detail::value_of(beta), epsilon, {}, recorded ? &state : nullptr);
  return recorded ? detail::record_layer_norm(x.node(), std::move(y), std::move(state), gamma, beta)
                  : Variable<T>(std::move(y));
}

/// sum = x + residual and normalized = layer_norm(sum) in one pass. x and residual (..., C).
template <Floating T>
AddLayerNorm<T> add_layer_norm(const Variable<T>& x, const Variable<T>& residual,
                               const Variable<T>& gamma, const Variable<T>& beta,
                               Number<T> epsilon = 1e-5) {
  LayerNormState<T> state;
  Tensor<T> y = detail::layer_norm_as("add_layer_norm", x.value("add_layer_norm"),
                                      detail::value_of(gamma), detail::value_of(beta), epsilon,
                                      residual.value("add_layer_norm"), &state);
  const Variable<T> total = record("add_layer_norm", state.sum, {x.node(), residual.node()},
                                   [](Tensor<T> dy, InputGrads<T> in) {
                                     in[0].add(dy);
                                     in[1].add(std::move(dy));
                                   });
  return {total, detail::record_layer_norm(detail::node_of(total), std::move(y), std::move(state),
                                           gamma, beta)};
}

/// The same of Variables and Tensors.
template <class X, class G = Variable<element_t<X>>, class B = Variable<element_t<X>>>
requires detail::Mixed<X, G, B> Variable<element_t<X>> layer_norm(
    const X& x, const G& gamma, const B& beta, Number<element_t<X>> epsilon = 1e-5) {
  return layer_norm(as_variable(x), as_variable(gamma), as_variable(beta), epsilon);
}
template <class X, class R, class G = Variable<element_t<X>>, class B = Variable<element_t<X>>>
requires detail::Mixed<X, R, G, B> AddLayerNorm<element_t<X>> add_layer_norm(
    const X& x, const R& residual, const G& gamma, const B& beta,
    Number<element_t<X>> epsilon = 1e-5) {
  return add_layer_norm(as_variable(x), as_variable(residual), as_variable(gamma),
                        as_variable(beta), epsilon);
}

/// x / sqrt(mean(x^2) + epsilon) * gamma over rows (Zhang & Sennrich, 2019). x (..., C), gamma (C)
/// or undefined.
template <Floating T>
Variable<T> rms_norm(const Variable<T>& x, const Variable<T>& gamma, Number<T> epsilon = 1e-6) {
  static constexpr std::string_view op = "rms_norm";
  if (!detail::records(x, gamma)) {
    return Variable<T>(rms_norm(x.value("rms_norm"), detail::value_of(gamma), epsilon));
  }
  const Tensor<T> rows = detail::with_unit_rows(x.value(op), op);
  Tensor<ComputeType<T>> rstd;
  Tensor<T> y = detail::rms_norm<T>(rows, detail::value_of(gamma), epsilon, &rstd);
  return record(op, std::move(y), {x.node(), detail::node_of(gamma)},
                [x = Saved<T>(op, rows), rstd, gamma = Saved<T>(op, detail::value_of(gamma))](
                    Tensor<T> dy, InputGrads<T> in) {
                  const Device device = dy.device();
                  const Tensor<T> weight = gamma.get().contiguous();
                  const Tensor<T> dy_rows = detail::with_unit_rows(dy, op);
                  Tensor<T> dx = Tensor<T>::empty(dy.shape(), device);
                  Tensor<T> dgamma = detail::row_gradient(in[1], device);
                  if (dx.numel() > 0) {
                    detail::kernel(device, &KernelTable<T>::rms_norm_backward, op)(
                        x.get().view(), weight.view(), rstd.view(), dy_rows.view(), dx.view(),
                        dgamma.view());
                  }
                  in[0].add(std::move(dx));
                  in[1].add(std::move(dgamma));
                });
}

/// The same of a Variable and a Tensor.
template <class X, class G = Variable<element_t<X>>>
requires detail::Mixed<X, G> Variable<element_t<X>> rms_norm(const X& x, const G& gamma,
                                                             Number<element_t<X>> epsilon = 1e-6) {
  return rms_norm(as_variable(x), as_variable(gamma), epsilon);
}

/// Zeroes each element with probability p and scales the rest by 1 / (1 - p); with p = 0, x itself.
/// Saves nothing but the place in the generator's stream.
template <Floating T>
Variable<T> dropout(const Variable<T>& x, Number<T> p, Generator& generator) {
  const Tensor<T>& value = x.value("dropout");
  if (p == 0) {
    return x;
  }
  const PhiloxStream stream = generator.take(value.numel());
  return record("dropout", dropout(value, p, stream), {x.node()},
                [p, stream](Tensor<T> dy, InputGrads<T> in) {
                  if (detail::is_writable(dy) && dy.is_contiguous()) {
                    if (dy.numel() > 0) {
                      detail::kernel(dy.device(), &KernelTable<T>::dropout, "dropout")(
                          stream, p, dy.view(), dy.view());
                    }
                    in[0].add(std::move(dy));
                  } else {
                    in[0].add(dropout(dy, p, stream));
                  }
                });
}

namespace detail {

/// Where a kernel writes the gradient of one of attention's inputs: straight into that input's
/// buffer if it can take it, else apart, to be added by finish().
template <Floating T>
class AttentionGrad {
 public:
  AttentionGrad(const InputGrad<T>& grad, const Shape& shape, Device device) : grad_(grad) {
    if (grad) {
      const GradTarget<T> target = grad.open(false);
      if (target.buffer.defined()) {
        opened_ = target.buffer;
        if (shape.back() == 1 || opened_.layout().stride(3) == 1) {
          buffer_ = opened_;
          return;
        }
      }
    }
    buffer_ = Tensor<T>::empty(shape, device);
  }
  [[nodiscard]] const Tensor<T>& buffer() const noexcept { return buffer_; }
  void finish() {
    if (!grad_) {
      return;
    }
    if (!opened_.defined()) {
      grad_.add(std::move(buffer_));
    } else if (opened_.data() != buffer_.data()) {
      opened_.copy_(buffer_);
    }
  }

 private:
  InputGrad<T> grad_;
  Tensor<T> opened_, buffer_;
};

}  // namespace detail

/// softmax(scale q k^T + mask) v. q (B, H, Tq, D), k and v (B, H, Tk, D), result (B, H, Tq, D),
/// laid out as (B, Tq, H, D) so that merging the heads is a view. No gradient flows to the mask.
/// Where q, k, v are views of one packed tensor, their gradients are written there in place.
template <Floating T>
Variable<T> scaled_dot_product_attention(
    const Variable<T>& q, const Variable<T>& k, const Variable<T>& v,
    const AttentionOptions<std::type_identity_t<T>>& options = {}) {
  static constexpr std::string_view op = detail::attention_name;
  if (!detail::records(q, k, v)) {
    return Variable<T>(
        scaled_dot_product_attention(q.value(op), k.value(op), v.value(op), options));
  }
  LDLM_CHECK(!options.last_key.defined(), op, "last_key has no gradient");
  Tensor<ComputeType<T>> lse;
  Tensor<T> out = detail::attention<T>(q.value(op), k.value(op), v.value(op), options, &lse);
  Saved<T> result(op, out);
  Saved<T> mask(op, options.mask);
  return record(
      op, std::move(out), {q.node(), k.node(), v.node()},
      [options, lse, mask = std::move(mask), out = std::move(result), q = Saved<T>(op, q.value()),
       k = Saved<T>(op, k.value()), v = Saved<T>(op, v.value())](Tensor<T> dy, InputGrads<T> in) {
        const Device device = dy.device();
        const Tensor<T> q_rows = detail::with_unit_rows(q.get(), op);
        const Tensor<T> k_rows = detail::with_unit_rows(k.get(), op);
        const Tensor<T> v_rows = detail::with_unit_rows(v.get(), op);
        const Tensor<T> dy_rows = detail::with_unit_rows(dy, op);
        static_cast<void>(mask.get());  // options.mask is the same tensor: only checks it
        detail::AttentionGrad<T> dq(in[0], q_rows.shape(), device);
        detail::AttentionGrad<T> dk(in[1], k_rows.shape(), device);
        detail::AttentionGrad<T> dv(in[2], v_rows.shape(), device);
        if (q_rows.numel() > 0) {
          AttentionBackward<T> args;
          args.forward = detail::make_attention(q_rows, k_rows, v_rows, options);
          args.forward.out = out.get().view();
          args.forward.lse = lse.view();
          args.grad_out = dy_rows.view();
          args.grad_q = dq.buffer().view();
          args.grad_k = dk.buffer().view();
          args.grad_v = dv.buffer().view();
          detail::kernel(device, &KernelTable<T>::attention_backward, op)(args);
        } else {
          dk.buffer().zero_();
          dv.buffer().zero_();
        }
        dq.finish();
        dk.finish();
        dv.finish();
      });
}

/// The same of Variables and Tensors.
template <class Q, class K, class V>
requires detail::Mixed<Q, K, V> Variable<element_t<Q>> scaled_dot_product_attention(
    const Q& q, const K& k, const V& v, const AttentionOptions<element_t<Q>>& options = {}) {
  return scaled_dot_product_attention(as_variable(q), as_variable(k), as_variable(v), options);
}

}  // namespace ldlm
