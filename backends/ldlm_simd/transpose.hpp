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
