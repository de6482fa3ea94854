#pragma once
// The words of a Philox stream, some vectors of blocks at a time; the same words as
// core/philox.hpp.
//
// Each of a block's four words is held in the lower half of a 64-bit lane, since what a round needs
// is the full product of 32-bit numbers. The upper halves hold rubbish until the end.

#include <bit>

#include <ldlm/core/philox.hpp>
#include <ldlm_simd/unroll.hpp>
#include <ldlm_simd/vector.hpp>

namespace ldlm::simd {

namespace detail {

/// Products of the lower halves of the lanes.
template <class Arch>
Batch<std::uint64_t, Arch> multiply_halves(const Batch<std::uint64_t, Arch>& a,
                                           const Batch<std::uint64_t, Arch>& b) {
#if defined(__x86_64__)
  if constexpr (std::is_base_of_v<xsimd::avx512f, Arch>) {
    return _mm512_mul_epu32(a, b);
  } else if constexpr (std::is_base_of_v<xsimd::avx2, Arch>) {
    return _mm256_mul_epu32(a, b);
  } else if constexpr (std::is_base_of_v<xsimd::sse2, Arch> &&
                       !std::is_base_of_v<xsimd::avx, Arch>) {
    return _mm_mul_epu32(a, b);
  }
#endif
  alignas(64) std::uint64_t x[Batch<std::uint64_t, Arch>::size];
  alignas(64) std::uint64_t y[Batch<std::uint64_t, Arch>::size];
  a.store_aligned(x);
  b.store_aligned(y);
  for (std::size_t i = 0; i < Batch<std::uint64_t, Arch>::size; ++i) {
    x[i] = std::uint64_t{static_cast<std::uint32_t>(x[i])} * static_cast<std::uint32_t>(y[i]);
  }
  return Batch<std::uint64_t, Arch>::load_aligned(x);
}

/// Lanes a0 b0 a1 b1 ... of the lower (Upper = false) or upper halves of two vectors.
template <bool Upper, class B, std::size_t... Lane>
B interleave(const B& a, const B& b, std::index_sequence<Lane...>) {
  constexpr std::size_t W = sizeof...(Lane);
  using Register = typename B::register_type;
  return B(__builtin_shufflevector(static_cast<Register>(a), static_cast<Register>(b),
                                   (Lane / 2 + Lane % 2 * W + (Upper ? W / 2 : 0))...));
}

}  // namespace detail

/// Blocks that philox_words makes at once.
template <int Vectors, class Arch>
inline constexpr std::int64_t philox_group = Vectors* width<std::uint64_t, Arch>;

/// The words of blocks first, first + 1, ... of a stream; `blocks` is rounded up to whole groups,
/// and `out` must have room for them.
template <int Vectors, class Arch>
void philox_words(PhiloxStream stream, std::uint64_t first, std::int64_t blocks,
                  std::uint32_t* out) {
  using B = Batch<std::uint64_t, Arch>;
  constexpr std::int64_t W = width<std::uint64_t, Arch>;
  alignas(64) std::uint64_t lane[B::size];
  for (std::size_t i = 0; i < B::size; ++i) {
    lane[i] = i;
  }
  const B multiplier0(std::uint64_t{0xD2511F53U});
  const B multiplier1(std::uint64_t{0xCD9E8D57U});
  const B low(std::uint64_t{0xffffffffU});
  for (std::int64_t done = 0; done < blocks; done += philox_group<Vectors, Arch>) {
    B c0[Vectors], c1[Vectors], c2[Vectors], c3[Vectors];
    detail::unroll<Vectors>([&](int v) {
      const std::uint64_t block = stream.offset + first + static_cast<std::uint64_t>(done + v * W);
      c0[v] = B(block) + B::load_aligned(lane);
      c1[v] = c0[v] >> 32;
      c2[v] = c3[v] = B(std::uint64_t{0});
    });
    auto key0 = static_cast<std::uint32_t>(stream.seed);
    auto key1 = static_cast<std::uint32_t>(stream.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const B k0(std::uint64_t{key0});
      const B k1(std::uint64_t{key1});
      detail::unroll<Vectors>([&](int v) {
        const B p0 = detail::multiply_halves<Arch>(c0[v], multiplier0);
        const B p1 = detail::multiply_halves<Arch>(c2[v], multiplier1);
        c0[v] = (p1 >> 32) ^ c1[v] ^ k0;
        c1[v] = p1;
        c2[v] = (p0 >> 32) ^ c3[v] ^ k1;
        c3[v] = p0;
      });
      key0 += 0x9E3779B9U;
      key1 += 0xBB67AE85U;
    }
    detail::unroll<Vectors>([&](int v) {
      constexpr auto lanes = std::make_index_sequence<B::size>{};
      const B front = (c0[v] & low) | (c1[v] << 32);  // words 0 and 1 of each block
      const B back = (c2[v] & low) | (c3[v] << 32);
      auto* const to = reinterpret_cast<std::uint64_t*>(out + 4 * (done + v * W));
      detail::interleave<false>(front, back, lanes).store_unaligned(to);
      detail::interleave<true>(front, back, lanes).store_unaligned(to + W);
    });
  }
}

/// Uniform numbers in [0, 1) from n words, in whole vectors.
template <class Arch>
void uniform_from_words(const std::uint32_t* words, std::int64_t n, float* out) {
  using Words = Batch<std::uint32_t, Arch>;
  for (std::int64_t i = 0; i < n; i += width<float, Arch>) {
    const auto top = Words::load_unaligned(words + i) >> 8;
    const auto number = xsimd::to_float(std::bit_cast<Batch<std::int32_t, Arch>>(top));
    (number * Batch<float, Arch>(0x1p-24F)).store_unaligned(out + i);
  }
}

}  // namespace ldlm::simd
