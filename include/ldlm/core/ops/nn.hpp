#pragma once
// Ops of neural networks: softmax, normalisation, attention, dropout, losses.
//
// "Rows" are the last axis. Functions named *_backward are what autograd calls.

#include <cmath>
#include <ldlm/core/ops/elementwise.hpp>
#include <ldlm/core/precision.hpp>
#include <ldlm/core/random.hpp>

namespace ldlm {

namespace detail {

/// This tensor if its last axis has unit stride, else a row-major copy.
template <class T>
Tensor<T> with_unit_rows(const Tensor<T>& x, std::string_view op) {
  LDLM_CHECK_SHAPE(x.rank() >= 1, op, "needs at least one axis");
  return x.size(-1) <= 1 || x.layout().stride(x.rank() - 1) == 1 ? x : x.contiguous();
}

inline Shape without_last(Shape shape) {
  shape.erase(shape.rank() - 1);
  return shape;
}

template <class T>
void check_row_parameter(const Tensor<T>& parameter, std::int64_t columns, std::string_view name,
                         std::string_view op) {
  LDLM_CHECK_SHAPE(!parameter.defined() || (parameter.shape() == Shape{columns}), op, name, ' ',
                   to_string(parameter.shape()), " does not fit rows of ", columns);
}

}  // namespace detail

namespace detail {

/// A kernel of rows, table.*entry, along any axis of x. Same shape as x.
template <Floating T, class Entry>
Tensor<T> along_axis(Entry entry, std::string_view op, const Tensor<T>& x, int axis) {
  axis = normalize_axis(axis, x.rank(), op);
  Tensor<T> out = Tensor<T>::empty(x.shape(), x.device(op));
  if (out.numel() > 0) {
    kernel(x.device(), entry, op)(x.transpose(axis, -1).view(), out.transpose(axis, -1).view());
  }
  return out;
}

}  // namespace detail

/// exp(x) / sum(exp(x)) along an axis. Same shape as x.
template <Floating T>
Tensor<T> softmax(const Tensor<T>& x, int axis = -1) {
  return detail::along_axis(&KernelTable<T>::softmax, "softmax", x, axis);
}
/// Logarithm of softmax along an axis.
template <Floating T>
Tensor<T> log_softmax(const Tensor<T>& x, int axis = -1) {
  return detail::along_axis(&KernelTable<T>::log_softmax, "log_softmax", x, axis);
}

/// What layer_norm computed beside its result; the backward pass needs it.
template <class T>
struct LayerNormState {
  Tensor<T> sum;                // x + residual, or x
  Tensor<ComputeType<T>> mean;  // (...)
  Tensor<ComputeType<T>> rstd;  // (...)
};

namespace detail {

template <Floating T>
Tensor<T> layer_norm_as(std::string_view op, const Tensor<T>& x, const Tensor<T>& gamma,
                        const Tensor<T>& beta, Number<T> epsilon, const Tensor<T>& residual,
                        LayerNormState<T>* state) {
  const Device device = x.device(op);
  check_optional_devices(op, device, gamma, beta, residual);
  const Tensor<T> rows = with_unit_rows(x, op);
  const std::int64_t columns = rows.size(-1);
  LDLM_CHECK_SHAPE(columns > 0, op, "rows are empty: ", to_string(x.shape()));
  check_row_parameter(gamma, columns, "gamma", op);
  check_row_parameter(beta, columns, "beta", op);
  LDLM_CHECK_SHAPE(!residual.defined() || residual.shape() == x.shape(), op, "residual ",
                   to_string(residual.shape()), " does not fit ", to_string(x.shape()));
  Tensor<T> out = Tensor<T>::empty(x.shape(), device);
  const Tensor<T> other = residual.defined() ? with_unit_rows(residual, op) : residual;
  LayerNormState<T> none;
  LayerNormState<T>& saved = state != nullptr ? *state : none;
  if (state != nullptr) {
    const Shape shape = without_last(x.shape());
    saved.sum = residual.defined() ? Tensor<T>::empty(x.shape(), device) : rows;
    saved.mean = Tensor<ComputeType<T>>::empty(shape, device);
    saved.rstd = Tensor<ComputeType<T>>::empty(shape, device);
  }
  if (out.numel() > 0) {
    const Tensor<T> g = gamma.contiguous();
    const Tensor<T> b = beta.contiguous();
    kernel(device, &KernelTable<T>::layer_norm, op)(
        rows.view(), other.view(), g.view(), b.view(), epsilon,
        residual.defined() ? saved.sum.view() : View<T>{}, out.view(), saved.mean.view(),
        saved.rstd.view());
  }
  return out;
}

}  // namespace detail

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta over rows (Ba et al., 2016). x (..., C),
/// gamma and beta (C) or undefined.
template <Floating T>
Tensor<T> layer_norm(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& gamma,
                     const Tensor<std::type_identity_t<T>>& beta, Number<T> epsilon = 1e-5) {
  return detail::layer_norm_as<T>("layer_norm", x, gamma, beta, epsilon, {}, nullptr);
}

/// Results of add_layer_norm, Tensors or Variables, both (..., C).
template <class Handle>
struct AddLayerNormOf {
  Handle sum;         // x + residual
  Handle normalized;  // layer_norm(sum)
};
/// sum = x + residual and normalized = layer_norm(sum) in one pass. x and residual (..., C).
template <Floating T>
AddLayerNormOf<Tensor<T>> add_layer_norm(const Tensor<T>& x, const Tensor<T>& residual,
                                         const Tensor<std::type_identity_t<T>>& gamma,
                                         const Tensor<std::type_identity_t<T>>& beta,
                                         Number<T> epsilon = 1e-5) {
  LayerNormState<T> state;
  Tensor<T> y =
      detail::layer_norm_as<T>("add_layer_norm", x, gamma, beta, epsilon, residual, &state);
  return {std::move(state.sum), std::move(y)};
}

namespace detail {

/// rms_norm; `rstd`, if given, receives 1 / sqrt(...), shape (...).
template <Floating T>
Tensor<T> rms_norm(const Tensor<T>& x, const Tensor<T>& gamma, Number<T> epsilon,
                   Tensor<ComputeType<T>>* rstd) {
  const Device device = x.device("rms_norm");
  check_optional_devices("rms_norm", device, gamma);
  const Tensor<T> rows = with_unit_rows(x, "rms_norm");
  LDLM_CHECK_SHAPE(rows.size(-1) > 0, "rms_norm", "rows are empty: ", to_string(x.shape()));
  check_row_parameter(gamma, rows.size(-1), "gamma", "rms_norm");
  Tensor<T> out = Tensor<T>::empty(x.shape(), device);
  if (rstd != nullptr) {
    *rstd = Tensor<ComputeType<T>>::empty(without_last(x.shape()), device);
  }
  if (out.numel() > 0) {
    const Tensor<T> g = gamma.contiguous();
    kernel(device, &KernelTable<T>::rms_norm, "rms_norm")(
        rows.view(), g.view(), epsilon, out.view(),
        rstd != nullptr ? rstd->view() : View<ComputeType<T>>{});
  }
  return out;
}

}  // namespace detail

/// x / sqrt(mean(x^2) + epsilon) * gamma over rows (Zhang & Sennrich, 2019). x (..., C), gamma (C)
/// or undefined.
template <Floating T>
Tensor<T> rms_norm(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& gamma,
                   Number<T> epsilon = 1e-6) {
  return detail::rms_norm<T>(x, gamma, epsilon, nullptr);
}

/// Zeroes each element with probability p and scales the rest by 1 / (1 - p). The same stream gives
/// the same mask, so the backward pass calls this on the gradient.
template <Floating T>
Tensor<T> dropout(const Tensor<T>& x, Number<T> p, PhiloxStream stream) {
  LDLM_CHECK(p >= 0 && p < 1, "dropout", "p must lie in [0, 1), got ", p);
  const Device device = x.device("dropout");
  const Tensor<T> source = x.contiguous();
  Tensor<T> out = Tensor<T>::empty(x.shape(), device);
  if (out.numel() > 0) {
    detail::kernel(device, &KernelTable<T>::dropout, "dropout")(stream, p, source.view(),
                                                                out.view());
  }
  return out;
}
template <Floating T>
Tensor<T> dropout(const Tensor<T>& x, Number<T> p, Generator& generator) {
  return dropout(x, p, generator.take(x.numel()));
}

/// How scaled_dot_product_attention masks, scales and drops, of Tensors and Variables.
template <class T>
struct AttentionOptions {
  Tensor<T> mask{};     // added to the scores; broadcasts to (B, H, Tq, Tk); -infinity hides a key
  bool causal = false;  // query i sees keys j <= i + (Tk - Tq)
  ComputeType<T> scale{0};  // 0: 1 / sqrt(D)
  ComputeType<T> dropout{0};
  PhiloxStream stream{};  // of the dropout
  /// (1), in [0, Tk), on the device of q: keys behind this one are not there yet, as if Tk were one
  /// more than it. Without gradient and dropout. Undefined: all are there.
  Tensor<std::int64_t> last_key{};
};

namespace detail {

inline constexpr std::string_view attention_name = "scaled_dot_product_attention";

/// Validates and fills the kernel's arguments, with `out` and `lse` left empty. q, k, v must have
/// unit stride on D.
template <class T>
Attention<T> make_attention(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                            const AttentionOptions<T>& options) {
  constexpr std::string_view op = attention_name;
  LDLM_CHECK_SHAPE(q.rank() == 4 && k.rank() == 4 && v.rank() == 4, op,
                   "needs (B, H, T, D), got q ", to_string(q.shape()), ", k ", to_string(k.shape()),
                   ", v ", to_string(v.shape()));
  LDLM_CHECK_SHAPE(k.shape() == v.shape() && q.size(0) == k.size(0) && q.size(1) == k.size(1) &&
                       q.size(3) == k.size(3),
                   op, "shapes do not fit: q ", to_string(q.shape()), ", k ", to_string(k.shape()),
                   ", v ", to_string(v.shape()));
  LDLM_CHECK_SHAPE(q.size(3) > 0, op, "heads have no channels: ", to_string(q.shape()));
  LDLM_CHECK(options.dropout >= 0 && options.dropout < 1, op, "dropout must lie in [0, 1), got ",
             options.dropout);
  LDLM_CHECK_SHAPE(!options.causal || q.size(2) <= k.size(2), op, "causal needs Tq <= Tk, got ",
                   q.size(2), " and ", k.size(2));
  Attention<T> args;
  args.q = q.view();
  args.k = k.view();
  args.v = v.view();
  if (options.mask.defined()) {
    args.mask = broadcast_view(options.mask, {q.size(0), q.size(1), q.size(2), k.size(2)}, op);
  }
  args.causal = options.causal;
  args.last_key = options.last_key.defined() ? options.last_key.data() : nullptr;
  args.allow_tf32 = matmul_precision() != MatmulPrecision::highest;
  using C = ComputeType<T>;
  args.scale = options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<C>(q.size(3)));
  args.dropout = options.dropout;
  args.stream = options.stream;
  return args;
}

template <class T>
void check_last_key(Device device, const AttentionOptions<T>& options) {
  LDLM_CHECK_SHAPE(options.last_key.shape() == Shape{1}, attention_name,
                   "last_key is one position (1), got ", to_string(options.last_key.shape()));
  LDLM_CHECK_DEVICE(options.last_key.device() == device, attention_name, "tensors are on ", device,
                    " and ", options.last_key.device());
  LDLM_CHECK(options.dropout == 0, attention_name, "last_key does not go with dropout");
}

/// scaled_dot_product_attention; `lse`, if given, receives each row's log-sum-exp, (B, H, Tq).
template <Floating T>
Tensor<T> attention(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                    const AttentionOptions<T>& options, Tensor<ComputeType<T>>* lse) {
  const Device device = common_device(attention_name, q, k, v);
  check_optional_devices(attention_name, device, options.mask);
  if (options.last_key.defined()) {
    check_last_key(device, options);
    if (is_host_memory(device)) {  // where it can be read, fewer keys are taken
      const std::int64_t keys = options.last_key.item() + 1;
      LDLM_CHECK_INDEX(
          q.rank() == 4 && k.rank() == 4 && v.rank() == 4 && keys > 0 && keys <= k.size(2),
          attention_name, "last_key is ", keys - 1, ", of keys ", to_string(k.shape()));
      AttentionOptions<T> rest = options;
      rest.last_key = {};
      if (rest.mask.defined()) {
        static_cast<void>(broadcast_view(rest.mask, {q.size(0), q.size(1), q.size(2), k.size(2)},
                                         attention_name));
        const bool of_keys = rest.mask.rank() > 0 && rest.mask.size(-1) == k.size(2);
        rest.mask = of_keys ? rest.mask.slice(-1, 0, keys) : rest.mask;
      }
      return attention(q, k.slice(2, 0, keys), v.slice(2, 0, keys), rest, lse);
    }
  }
  const Tensor<T> q_rows = with_unit_rows(q, attention_name);
  const Tensor<T> k_rows = with_unit_rows(k, attention_name);
  const Tensor<T> v_rows = with_unit_rows(v, attention_name);
  Attention<T> args = make_attention(q_rows, k_rows, v_rows, options);
  Tensor<T> out =
      Tensor<T>::empty({q.size(0), q.size(2), q.size(1), q.size(3)}, device).transpose(1, 2);
  if (lse != nullptr) {
    *lse = Tensor<ComputeType<T>>::empty({q.size(0), q.size(1), q.size(2)}, device);
    args.lse = lse->view();
  }
  args.out = out.view();
  if (out.numel() > 0) {
    kernel(device, &KernelTable<T>::attention, attention_name)(args);
  }
  return out;
}

}  // namespace detail

