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
T share_of_targets(const Tensor<std::int64_t>& targets, std::int64_t ignore) {
  std::int64_t count = 0;
  for (const std::int64_t id : targets.to_vector()) {
    count += id != ignore ? 1 : 0;
  }
  return T{1} / static_cast<T>(count);
}

/// The gradient of the logits' rows, for a loss of `dloss` (one element) times the sum over rows.
/// `out` may be the logits.
template <Floating T>
void cross_entropy_backward(std::string_view op, const Tensor<T>& logits,
                            const Tensor<std::int64_t>& targets,
                            const CrossEntropyOptions<T>& options, const Tensor<T>& lse,
                            const Tensor<T>& dloss, const Tensor<T>& out) {
  if (out.numel() == 0) {
    return;
  }
  const Tensor<T> weights = dloss.reshape({1}).expand(lse.shape());
  kernel(logits.device(), &KernelTable<T>::cross_entropy_backward, op)(
      logits.view(), targets.view(), options.ignore_index, options.label_smoothing, lse.view(),
      weights.view(), out.view());
}

}  // namespace detail

/// Mean of -log softmax(logits)[target] over the rows that count: logits (N, V), targets (N) ->
/// scalar. NaN, without a gradient, if no row counts. Throws on a target outside [0, V) other than
/// ignore_index. The gradient takes the place of the logits if nobody else holds them; it is made
/// from each row's log-sum-exp in T, so of float logits near 10^5 only two digits are left of it.
template <Floating T>
Variable<T> cross_entropy(const Variable<T>& logits, const Tensor<std::int64_t>& targets,
                          const CrossEntropyOptions<std::type_identity_t<T>>& options = {}) {
  Tensor<T> lse;
  const Tensor<T> rows = detail::with_unit_rows(logits.value("cross_entropy"), "cross_entropy");
  const Tensor<std::int64_t> ids = targets.contiguous();
  Tensor<T> loss = sum(detail::cross_entropy_rows_as<T>("cross_entropy", rows, ids, options, &lse));
  const T share = detail::share_of_targets<T>(ids, options.ignore_index);
  mul_(loss, share);
  return record(
      "cross_entropy", std::move(loss), {logits.node()},
      [share, options, lse, ids = Saved<std::int64_t>("cross_entropy", ids.to(rows.device())),
       saved = Saved<T>("cross_entropy", rows)](Tensor<T> dy, InputGrads<T> in) {
        const Tensor<T>& x = saved.get();
        const Tensor<T> weight = mul(dy, std::isfinite(share) ? share : T{0});
        const bool in_place = saved.is_writable() && !in.retain_graph();
        Tensor<T> dx = in_place ? x : Tensor<T>::empty(x.shape(), x.device());
        detail::cross_entropy_backward("cross_entropy", x, ids.get(), options, lse, weight, dx);
        in[0].add(std::move(dx));
      });
}

/// The same of a Tensor, which stays as it is.
template <Floating T>
Tensor<T> cross_entropy(const Tensor<T>& logits, const Tensor<std::int64_t>& targets,
                        const CrossEntropyOptions<std::type_identity_t<T>>& options = {}) {
  return cross_entropy(Variable<T>(logits), targets, options).value();
}

