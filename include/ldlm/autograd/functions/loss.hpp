#pragma once
// Losses of Variables: cross-entropy, alone and fused with the product that makes its logits, and
// mean squared error.

#include <algorithm>
#include <cmath>

#include <ldlm/autograd/functions/elementwise.hpp>
#include <ldlm/core/ops/index.hpp>
#include <ldlm/core/ops/matrix.hpp>
#include <ldlm/core/ops/nn.hpp>

namespace ldlm {

namespace detail {

/// 1 / number of targets that count; NaN if none does, as the mean of nothing is.
template <Floating T>
ComputeType<T> share_of_targets(const Tensor<std::int64_t>& targets, std::int64_t ignore) {
  std::int64_t count = 0;
  for (const std::int64_t id : targets.to_vector()) {
    count += id != ignore ? 1 : 0;
  }
  return 1 / static_cast<ComputeType<T>>(count);
}

/// The gradient of the logits' rows, for a loss of `dloss` (one element) times the sum over rows.
/// `out` may be the logits.
template <Floating T>
void cross_entropy_backward(std::string_view op, const Tensor<T>& logits,
                            const Tensor<std::int64_t>& targets,
                            const CrossEntropyOptions<T>& options,
                            const Tensor<ComputeType<T>>& lse, const Tensor<ComputeType<T>>& dloss,
                            const Tensor<T>& out) {
  if (out.numel() == 0) {
    return;
  }
  const Tensor<ComputeType<T>> weights = dloss.reshape({1}).expand(lse.shape());
  kernel(logits.device(), &KernelTable<T>::cross_entropy_backward, op)(
      logits.view(), targets.view(), options.ignore_index, options.label_smoothing, lse.view(),
      weights.view(), out.view());
}

/// sums += a b, or = a b for the first. The sums of products of bf16 are of floats.
template <Floating T>
void add_to_weight(const Tensor<T>& a, const Tensor<T>& b, const Tensor<ComputeType<T>>& sums,
                   bool first) {
  if constexpr (std::same_as<T, ComputeType<T>>) {
    matmul_into(a, b, sums, 1, first ? 0 : 1);
  } else if (first) {
    sums.copy_(cast<ComputeType<T>>(ldlm::matmul(a, b)));
  } else {
    add_(sums, cast<ComputeType<T>>(ldlm::matmul(a, b)));
  }
}

}  // namespace detail

/// Mean of -log softmax(logits)[target] over the rows that count: logits (N, V), targets (N) ->
/// scalar. NaN, without a gradient, if no row counts. Throws on a target outside [0, V) other than
/// ignore_index. The gradient takes the place of the logits if nobody else holds them; it is made
/// from each row's log-sum-exp in T, so of float logits near 10^5 only two digits are left of it.
/// The loss of logits of bf16 is a float.
template <Floating T>
Variable<ComputeType<T>> cross_entropy(
    const Variable<T>& logits, const Tensor<std::int64_t>& targets,
    const CrossEntropyOptions<std::type_identity_t<T>>& options = {}) {
  using C = ComputeType<T>;
  Tensor<C> lse;
  const Tensor<T> rows = detail::with_unit_rows(logits.value("cross_entropy"), "cross_entropy");
  const Tensor<std::int64_t> ids = targets.contiguous();
  Tensor<C> loss = sum(detail::cross_entropy_rows_as<T>("cross_entropy", rows, ids, options, &lse));
  const C share = detail::share_of_targets<T>(ids, options.ignore_index);
  mul_(loss, share);
  return record(
      "cross_entropy", std::move(loss), {logits.node()},
      [share, options, lse, ids = Saved<std::int64_t>("cross_entropy", ids.to(rows.device())),
       saved = Saved<T>("cross_entropy", rows)](Tensor<C> dy, InputGrads<C> in) {
        const Tensor<T>& x = saved.get();
        const Tensor<C> weight = mul(dy, std::isfinite(share) ? share : C{0});
        const bool in_place = saved.is_writable() && !in.retain_graph();
        Tensor<T> dx = in_place ? x : Tensor<T>::empty(x.shape(), x.device());
        detail::cross_entropy_backward("cross_entropy", x, ids.get(), options, lse, weight, dx);
        in.template as<T>(0).add(std::move(dx));
      });
}

/// The same of a Tensor, which stays as it is.
template <Floating T>
Tensor<ComputeType<T>> cross_entropy(
    const Tensor<T>& logits, const Tensor<std::int64_t>& targets,
    const CrossEntropyOptions<std::type_identity_t<T>>& options = {}) {
  return cross_entropy(Variable<T>(logits), targets, options).value();
}

/// cross_entropy(linear(x, weight), targets) that never holds all logits: x (N, C), weight (V, C),
/// targets (N) -> scalar. The gradients are made with the loss, a few rows at a time, and rows that
/// do not count are left out of the product.
template <Floating T>
Variable<ComputeType<T>> linear_cross_entropy(
    const Variable<T>& x, const Variable<T>& weight, const Tensor<std::int64_t>& targets,
    const CrossEntropyOptions<std::type_identity_t<T>>& options = {}) {
  using C = ComputeType<T>;
  static constexpr std::string_view op = "linear_cross_entropy";
  // Of the logits at a time. Each chunk adds to all of dweight, which pays from 256 rows on; the
  // memory of a card is larger, and no cache would hold them.
  constexpr std::int64_t min_chunk_rows = 256;
  LDLM_CHECK_SHAPE(
      x.value(op).rank() == 2 && weight.value(op).rank() == 2 && x.size(1) == weight.size(1), op,
      "needs x (N, C) and weight (V, C), got ", to_string(x.shape()), " and ",
      to_string(weight.shape()));
  LDLM_CHECK_SHAPE(targets.shape() == Shape{x.size(0)}, op, "targets ", to_string(targets.shape()),
                   " do not fit ", to_string(x.shape()));
  const Device device = x.device();
  const std::int64_t chunk_bytes = std::int64_t{is_host_memory(device) ? 8 : 512} << 20;
  const std::int64_t V = weight.size(0);

  // Keep only the rows that count.
  std::vector<std::int64_t> counted;
  const std::vector<std::int64_t> all = targets.to_vector();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] != options.ignore_index) {
      counted.push_back(static_cast<std::int64_t>(i));
    }
  }
  const auto N = static_cast<std::int64_t>(counted.size());
  const bool some = N < x.size(0);
  const auto row_ids = Tensor<std::int64_t>::from_values({N}, counted);
  const Tensor<T> rows = some ? embedding(x.value(), row_ids) : x.value();
  const Tensor<std::int64_t> ids = some ? embedding(targets, row_ids) : targets.contiguous();

  const bool want_x = detail::records(x);
  const bool want_weight = detail::records(weight);
  Tensor<T> dx = want_x ? Tensor<T>::empty(rows.shape(), device) : Tensor<T>();
  Tensor<C> dweight = want_weight ? Tensor<C>::empty(weight.shape(), device) : Tensor<C>();
  const C share = 1 / static_cast<C>(N);
  const Tensor<double> loss = Tensor<double>::scalar(0, device);
  const Tensor<C> dloss = Tensor<C>::scalar(share, device);
  const std::int64_t row_bytes = std::max<std::int64_t>(V, 1) * std::int64_t{sizeof(T)};
  const std::int64_t step = std::max(chunk_bytes / row_bytes, min_chunk_rows);
  for (std::int64_t start = 0; start < N; start += step) {
    const Tensor<T> chunk = rows.slice(0, start, start + step);
    const Tensor<std::int64_t> chunk_ids = ids.slice(0, start, start + step);
    const Tensor<T> logits = linear(chunk, weight.value());
    Tensor<C> lse;
    add_(loss,
         cast<double>(sum(detail::cross_entropy_rows_as<T>(op, logits, chunk_ids, options, &lse))));
    if (want_x || want_weight) {
      detail::cross_entropy_backward(op, logits, chunk_ids.to(device), options, lse, dloss, logits);
    }
    if (want_x) {
      matmul_into(logits, weight.value(), dx.slice(0, start, start + step));
    }
    if (want_weight) {
      detail::add_to_weight(logits.transpose(0, 1), chunk, dweight, start == 0);
    }
  }
  if (N == 0 && want_weight) {
    dweight.zero_();
  }
  div_(loss, static_cast<double>(N));  // of no rows: NaN
  return record(op, cast<C>(loss), {x.node(), weight.node()},
                [some, row_ids, saved_dx = std::move(dx),
                 saved_dweight = want_weight ? cast<T>(dweight) : Tensor<T>()](
                    Tensor<C> dy, InputGrads<C> in) mutable {
                  // The gradients themselves, or copies if they are needed again.
                  const auto take = [&](Tensor<T>& saved) {
                    Tensor<T> grad = in.retain_graph() ? saved.clone() : std::move(saved);
                    return detail::scaled<T>(std::move(grad), dy);
                  };
                  const InputGrad<T> dx_of = in.template as<T>(0);
                  dx_of.add([&] {
                    Tensor<T> grad = take(saved_dx);
                    if (!some) {
                      return grad;
                    }
                    Tensor<T> whole = Tensor<T>::zeros(dx_of.shape(), dy.device());
                    index_add_(whole, row_ids, grad);
                    return whole;
                  });
                  in.template as<T>(1).add([&] { return take(saved_dweight); });
                });
}

