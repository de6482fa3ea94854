#pragma once
// What the forward and the backward pass of attention share: small matrix products on blocks that
// lie in cache, and the scores of one block of queries and keys.
//
// Scores are kept transposed, keys x queries. A product then broadcasts elements of keys, read in
// place, against vectors of queries, which are packed once for a block; and softmax runs along
// vectors, without any horizontal step.

#include <limits>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/gemm/tile.hpp>
#include <ldlm_simd/loops.hpp>
#include <ldlm_simd/math.hpp>
#include <ldlm_simd/philox.hpp>
#include <ldlm_simd/transpose.hpp>
#include <ldlm_simd/unroll.hpp>

namespace ldlm::simd::detail {

/// A matrix operand of any strides.
template <class T>
struct Matrix {
  T* data;
  std::int64_t row, column;  // strides
};

/// c = a b, or c += a b, for R rows and V vectors. a is read element by element; the rows of b and
/// c are contiguous.
template <int R, int V, class T, class Arch>
void block_tile(std::int64_t k, const Matrix<const T>& a, const T* b, std::int64_t b_row, T* c,
                std::int64_t c_row, bool accumulate) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  B sum[R][V];
  unroll<R * V>([&](int i) {
    sum[i / V][i % V] = accumulate ? B::load_unaligned(c + (i / V) * c_row + (i % V) * W) : B(T{});
  });
  for (std::int64_t step = 0; step < k; ++step) {
    B b_now[V];
    unroll<V>([&](int v) { b_now[v] = B::load_unaligned(b + step * b_row + v * W); });
    unroll<R>([&](int r) {
      const B a_now(a.data[r * a.row + step * a.column]);
      unroll<V>([&](int v) { sum[r][v] = simd::fma(a_now, b_now[v], sum[r][v]); });
    });
  }
  unroll<R * V>(
      [&](int i) { sum[i / V][i % V].store_unaligned(c + (i / V) * c_row + (i % V) * W); });
}

/// c (m x n) = a (m x k) b (k x n), or added to c; n is a multiple of the vector width.
template <class T, class Arch>
void block_product(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<const T> a, const T* b,
                   std::int64_t b_row, T* c, std::int64_t c_row, bool accumulate) {
  constexpr int rows = GemmTile<T, Arch>::registers == 32 ? 12 : 6;
  constexpr std::int64_t W = width<T, Arch>;
  const auto columns = [&]<int R>(std::integral_constant<int, R>) {
    std::int64_t j = 0;
    for (; j + 2 * W <= n; j += 2 * W) {
      block_tile<R, 2, T, Arch>(k, a, b + j, b_row, c + j, c_row, accumulate);
    }
    if (j < n) {
      block_tile<R, 1, T, Arch>(k, a, b + j, b_row, c + j, c_row, accumulate);
    }
    a.data += R * a.row;
    c += R * c_row;
    m -= R;
  };
  while (m >= rows) {
    columns(std::integral_constant<int, rows>{});
  }
  while (m >= 4) {
    columns(std::integral_constant<int, 4>{});
  }
  while (m > 0) {
    columns(std::integral_constant<int, 1>{});
  }
}

/// The sizes of one call, and how it is cut into blocks: by its shapes alone.
template <class T, class Arch>
struct AttentionBlocks {
  static constexpr std::int64_t W = width<T, Arch>;
  static constexpr std::int64_t max_keys = 64;
  static constexpr std::int64_t max_queries = 64;

  std::int64_t B, H, Tq, Tk, D;
  std::int64_t Dp;       // D rounded up to whole vectors
  std::int64_t queries;  // of a block, a multiple of W
  std::int64_t query_blocks;
  std::int64_t keys;  // of a block

  explicit AttentionBlocks(const Attention<T>& args)
      : B(args.q.size(0)),
        H(args.q.size(1)),
        Tq(args.q.size(2)),
        Tk(args.k.size(2)),
        D(args.q.size(3)),
        Dp(round_up(D, W)) {
    query_blocks = (Tq + max_queries - 1) / max_queries;
    queries = round_up((Tq + query_blocks - 1) / std::max<std::int64_t>(1, query_blocks), W);
    keys = std::min(max_keys, std::max<std::int64_t>(1, Tk));
  }
  static std::int64_t round_up(std::int64_t n, std::int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
  }
};

/// One head of a (B, H, T, D) view: row t.
template <class T>
struct Head {
  T* data;
  std::int64_t row;

  Head(const View<T>& view, std::int64_t b, std::int64_t h)
      : data(view.data + b * view.stride(0) + h * view.stride(1)), row(view.stride(2)) {}
  [[nodiscard]] T* at(std::int64_t t) const { return data + t * row; }
};

