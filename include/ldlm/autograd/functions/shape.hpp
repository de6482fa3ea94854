#pragma once
// concat, stack, split and pad of Variables. (Views are methods of Variable.)

#include <ldlm/autograd/variable.hpp>
#include <ldlm/core/ops/shape.hpp>

namespace ldlm {

namespace detail {

template <Floating T>
Variable<T> concat_as(std::string_view op, std::span<const Variable<T>> parts, int axis) {
  std::vector<Tensor<T>> values;
  std::vector<Node*> nodes;
  for (const Variable<T>& part : parts) {
    values.push_back(part.value(op));
    nodes.push_back(part.node());
  }
  Tensor<T> out = concat_as(op, std::span<const Tensor<T>>(values), axis);
  std::vector<std::int64_t> extents;
  for (const Tensor<T>& value : values) {
    extents.push_back(value.size(axis));
  }
  return record(op, std::move(out), nodes,
                [axis, extents = std::move(extents)](Tensor<T> dy, InputGrads<T> in) {
                  std::int64_t start = 0;
                  for (std::size_t i = 0; i < in.size(); ++i) {
                    in[i].add([&] { return dy.slice(axis, start, start + extents[i]); });
                    start += extents[i];
                  }
                });
}

}  // namespace detail

/// Joins Variables along an axis; all other extents must agree.
template <Floating T>
Variable<T> concat(std::span<const Variable<T>> parts, int axis = 0) {
  return detail::concat_as("concat", parts, axis);
}
template <Floating T>
Variable<T> concat(std::initializer_list<Variable<T>> parts, int axis = 0) {
  return concat(std::span<const Variable<T>>(parts.begin(), parts.size()), axis);
}
template <Floating T>
Variable<T> concat(const std::vector<Variable<T>>& parts, int axis = 0) {
  return concat(std::span<const Variable<T>>(parts), axis);
}

/// Joins Variables of one shape along a new axis.
template <Floating T>
Variable<T> stack(std::span<const Variable<T>> parts, int axis = 0) {
  std::vector<Variable<T>> raised;
  raised.reserve(parts.size());
  for (const Variable<T>& part : parts) {
    raised.push_back(part.unsqueeze(normalize_axis(axis, part.value("stack").rank() + 1, "stack")));
  }
  return detail::concat_as("stack", std::span<const Variable<T>>(raised), axis);
}
template <Floating T>
Variable<T> stack(std::initializer_list<Variable<T>> parts, int axis = 0) {
  return stack(std::span<const Variable<T>>(parts.begin(), parts.size()), axis);
}
template <Floating T>
Variable<T> stack(const std::vector<Variable<T>>& parts, int axis = 0) {
  return stack(std::span<const Variable<T>>(parts), axis);
}

/// Views of `extent` positions each along an axis (the last may be shorter). Their gradients are
/// written side by side into one buffer: cheaper than slices, each of which starts from zeros.
template <Floating T>
std::vector<Variable<T>> split(const Variable<T>& x, std::int64_t extent, int axis = 0) {
  std::vector<Tensor<T>> values = split(x.value("split"), extent, axis);
  std::vector<Variable<T>> parts;
  parts.reserve(values.size());
  const bool recorded = detail::records(x) && !values.empty();
  NodeRef whole;
  if (recorded) {
    axis = normalize_axis(axis, x.rank(), "split");
    whole = NodeRef(new detail::SplitNode<T>(x.node(), x.value(), extent, axis));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    NodeRef node;
    if (recorded) {
      auto* const split = static_cast<detail::SplitNode<T>*>(whole.get());
      node = NodeRef(new detail::SplitPartNode<T>(split, values[i], i));
    }
    parts.push_back(Variable<T>(std::move(values[i]), std::move(node)));
  }
  return parts;
}

/// Adds `before` and `after` positions of `value` at the ends of an axis.
template <Floating T>
Variable<T> pad(const Variable<T>& x, int axis, std::int64_t before, std::int64_t after,
                Number<T> value = T{}) {
  Tensor<T> out = pad(x.value("pad"), axis, before, after, value);
  return record("pad", std::move(out), {x.node()},
                [axis, before, extent = x.size(axis)](Tensor<T> dy, InputGrads<T> in) {
                  in[0].add(dy.slice(axis, before, before + extent));
                });
}

}  // namespace ldlm
