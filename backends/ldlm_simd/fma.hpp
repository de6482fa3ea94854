#pragma once
// Fused multiply-add of batches. xsimd 8's AVX-512 multiplies, rounds and adds, and leaves it to
// the compiler to make one instruction of it; half the speed of a GEMM must not hang on that.

#include <type_traits>

#include <ldlm_simd/vector.hpp>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace ldlm::simd {

namespace detail {
template <class T, class Arch>
inline constexpr bool is_avx512 = std::is_base_of_v<xsimd::avx512f, Arch> &&
                                  (std::is_same_v<T, float> || std::is_same_v<T, double>);
}

/// x y + z, with one rounding where the processor has the instruction.
template <class T, class Arch>
Batch<T, Arch> fma(const Batch<T, Arch>& x, const Batch<T, Arch>& y, const Batch<T, Arch>& z) {
#if defined(__x86_64__) || defined(__i386__)
  if constexpr (detail::is_avx512<T, Arch>) {
    if constexpr (std::is_same_v<T, float>) {
      return _mm512_fmadd_ps(x, y, z);
    } else {
      return _mm512_fmadd_pd(x, y, z);
    }
  }
#endif
  if constexpr (!detail::is_avx512<T, Arch>) {
    return xsimd::fma(x, y, z);
  }
}

/// z - x y, likewise.
template <class T, class Arch>
Batch<T, Arch> fnma(const Batch<T, Arch>& x, const Batch<T, Arch>& y, const Batch<T, Arch>& z) {
#if defined(__x86_64__) || defined(__i386__)
  if constexpr (detail::is_avx512<T, Arch>) {
    if constexpr (std::is_same_v<T, float>) {
      return _mm512_fnmadd_ps(x, y, z);
    } else {
      return _mm512_fnmadd_pd(x, y, z);
    }
  }
#endif
  if constexpr (!detail::is_avx512<T, Arch>) {
    return xsimd::fnma(x, y, z);
  }
}

}  // namespace ldlm::simd
