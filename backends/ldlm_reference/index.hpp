#pragma once
// Indexing. Indices are already checked against the extents.

#include <ldlm_reference/elementwise.hpp>

namespace ldlm::reference {

/// Position i of the first axis, which goes away.
template <class T>
View<T> row_of(const View<T>& view, std::int64_t i) {
  View<T> row = select_axes(view, [](int axis) { return axis > 0; });
  row.data += i * view.stride(0);
  return row;
}

/// out[i, ...] = table[ids[i], ...]
template <class T>
void gather_rows(View<const T> table, View<const std::int64_t> ids, View<T> out) {
  for (std::int64_t i = 0; i < ids.size(0); ++i) {
    copy<T>(row_of(table, ids.data[i * ids.stride(0)]), row_of(out, i));
  }
}

/// out[ids[i], ...] += in[i, ...], in the order of i.
template <class T>
void scatter_add_rows(View<const T> in, View<const std::int64_t> ids, View<T> out) {
  for (std::int64_t i = 0; i < ids.size(0); ++i) {
    axpy<T>(T{1}, row_of(in, i), row_of(out, ids.data[i * ids.stride(0)]));
  }
}

/// The view without movement along `axis`: every position points at the axis' start.
template <class T>
View<T> pinned(View<T> view, int axis) {
  view.layout.strides[static_cast<std::size_t>(axis)] = 0;
  return view;
}

/// out[.., i, ..] = in[.., index[.., i, ..], ..] along `axis`.
template <class T>
void gather(View<const T> in, int axis, View<const std::int64_t> index, View<T> out) {
  walk(
      out.shape(),
      [&](const T* line, const std::int64_t* i, T* o) { *o = line[*i * in.stride(axis)]; },
      pinned(in, axis), index, out);
}

/// out[.., index[.., i, ..], ..] += in[.., i, ..] along `axis`.
template <class T>
void scatter_add(View<const T> in, int axis, View<const std::int64_t> index, View<T> out) {
  walk(
      in.shape(),
      [&](const T* x, const std::int64_t* i, T* line) {
        T& o = line[*i * out.stride(axis)];
        o = plus(o, *x);
      },
      in, index, pinned(out, axis));
}

}  // namespace ldlm::reference
