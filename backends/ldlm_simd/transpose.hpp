#pragma once
// Squares of W vectors of W elements in registers: their transpose, and the sums of their rows.

#include <cstddef>
#include <utility>

#include <ldlm_simd/vector.hpp>

namespace ldlm::simd {

namespace detail {

/// What becomes of row r (Upper = false) or row r + D (Upper = true) when the two exchange blocks
/// of D columns: the lower row keeps the columns whose bit D is 0, the upper one the others.
template <std::size_t D, bool Upper, class B, std::size_t... Column>
B exchange_blocks(const B& lower, const B& upper, std::index_sequence<Column...>) {
  using Register = typename B::register_type;
  constexpr std::size_t W = sizeof...(Column);
  return B(__builtin_shufflevector(
      static_cast<Register>(lower), static_cast<Register>(upper),
      ((Column & D) != 0 ? W + Column - (Upper ? 0 : D) : Column + (Upper ? D : 0))...));
}

template <std::size_t D, class T, class Arch>
[[gnu::always_inline]] inline void transpose_step(Batch<T, Arch>* rows) {
  using B = Batch<T, Arch>;
  const auto exchange_rows = [](B& lower, B& upper) {
    constexpr auto columns = std::make_index_sequence<B::size>{};
    const B first = exchange_blocks<D, false>(lower, upper, columns);
    upper = exchange_blocks<D, true>(lower, upper, columns);
    lower = first;
  };
  [&]<std::size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
    // Row number I of those whose bit D is 0, and its partner.
    (exchange_rows(rows[I / D * 2 * D + I % D], rows[I / D * 2 * D + I % D + D]), ...);
  }
  (std::make_index_sequence<B::size / 2>{});
}

}  // namespace detail

/// Transposes rows[0 .. W-1] in place, exchanging blocks of 1, 2, 4, ... (Eklundh's scheme).
template <class T, class Arch>
[[gnu::always_inline]] inline void transpose(Batch<T, Arch>* rows) {
  constexpr std::size_t W = Batch<T, Arch>::size;
  if constexpr (W > 1) {
    detail::transpose_step<1, T, Arch>(rows);
  }
  if constexpr (W > 2) {
    detail::transpose_step<2, T, Arch>(rows);
  }
  if constexpr (W > 4) {
    detail::transpose_step<4, T, Arch>(rows);
  }
  if constexpr (W > 8) {
    detail::transpose_step<8, T, Arch>(rows);
  }
}

namespace detail {

/// transpose_block of a square of rows x columns, at most W of each, through registers.
template <class T, class Arch>
[[gnu::always_inline]] inline void transpose_square(const T* from, std::int64_t from_step, T* to,
                                                    std::int64_t to_step, std::int64_t rows,
                                                    std::int64_t columns) {
  constexpr std::int64_t W = width<T, Arch>;
  Batch<T, Arch> square[W];
  for (std::int64_t i = 0; i < W; ++i) {
    square[i] = i >= rows      ? Batch<T, Arch>(T{0})
                : columns == W ? load<T, Arch>(from + i * from_step)
                               : load_first<T, Arch>(from + i * from_step, columns);
  }
  simd::transpose<T, Arch>(square);
  for (std::int64_t j = 0; j < columns; ++j) {
    rows == W ? square[j].store_unaligned(to + j * to_step)
              : store_first<T, Arch>(to + j * to_step, square[j], rows);
  }
}

}  // namespace detail

/// to[j * to_step + i] = from[i * from_step + j] for i < rows, j < columns: squares, and what fills
/// most of one, go through registers, what is left element by element.
template <class T, class Arch>
void transpose_block(const T* from, std::int64_t from_step, T* to, std::int64_t to_step,
                     std::int64_t rows, std::int64_t columns) {
  std::int64_t done_rows = 0, done_columns = 0;
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    constexpr std::int64_t W = width<T, Arch>;
    const auto covered = [](std::int64_t n) { return n % W >= W / 2 ? n : n / W * W; };
    done_rows = covered(rows);
    done_columns = covered(columns);
    for (std::int64_t i = 0; i < done_rows; i += W) {
      for (std::int64_t j = 0; j < done_columns; j += W) {
        const std::int64_t r = std::min(W, rows - i), c = std::min(W, columns - j);
        const T* const source = from + i * from_step + j;
        T* const target = to + j * to_step + i;
        if (r == W && c == W) {
          detail::transpose_square<T, Arch>(source, from_step, target, to_step, W, W);
        } else {
          detail::transpose_square<T, Arch>(source, from_step, target, to_step, r, c);
        }
      }
    }
  }
  // Inside goes what follows each other on the side whose rows lie further apart: that is memory,
  // the other one a buffer.
  const auto rest = [&](std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) {
    if (from_step > to_step) {
      for (std::int64_t i = i0; i < i1; ++i) {
        for (std::int64_t j = j0; j < j1; ++j) {
          to[j * to_step + i] = from[i * from_step + j];
        }
      }
    } else {
      for (std::int64_t j = j0; j < j1; ++j) {
        for (std::int64_t i = i0; i < i1; ++i) {
          to[j * to_step + i] = from[i * from_step + j];
        }
      }
    }
  };
  rest(0, done_rows, done_columns, columns);
  rest(done_rows, rows, 0, columns);
}

namespace detail {
/// The sums of rows[0 .. W/D-1], a row's in the lanes whose bits from D on are its number.
template <std::size_t D, class T, class Arch>
[[gnu::always_inline]] inline Batch<T, Arch> join_sums(const Batch<T, Arch>* rows) {
  using B = Batch<T, Arch>;
  if constexpr (D == B::size) {
    return rows[0];
  } else {
    constexpr auto columns = std::make_index_sequence<B::size>{};
    B half[B::size / D / 2];
    [&]<std::size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
      ((half[I] = exchange_blocks<D, false>(rows[2 * I], rows[2 * I + 1], columns) +
                  exchange_blocks<D, true>(rows[2 * I], rows[2 * I + 1], columns)),
       ...);
    }
    (std::make_index_sequence<B::size / D / 2>{});
    return join_sums<2 * D, T, Arch>(half);
  }
}
}  // namespace detail

/// Lane i of the result is the sum of the elements of rows[i], for W rows.
template <class T, class Arch>
[[gnu::always_inline]] inline Batch<T, Arch> sum_rows(const Batch<T, Arch>* rows) {
  return detail::join_sums<1, T, Arch>(rows);
}

}  // namespace ldlm::simd
