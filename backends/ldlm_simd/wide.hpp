#pragma once
// Vectors of floats as two vectors of doubles, for functions that need more digits than float has.

#include <cstddef>
#include <utility>

#include <ldlm_simd/vector.hpp>

namespace ldlm::simd {

namespace detail {

template <class Arch, std::size_t First, std::size_t... Lane>
Batch<double, Arch> widen_half(const Batch<float, Arch>& x, std::index_sequence<Lane...>) {
  using Wide = typename Batch<double, Arch>::register_type;
  const auto bits = static_cast<typename Batch<float, Arch>::register_type>(x);
  return Batch<double, Arch>(
      __builtin_convertvector(__builtin_shufflevector(bits, bits, (First + Lane)...), Wide));
}
template <class Arch, class Half, std::size_t... Lane>
Batch<float, Arch> join_halves(const Half& low, const Half& high, std::index_sequence<Lane...>) {
  return Batch<float, Arch>(__builtin_shufflevector(low, high, Lane...));
}

}  // namespace detail

/// The first and the second half of the lanes.
template <class Arch>
std::pair<Batch<double, Arch>, Batch<double, Arch>> widen(const Batch<float, Arch>& x) {
  constexpr std::size_t half = Batch<double, Arch>::size;
  constexpr auto lanes = std::make_index_sequence<half>{};
  return {detail::widen_half<Arch, 0>(x, lanes), detail::widen_half<Arch, half>(x, lanes)};
}

/// Rounded to float, side by side.
template <class Arch>
Batch<float, Arch> narrow(const Batch<double, Arch>& low, const Batch<double, Arch>& high) {
  constexpr std::size_t half = Batch<double, Arch>::size;
  using Half [[gnu::vector_size(half * sizeof(float))]] = float;
  using Wide = typename Batch<double, Arch>::register_type;
  return detail::join_halves<Arch>(__builtin_convertvector(static_cast<Wide>(low), Half),
                                   __builtin_convertvector(static_cast<Wide>(high), Half),
                                   std::make_index_sequence<2 * half>{});
}

/// f of every lane on its own, for what has no vector form.
template <class T, class Arch, class F, class... Rest>
Batch<T, Arch> per_lane(F&& f, const Batch<T, Arch>& x, const Rest&... rest) {
  constexpr std::size_t lanes = Batch<T, Arch>::size;
  alignas(64) T out[lanes];
  alignas(64) T in[1 + sizeof...(Rest)][lanes];
  std::size_t k = 0;
  (x.store_aligned(in[k++]), ..., rest.store_aligned(in[k++]));
  for (std::size_t i = 0; i < lanes; ++i) {
    if constexpr (sizeof...(Rest) == 0) {
      out[i] = f(in[0][i]);
    } else {
      out[i] = f(in[0][i], in[1][i]);
    }
  }
  return Batch<T, Arch>::load_aligned(out);
}

}  // namespace ldlm::simd
