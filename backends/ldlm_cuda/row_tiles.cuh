#pragma once
// Rows in registers: the threads of a block read a row 16 bytes at a time where its operand is
// contiguous and aligned, else element by element. A row that fits is one tile, which is kept; a
// longer one is several, which are read again in every pass.

#include <cstdint>
#include <type_traits>

#include <ldlm_cuda/block.cuh>
#include <ldlm_cuda/map.cuh>

namespace ldlm::cuda_backend {

/// A thread's elements of a tile.
template <class T, int vectors>
struct Tile {
  Vector<T, vector_width<T>> of[vectors];
};
/// 8 elements at most: as they are widened, and of several operands, more do not fit.
template <class T>
inline constexpr int usual_vectors = vector_width<T> > 4 ? 1 : 2;

/// Elements [from, to) of a vector are of the row.
struct Span {
  int from, to;
  __device__ bool has(int e) const { return e >= from && e < to; }
};

/// How a block's threads share a row's columns. A thread's vectors begin where those of the row
/// `first` are aligned, so that rows of an odd length have vectors, too.
template <class T, bool is_kept, int vectors_of_thread = usual_vectors<T>>
struct Columns {
  using Element = T;
  static constexpr bool kept = is_kept;
  static constexpr int width = vector_width<T>;
  static constexpr int vectors = vectors_of_thread;
  using Elements = Vector<T, width>;
  std::int64_t count;
  int shift;  // from where vectors are aligned to the first column

  __device__ Columns(const T* first, std::int64_t columns)
      : count(columns), shift(columns % width == 0 ? 0 : distance(first)) {}

