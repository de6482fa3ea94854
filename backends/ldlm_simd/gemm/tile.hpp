#pragma once
// The register tile: the innermost loop of every matrix product.
//
// A tile of R rows and V vectors of C stays in registers while k runs. Each step loads V vectors of
// B, broadcasts R elements of A, and makes R V multiply-adds; so a processor that does two loads
// and two multiply-adds per cycle needs R V >= R + V, and the latency of some 4 cycles needs
// R V >= 8 independent sums. Both are met by far; what decides is the number of registers: R V
// sums, V vectors of B and one broadcast must fit. 32 registers give 14 x 2 (of 16 floats: 448
// multiply-adds for 1920 bytes read), 16 give 6 x 2. Two vectors, not three, leave less to waste
// at the right edge and make B panels of one or two cache lines.

#include <cstdint>
#include <limits>
#include <type_traits>

#include <ldlm_simd/fma.hpp>
#include <ldlm_simd/gemm/plan.hpp>
#include <ldlm_simd/unroll.hpp>

namespace ldlm::simd {

template <class T, class Arch>
struct GemmTile {
#if defined(__aarch64__)
  static constexpr int registers = 32;
#else
  static constexpr int registers = std::is_base_of_v<xsimd::avx512f, Arch> ? 32 : 16;
#endif
  static constexpr int vectors = 2;
  static constexpr int rows = (registers - vectors - 1) / vectors / 2 * 2;
  static constexpr std::int64_t columns = vectors * width<T, Arch>;
  /// The narrowest panel: the last one may have a single vector.
  static constexpr std::int64_t least_columns = has_special_loops<T> ? width<T, Arch> : columns;
};

/// A part of B as the register tile reads it.
template <class T>
struct GemmPanel {
  const T* data;
  std::int64_t step;  // elements from one step of k to the next
  // What comes from memory afterwards, or null. Four lines of it are prefetched at every so many
  // pairs of steps; `next` moves by so many bytes each time, and after a tile.
  const char* next = nullptr;
  std::int64_t every = 1, advance = 0, advance_tile = 0;
};

/// What becomes of a tile's sums.
enum class TileStore : std::uint8_t {
  replace,  // c is overwritten
  add,      // c is added to
  stream,   // c is overwritten past the caches
};

namespace detail {

/// c = alpha * a b (+ c), for one tile of R rows and V vectors.
/// a: k steps of R elements; b: k steps of V vectors. Prefetches: whether what comes after the
/// panel may be prefetched, which costs a register in the loop. Streams: c is stored past the
/// caches. (A test for that at the end would have the compiler order all stores otherwise.)
template <int R, int V, bool Prefetches, bool Streams, class T, class Arch>
void multiply_tile(std::int64_t k, const T* a, const GemmPanel<T>& panel, T alpha, T* c,
                   std::int64_t c_row, TileStore store) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  B sum[R][V];
  unroll<R * V>([&](int i) { sum[i / V][i % V] = B(T{}); });
  const T* b = panel.data;
  const auto multiply_step = [&]() __attribute__((always_inline)) {
    B b_now[V];
    unroll<V>([&](int v) { b_now[v] = B::load_unaligned(b + v * W); });
    unroll<R>([&](int r) {
      const B a_now(a[r]);
      unroll<V>([&](int v) { sum[r][v] = simd::fma(a_now, b_now[v], sum[r][v]); });
    });
    a += R;
    b += panel.step;
  };
  // Two steps at a time. A, which lies in L2, is prefetched some steps before; to prefetch B too
  // takes more than it gives, but from memory.
  constexpr std::int64_t ahead = 16;
  constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
  std::int64_t step = 0;
  [[maybe_unused]] const char* next = panel.next;
  [[maybe_unused]] std::int64_t wait =
      next != nullptr ? 1 : std::numeric_limits<std::int64_t>::max();
  for (; step + 2 <= k; step += 2) {
    unroll<static_cast<int>(divide_up(2 * R, line))>(
        [&](int i) { prefetch(a + ahead * R + i * line); });
    if constexpr (Prefetches) {
      if (--wait == 0) {
        unroll<4>([&](int i) { prefetch(next + 64 * i); });
        next += panel.advance;
        wait = panel.every;
      }
    }
    unroll<2>([&](int) __attribute__((always_inline)) { multiply_step(); });
  }
  if (step < k) {
    multiply_step();
  }
  const B scale(alpha);
  const auto place = [&](auto i) { return c + (i / V) * c_row + (i % V) * W; };
  // All loads before all stores: rows are often a multiple of 4096 bytes apart, and then a
  // processor takes the next row's load for one of what was just stored.
  if (store == TileStore::add) {
    unroll<R * V>([&](int i) {
      sum[i / V][i % V] = simd::fma(scale, sum[i / V][i % V], B::load_unaligned(place(i)));
    });
  } else {
    unroll<R * V>([&](int i) { sum[i / V][i % V] = scale * sum[i / V][i % V]; });
  }
  if constexpr (Streams) {
    unroll<R * V>([&](int i) { stream<T, Arch>(place(i), sum[i / V][i % V]); });
  } else {
    unroll<R * V>([&](int i) { sum[i / V][i % V].store_unaligned(place(i)); });
  }
}

}  // namespace detail
}  // namespace ldlm::simd
