#pragma once
// Indexing by tensors of int64: rows of a table, gather and scatter-add along an axis.

#include <algorithm>

#include <ldlm/core/tensor.hpp>

namespace ldlm {

namespace detail {

/// Throws, naming the value and its position, unless every index lies in [0, extent).
inline void check_indices(const Tensor<std::int64_t>& index, std::int64_t extent,
                          std::string_view op) {
  if (index.numel() == 0) {
    return;
  }
  const std::int64_t bad = kernel(index.device(), &KernelTable<std::int64_t>::find_outside, op)(
      index.view(), std::int64_t{0}, extent);
  LDLM_CHECK_INDEX(bad < 0, op, "index ", index.to_vector()[static_cast<std::size_t>(bad)],
                   " at position ", bad, " is outside [0, ", extent, ")");
}

/// Indices for an op of tensors on `device`: checked, and then there. Those in host memory may come
/// to any device, and are checked without waiting for it; others are read back for that, unless
/// work is recorded (see device_graph.hpp).
inline Tensor<std::int64_t> indices_on(Device device, const Tensor<std::int64_t>& index,
                                       std::int64_t extent, std::string_view op) {
  const Device here = index.device(op);
  LDLM_CHECK_DEVICE(here == device || (is_host_memory(here) && !is_host_memory(device)), op,
                    "tensors are on ", device, " and ", here);
  if (!is_recording(device)) {
    check_indices(index, extent, op);
  }
  return index.to(device);
}

}  // namespace detail

namespace detail {

template <class T>
Tensor<T> rows_of(const Tensor<T>& table, const Tensor<std::int64_t>& index, std::string_view op) {
  const Device device = table.device(op);
  const Tensor<std::int64_t> ids = indices_on(device, index, table.size(0), op);
  Shape row = table.shape();
  row.erase(0);
  Shape flat{ids.numel()};
  Shape shape = ids.shape();
  for (const std::int64_t dim : row) {
    flat.push_back(dim);
    shape.push_back(dim);
  }
  Tensor<T> out = Tensor<T>::empty(flat, device);
  if (out.numel() > 0) {
    kernel(device, &KernelTable<T>::gather_rows, op)(table.view(), ids.reshape({-1}).view(),
                                                     out.view());
  }
  return out.reshape(shape);
}

}  // namespace detail

/// Rows of a table: table (V, ...), ids of any shape -> (ids..., ...). Throws on an id outside [0,
/// V).
template <class T>
Tensor<T> embedding(const Tensor<T>& table, const Tensor<std::int64_t>& ids) {
  LDLM_CHECK_SHAPE(table.rank() >= 1, "embedding", "the table needs at least one axis");
  return detail::rows_of(table, ids, "embedding");
}

/// The positions `ids` (N) of an axis, in their order.
template <class T>
Tensor<T> index_select(const Tensor<T>& x, int axis, const Tensor<std::int64_t>& ids) {
  LDLM_CHECK_SHAPE(ids.rank() == 1, "index_select", "needs one axis of indices, got ",
                   to_string(ids.shape()));
  axis = normalize_axis(axis, x.rank(), "index_select");
  return detail::rows_of(x.transpose(0, axis), ids, "index_select").transpose(0, axis);
}

namespace detail {

/// A kernel, table.*entry, that writes the rows `source` to the rows `index` of `out`.
template <class T, class Entry>
void into_rows(Entry entry, std::string_view op, const Tensor<T>& out,
               const Tensor<std::int64_t>& index, const Tensor<T>& source) {
  const Device device = common_device(op, out, source);
  static_cast<void>(index.device(op));
  LDLM_CHECK_SHAPE(out.rank() >= 1 && index.rank() == 1 && source.rank() == out.rank() &&
                       source.size(0) == index.numel(),
                   op, "indices ", to_string(index.shape()), " and source ",
                   to_string(source.shape()), " do not fit ", to_string(out.shape()));
  Shape expected = out.shape();
  expected[0] = index.numel();
  LDLM_CHECK_SHAPE(source.shape() == expected, op, "source ", to_string(source.shape()),
                   " does not fit ", to_string(out.shape()));
  const Tensor<std::int64_t> ids = indices_on(device, index, out.size(0), op);
  if (source.numel() > 0) {
    check_into(op, out.view(), source.view(), ids.view());
    kernel(device, entry, op)(source.view(), ids.view(), out.view());
    out.storage().bump_version();
  }
}

}  // namespace detail

/// out[index[i], ...] += source[i, ...], in place; index (N), source (N, ...), out (V, ...). Throws
/// if `out` overlaps one of the others in memory, or itself.
template <class T>
void index_add_(const Tensor<T>& out, const Tensor<std::int64_t>& index, const Tensor<T>& source) {
  detail::into_rows(&KernelTable<T>::scatter_add_rows, "index_add_", out, index, source);
}
/// out[index[i], ...] = source[i, ...], in place, of any element type. Throws also for an index
/// that comes twice.
template <class T>
void index_copy_(const Tensor<T>& out, const Tensor<std::int64_t>& index, const Tensor<T>& source) {
  if (index.numel() > 1 && !detail::is_recording(out.device("index_copy_"))) {
    std::vector<std::int64_t> sorted = index.to_vector();
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    LDLM_CHECK_INDEX(twice == sorted.end(), "index_copy_", "index ", *twice, " comes twice");
  }
  detail::into_rows(&KernelTable<T>::scatter_rows, "index_copy_", out, index, source);
}

/// out[.., i, ..] = x[.., index[.., i, ..], ..] along an axis; beside it, extents must agree.
template <class T>
Tensor<T> gather(const Tensor<T>& x, int axis, const Tensor<std::int64_t>& index) {
  static_cast<void>(index.device("gather"));
  axis = normalize_axis(axis, x.rank(), "gather");
  Shape expected = x.shape();
  if (index.rank() == x.rank()) {
    expected[axis] = index.shape()[axis];
  }
  LDLM_CHECK_SHAPE(index.shape() == expected, "gather", "index ", to_string(index.shape()),
                   " does not fit ", to_string(x.shape()), " along axis ", axis);
  const Device device = x.device("gather");
  const Tensor<std::int64_t> ids = detail::indices_on(device, index, x.shape()[axis], "gather");
  Tensor<T> out = Tensor<T>::empty(index.shape(), device);
  if (out.numel() > 0) {
    detail::kernel(device, &KernelTable<T>::gather, "gather")(x.view(), axis, ids.view(),
                                                              out.view());
  }
  return out;
}

/// out[.., index[.., i, ..], ..] += source[.., i, ..] along an axis, in place. Throws if `out`
/// overlaps one of the others in memory, or itself.
template <class T>
void scatter_add_(const Tensor<T>& out, int axis, const Tensor<std::int64_t>& index,
                  const Tensor<T>& source) {
  axis = normalize_axis(axis, out.rank(), "scatter_add_");
  Shape expected = out.shape();
  if (index.rank() == out.rank()) {
    expected[axis] = index.shape()[axis];
  }
  LDLM_CHECK_SHAPE(index.shape() == expected && source.shape() == expected, "scatter_add_",
                   "index ", to_string(index.shape()), " and source ", to_string(source.shape()),
                   " do not fit ", to_string(out.shape()), " along axis ", axis);
  const Device device = detail::common_device("scatter_add_", out, source);
  const Tensor<std::int64_t> ids =
      detail::indices_on(device, index, out.shape()[axis], "scatter_add_");
  if (source.numel() > 0) {
    detail::check_into("scatter_add_", out.view(), source.view(), ids.view());
    detail::kernel(device, &KernelTable<T>::scatter_add, "scatter_add_")(source.view(), axis,
                                                                         ids.view(), out.view());
    out.storage().bump_version();
  }
}

}  // namespace ldlm
