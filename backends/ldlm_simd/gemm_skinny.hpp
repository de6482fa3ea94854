#pragma once
// Products with few rows, as in decoding: each element of B is used but a few times, so that
// reading B is most of the work. It is read in place, once, never packed.
//
// Where the columns of B lie together, as in a linear layer's weight (n, k), plain or packed,
// vectors run along k, and their lanes are added up at the end. Where its rows do, (k, n), a few of
// them at a time are added to sums that stay in the nearest cache.

#include <algorithm>
#include <array>
#include <cstdint>

#include <ldlm_simd/cache_info.hpp>
#include <ldlm_simd/gemm_columns.hpp>
#include <ldlm_simd/gemm_epilogue.hpp>
#include <ldlm_simd/gemm_int8.hpp>
#include <ldlm_simd/gemm_tile.hpp>
#include <ldlm_simd/gemm_workspace.hpp>
#include <ldlm_simd/thread_pool.hpp>
#include <ldlm_simd/transpose.hpp>

namespace ldlm::simd {

namespace detail {

template <class T>
bool is_packed(const Gemm<T>& g) {
  return g.b_packed.data != nullptr;
}

/// The most rows for which reading B in place beats packing it.
inline constexpr std::int64_t skinny_rows = 16;

/// Whether rows of B lie so close together, for one or two rows of A, that reading many of them at
/// a time confuses the processor's prefetcher: it follows a single stream in each page.
template <class T>
bool has_short_rows(const Gemm<T>& g) {
  return g.m <= 2 && g.b_row != 1 && g.b_col == 1 &&
         g.b_row * static_cast<std::int64_t>(sizeof(T)) <= 4096;
}

/// Columns of B that a dot_tile of R rows takes: with scales, the sums of a group need registers
/// too.
template <int R, class Column, class T, class Arch>
inline constexpr int dot_columns = GemmTile<T, Arch>::registers<32 || Column::group> 0
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

/// Memory that will be needed soon: lines `gap` bytes apart, then those `advance` bytes further on,
/// and so forth.
struct Ahead {
  const char* data;
  std::int64_t gap, advance;
};

/// sums[r * sum_row + c] = alpha * (row r of A) . (column c of B) for R rows and N columns, all
/// contiguous along k. For each vector (with scales: group) of the columns that is read, asks for
/// what lies at `ahead`.
template <int R, int N, class Column, class T, class Arch>
[[gnu::flatten]] void dot_tile(std::int64_t k, const T* const (&a)[R],
                               const std::array<Column, N>& b, Ahead ahead, T alpha, T* sums,
                               std::int64_t sum_row) {
  using B = Batch<T, Arch>;
  constexpr int W = static_cast<int>(B::size);
  constexpr int groups = (R * N + W - 1) / W;
  constexpr bool scaled = Column::group > 0;
  B sum[groups * W];
  unroll<groups * W>([&](int i) { sum[i] = B(T{}); });
  const auto ask = [&]() {
    if constexpr (R > 1) {
      unroll<N>([&](int c) { prefetch<Into::l2>(ahead.data + c * ahead.gap); });
      ahead.data += ahead.advance;
    }
  };
  std::int64_t step = 0;
  for (std::int64_t group = 0; step < k; ++group) {
    B part[R * N];
    unroll<R * N>([&](int i) { part[i] = B(T{}); });
    const std::int64_t end = scaled ? std::min(step + Column::group, k) : k;
    if constexpr (scaled) {
      ask();
    }
    for (; step + W <= end; step += W) {
      if constexpr (!scaled) {
        ask();
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
[[gnu::flatten]] void dot_row(std::int64_t k, const float* a, const ColumnAt& column_at,
                              std::int64_t columns, float alpha, float* sums) {
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
void multiply_columns(const Gemm<T>& g, const T* a, std::int64_t a_row, const ColumnAt& column_at,
                      std::int64_t columns, T* sums, std::int64_t sum_row) {
  using Column = decltype(column_at(0));
  // (Elements of half a byte cost more to make into floats than to read.)
  if constexpr (R == 1 && !std::is_same_v<Column, PlainColumn<T, Arch>> &&
                Column::bytes(64) >= 64) {
    return dot_row<Arch>(g.k, a, column_at, columns, g.alpha, sums);
  }
  constexpr int N = dot_columns<R, Column, T, Arch>;
  const std::int64_t passes = divide_up(g.m, R);
  constexpr std::int64_t at_once =
      Column::bytes(Column::group > 0 ? Column::group : width<T, Arch>);
  for (std::int64_t j = 0; j < columns; j += N) {
    // Past the end, the last row or column stands in; its results go nowhere.
    const auto b_columns = [&]<int... C>(std::integer_sequence<int, C...>) {
      return std::array<Column, N>{column_at(std::min(j + C, columns - 1))...};
    }
    (std::make_integer_sequence<int, N>{});
    const auto* const next = column_at(std::min(j + N, columns - 1)).data;
    // The next columns: side by side where reading is all there is to do, else one after the other,
    // a part of them in each pass over these, so that memory is never idle.
    Ahead ahead{reinterpret_cast<const char*>(next), Column::bytes(g.k), at_once};
    if (R > 1) {
      ahead.gap = at_once / passes;
      ahead.advance = N * ahead.gap;
    }
    for (std::int64_t i = 0; i < g.m; i += R) {
      const T* a_rows[R];
      for (int r = 0; r < R; ++r) {
        a_rows[r] = a + std::min(i + r, g.m - 1) * a_row;
      }
      dot_tile<R, N, Column, T, Arch>(g.k, a_rows, b_columns, ahead, g.alpha,
                                      sums + i * sum_row + j, sum_row);
      ahead.data += N * Column::bytes(g.k) / passes;
    }
  }
}

/// Rows of B that add_steps takes at once for R rows of A.
template <int R, class T, class Arch>
inline constexpr int steps_at_once = GemmTile<T, Arch>::registers >= 32 ? (R == 1 ? 8 : 4)
                                                                        : (R <= 2 ? 4 : 2);

/// sums (R, columns) += a b for K steps. a: K steps of R elements. Asks for the K rows of B after
/// these.
template <int R, int K, class T, class Arch>
[[gnu::flatten]] void add_steps(const T* a, const T* b, std::int64_t b_row, std::int64_t columns,
                                T* sums, std::int64_t sum_row) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  B a_now[K * R];
  unroll<K * R>([&](int i) { a_now[i] = B(a[i]); });
  const auto add = [&](std::int64_t j, auto&& load_at) {
    B b_now[K];
    unroll<K>([&](int s) { b_now[s] = load_at(b + s * b_row + j); });
    unroll<R>([&](int r) {
      T* const at = sums + r * sum_row + j;
      B sum = load<T, Arch>(at);
      unroll<K>([&](int s) { sum = simd::fma(a_now[s * R + r], b_now[s], sum); });
      sum.store_unaligned(at);
    });
  };
  std::int64_t j = 0;
  for (; j + W <= columns; j += W) {
    if constexpr (R > 2) {
      unroll<K>([&](int s) { prefetch<Into::l2>(b + (K + s) * b_row + j); });
    }
    add(j, [](const T* p) { return load<T, Arch>(p); });
  }
  if (j < columns) {
    add(j, [&](const T* p) { return load_first<T, Arch>(p, columns - j); });
  }
}

/// sums (R, V vectors) += a b for `steps` steps; each sum is made in add_steps' order. Asks for the
/// V vectors of B that lie `ahead` elements further on.
template <int R, int V, class T, class Arch>
[[gnu::flatten]] void add_tile(std::int64_t steps, const T* a, const T* b, std::int64_t b_row,
                               std::int64_t ahead, T* sums, std::int64_t sum_row) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  B sum[R * V];
  unroll<R * V>([&](int i) { sum[i] = load<T, Arch>(sums + i / V * sum_row + i % V * W); });
  for (std::int64_t step = 0; step < steps; ++step, a += R, b += b_row) {
    B b_now[V];
    unroll<V>([&](int v) { prefetch(b + ahead + v * W); });
    unroll<V>([&](int v) { b_now[v] = load<T, Arch>(b + v * W); });
    unroll<R>([&](int r) {
      const B a_now(a[r]);
      unroll<V>([&](int v) { sum[r * V + v] = simd::fma(a_now, b_now[v], sum[r * V + v]); });
    });
  }
  unroll<R * V>([&](int i) { sum[i].store_unaligned(sums + i / V * sum_row + i % V * W); });
}

/// sums (m, columns) += A B for columns that are a multiple of V vectors. a: strips of R rows.
template <int R, int V, class T, class Arch>
void add_tiles(const Gemm<T>& g, const T* a, const T* b, std::int64_t columns, T* sums,
               std::int64_t sum_row) {
  constexpr std::int64_t most = 64;  // steps, whose part of B all strips find in the caches
  constexpr std::int64_t wide = V * width<T, Arch>;
  for (std::int64_t step = 0; step < g.k; step += most) {
    const std::int64_t steps = std::min(most, g.k - step);
    for (std::int64_t j = 0; j < columns; j += wide) {
      const std::int64_t ahead = j + wide < columns ? wide : most * g.b_row - j;
      for (std::int64_t i = 0; i < g.m; i += R) {
        add_tile<R, V, T, Arch>(steps, a + i * g.k + step * R, b + step * g.b_row + j, g.b_row,
                                i == 0 ? ahead : 0, sums + i * sum_row + j, sum_row);
      }
    }
  }
}

/// sums (m, columns) = A B where B's rows are contiguous. a: strips of R rows.
template <int R, class T, class Arch>
void multiply_rows(const Gemm<T>& g, const T* a, const T* b, std::int64_t columns, T* sums,
                   std::int64_t sum_row) {
  constexpr int K = steps_at_once<R, T, Arch>;
  const std::int64_t rows = round_up(g.m, R);
  std::fill_n(sums, rows * sum_row, T{});
  std::int64_t done = 0;
  if constexpr (R > 4) {
    constexpr int V = GemmTile<T, Arch>::registers >= 32 ? 3 : 1;
    done = columns / (V * width<T, Arch>)*(V * width<T, Arch>);
    add_tiles<R, V, T, Arch>(g, a, b, done, sums, sum_row);
  }
  const auto add = [&]<int Steps>(std::integral_constant<int, Steps>, std::int64_t step) {
    for (std::int64_t i = 0; i < rows; i += R) {
      add_steps<R, Steps, T, Arch>(a + i * g.k + step * R, b + step * g.b_row + done, g.b_row,
                                   columns - done, sums + i * sum_row + done, sum_row);
    }
    return Steps;
  };
  for (std::int64_t step = 0; step < g.k && done < columns;) {
    step += step + K <= g.k && !has_short_rows(g) ? add(std::integral_constant<int, K>{}, step)
            : step + 2 <= g.k                     ? add(std::integral_constant<int, 2>{}, step)
                                                  : add(std::integral_constant<int, 1>{}, step);
  }
}

/// sums (m, columns) = alpha A B for columns of integers from `first` on, where A may be rounded to
/// such too.
template <WeightFormat Format, class Arch>
void multiply_int8(const Gemm<float>& g, std::int64_t first, std::int64_t columns, float* sums,
                   std::int64_t sum_row, const GemmBlockKey& key) {
  using Int8 = GemmInt8<Format, Arch>;
  GemmWorkspace<float, Arch>& workspace = GemmWorkspace<float, Arch>::local();
  const std::int64_t size = Int8::packed_size(g.k);
  float* const packed = workspace.a.reserve(g.m * size);
  if (workspace.a_key != key) {
    workspace.a_key = key;
    workspace.a_first = workspace.a_last = 0;
    for (std::int64_t i = 0; i < g.m; ++i) {
      Int8::pack(g.a + i * g.a_row, g.a_col, g.k, packed + i * size);
    }
  }
  const auto by_rows = [&]<int R>(std::integral_constant<int, R>) {
    for (std::int64_t i = 0; i < g.m; i += R) {
      const float* rows[R];
      for (int r = 0; r < R; ++r) {
        rows[r] = packed + std::min(i + r, g.m - 1) * size;
      }
      Int8::template multiply<R>(g.b_packed, rows, first, columns, g.alpha, sums + i * sum_row,
                                 sum_row);
    }
  };
  g.m == 1   ? by_rows(std::integral_constant<int, 1>{})
  : g.m == 2 ? by_rows(std::integral_constant<int, 2>{})
             : by_rows(std::integral_constant<int, 4>{});
}

/// alpha A in strips of `height` rows, steps one after the other; a strip of 1 is a plain row.
template <class T, class Arch>
const T* pack_skinny_a(const Gemm<T>& g, std::int64_t height, T alpha, const GemmBlockKey& key) {
  GemmWorkspace<T, Arch>& workspace = GemmWorkspace<T, Arch>::local();
  T* const packed = workspace.a.reserve(round_up(g.m, height) * g.k);
  if (workspace.a_key == key) {  // from this thread's task before
    return packed;
  }
  workspace.a_key = key;
  workspace.a_first = workspace.a_last = 0;
  T* to = packed;
  for (std::int64_t strip = 0; strip < g.m; strip += height) {
    for (std::int64_t step = 0; step < g.k; ++step) {
      for (std::int64_t i = strip; i < strip + height; ++i) {
        *to++ = i < g.m ? alpha * g.a[i * g.a_row + step * g.a_col] : T{};
      }
    }
  }
  return packed;
}

}  // namespace detail

/// Whether a product should go through multiply_skinny.
template <class T, class Arch>
bool is_skinny(const Gemm<T>& g) {
  const bool columns_contiguous = g.b_row == 1 && g.k >= 2 * width<T, Arch>;
  if (detail::is_packed(g) && g.b_packed.format == WeightFormat::f32) {
    return false;  // its panels are multiplied as they are
  }
  return g.m <= detail::skinny_rows && g.k > 0 &&
         (detail::is_packed(g) || columns_contiguous || g.b_col == 1);
}

/// The columns [first, last) of a product; `key` names the product and its matrix.
template <class T, class Arch>
void multiply_skinny(const Gemm<T>& g, std::int64_t first, std::int64_t last,
                     const GemmBlockKey& key) {
  constexpr std::int64_t W = width<T, Arch>;
  // Whether two rows have loops of their own: no model decodes in double.
  constexpr bool has_pairs = std::is_same_v<T, float>;
  // Sums stay in half of L1.
  const std::int64_t most = std::clamp<std::int64_t>(
      cache_sizes().l1 / 2 / (g.m * static_cast<std::int64_t>(sizeof(T))) / W * W, 8 * W, 256 * W);
  for (; first < last; first += most) {
    const std::int64_t columns = std::min(most, last - first);
    const std::int64_t sum_row = detail::round_up(columns, W) + W;
    T* const sums = GemmWorkspace<T, Arch>::local().sums.reserve((g.m + 8) * sum_row);
    const auto by_columns = [&]<int R>(std::integral_constant<int, R>, const auto& column_at) {
      const bool in_place = g.a_col == 1;
      const T* const a = in_place ? g.a : detail::pack_skinny_a<T, Arch>(g, 1, T{1}, key);
      detail::multiply_columns<R, T, Arch>(g, a, in_place ? g.a_row : g.k, column_at, columns, sums,
                                           sum_row);
    };
    const auto by_any_columns = [&](const auto& column_at) {
      if (g.m == 1) {
        return by_columns(std::integral_constant<int, 1>{}, column_at);
      }
      if constexpr (has_pairs) {
        if (g.m == 2) {
          return by_columns(std::integral_constant<int, 2>{}, column_at);
        }
      }
      by_columns(std::integral_constant<int, 4>{}, column_at);
    };
    const T* const b = g.b + first * g.b_col;
    const auto by_rows = [&]<int R>(std::integral_constant<int, R>) {
      const T* const a = detail::pack_skinny_a<T, Arch>(g, R, g.alpha, key);
      detail::multiply_rows<R, T, Arch>(g, a, b, columns, sums, sum_row);
    };
    if (detail::is_packed(g)) {
      if constexpr (std::is_same_v<T, float>) {
        with_format(g.b_packed.format, [&](auto format) {
          if constexpr (compiled_with_vnni<Arch> && group_size(format()) > 0) {
            if (g.allow_int8 && GemmInt8<format(), Arch>::available()) {
              return detail::multiply_int8<format(), Arch>(g, first, columns, sums, sum_row, key);
            }
          }
          by_any_columns(
              [&](std::int64_t j) { return column_of<Arch, format()>(g.b_packed, first + j); });
        });
      }
    } else if (g.b_row == 1 && g.k >= 2 * W) {
      by_any_columns([&](std::int64_t j) { return PlainColumn<T, Arch>{b + j * g.b_col}; });
    } else {
      if (g.m == 1) {
        by_rows(std::integral_constant<int, 1>{});
      } else if (g.m <= 4) {
        if constexpr (has_pairs) {
          if (g.m == 2) {
            by_rows(std::integral_constant<int, 2>{});
          }
        }
        if (!has_pairs || g.m > 2) {
          by_rows(std::integral_constant<int, 4>{});
        }
      } else {
        by_rows(std::integral_constant<int, 8>{});
      }
    }
    finish_block<T, Arch>(g, 0, first, g.m, columns, sums, sum_row, g.beta);
  }
}

/// Parts into which K is cut: several where threads would otherwise read small pieces of many short
/// rows of a B that comes from afar. Each part is read by one thread, as it lies in memory.
/// Independent of the number of threads.
template <class T, class Arch>
std::int64_t skinny_parts(const Gemm<T>& g) {
  constexpr std::int64_t parts = 8;
  const bool from_afar = g.k * g.n * static_cast<std::int64_t>(sizeof(T)) > cache_sizes().l2;
  return !detail::is_packed(g) && detail::has_short_rows(g) && from_afar ? parts : 1;
}

/// The whole product in parts of K, added up in their order.
template <class T, class Arch>
void multiply_skinny_in_parts(const Gemm<T>& g, std::int64_t parts, std::uint64_t product) {
  constexpr std::int64_t unit = 8;  // steps that are taken at once
  const std::int64_t steps = detail::round_up(detail::divide_up(g.k, parts), unit);
  parts = detail::divide_up(g.k, steps);
  const std::int64_t size = g.m * g.n;
  T* const sums = GemmWorkspace<T, Arch>::local().shared_b.reserve(parts * size);
  parallel_for(0, parts, detail::divide_up(parts, num_threads()),
               [&](std::int64_t lo, std::int64_t hi) {
                 for (std::int64_t part = lo; part < hi; ++part) {
                   Gemm<T> one = g;
                   one.a += part * steps * g.a_col;
                   one.b += part * steps * g.b_row;
                   one.k = std::min(steps, g.k - part * steps);
                   one.c = sums + part * size;
                   one.c_row = g.n;
                   one.beta = T{0};
                   one.bias = one.residual = nullptr;
                   one.pre_activation = nullptr;
                   one.activation = Activation::none;
                   multiply_skinny<T, Arch>(one, 0, g.n, {product, part, 0});
                 }
               });
  for (std::int64_t part = 1; part < parts; ++part) {
    transform<Arch>(
        size, [](const auto& x, const auto& y) { return x + y; }, sums, sums, sums + part * size);
  }
  finish_block<T, Arch>(g, 0, 0, g.m, g.n, sums, g.n, g.beta);
}

}  // namespace ldlm::simd
