#pragma once
// Vectors of xsimd, 8.1 to 14, and the only place that tells one of its versions from another.
// Kernels call simd::max, min, negative and differs, never xsimd's own or `-x`: what those make of
// NaN and of zeros changes with the version and the instruction set.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own intrinsics leave registers undefined on purpose and are then warned about.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <xsimd/xsimd.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

static_assert(XSIMD_VERSION_MAJOR * 100 + XSIMD_VERSION_MINOR >= 801, "xsimd 8.1 or newer");

namespace ldlm::simd {

template <class T, class Arch>
using Batch = xsimd::batch<T, Arch>;

/// Elements per vector.
template <class T, class Arch>
inline constexpr std::int64_t width = static_cast<std::int64_t>(Batch<T, Arch>::size);

using Avx2 = xsimd::fma3<xsimd::avx2>;
using Avx512 = xsimd::avx512bw;

namespace detail {
#if XSIMD_VERSION_MAJOR >= 10
using AvxVnni = xsimd::avxvnni;  // it lacks FMA until xsimd 14, though every such processor has it
#else
using AvxVnni = Avx2;
#endif
template <class Arch>
inline constexpr bool is_avx2 = std::is_base_of_v<Avx2, Arch> || std::is_base_of_v<AvxVnni, Arch>;
}  // namespace detail

/// What this unit is compiled for. Newer versions of xsimd know more sets for the same flags, of
/// which the kernels use nothing.
using NativeArch = std::conditional_t<
    std::is_base_of_v<Avx512, xsimd::default_arch>, Avx512,
    std::conditional_t<detail::is_avx2<xsimd::default_arch>, Avx2, xsimd::default_arch>>;

namespace detail {
// The processor's own instructions, whose operands have an order.
#ifdef __SSE2__
[[gnu::always_inline]] inline __m128 larger(__m128 a, __m128 b) {
  return _mm_max_ps(a, b);
}
[[gnu::always_inline]] inline __m128d larger(__m128d a, __m128d b) {
  return _mm_max_pd(a, b);
}
[[gnu::always_inline]] inline __m128 smaller(__m128 a, __m128 b) {
  return _mm_min_ps(a, b);
}
[[gnu::always_inline]] inline __m128d smaller(__m128d a, __m128d b) {
  return _mm_min_pd(a, b);
}
#endif
#ifdef __AVX__
[[gnu::always_inline]] inline __m256 larger(__m256 a, __m256 b) {
  return _mm256_max_ps(a, b);
}
[[gnu::always_inline]] inline __m256d larger(__m256d a, __m256d b) {
  return _mm256_max_pd(a, b);
}
[[gnu::always_inline]] inline __m256 smaller(__m256 a, __m256 b) {
  return _mm256_min_ps(a, b);
}
[[gnu::always_inline]] inline __m256d smaller(__m256d a, __m256d b) {
  return _mm256_min_pd(a, b);
}
#endif
#ifdef __AVX512F__
[[gnu::always_inline]] inline __m512 larger(__m512 a, __m512 b) {
  return _mm512_max_ps(a, b);
}
[[gnu::always_inline]] inline __m512d larger(__m512d a, __m512d b) {
  return _mm512_max_pd(a, b);
}
[[gnu::always_inline]] inline __m512 smaller(__m512 a, __m512 b) {
  return _mm512_min_ps(a, b);
}
[[gnu::always_inline]] inline __m512d smaller(__m512d a, __m512d b) {
  return _mm512_min_pd(a, b);
}
#endif

template <class T, class Arch>
[[gnu::always_inline]] inline auto bits_of(const Batch<T, Arch>& x) {
  return static_cast<typename Batch<T, Arch>::register_type>(x);
}
}  // namespace detail

/// a > b ? a : b in each lane, so b where one of them is NaN and where both are zeros.
template <class T, class Arch>
[[gnu::always_inline]] inline Batch<T, Arch> max(const Batch<T, Arch>& a, const Batch<T, Arch>& b) {
  if constexpr (requires { detail::larger(detail::bits_of(a), detail::bits_of(b)); }) {
    return detail::larger(detail::bits_of(a), detail::bits_of(b));
  } else {
    return xsimd::select(a > b, a, b);
  }
}

/// a < b ? a : b in each lane, likewise.
template <class T, class Arch>
[[gnu::always_inline]] inline Batch<T, Arch> min(const Batch<T, Arch>& a, const Batch<T, Arch>& b) {
  if constexpr (requires { detail::smaller(detail::bits_of(a), detail::bits_of(b)); }) {
    return detail::smaller(detail::bits_of(a), detail::bits_of(b));
  } else {
    return xsimd::select(a < b, a, b);
  }
}

/// -x. (xsimd's AVX-512 takes x from 0, so that -0 never comes of it.)
template <class T, class Arch>
[[gnu::always_inline]] inline Batch<T, Arch> negative(const Batch<T, Arch>& x) {
  static_assert(std::is_floating_point_v<T>);
  return x ^ Batch<T, Arch>(-T{0});
}

/// Whether a lane of a is another number than b's, or NaN. (a != b of xsimd 8's AVX says that NaN
/// is no other number.)
template <class T, class Arch>
bool any_differs(const Batch<T, Arch>& a, const Batch<T, Arch>& b) {
  return !xsimd::all(a == b);
}

/// The logarithm of xsimd, which is wrong for subnormal doubles; its bits are those that random
/// numbers are made of. (xsimd 8's for AVX-512 BW does not compile without optimisation.)
template <class T, class Arch>
[[gnu::always_inline]] inline Batch<T, Arch> log_of_normal(const Batch<T, Arch>& x) {
#if XSIMD_VERSION_MAJOR < 9
  if constexpr (std::is_base_of_v<xsimd::avx512bw, Arch>) {
    const Batch<T, xsimd::avx512dq> same(detail::bits_of(x));
    return detail::bits_of(xsimd::log(same));
  } else
#endif
  {
    return xsimd::log(x);
  }
}

}  // namespace ldlm::simd
