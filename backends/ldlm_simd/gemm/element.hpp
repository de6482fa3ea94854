#pragma once
// What a packed GEMM is made of, an Element: how K is packed, and the tile that multiplies it.
// Packed elements are as large as a T, and K is counted in them.
//
//   steps            steps of K in a packed element
//   k_unit           packed K is padded with zeros to a multiple of this
//   rows             of a full tile; tile_rows(left) of the one that takes on `left` rows
//   pack_a, pack_b   strips of rows of A, of columns of B
//   multiply(...)    one tile: c = alpha a b (+ c), stored as a TileStore says
//   Session          lives while a thread calls multiply

#include <cstdint>

#include <ldlm_simd/gemm/pack.hpp>

namespace ldlm::simd {

/// Single elements, multiplied in vector registers.
template <class T, class Arch>
struct GemmSingles {
  static constexpr std::int64_t steps = 1;
  static constexpr std::int64_t k_unit = 1;
  static constexpr std::int64_t rows = GemmTile<T, Arch>::rows;
  struct Session {};

  /// Full, or else a power of two.
  static constexpr std::int64_t tile_rows(std::int64_t left) {
    const bool halves = rows > 8 && (left <= 8 || (left > rows && left <= 16));
    return left <= 2 && has_special_loops<T> ? 2 : left <= 4 ? 4 : halves ? 8 : rows;
  }
  static void pack_a(const GemmStrips<T>& s, std::int64_t height, T* out) {
    pack_strips<T, Arch>(s, height, out);
  }
  static void pack_b(const GemmStrips<T>& s, std::int64_t lanes, T* out) {
    pack_strips<T, Arch>(s, lanes, out);
  }
  static void multiply(std::int64_t height, std::int64_t lanes, std::int64_t k, const T* a,
                       const GemmPanel<T>& b, T alpha, T* c, std::int64_t c_row, TileStore store) {
    [[maybe_unused]] constexpr std::int64_t W = width<T, Arch>;
    constexpr int V = GemmTile<T, Arch>::vectors;
    if constexpr (has_special_loops<T>) {
      if (lanes == W) {  // the last panel, which seldom has anything to prefetch
        return multiply_height<1, false>(height, k, a, b, alpha, c, c_row, store);
      }
      if (b.next != nullptr || height < rows) {
        return multiply_height<V, true>(height, k, a, b, alpha, c, c_row, store);
      }
      if (store == TileStore::stream) {
        return detail::multiply_tile<static_cast<int>(rows), V, false, true, T, Arch>(
            k, a, b, alpha, c, c_row, store);
      }
      return detail::multiply_tile<static_cast<int>(rows), V, false, false, T, Arch>(
          k, a, b, alpha, c, c_row, store);
    }
    multiply_height<V, false>(height, k, a, b, alpha, c, c_row, store);
  }

 private:
  template <int V, bool Prefetches>
  static void multiply_height(std::int64_t height, std::int64_t k, const T* a,
                              const GemmPanel<T>& b, T alpha, T* c, std::int64_t c_row,
                              TileStore store) {
    constexpr int full = static_cast<int>(rows);
    constexpr int half = full > 8 ? 8 : full;
    constexpr int least = has_special_loops<T> ? 2 : 4;
    (height == least ? detail::multiply_tile<least, V, Prefetches, false, T, Arch>
     : height == 4   ? detail::multiply_tile<4, V, Prefetches, false, T, Arch>
     : height == 8   ? detail::multiply_tile<half, V, Prefetches, false, T, Arch>
                   : detail::multiply_tile<full, V, Prefetches, false, T, Arch>)(k, a, b, alpha, c,
                                                                                 c_row, store);
  }
};

}  // namespace ldlm::simd
