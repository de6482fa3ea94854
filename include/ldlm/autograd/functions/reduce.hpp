#pragma once
// Reductions of Variables over any axes.

#include <ldlm/autograd/functions/elementwise.hpp>

namespace ldlm {

namespace detail {

/// The shape that a reduction's gradient broadcasts from: extent 1 on the reduced axes.
template <Floating T>
Shape kept_shape(const Variable<T>& x, const Axes& axes, std::string_view name) {
  const Tensor<T>& value = x.value(name);
  return reduced_shape(value.shape(), axes.mask(value.rank(), name), true);
}

/// max or min. Equal extremes share the gradient evenly.
template <Floating T>
Variable<T> extreme(bool largest, const Variable<T>& x, const Axes& axes, bool keep) {
  const std::string_view name = largest ? "max" : "min";
  Tensor<T> y = largest ? max(x.value(name), axes, keep) : min(x.value(name), axes, keep);
  Saved<T> result(name, y);
  return record(name, std::move(y), {x.node()},
                [axes, kept = kept_shape(x, axes, name), x = Saved<T>(name, x.value()),
                 y = std::move(result)](Tensor<T> dy, InputGrads<T> in) {
                  const Tensor<T> taken = ldlm::cast<T>(eq(x.get(), y.get().reshape(kept)));
                  mul_(taken, ldlm::div(dy.reshape(kept), ldlm::sum(taken, axes, true)));
                  in[0].add(taken);
                });
}

}  // namespace detail

/// Sum over axes; of no elements: 0. `keep` leaves reduced axes with extent 1.
template <Floating T>
Variable<T> sum(const Variable<T>& x, const Axes& axes = all_axes, bool keep = false) {
  return record("sum", sum(x.value("sum"), axes, keep), {x.node()},
                [kept = detail::kept_shape(x, axes, "sum")](Tensor<T> dy, InputGrads<T> in) {
                  in[0].add(dy.reshape(kept).expand(in[0].shape()));
                });
}
/// Arithmetic mean; of no elements: NaN.
template <Floating T>
Variable<T> mean(const Variable<T>& x, const Axes& axes = all_axes, bool keep = false) {
  using C = ComputeType<T>;
  const C share = C{1} / static_cast<C>(detail::reduced_count(x.value("mean"), axes, "mean"));
  return record(
      "mean", mean(x.value(), axes, keep), {x.node()},
      [share, kept = detail::kept_shape(x, axes, "mean")](Tensor<T> dy, InputGrads<T> in) {
        in[0].add(detail::scaled(std::move(dy), share).reshape(kept).expand(in[0].shape()));
      });
}
/// Largest element, or NaN; equal ones share the gradient evenly, and beside a NaN it is NaN
/// everywhere: as torch.amax, where torch.max gives it to the NaN alone. Throws on no elements.
template <Floating T>
Variable<T> max(const Variable<T>& x, const Axes& axes = all_axes, bool keep = false) {
  return detail::extreme(true, x, axes, keep);
}
/// Smallest element, or NaN; equal ones share the gradient evenly, and beside a NaN it is NaN
/// everywhere: as torch.amin, where torch.min gives it to the NaN alone. Throws on no elements.
template <Floating T>
Variable<T> min(const Variable<T>& x, const Axes& axes = all_axes, bool keep = false) {
  return detail::extreme(false, x, axes, keep);
}
/// Euclidean norm; of a single element its absolute value. The gradient at 0 is 0.
template <Floating T>
Variable<T> norm(const Variable<T>& x, const Axes& axes = all_axes, bool keep = false) {
  Tensor<T> y = norm(x.value("norm"), axes, keep);
  Saved<T> result("norm", y);
  return record("norm", std::move(y), {x.node()},
                [kept = detail::kept_shape(x, axes, "norm"), x = Saved<T>("norm", x.value()),
                 y = std::move(result)](Tensor<T> dy, InputGrads<T> in) {
                  // x / y first: neither leaves the range that the quotient has.
                  const Tensor<T> zero = Tensor<T>::scalar(0, dy.device());
                  const Tensor<T> length = y.get().reshape(kept);
                  const Tensor<T> slope = where(eq(length, zero), zero, div(x.get(), length));
                  mul_(slope, dy.reshape(kept));
                  in[0].add(slope);
                });
}
/// Variance with divisor n - correction (1: unbiased, 0: of the population). With a divisor of 0 or
/// less it is infinite, or NaN if all elements are equal.
template <Floating T>
Variable<T> var(const Variable<T>& x, const Axes& axes = all_axes, int correction = 1,
                bool keep = false) {
  const auto divisor =
      static_cast<ComputeType<T>>(detail::reduced_count(x.value("var"), axes, "var") - correction);
  return record("var", var(x.value(), axes, correction, keep), {x.node()},
                [axes, divisor, kept = detail::kept_shape(x, axes, "var"),
                 x = Saved<T>("var", x.value())](Tensor<T> dy, InputGrads<T> in) {
                  const Tensor<T> centred = detail::centred(x.get(), axes);
                  mul_(centred, mul(dy.reshape(kept), 2 / divisor));
                  in[0].add(centred);
                });
}

/// Undoes a broadcast: sums over the axes along which `shape` was repeated.
template <Floating T>
Variable<T> sum_to(const Variable<T>& x, const Shape& shape) {
  return record("sum_to", sum_to(x.value("sum_to"), shape), {x.node()},
                [](Tensor<T> dy, InputGrads<T> in) { in[0].add(dy.expand(in[0].shape())); });
}

/// Position of the first largest element along an axis, which goes away.
template <Floating T>
Tensor<std::int64_t> argmax(const Variable<T>& x, int axis = -1) {
  return argmax(x.value("argmax"), axis);
}
template <Floating T>
Tensor<std::int64_t> argmin(const Variable<T>& x, int axis = -1) {
  return argmin(x.value("argmin"), axis);
}

}  // namespace ldlm