/// The same with Tensors; the loss of two Tensors is one, too.
template <class X, class W>
requires(Operands<X, W> && !(detail::is_variable<X> && detail::is_variable<W>))
    loss_t<X, W> linear_cross_entropy(const X& x, const W& weight,
                                      const Tensor<std::int64_t>& targets,
                                      const CrossEntropyOptions<element_t<X>>& options = {}) {
  const Variable<ComputeType<element_t<X>>> loss =
      linear_cross_entropy(as_variable(x), as_variable(weight), targets, options);
  if constexpr (detail::is_variable<loss_t<X, W>>) {
    return loss;
  } else {
    return loss.value();
  }
}

namespace detail {

template <Floating T>
Variable<ComputeType<T>> mse_loss(const Variable<T>& a, const Variable<T>& b) {
  using C = ComputeType<T>;
  LDLM_CHECK_SHAPE(a.value("mse_loss").shape() == b.value("mse_loss").shape(), "mse_loss",
                   "shapes differ: ", to_string(a.shape()), " and ", to_string(b.shape()));
  Tensor<T> difference = ldlm::sub(a.value(), b.value());
  const C share = 1 / static_cast<C>(a.numel());
  Tensor<C> loss = reduce(ReduceOp::sum_squares, cast<C>(difference), all_axes, false, "mse_loss");
  mul_(loss, share);
  return record(
      "mse_loss", std::move(loss), {a.node(), b.node()},
      [share, difference = std::move(difference)](Tensor<C> dy, InputGrads<C> in) mutable {
        Tensor<T> da = in.retain_graph() ? difference.clone() : std::move(difference);
        da = scaled<T>(std::move(da), mul(dy, 2 * share));
        in.template as<T>(1).add([&] { return neg(da); });
        in.template as<T>(0).add(std::move(da));
      });
}

}  // namespace detail

/// Mean of (a - b)^2 over all elements, of Variables and Tensors of one shape; a float for bf16.
template <class A, class B>
requires Operands<A, B> loss_t<A, B> mse_loss(const A& a, const B& b) {
  const Variable<ComputeType<element_t<A>>> loss = detail::mse_loss(as_variable(a), as_variable(b));
  if constexpr (detail::is_variable<loss_t<A, B>>) {
    return loss;
  } else {
    return loss.value();
  }
}

}  // namespace ldlm