  /// Elements since the last address where vectors are aligned.
  __device__ static int distance(const T* data) {
    return static_cast<int>(reinterpret_cast<std::uintptr_t>(data) / sizeof(T) % width);
  }
  /// Whether a row of an operand can be read and written in vectors.
  __device__ bool fits(const T* data, std::int64_t step) const {
    return step == 1 && distance(data) == shift;
  }
  /// The column of a vector's first element, which may be before the row or behind it.
  __device__ std::int64_t column(std::int64_t start, int vector) const {
    return start - shift + std::int64_t{vector * blockDim.x + threadIdx.x} * width;
  }
  __device__ bool whole(std::int64_t column) const {
    return column >= 0 && column + width <= count;
  }
  __device__ Span span(std::int64_t column) const {
    const std::int64_t left = count - column;
    return {column < 0 ? static_cast<int>(-column) : 0,
            left < width ? static_cast<int>(left < 0 ? 0 : left) : width};
  }
};

/// The part of a row in the tile that begins at `start`. Where the row has no elements, or there is
/// no operand, they are `absent`.
template <class Part, class T>
__device__ auto read_tile(const Part& columns, std::int64_t start, const T* data, std::int64_t step,
                          T absent) {
  Tile<T, Part::vectors> tile;
  const bool fits = data != nullptr && columns.fits(data, step);
  // All vectors first, without a branch between them: they are under way together.
  LDLM_UNROLL
  for (int v = 0; v < Part::vectors; ++v) {
    const std::int64_t column = columns.column(start, v);
    if (fits && columns.whole(column)) {
      tile.of[v] = *reinterpret_cast<const typename Part::Elements*>(data + column);
    }
  }
  LDLM_UNROLL
  for (int v = 0; v < Part::vectors; ++v) {
    const std::int64_t column = columns.column(start, v);
    if (!(fits && columns.whole(column))) {
      const Span span = columns.span(column);
      LDLM_UNROLL
      for (int e = 0; e < Part::width; ++e) {
        const bool there = data != nullptr && span.has(e);
        tile.of[v].of[e] = there ? data[(column + e) * step] : absent;
      }
    }
  }
  return tile;
}

/// A row of an operand, which is read when it is made, or
template <class Part>
struct KeptRow {
  using T = typename Part::Element;
  Tile<T, Part::vectors> kept;
  __device__ KeptRow(const Part& columns, const T* data, std::int64_t step = 1, T absent = T{})
      : kept(read_tile(columns, 0, data, step, absent)) {}
  __device__ const auto& tile(const Part&, std::int64_t) const { return kept; }
};
/// where a tile of it is asked for.
template <class Part>
struct StreamedRow {
  using T = typename Part::Element;
  const T* data;
  std::int64_t step;
  T absent;
  __device__ StreamedRow(const Part&, const T* row, std::int64_t row_step = 1, T otherwise = T{})
      : data(row), step(row_step), absent(otherwise) {}
  __device__ auto tile(const Part& columns, std::int64_t start) const {
    return read_tile(columns, start, data, step, absent);
  }
};
template <class Part>
using Row = std::conditional_t<Part::kept, KeptRow<Part>, StreamedRow<Part>>;

/// f(start, a tile of each row), for every tile.
template <class Part, class F, class... Rows>
__device__ void for_tiles(const Part& columns, const F& f, const Rows&... rows) {
  if constexpr (Part::kept) {
    f(0, rows.tile(columns, 0)...);
  } else {
    const std::int64_t size = std::int64_t{blockDim.x} * (Part::vectors * Part::width);
    LDLM_KEEP_LOOP
    for (std::int64_t start = 0; start < columns.count + columns.shift; start += size) {
      f(start, rows.tile(columns, start)...);
    }
  }
}

/// f(element of each tile...), for a thread's elements of the tile at `start`.
template <class Part, class F, class... Tiles>
__device__ void for_elements_of(const Part& columns, std::int64_t start, const F& f,
                                const Tiles&... tiles) {
  LDLM_UNROLL
  for (int v = 0; v < Part::vectors; ++v) {
    const Span span = columns.span(columns.column(start, v));
    LDLM_UNROLL
    for (int e = 0; e < Part::width; ++e) {
      if (span.has(e)) {
        f(widened(tiles.of[v].of[e])...);
      }
    }
  }
}
/// f(element of each row...), for a thread's elements of them.
template <class Part, class F, class... Rows>
__device__ void for_elements(const Part& columns, const F& f, const Rows&... rows) {
  for_tiles(
      columns,
      [&](std::int64_t start, const auto&... tiles) {
        for_elements_of(columns, start, f, tiles...);
      },
      rows...);
}

/// out[column] = f(column, element of each row...). `out` may be where one of the rows is.
template <class Part, class T, class F, class... Rows>
__device__ void write_row(const Part& columns, T* out, std::int64_t step, const F& f,
                          const Rows&... rows) {
  const bool fits = columns.fits(out, step);
  for_tiles(
      columns,
      [&](std::int64_t start, const auto&... tiles) {
        LDLM_UNROLL
        for (int v = 0; v < Part::vectors; ++v) {
          const std::int64_t column = columns.column(start, v);
          typename Part::Elements y;
          LDLM_UNROLL
          for (int e = 0; e < Part::width; ++e) {
            y.of[e] = rounded<T>(f(column + e, widened(tiles.of[v].of[e])...));
          }
          if (fits && columns.whole(column)) {
            *reinterpret_cast<typename Part::Elements*>(out + column) = y;
            continue;
          }
          const Span span = columns.span(column);
          LDLM_UNROLL
          for (int e = 0; e < Part::width; ++e) {
            if (span.has(e)) {
              out[(column + e) * step] = y.of[e];
            }
          }
        }
      },
      rows...);
}

/// The largest of a row, and the sum of exp(x - largest); of all -infinity 0. In one pass: the sum
/// so far is scaled when there is a larger one (Milakov and Gimelshein, Online normalizer
/// calculation for softmax, 2018).
template <class C>
struct ExpSum {
  C largest, sum;
};
template <class Part>
__device__ auto exp_sum(const Part& columns, const Row<Part>& row) {
  using C = ComputeType<typename Part::Element>;
  const C lowest = -static_cast<C>(INFINITY);
  C largest = lowest;
  C sum{};
  for_tiles(
      columns,
      [&](std::int64_t start, const auto& tile) {
        C most = largest;
        for_elements_of(
            columns, start, [&](C x) { most = Largest::combine(most, x); }, tile);
        if (most != lowest) {
          sum *= exp(largest - most);
          for_elements_of(
              columns, start, [&](C x) { sum += exp(x - most); }, tile);
        }
        largest = most;
      },
      row);
  const C of_all = combine_block<Largest>(largest);
  return ExpSum<C>{of_all, sum_block(largest != lowest ? sum * exp(largest - of_all) : C{})};
}

}  // namespace ldlm::cuda_backend