/// Packs n rows of D elements as columns: to[d * columns + i] = factor x[i][d], zeros for i >= n.
template <class T, class Arch>
void pack_columns(const Head<const T>& x, std::int64_t first, std::int64_t n, std::int64_t D,
                  std::int64_t columns, T factor, T* to) {
  using B = Batch<T, Arch>;
  constexpr int W = static_cast<int>(B::size);
  const B by(factor);
  for (std::int64_t i = 0; i < columns; i += W) {
    for (std::int64_t d = 0; d < D; d += W) {
      const std::int64_t depth = std::min<std::int64_t>(W, D - d);
      const T* const from = x.at(first + i) + d;
      T* const target = to + d * columns + i;
      B square[B::size];
      if (depth == W && i + W <= n) {
        unroll<W>([&](int row) { square[row] = load<T, Arch>(from + row * x.row) * by; });
        transpose<T, Arch>(square);
        unroll<W>([&](int column) { square[column].store_unaligned(target + column * columns); });
        continue;
      }
      unroll<W>([&](int row) {
        square[row] = i + row < n ? load_first<T, Arch>(from + row * x.row, depth) * by : B(T{});
      });
      transpose<T, Arch>(square);
      for (std::int64_t column = 0; column < depth; ++column) {
        square[column].store_unaligned(target + column * columns);
      }
    }
  }
}

/// Rows that may be read in whole vectors: in place if D is a multiple of the width, else copied
/// into `buffer` and padded with zeros.
template <class T, class Arch>
struct PaddedRows {
  const T* data;
  std::int64_t row;

  PaddedRows(const Head<const T>& x, std::int64_t first, std::int64_t n, std::int64_t D,
             std::int64_t Dp, T* buffer)
      : data(x.at(first)), row(x.row) {
    if (D != Dp) {
      for (std::int64_t i = 0; i < n; ++i) {
        std::copy(x.at(first + i), x.at(first + i) + D, buffer + i * Dp);
        std::fill(buffer + i * Dp + D, buffer + (i + 1) * Dp, T{});
      }
      data = buffer;
      row = Dp;
    }
  }
};

/// The queries and keys of one block.
struct BlockRange {
  std::int64_t b, h;
  std::int64_t query, queries;  // first, and how many there are
  std::int64_t key, keys;
};

/// Whether the causal mask hides all of a block from all its queries.
template <class T>
bool is_hidden(const Attention<T>& args, const BlockRange& r) {
  return args.causal && r.key > r.query + r.queries - 1 + args.k.size(2) - args.q.size(2);
}

/// scores (keys x queries) = k q + mask; -infinity where causality hides a key. q: packed columns,
/// times the scale.
template <class T, class Arch>
void block_scores(const Attention<T>& args, const AttentionBlocks<T, Arch>& blocks,
                  const BlockRange& r, const T* q, T* scores) {
  using B = Batch<T, Arch>;
  const std::int64_t columns = blocks.queries;
  const Head<const T> k(args.k, r.b, r.h);
  block_product<T, Arch>(r.keys, columns, blocks.D, {k.at(r.key), k.row, 1}, q, columns, scores,
                         columns, false);
  const T* mask = nullptr;
  if (!args.mask.empty()) {
    mask = Head<const T>(args.mask, r.b, r.h).at(r.query) + r.key * args.mask.stride(3);
  }
  alignas(64) T added[AttentionBlocks<T, Arch>::max_queries] = {};
  for (std::int64_t j = 0; j < r.keys; ++j) {
    T* const row = scores + j * columns;
    if (mask != nullptr && args.mask.stride(2) == 0) {
      transform<Arch>(
          columns, [m = B(mask[j * args.mask.stride(3)])](const B& s) { return s + m; }, row,
          static_cast<const T*>(row));
    } else if (mask != nullptr) {
      pack<T, Arch>(mask + j * args.mask.stride(3), args.mask.stride(2), added, r.queries);
      transform<Arch>(
          columns, [](const B& s, const B& m) { return s + m; }, row, static_cast<const T*>(row),
          static_cast<const T*>(added));
    }
    if (args.causal) {
      // Query i sees key j if j <= i + (Tk - Tq).
      const std::int64_t hidden = r.key + j - (blocks.Tk - blocks.Tq) - r.query;
      std::fill(row, row + std::clamp<std::int64_t>(hidden, 0, columns),
                -std::numeric_limits<T>::infinity());
    }
  }
}

/// factors (keys x queries) = 0 where dropout drops an element, else 1 / (1 - p).
template <class T, class Arch>
void block_dropout(const Attention<T>& args, const AttentionBlocks<T, Arch>& blocks,
                   const BlockRange& r, T* factors) {
  // The run may start within a block of four; philox_words and vectors round its end up.
  constexpr std::int64_t room = AttentionBlocks<T, Arch>::max_keys + 4 + 64;
  alignas(64) std::uint32_t words[room];
  alignas(64) float u[room];
  const T keep = 1 / (1 - args.dropout);
  std::fill(factors, factors + r.keys * blocks.queries, T{0});
  for (std::int64_t i = 0; i < r.queries; ++i) {
    const std::int64_t first =
        ((r.b * blocks.H + r.h) * blocks.Tq + r.query + i) * blocks.Tk + r.key;
    const std::int64_t n = first % 4 + r.keys;
    philox_words<1, Arch>(args.stream, static_cast<std::uint64_t>(first / 4), (n + 3) / 4, words);
    uniform_from_words<Arch>(words, n, u);
    for (std::int64_t j = 0; j < r.keys; ++j) {
      const T number = static_cast<T>(u[first % 4 + j]);
      factors[j * blocks.queries + i] = number >= args.dropout ? keep : T{0};
    }
  }
}

}  // namespace ldlm::simd::detail
