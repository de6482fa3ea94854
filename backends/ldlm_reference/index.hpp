#pragma once
// Indexing. Indices are already checked against the extents.

#include <ldlm_reference/elementwise.hpp>

namespace ldlm::reference {

/// The rows, positions of the first axis, of an operand.
class Rows {
 public:
  [[gnu::noinline]] Rows(const WalkOperand& operand, const Layout& layout)
      : operand_(operand), row_(without_axis(layout, 0)), step_(layout.stride(0) * operand.size) {}
  [[nodiscard]] const Shape& shape() const { return row_.shape; }
  [[nodiscard]] WalkOperand operator[](std::int64_t i) const {
    return {operand_.data + i * step_, &row_.strides, operand_.size};
  }

 private:
  WalkOperand operand_;
  Layout row_;
  std::int64_t step_;
};

template <std::size_t Size>
void gather_rows_of(const Rows& table, const View<const std::int64_t>& ids, const Rows& out) {
  for (std::int64_t i = 0; i < ids.size(0); ++i) {
    walk_lines(out.shape(), {{table[ids.data[i * ids.stride(0)]], out[i]}}, nullptr,
               copy_line<Size>);
  }
}
/// out[i, ...] = table[ids[i], ...]
template <class T>
void gather_rows(View<const T> table, View<const std::int64_t> ids, View<T> out) {
  gather_rows_of<sizeof(T)>(Rows(walk_operand(table), table.layout), ids,
                            Rows(walk_operand(out), out.layout));
}

template <std::size_t Size>
void scatter_rows_of(const Rows& in, const View<const std::int64_t>& ids, const Rows& out) {
  for (std::int64_t i = 0; i < ids.size(0); ++i) {
    walk_lines(in.shape(), {{in[i], out[ids.data[i * ids.stride(0)]]}}, nullptr, copy_line<Size>);
  }
}
/// out[ids[i], ...] = in[i, ...]
template <class T>
void scatter_rows(View<const T> in, View<const std::int64_t> ids, View<T> out) {
  scatter_rows_of<sizeof(T)>(Rows(walk_operand(in), in.layout), ids,
                             Rows(walk_operand(out), out.layout));
}

/// out[ids[i], ...] += in[i, ...], in the order of i.
template <class T>
void scatter_add_rows(View<const T> in, View<const std::int64_t> ids, View<T> out) {
  const Rows from(walk_operand(in), in.layout), to(walk_operand(out), out.layout);
  T one{1};
  for (std::int64_t i = 0; i < ids.size(0); ++i) {
    walk_lines(from.shape(), {{from[i], to[ids.data[i * ids.stride(0)]]}}, &one, axpy_line<T>);
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
      [step = in.stride(axis)](const T* line, const std::int64_t* i, T* o) {
        *o = line[*i * step];
      },
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