/// softmax(scale q k^T + mask) v (Vaswani et al., 2017). q (B, H, Tq, D), k and v (B, H, Tk, D),
/// result (B, H, Tq, D), laid out as (B, Tq, H, D) so that merging the heads is a view. Memory
/// grows with Tq + Tk, not with their product.
template <Floating T>
Tensor<T> scaled_dot_product_attention(
    const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
    const AttentionOptions<std::type_identity_t<T>>& options = {}) {
  return detail::attention<T>(q, k, v, options, nullptr);
}

/// Options of cross_entropy.
template <class T>
struct CrossEntropyOptions {
  std::int64_t ignore_index = -100;  // rows with this target count nothing
  ComputeType<T> label_smoothing{0};
};

namespace detail {

template <Floating T>
Tensor<ComputeType<T>> cross_entropy_rows_as(std::string_view op, const Tensor<T>& logits,
                                             const Tensor<std::int64_t>& targets,
                                             const CrossEntropyOptions<T>& options,
                                             Tensor<ComputeType<T>>* lse) {
  using Loss = Tensor<ComputeType<T>>;
  const Device device = logits.device(op);
  const Device here = targets.device(op);
  LDLM_CHECK_DEVICE(here == device || (is_host_memory(here) && !is_host_memory(device)), op,
                    "tensors are on ", device, " and ", here);
  LDLM_CHECK_SHAPE(logits.rank() == 2 && targets.shape() == Shape{logits.size(0)}, op,
                   "needs logits (N, V) and targets (N), got ", to_string(logits.shape()), " and ",
                   to_string(targets.shape()));
  LDLM_CHECK(options.label_smoothing >= 0 && options.label_smoothing <= 1, op,
             "label smoothing must lie in [0, 1], got ", options.label_smoothing);
  const std::int64_t classes = logits.size(1);
  // Checked on the host, as indices are (see core/ops/index.hpp).
  const Tensor<std::int64_t> host_ids =
      is_host_memory(here) ? targets.contiguous() : targets.to(cpu);
  for (std::int64_t i = 0; i < host_ids.numel(); ++i) {
    const std::int64_t id = host_ids.data()[i];
    LDLM_CHECK_INDEX(id == options.ignore_index || (id >= 0 && id < classes), op, "target ", id,
                     " at position ", i, " is outside [0, ", classes, ")");
  }
  const Tensor<std::int64_t> ids = targets.to(device).contiguous();
  const Tensor<T> rows = with_unit_rows(logits, op);
  Loss loss = Loss::empty({logits.size(0)}, device);
  Loss row_lse = Loss::empty({logits.size(0)}, device);
  if (loss.numel() > 0) {
    kernel(device, &KernelTable<T>::cross_entropy, op)(
        rows.view(), ids.view(), options.ignore_index, options.label_smoothing, loss.view(),
        row_lse.view());
  }
  if (lse != nullptr) {
    *lse = row_lse;
  }
  return loss;
}

}  // namespace detail

/// Per-row loss -log softmax(logits)[target]: logits (N, V), targets (N) -> (N), 0 where ignored.
/// `lse`, if given, receives the log-sum-exp of each row. Losses of bf16 are floats. Throws on a
/// target outside [0, V).
template <Floating T>
Tensor<ComputeType<T>> cross_entropy_rows(
    const Tensor<T>& logits, const Tensor<std::int64_t>& targets,
    const CrossEntropyOptions<std::type_identity_t<T>>& options = {},
    Tensor<ComputeType<T>>* lse = nullptr) {
  return detail::cross_entropy_rows_as("cross_entropy_rows", logits, targets, options, lse);
}

}  // namespace ldlm
