#pragma once
// Ops that move elements: concat, stack, split, pad.

#include <span>
#include <vector>

#include <ldlm/core/tensor.hpp>

namespace ldlm {

namespace detail {

template <class T>
Tensor<T> concat_as(std::string_view op, std::span<const Tensor<T>> parts, int axis) {
  LDLM_CHECK(!parts.empty(), op, "needs at least one tensor");
  axis = normalize_axis(axis, parts[0].rank(), op);
  Shape shape = parts[0].shape();
  shape[axis] = 0;
  for (const Tensor<T>& part : parts) {
    Shape expected = part.shape();
    LDLM_CHECK_DEVICE(part.device(op) == parts[0].device(op), op, "tensors are on ",
                      parts[0].device(), " and ", part.device());
    LDLM_CHECK_SHAPE(part.rank() == shape.rank(), op, "ranks differ: ", to_string(parts[0].shape()),
                     " and ", to_string(part.shape()));
    const std::int64_t extent = expected[axis];
    expected[axis] = shape[axis];
    LDLM_CHECK_SHAPE(expected == shape, op, "extents differ beside axis ", axis, ": ",
                     to_string(parts[0].shape()), " and ", to_string(part.shape()));
    shape[axis] += extent;
  }
  Tensor<T> out = Tensor<T>::empty(shape, parts[0].device());
  std::int64_t start = 0;
  for (const Tensor<T>& part : parts) {
    out.slice(axis, start, start + part.shape()[axis]).copy_(part);
    start += part.shape()[axis];
  }
  return out;
}

}  // namespace detail

/// Joins tensors along an axis; all other extents must agree.
template <class T>
Tensor<T> concat(std::span<const Tensor<T>> parts, int axis = 0) {
  return detail::concat_as("concat", parts, axis);
}
template <class T>
Tensor<T> concat(std::initializer_list<Tensor<T>> parts, int axis = 0) {
  return concat(std::span<const Tensor<T>>(parts.begin(), parts.size()), axis);
}
template <class T>
Tensor<T> concat(const std::vector<Tensor<T>>& parts, int axis = 0) {
  return concat(std::span<const Tensor<T>>(parts), axis);
}

/// Joins tensors of one shape along a new axis.
template <class T>
Tensor<T> stack(std::span<const Tensor<T>> parts, int axis = 0) {
  std::vector<Tensor<T>> raised;
  raised.reserve(parts.size());
  for (const Tensor<T>& part : parts) {
    raised.push_back(part.unsqueeze(normalize_axis(axis, part.rank() + 1, "stack")));
  }
  return detail::concat_as("stack", std::span<const Tensor<T>>(raised), axis);
}
template <class T>
Tensor<T> stack(std::initializer_list<Tensor<T>> parts, int axis = 0) {
  return stack(std::span<const Tensor<T>>(parts.begin(), parts.size()), axis);
}
template <class T>
Tensor<T> stack(const std::vector<Tensor<T>>& parts, int axis = 0) {
  return stack(std::span<const Tensor<T>>(parts), axis);
}

/// Views of `extent` positions each along an axis (the last may be shorter).
template <class T>
std::vector<Tensor<T>> split(const Tensor<T>& x, std::int64_t extent, int axis = 0) {
  LDLM_CHECK(extent > 0, "split", "extent must be positive, got ", extent);
  static_cast<void>(x.device("split"));
  axis = normalize_axis(axis, x.rank(), "split");
  std::vector<Tensor<T>> parts;
  for (std::int64_t start = 0; start < x.shape()[axis]; start += extent) {
    parts.push_back(x.slice(axis, start, start + extent));
  }
  return parts;
}

/// Adds `before` and `after` positions of `value` at the ends of an axis.
template <class T>
Tensor<T> pad(const Tensor<T>& x, int axis, std::int64_t before, std::int64_t after,
              Number<T> value = T{}) {
  axis = normalize_axis(axis, x.rank(), "pad");
  constexpr std::int64_t most = std::int64_t{1} << 60;  // their sum is a number, too
  LDLM_CHECK(before >= 0 && after >= 0 && before <= most && after <= most, "pad",
             "amounts must lie in [0, 2^60], got ", before, " and ", after);
  Shape shape = x.shape();
  const std::int64_t extent = shape[axis];
  shape[axis] += before + after;
  Tensor<T> out = Tensor<T>::empty(shape, x.device("pad"));
  out.slice(axis, 0, before).fill_(value);
  out.slice(axis, before, before + extent).copy_(x);
  out.slice(axis, before + extent, to_end).fill_(value);
  return out;
}

}  // namespace ldlm
