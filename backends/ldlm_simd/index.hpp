#pragma once
// Indexing kernels. Indices are already checked against the extents.

#include <ldlm_simd/copy.hpp>

namespace ldlm::simd {

namespace detail {

/// The axes after the first, as one set of loops over two views.
template <class Arch>
Loops<2, Arch> row_loops(const Layout& a, const Layout& b) {
  Shape shape = a.shape;
  shape.erase(0);
  std::array<Strides, 2> strides{};
  for (std::size_t axis = 1; axis < max_rank; ++axis) {
    strides[0][axis - 1] = a.strides[axis];
    strides[1][axis - 1] = b.strides[axis];
  }
  return {shape, strides, 0};
}

/// gather_rows for elements of `Size` bytes.
template <std::size_t Size, class Arch>
void gather_rows(const std::byte* table, const Layout& table_layout,
                 const View<const std::int64_t>& ids, std::byte* out, const Layout& out_layout) {
  constexpr auto size = static_cast<std::int64_t>(Size);
  const auto row = row_loops<Arch>(out_layout, table_layout);
  const std::int64_t elements = std::max<std::int64_t>(1, row.lines * row.length);
  parallel_for(0, ids.size(0), std::max<std::int64_t>(1, cheap_grain / elements),
               [&](std::int64_t lo, std::int64_t hi) {
                 for (std::int64_t i = lo; i < hi; ++i) {
                   const std::int64_t to = i * out_layout.strides[0];
                   const std::int64_t from = ids.data[i * ids.stride(0)] * table_layout.strides[0];
                   auto cursor = row.at(0);
                   for (std::int64_t line = 0; line < row.lines; ++line, row.advance(cursor)) {
                     Copy<Size, Arch>::line(out + (to + cursor.offsets[0]) * size, row.step[0],
                                            table + (from + cursor.offsets[1]) * size, row.step[1],
                                            row.length);
                   }
                 }
               });
}

}  // namespace detail

/// out[i, ...] = table[ids[i], ...]
template <class T, class Arch>
void gather_rows(View<const T> table, View<const std::int64_t> ids, View<T> out) {
  if (out.numel() > 0) {
    detail::gather_rows<sizeof(T), Arch>(reinterpret_cast<const std::byte*>(table.data),
                                         table.layout, ids, reinterpret_cast<std::byte*>(out.data),
                                         out.layout);
  }
}

/// out[ids[i], ...] += in[i, ...], in the order of i: threads share out the columns.
template <class T, class Arch>
void scatter_add_rows(View<const T> in, View<const std::int64_t> ids, View<T> out) {
  const auto row = detail::row_loops<Arch>(out.layout, in.layout);
  const std::int64_t count = ids.size(0);
  if (in.numel() == 0) {
    return;
  }
  const auto add = [&](T* to, const T* from, std::int64_t n) {
    if (row.step[0] == 1 && row.step[1] == 1) {
      transform<Arch>(
          n, [](const auto& a, const auto& b) { return a + b; }, to, static_cast<const T*>(to),
          from);
      return;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      to[i * row.step[0]] += from[i * row.step[1]];
    }
  };
  constexpr std::int64_t columns = 64;
  const std::int64_t pieces = (row.length + columns - 1) / columns;
  const std::int64_t grain = std::max<std::int64_t>(
      1, cheap_grain / 4 / std::max<std::int64_t>(1, count * std::min(columns, row.length)));
  parallel_for(0, row.lines * pieces, grain, [&](std::int64_t lo, std::int64_t hi) {
    // Neighbouring pieces of a line are added as one.
    for (std::int64_t piece = lo; piece < hi;) {
      const std::int64_t line = piece / pieces;
      const std::int64_t last = std::min(hi, (line + 1) * pieces);
      const std::int64_t first_column = piece % pieces * columns;
      const std::int64_t n = std::min(row.length, (last - line * pieces) * columns) - first_column;
      const auto at = row.at(line).offsets;
      T* const to = out.data + at[0] + first_column * row.step[0];
      const T* const from = in.data + at[1] + first_column * row.step[1];
      for (std::int64_t i = 0; i < count; ++i) {
        add(to + ids.data[i * ids.stride(0)] * out.stride(0), from + i * in.stride(0), n);
      }
      piece = last;
    }
  });
}

/// out[.., i, ..] = in[.., index[.., i, ..], ..] along `axis`.
template <class T, class Arch>
void gather(View<const T> in, int axis, View<const std::int64_t> index, View<T> out) {
  if (out.numel() == 0) {
    return;
  }
  const std::int64_t move = in.stride(axis);
  Strides starts = in.layout.strides;  // of the runs along the axis
  starts[static_cast<std::size_t>(axis)] = 0;
  Loops<3, Arch> loops(out.shape(), {out.layout.strides, starts, index.layout.strides}, 0);
  loops.lengthen(8);
  for_stretches<Arch>(loops, cheap_grain / 4, [&](const auto& at, std::int64_t n) {
    const auto [out_step, in_step, index_step] = loops.step;
    for (std::int64_t i = 0; i < n; ++i) {
      out.data[at[0] + i * out_step] =
          in.data[at[1] + i * in_step + index.data[at[2] + i * index_step] * move];
    }
  });
}

}  // namespace ldlm::simd
