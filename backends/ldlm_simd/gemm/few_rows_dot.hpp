#pragma once
// Few rows of A, and columns of B that are contiguous along k, plain or packed: vectors run along
// k, and their lanes are added up at the end.

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/fma.hpp>
#include <ldlm_simd/gemm/columns.hpp>
#include <ldlm_simd/gemm/tile.hpp>
#include <ldlm_simd/transpose.hpp>
#include <ldlm_simd/unroll.hpp>

namespace ldlm::simd::detail {

/// Columns of B that a dot_tile of R rows takes: with scales, the sums of a group need registers
/// too.
template <int R, class Column, class T, class Arch>
inline constexpr int dot_tile_columns = GemmTile<T, Arch>::registers<32 || Column::group> 0
                                            ? (R == 1   ? 8
                                               : R == 2 ? 4
                                                        : 2)
                                        : R == 1 ? 8
                                        : R == 2 ? 4
                                                 : 6;

/// to[r * N + c] += the product of one vector of row r of A and of column c of B, at `step`.
template <int R, int N, class Column, class T, class Arch>
inline void add_vector(const T* const (&a)[R], const std::array<Column, N>& b, std::int64_t step,
                       Batch<T, Arch> (&to)[R * N]) {
  Batch<T, Arch> a_now[R];
  unroll<R>([&](int r) { a_now[r] = load<T, Arch>(a[r] + step); });
  unroll<N>([&](int c) {
    const Batch<T, Arch> b_now = b.data()[c].load(step);
    unroll<R>([&](int r) { to[r * N + c] = simd::fma(a_now[r], b_now, to[r * N + c]); });
  });
}
/// The same for the first `rest` elements of a vector.
template <int R, int N, class Column, class T, class Arch>
inline void add_rest(const T* const (&a)[R], const std::array<Column, N>& b, std::int64_t step,
                     std::int64_t rest, Batch<T, Arch> (&to)[R * N]) {
  Batch<T, Arch> a_now[R];
  unroll<R>([&](int r) { a_now[r] = load_first<T, Arch>(a[r] + step, rest); });
  unroll<N>([&](int c) {
    const Batch<T, Arch> b_now = b.data()[c].load_rest(step, rest);
    unroll<R>([&](int r) { to[r * N + c] = simd::fma(a_now[r], b_now, to[r * N + c]); });
  });
}

/// Memory that is prefetched: lines `gap` bytes apart, then those `advance` bytes further on, and
/// so forth.
struct PrefetchLines {
  const char* data;
  std::int64_t gap, advance;
};

/// sums[r * sum_row + c] = alpha * (row r of A) . (column c of B) for R rows and N columns, all
/// contiguous along k. For each vector (with scales: group) of the columns that is read, prefetches
/// from `next` on.
template <int R, int N, class Column, class T, class Arch>
[[gnu::always_inline]] inline void dot_tile(std::int64_t k, const T* const (&a)[R],
                                            const std::array<Column, N>& b, PrefetchLines next,
                                            T alpha, T* sums, std::int64_t sum_row) {
  using B = Batch<T, Arch>;
  constexpr int W = static_cast<int>(B::size);
  constexpr int groups = (R * N + W - 1) / W;
  constexpr bool scaled = Column::group > 0;
  B sum[groups * W];
  unroll<groups * W>([&](int i) { sum[i] = B(T{}); });
  const auto prefetch_next = [&]() {
    if constexpr (R > 1) {
      unroll<N>([&](int c) { prefetch<Into::l2>(next.data + c * next.gap); });
      next.data += next.advance;
    }
  };
  std::int64_t step = 0;
  for (std::int64_t group = 0; step < k; ++group) {
    B part[R * N];
    unroll<R * N>([&](int i) { part[i] = B(T{}); });
    const std::int64_t end = scaled ? std::min(step + Column::group, k) : k;
    if constexpr (scaled) {
      prefetch_next();
    }
    for (; step + W <= end; step += W) {
      if constexpr (!scaled) {
        prefetch_next();
      }
      add_vector<R, N, Column, T, Arch>(a, b, step, part);
    }
    if (step < end) {
      add_rest<R, N, Column, T, Arch>(a, b, step, end - step, part);
      step = end;
    }
    unroll<R * N>([&](int i) {
      if constexpr (scaled) {
        sum[i] = simd::fma(B(b.data()[i % N].scale(group)), part[i], sum[i]);
      } else {
        sum[i] = part[i];
      }
    });
  }
  alignas(64) T flat[groups * W];
  unroll<groups>([&](int group) {
    (B(alpha) * sum_rows<T, Arch>(sum + group * W)).store_aligned(flat + group * W);
  });
  for (int r = 0; r < R; ++r) {
    std::copy_n(flat + r * N, N, sums + r * sum_row);
  }
}

/// The same as a function of its own: with several rows, registers suffice only for what is in it.
template <int R, int N, class Column, class T, class Arch>
[[gnu::noinline, gnu::flatten]] void dot_rows_tile(std::int64_t k, const T* const (&a)[R],
                                                   const std::array<Column, N>& b,
                                                   PrefetchLines next, T alpha, T* sums,
                                                   std::int64_t sum_row) {
  dot_tile<R, N, Column, T, Arch>(k, a, b, next, alpha, sums, sum_row);
}

/// Vectors whose lanes add up to (row `a` of A) . (this packed column). Several sums are made at
/// once, since the processor runs ahead into the next ones.
template <class Column, class Arch>
Batch<float, Arch> dot_column(std::int64_t k, const float* a, const Column& column) {
  using B = Batch<float, Arch>;
  // bf16 does best with what comes next in L1, few bits with what comes later in L2.
  constexpr bool soon = Column::group == 0;
  constexpr std::int64_t W = width<float, Arch>, line = 64, ahead = soon ? 1024 : 8192;
  constexpr std::int64_t span = Column::group > 0 ? Column::group : 8 * W;
  B total(0.0F);
  for (std::int64_t step = 0; step < k;) {
    const auto* const at = reinterpret_cast<const char*>(column.data) + Column::bytes(step);
    for (std::int64_t byte = 0; byte < Column::bytes(span); byte += line) {
      prefetch<soon ? Into::l1 : Into::l2>(at + ahead + byte);
    }
    const std::int64_t group = step / span, end = std::min(step + span, k);
    B part(0.0F);
    for (; step + W <= end; step += W) {
      part = simd::fma(load<float, Arch>(a + step), column.load(step), part);
    }
    if (step < end) {
      part = simd::fma(load_first<float, Arch>(a + step, end - step),
                       column.load_rest(step, end - step), part);
      step = end;
    }
    if constexpr (Column::group > 0) {
      total = simd::fma(B(column.scale(group)), part, total);
    } else {
      total += part;
    }
  }
  return total;
}

/// sums[c] = alpha a . (column c), for one row and packed columns, which are read one after the
/// other, as they lie in memory. Writes up to W - 1 sums too many.
template <class Arch, class ColumnAt>
[[gnu::noinline, gnu::flatten]] void dot_row(std::int64_t k, const float* a,
                                             const ColumnAt& column_at, std::int64_t columns,
                                             float alpha, float* sums) {
  using B = Batch<float, Arch>;
  constexpr std::int64_t W = width<float, Arch>;
  for (std::int64_t j = 0; j < columns; j += W) {
    B sum[W];
    for (std::int64_t c = 0; c < W; ++c) {
      const auto column = column_at(std::min(j + c, columns - 1));
      sum[c] = dot_column<std::remove_const_t<decltype(column)>, Arch>(k, a, column);
    }
    (B(alpha) * sum_rows<float, Arch>(sum)).store_unaligned(sums + j);
  }
}

/// sums (m, columns) = alpha A B for the columns of B that column_at gives. a: rows a_row apart.
template <int R, class T, class Arch, class ColumnAt>
[[gnu::flatten]] void dot_columns(const Gemm<T>& g, const T* a, std::int64_t a_row,
                                  const ColumnAt& column_at, std::int64_t columns, T* sums,
                                  std::int64_t sum_row) {
  using Column = decltype(column_at(0));
  // (Elements of half a byte cost more to make into floats than to read.)
  if constexpr (R == 1 && !std::is_same_v<Column, PlainColumn<T, Arch>> &&
                Column::bytes(64) >= 64) {
    return dot_row<Arch>(g.k, a, column_at, columns, g.alpha, sums);
  }
  constexpr int N = dot_tile_columns<R, Column, T, Arch>;
  const std::int64_t passes = divide_up(g.m, R);
  constexpr std::int64_t at_once =
      Column::bytes(Column::group > 0 ? Column::group : width<T, Arch>);
  for (std::int64_t j = 0; j < columns; j += N) {
    // Past the end, the last row or column stands in; its results go nowhere.
    const auto b_columns = [&]<int... C>(std::integer_sequence<int, C...>) {
      return std::array<Column, N>{column_at(std::min(j + C, columns - 1))...};
    }
    (std::make_integer_sequence<int, N>{});
    const auto* const following = column_at(std::min(j + N, columns - 1)).data;
    // The next columns: side by side where reading is all there is to do, else one after the other,
    // a part of them in each pass over these, so that memory is never idle.
    PrefetchLines next{reinterpret_cast<const char*>(following), Column::bytes(g.k), at_once};
    if (R > 1) {
      next.gap = at_once / passes;
      next.advance = N * next.gap;
    }
    for (std::int64_t i = 0; i < g.m; i += R) {
      const T* a_rows[R];
      for (int r = 0; r < R; ++r) {
        a_rows[r] = a + std::min(i + r, g.m - 1) * a_row;
      }
      T* const to = sums + i * sum_row + j;
      if constexpr (R == 1) {
        dot_tile<R, N, Column, T, Arch>(g.k, a_rows, b_columns, next, g.alpha, to, sum_row);
      } else {
        dot_rows_tile<R, N, Column, T, Arch>(g.k, a_rows, b_columns, next, g.alpha, to, sum_row);
      }
      next.data += N * Column::bytes(g.k) / passes;
    }
  }
}

}  // namespace ldlm::simd::detail
