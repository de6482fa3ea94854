#pragma once
// Reductions over any axes, positions of extremes, and the sum that undoes a broadcast.

#include <cmath>
#include <limits>

#include <ldlm/core/axes.hpp>
#include <ldlm/core/ops/elementwise.hpp>

namespace ldlm {

namespace detail {

template <class T>
Tensor<T> reduce(ReduceOp op, const Tensor<T>& x, const Axes& axes, bool keep,
                 std::string_view name) {
  const Device device = x.device(name);
  const unsigned mask = axes.mask(x.rank(), name);
  Tensor<T> out = Tensor<T>::empty(reduced_shape(x.shape(), mask, true), device);
  if (!has_identity(op)) {
    LDLM_CHECK_SHAPE(x.numel() > 0 || out.numel() == 0, name, "of no elements, shape ",
                     to_string(x.shape()));
  }
  if (out.numel() > 0) {
    kernel(device, &KernelTable<T>::reduce, name)(op, x.view(), out.view());
  }
  return keep ? out : out.reshape(reduced_shape(x.shape(), mask, false));
}

template <class T>
std::int64_t reduced_count(const Tensor<T>& x, const Axes& axes, std::string_view name) {
  const unsigned mask = axes.mask(x.rank(), name);
  std::int64_t count = 1;
  for (int i = 0; i < x.rank(); ++i) {
    count *= (mask >> i & 1U) != 0 ? x.shape()[i] : 1;
  }
  return count;
}

template <class T>
Tensor<std::int64_t> arg_reduce(bool largest, const Tensor<T>& x, int axis, std::string_view name) {
  const Device device = x.device(name);
  axis = normalize_axis(axis, x.rank(), name);
  Shape shape = x.shape();
  LDLM_CHECK_SHAPE(shape[axis] > 0, name, "of no elements, shape ", to_string(shape));
  shape.erase(axis);
  auto out = Tensor<std::int64_t>::empty(shape, device);
  if (out.numel() > 0) {
    kernel(device, &KernelTable<T>::arg_reduce, name)(largest, x.view(), axis, out.view());
  }
  return out;
}

}  // namespace detail

/// Sum over axes; of no elements: 0. `keep` leaves reduced axes with extent 1.
template <class T>
Tensor<T> sum(const Tensor<T>& x, const Axes& axes = all_axes, bool keep = false) {
  return detail::reduce(ReduceOp::sum, x, axes, keep, "sum");
}
/// How many are true.
inline Tensor<std::int64_t> sum(const Tensor<bool>& x, const Axes& axes = all_axes,
                                bool keep = false) {
  static_cast<void>(x.device("sum"));
  return sum(cast<std::int64_t>(x), axes, keep);
}
namespace detail {
/// f(x as floats), rounded once: of what a kernel of bf16 would round on the way. `name` is the
/// op's own.
template <class F>
Tensor<bf16> in_floats(const Tensor<bf16>& x, std::string_view name, const F& f) {
  static_cast<void>(x.device(name));
  return cast<bf16>(f(cast<float>(x)));
}
}  // namespace detail

/// Arithmetic mean; of no elements: NaN.
template <Floating T>
Tensor<T> mean(const Tensor<T>& x, const Axes& axes = all_axes, bool keep = false) {
  if constexpr (std::same_as<T, bf16>) {
    return detail::in_floats(x, "mean", [&](const auto& f) { return mean(f, axes, keep); });
  }
  Tensor<T> out = detail::reduce(ReduceOp::sum, x, axes, keep, "mean");
  const std::int64_t count = detail::reduced_count(x, axes, "mean");
  using C = ComputeType<T>;
  mul_(out, count > 0 ? C{1} / static_cast<C>(count) : std::numeric_limits<C>::quiet_NaN());
  return out;
}
/// Largest element; NaN if there is one. Throws on no elements.
template <class T>
Tensor<T> max(const Tensor<T>& x, const Axes& axes = all_axes, bool keep = false) {
  return detail::reduce(ReduceOp::max, x, axes, keep, "max");
}
template <class T>
Tensor<T> min(const Tensor<T>& x, const Axes& axes = all_axes, bool keep = false) {
  return detail::reduce(ReduceOp::min, x, axes, keep, "min");
}
/// Euclidean norm; of a single element its absolute value, whose square may be out of range.
template <Floating T>
Tensor<T> norm(const Tensor<T>& x, const Axes& axes = all_axes, bool keep = false) {
  if (detail::reduced_count(x, axes, "norm") == 1) {
    return abs(x).reshape(reduced_shape(x.shape(), axes.mask(x.rank(), "norm"), keep));
  }
  if constexpr (std::same_as<T, bf16>) {
    return detail::in_floats(x, "norm", [&](const auto& f) { return norm(f, axes, keep); });
  }
  Tensor<T> out = detail::reduce(ReduceOp::sum_squares, x, axes, keep, "norm");
  unary_(UnaryOp::sqrt, out);
  return out;
}
namespace detail {
/// x - mean(x). What rounding left of the mean, if it is finite, is taken off, too: of equal
/// elements 0 remains.
template <Floating T>
Tensor<T> centred(const Tensor<T>& x, const Axes& axes) {
  Tensor<T> out = sub(x, mean(x, axes, true));
  const Tensor<T> rest = mean(out, axes, true);
  const Tensor<T> zero = Tensor<T>::scalar(0, x.device());
  sub_(out, where(eq(sub(rest, rest), zero), rest, zero));
  return out;
}
}  // namespace detail

/// Variance with divisor n - correction (1: unbiased, 0: of the population). With a divisor of 0 or
/// less it is infinite, or NaN if all elements are equal or their differences' squares vanish.
template <Floating T>
Tensor<T> var(const Tensor<T>& x, const Axes& axes = all_axes, int correction = 1,
              bool keep = false) {
  if constexpr (std::same_as<T, bf16>) {
    return detail::in_floats(x, "var",
                             [&](const auto& f) { return var(f, axes, correction, keep); });
  }
  using C = ComputeType<T>;
  constexpr C infinity = std::numeric_limits<C>::infinity();
  const Device device = x.device("var");
  const std::int64_t divisor = detail::reduced_count(x, axes, "var") - correction;
  const C factor = divisor > 0 ? C{1} / static_cast<C>(divisor) : infinity;
  const auto sum_of_squares = [&](const Tensor<T>& of) {
    return detail::reduce(ReduceOp::sum_squares, detail::centred(of, axes), axes, keep, "var");
  };
  const Tensor<T> squares = sum_of_squares(x);
  Tensor<T> out = mul(squares, factor);
  if (out.numel() > 0 && !std::isfinite(static_cast<C>(max(squares).item()))) {
    // A sum overflowed, perhaps: of numbers so small that none does, up to 2^32 of them.
    const C small = std::ldexp(C{1}, -std::numeric_limits<C>::max_exponent * 5 / 8);
    const Tensor<T> scaled = mul(sum_of_squares(mul(x, small)), factor);
    mul_(scaled, C{1} / small);
    mul_(scaled, C{1} / small);
    out = where(eq(sub(squares, squares), Tensor<T>::scalar(0, device)), out, scaled);
  }
  return out;
}

/// Position of the first largest element along an axis, which goes away.
template <class T>
Tensor<std::int64_t> argmax(const Tensor<T>& x, int axis = -1) {
  return detail::arg_reduce(true, x, axis, "argmax");
}
template <class T>
Tensor<std::int64_t> argmin(const Tensor<T>& x, int axis = -1) {
  return detail::arg_reduce(false, x, axis, "argmin");
}

template <class T>
struct TopK {
  Tensor<T> values;              // (..., k), falling
  Tensor<std::int64_t> indices;  // (..., k)
};
/// The k largest of each row (last axis), in falling order; ties by lower index.
template <class T>
TopK<T> top_k(const Tensor<T>& x, std::int64_t k) {
  const Device device = x.device("top_k");
  LDLM_CHECK_SHAPE(x.rank() >= 1 && k >= 0 && k <= x.size(-1), "top_k", "k = ", k,
                   " does not fit the last axis of ", to_string(x.shape()));
  Shape shape = x.shape();
  shape[shape.rank() - 1] = k;
  TopK<T> out{Tensor<T>::empty(shape, device), Tensor<std::int64_t>::empty(shape, device)};
  if (shape.numel() > 0) {
    detail::kernel(x.device(), &KernelTable<T>::top_k, "top_k")(x.view(), out.values.view(),
                                                                out.indices.view());
  }
  return out;
}

/// Undoes a broadcast: sums x over the axes along which `shape` was repeated. Each gradient of a
/// broadcasting op ends with this one function.
template <class T>
Tensor<T> sum_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) {
    return x;
  }
  LDLM_CHECK_SHAPE(broadcasts_to(shape, x.shape()), "sum_to", to_string(shape),
                   " does not broadcast to ", to_string(x.shape()));
  const int shift = x.rank() - shape.rank();
  Shape kept = x.shape();
  for (int i = 0; i < kept.rank(); ++i) {
    if (i < shift || shape[i - shift] == 1) {
      kept[i] = 1;
    }
  }
  Tensor<T> out = Tensor<T>::empty(kept, x.device("sum_to"));
  if (out.numel() > 0) {
    detail::kernel(x.device(), &KernelTable<T>::reduce, "sum_to")(ReduceOp::sum, x.view(),
                                                                  out.view());
  }
  return out.reshape(shape);
}

}  // namespace ldlm
