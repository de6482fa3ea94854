#pragma once
// Reductions over any axes, positions of extremes, the k largest of each row.

#include <ldlm_reference/walk.hpp>

namespace ldlm::reference {

LDLM_COMPLETE_SWITCHES

/// The axes that a reduction from `in` to `out` keeps, or does not keep.
[[gnu::noinline]] inline AxisMask kept_axes(const Layout& in, const Layout& out, bool kept) {
  AxisMask axes{};
  for (int axis = 0; axis < in.rank(); ++axis) {
    axes[static_cast<std::size_t>(axis)] = (out.shape[axis] == in.shape[axis]) == kept;
  }
  return axes;
}

/// `out` has the rank of `in`, with extent 1 on the reduced axes.
template <class T>
void reduce(ReduceOp op, View<const T> in, View<T> out) {
  using W = Wide<T>;
  visit_op(op, [](auto) {});  // throws unless it is one
  const View<const T> kept(in.data, select_axes(in.layout, kept_axes(in.layout, out.layout, true)));
  View<const T> reduced(in.data, select_axes(in.layout, kept_axes(in.layout, out.layout, false)));
  walk(
      kept.shape(),
      [&](const T* first, T* o) {
        const bool extreme = op == ReduceOp::max || op == ReduceOp::min;
        W total = extreme ? W{*first} : W{};
        reduced.data = first;
        walk(
            reduced.shape(),
            [&](const T* i) {
              const W x = *i;
              switch (op) {
                case ReduceOp::sum:
                  total = plus(total, x);
                  break;
                case ReduceOp::sum_squares:
                  total = plus(total, times(x, x));
                  break;
                case ReduceOp::max:
                  total = larger(x, total) ? x : total;
                  break;
                case ReduceOp::min:
                  total = smaller(x, total) ? x : total;
                  break;
              }
            },
            reduced);
        *o = static_cast<T>(total);
      },
      kept, View<T>(out.data, select_axes(out.layout, kept_axes(in.layout, out.layout, true))));
}

/// Position of the first largest (or smallest) element along `axis`; the first NaN if there is one.
template <class T>
void arg_reduce(bool largest, View<const T> in, int axis, View<std::int64_t> out) {
  const View<const T> starts(in.data, without_axis(in.layout, axis));
  walk(
      out.shape(),
      [&](const T* first, std::int64_t* o) {
        *o = 0;
        for (std::int64_t i = 1; i < in.size(axis); ++i) {
          const T candidate = first[i * in.stride(axis)];
          const T best = first[*o * in.stride(axis)];
          if (largest ? larger(candidate, best) : smaller(candidate, best)) {
            *o = i;
          }
        }
      },
      starts, out);
}

/// in (..., V), values and indices (..., k). NaN counts as larger than all numbers.
template <class T>
void top_k(View<const T> in, View<T> values, View<std::int64_t> indices) {
  const int last = in.rank() - 1;
  const std::int64_t k = values.size(last);
  const std::int64_t step = values.stride(last);
  const std::int64_t index_step = indices.stride(last);
  walk(
      row_shape(in.shape()),
      [&](const T* row, T* value, std::int64_t* index) {
        for (std::int64_t i = 0; i < in.size(last); ++i) {
          // Insert behind all that are as large; what falls off the end is lost.
          const T x = row[i * in.stride(last)];
          std::int64_t at = i < k ? i : k;
          for (; at > 0 && larger(x, value[(at - 1) * step]); --at) {
            if (at < k) {
              value[at * step] = value[(at - 1) * step];
              index[at * index_step] = index[(at - 1) * index_step];
            }
          }
          if (at < k) {
            value[at * step] = x;
            index[at * index_step] = i;
          }
        }
      },
      in, values, indices);
}

/// First row-major position of an index outside [low, high), or -1.
template <std::integral T>
std::int64_t find_outside(View<const T> indices, T low, T high) {
  std::int64_t position = 0;
  std::int64_t found = -1;
  walk(
      indices.shape(),
      [&](const T* i) {
        if (found < 0 && (*i < low || *i >= high)) {
          found = position;
        }
        ++position;
      },
      indices);
  return found;
}

LDLM_END_COMPLETE_SWITCHES

}  // namespace ldlm::reference