/// cross_entropy(linear(x, weight), targets) that never holds all logits: x (N, C), weight (V, C),
/// targets (N) -> scalar. The gradients are made with the loss, a few rows at a time, and rows that
/// do not count are left out of the product.
template <Floating T>
Variable<T> linear_cross_entropy(const Variable<T>& x, const Variable<T>& weight,
                                 const Tensor<std::int64_t>& targets,
                                 const CrossEntropyOptions<std::type_identity_t<T>>& options = {}) {
  static constexpr std::string_view op = "linear_cross_entropy";
  // Of the logits at a time. Each chunk adds to all of dweight, which pays from 256 rows on.
  constexpr std::int64_t chunk_bytes = std::int64_t{8} << 20;
  constexpr std::int64_t min_chunk_rows = 256;
  LDLM_CHECK_SHAPE(
      x.value(op).rank() == 2 && weight.value(op).rank() == 2 && x.size(1) == weight.size(1), op,
      "needs x (N, C) and weight (V, C), got ", to_string(x.shape()), " and ",
      to_string(weight.shape()));
  LDLM_CHECK_SHAPE(targets.shape() == Shape{x.size(0)}, op, "targets ", to_string(targets.shape()),
                   " do not fit ", to_string(x.shape()));
  const Device device = x.device();
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
  Tensor<T> dweight = want_weight ? Tensor<T>::empty(weight.shape(), device) : Tensor<T>();
  const T share = T{1} / static_cast<T>(N);
  const Tensor<double> loss = Tensor<double>::scalar(0, device);
  const Tensor<T> dloss = Tensor<T>::scalar(share, device);
  const std::int64_t row_bytes = std::max<std::int64_t>(V, 1) * std::int64_t{sizeof(T)};
  const std::int64_t step = std::max(chunk_bytes / row_bytes, min_chunk_rows);
  for (std::int64_t start = 0; start < N; start += step) {
    const Tensor<T> chunk = rows.slice(0, start, start + step);
    const Tensor<std::int64_t> chunk_ids = ids.slice(0, start, start + step);
    const Tensor<T> logits = linear(chunk, weight.value());
    Tensor<T> lse;
    add_(loss,
         cast<double>(sum(detail::cross_entropy_rows_as<T>(op, logits, chunk_ids, options, &lse))));
    if (want_x || want_weight) {
      detail::cross_entropy_backward(op, logits, chunk_ids.to(device), options, lse, dloss, logits);
    }
    if (want_x) {
      matmul_into(logits, weight.value(), dx.slice(0, start, start + step));
    }
    if (want_weight) {
      matmul_into(logits.transpose(0, 1), chunk, dweight, T{1}, start > 0 ? T{1} : T{0});
    }
  }
  if (N == 0 && want_weight) {
    dweight.zero_();
  }
  div_(loss, static_cast<double>(N));  // of no rows: NaN
  return record(op, cast<T>(loss), {x.node(), weight.node()},
                [some, row_ids, saved_dx = std::move(dx), saved_dweight = std::move(dweight)](
                    Tensor<T> dy, InputGrads<T> in) mutable {
                  // The gradients themselves, or copies if they are needed again.
                  const auto take = [&](Tensor<T>& saved) {
                    Tensor<T> grad = in.retain_graph() ? saved.clone() : std::move(saved);
                    return detail::scaled(std::move(grad), dy);
                  };
                  in[0].add([&] {
                    Tensor<T> grad = take(saved_dx);
                    if (!some) {
                      return grad;
                    }
                    Tensor<T> whole = Tensor<T>::zeros(in[0].shape(), dy.device());
                    index_add_(whole, row_ids, grad);
                    return whole;
                  });
                  in[1].add([&] { return take(saved_dweight); });
                });
}

/// The same with Tensors; the loss of two Tensors is one, too.
template <class X, class W>
requires(Operands<X, W> && !(detail::is_variable<X> && detail::is_variable<W>))
    result_t<X, W> linear_cross_entropy(const X& x, const W& weight,
                                        const Tensor<std::int64_t>& targets,
                                        const CrossEntropyOptions<element_t<X>>& options = {}) {
  const Variable<element_t<X>> loss =
      linear_cross_entropy(as_variable(x), as_variable(weight), targets, options);
  if constexpr (detail::is_variable<result_t<X, W>>) {
    return loss;
  } else {
    return loss.value();
  }
}

namespace detail {

template <Floating T>
Variable<T> mse_loss(const Variable<T>& a, const Variable<T>& b) {
  LDLM_CHECK_SHAPE(a.value("mse_loss").shape() == b.value("mse_loss").shape(), "mse_loss",
                   "shapes differ: ", to_string(a.shape()), " and ", to_string(b.shape()));
  Tensor<T> difference = ldlm::sub(a.value(), b.value());
  const T share = T{1} / static_cast<T>(a.numel());
  Tensor<T> loss = reduce(ReduceOp::sum_squares, difference, all_axes, false, "mse_loss");
  mul_(loss, share);
  return record(
      "mse_loss", std::move(loss), {a.node(), b.node()},
      [share, difference = std::move(difference)](Tensor<T> dy, InputGrads<T> in) mutable {
        Tensor<T> da = in.retain_graph() ? difference.clone() : std::move(difference);
        da = scaled(std::move(da), mul(dy, T{2} * share));
        in[1].add([&] { return neg(da); });
        in[0].add(std::move(da));
      });
}

}  // namespace detail

/// Mean of (a - b)^2 over all elements, of Variables and Tensors of one shape.
template <class A, class B>
requires Operands<A, B> result_t<A, B> mse_loss(const A& a, const B& b) {
  const Variable<element_t<A>> loss = detail::mse_loss(as_variable(a), as_variable(b));
  if constexpr (detail::is_variable<result_t<A, B>>) {
    return loss;
  } else {
    return loss.value();
  }
}

}  // namespace ldlm
