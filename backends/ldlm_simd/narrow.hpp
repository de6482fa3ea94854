#pragma once
// Elements of 16, 8 and 4 bits as vectors of floats. xsimd has no such types, so that the
// conversions are the processor's own instructions where we have them.

#include <cstdint>

#include <ldlm/core/weight_format.hpp>
#include <ldlm_simd/vector.hpp>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace ldlm::simd {

namespace detail {
template <class Arch>
inline constexpr bool narrow_avx512 = std::is_base_of_v<xsimd::avx512bw, Arch>;
template <class Arch>
inline constexpr bool narrow_avx2 = std::is_base_of_v<xsimd::avx2, Arch> && !narrow_avx512<Arch>;

/// f(0), ..., f(W - 1) as a vector.
template <class Arch, class F>
Batch<float, Arch> collect(F&& f) {
  alignas(64) float values[Batch<float, Arch>::size];
  for (std::size_t i = 0; i < Batch<float, Arch>::size; ++i) {
    values[i] = f(i);
  }
  return Batch<float, Arch>::load_aligned(values);
}
}  // namespace detail

/// W elements of bf16 from p, which need not be aligned.
template <class Arch>
[[gnu::always_inline]] inline Batch<float, Arch> load_bf16(const std::uint8_t* p) {
#ifdef __AVX512BW__
  if constexpr (detail::narrow_avx512<Arch>) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
#endif
#ifdef __AVX2__
  if constexpr (detail::narrow_avx2<Arch>) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
#endif
  return detail::collect<Arch>([p](std::size_t i) {
    bf16 value;
    std::memcpy(&value.bits, p + 2 * i, 2);
    return static_cast<float>(value);
  });
}

/// W signed bytes from p.
template <class Arch>
[[gnu::always_inline]] inline Batch<float, Arch> load_int8(const std::uint8_t* p) {
#ifdef __AVX512BW__
  if constexpr (detail::narrow_avx512<Arch>) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  }
#endif
#ifdef __AVX2__
  if constexpr (detail::narrow_avx2<Arch>) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
#endif
  return detail::collect<Arch>(
      [p](std::size_t i) { return static_cast<float>(static_cast<std::int8_t>(p[i])); });
}

/// The lower (High: upper) nibbles of W bytes from p, less 8.
template <bool High, class Arch>
[[gnu::always_inline]] inline Batch<float, Arch> load_int4(const std::uint8_t* p) {
#ifdef __AVX512BW__
  if constexpr (detail::narrow_avx512<Arch>) {
    // A permutation of the 16 values looks at the lowest four bits of each index alone.
    const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm512_permutexvar_ps(High ? _mm512_srli_epi32(wide, 4) : wide, values);
  }
#endif
#ifdef __AVX2__
  if constexpr (detail::narrow_avx2<Arch>) {
    const __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    const __m256i nibble =
        High ? _mm256_srli_epi32(wide, 4) : _mm256_and_si256(wide, _mm256_set1_epi32(15));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(nibble, _mm256_set1_epi32(8)));
  }
#endif
  return detail::collect<Arch>(
      [p](std::size_t i) { return static_cast<float>((High ? p[i] >> 4 : p[i] & 15) - 8); });
}

}  // namespace ldlm::simd
