#pragma once
// Few rows of A, and rows of B that are contiguous: some of them at a time, times elements of A,
// are added to sums that stay in the nearest cache.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/fma.hpp>
#include <ldlm_simd/gemm/plan.hpp>
#include <ldlm_simd/gemm/tile.hpp>
#include <ldlm_simd/gemm/workspace.hpp>
#include <ldlm_simd/unroll.hpp>

namespace ldlm::simd::detail {

/// Rows of B that axpy_steps takes at once for R rows of A.
template <int R, class T, class Arch>
inline constexpr int steps_at_once = GemmTile<T, Arch>::registers >= 32 ? (R == 1 ? 8 : 4)
                                                                        : (R <= 2 ? 4 : 2);

/// sums (R, columns) += a b for K steps and whole vectors of columns. a: K steps of R elements.
/// Prefetches the K rows of B after these.
template <int R, int K, class T, class Arch>
[[gnu::flatten]] void axpy_steps(const T* a, const T* b, std::int64_t b_row, std::int64_t columns,
                                 T* sums, std::int64_t sum_row) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  B a_now[K * R];
  unroll<K * R>([&](int i) { a_now[i] = B(a[i]); });
  for (std::int64_t j = 0; j + W <= columns; j += W) {
    if constexpr (R > 2) {
      unroll<K>([&](int s) { prefetch<Into::l2>(b + (K + s) * b_row + j); });
    }
    B b_now[K];
    unroll<K>([&](int s) { b_now[s] = load<T, Arch>(b + s * b_row + j); });
    unroll<R>([&](int r) {
      T* const at = sums + r * sum_row + j;
      B sum = load<T, Arch>(at);
      unroll<K>([&](int s) { sum = simd::fma(a_now[s * R + r], b_now[s], sum); });
      sum.store_unaligned(at);
    });
  }
}

/// sums (R, V vectors) += a b for `steps` steps; each sum is made in axpy_steps' order. Prefetches
/// the V vectors of B that lie `ahead` elements further on.
template <int R, int V, class T, class Arch>
[[gnu::flatten]] void axpy_tile(std::int64_t steps, const T* a, const T* b, std::int64_t b_row,
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
void axpy_tiles(const Gemm<T>& g, const T* a, const T* b, std::int64_t columns, T* sums,
                std::int64_t sum_row) {
  constexpr std::int64_t most = 64;  // steps, whose part of B all strips find in the caches
  constexpr std::int64_t wide = V * width<T, Arch>;
  for (std::int64_t step = 0; step < g.k; step += most) {
    const std::int64_t steps = std::min(most, g.k - step);
    for (std::int64_t j = 0; j < columns; j += wide) {
      const std::int64_t ahead = j + wide < columns ? wide : most * g.b_row - j;
      for (std::int64_t i = 0; i < g.m; i += R) {
        axpy_tile<R, V, T, Arch>(steps, a + i * g.k + step * R, b + step * g.b_row + j, g.b_row,
                                 i == 0 ? ahead : 0, sums + i * sum_row + j, sum_row);
      }
    }
  }
}

/// sums (m, columns) += A B for whole vectors of columns of B, whose rows are contiguous. a: strips
/// of R rows.
template <int R, class T, class Arch>
void axpy_vectors(const Gemm<T>& g, const T* a, const T* b, std::int64_t b_row,
                  std::int64_t columns, T* sums, std::int64_t sum_row) {
  constexpr int K = steps_at_once<R, T, Arch>;
  const bool short_rows =
      has_short_rows(g.m, GemmLayout::rows, b_row * static_cast<std::int64_t>(sizeof(T)));
  const auto add = [&]<int Steps>(std::integral_constant<int, Steps>, std::int64_t step) {
    for (std::int64_t i = 0; i < g.m; i += R) {
      axpy_steps<R, Steps, T, Arch>(a + i * g.k + step * R, b + step * b_row, b_row, columns,
                                    sums + i * sum_row, sum_row);
    }
    return Steps;
  };
  for (std::int64_t step = 0; step < g.k && columns > 0;) {
    if (step + K <= g.k && !short_rows) {
      step += add(std::integral_constant<int, K>{}, step);
      continue;
    }
    if constexpr (R <= 2) {
      if (step + 2 <= g.k) {
        step += add(std::integral_constant<int, 2>{}, step);
        continue;
      }
    }
    step += add(std::integral_constant<int, 1>{}, step);
  }
}

/// sums (m, columns) = A B where B's rows are contiguous. a: strips of R rows.
template <int R, class T, class Arch>
void axpy_rows(const Gemm<T>& g, const T* a, const T* b, std::int64_t columns, T* sums,
               std::int64_t sum_row) {
  constexpr std::int64_t W = width<T, Arch>;
  std::fill_n(sums, round_up(g.m, R) * sum_row, T{});
  std::int64_t done = 0;
  if constexpr (R > 4) {
    constexpr int V = GemmTile<T, Arch>::registers >= 32 ? 3 : 1;
    done = columns / (V * W) * (V * W);
    axpy_tiles<R, V, T, Arch>(g, a, b, done, sums, sum_row);
  }
  const std::int64_t whole = columns / W * W;
  axpy_vectors<R, T, Arch>(g, a, b + done, g.b_row, whole - done, sums + done, sum_row);
  if (whole < columns) {  // what is left, from whole vectors
    T* const rest = GemmWorkspace<T, Arch>::local().b.reserve(g.k * W);
    for (std::int64_t step = 0; step < g.k; ++step) {
      load_first<T, Arch>(b + step * g.b_row + whole, columns - whole)
          .store_unaligned(rest + step * W);
    }
    axpy_vectors<R, T, Arch>(g, a, rest, W, W, sums + whole, sum_row);
  }
}

}  // namespace ldlm::simd::detail
