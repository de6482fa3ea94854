#pragma once
// Vector helpers that every kernel uses: partial loads and stores, loops over contiguous arrays,
// scratch memory. Everything is templated on Arch, so that units with different flags never share
// code.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include <ldlm/core/view.hpp>
#include <ldlm_simd/batch.hpp>

namespace ldlm::simd {

/// Whether T has loops for special cases (products of few rows, results larger than the caches).
/// Models compute in float; double is what gradients are checked in, and each such loop takes the
/// compiler as long as float's.
template <class T>
inline constexpr bool has_special_loops = std::is_same_v<T, float>;

enum class Into : std::uint8_t { l1, l2, l1_to_write };

/// Prefetches the cache line at p, which any address may be. g++ takes a function that does nothing
/// else for one without effect, and drops calls of it; the empty statement prevents that.
template <Into cache = Into::l1>
[[gnu::always_inline]] inline void prefetch(const void* p) {
  __builtin_prefetch(p, cache == Into::l1_to_write, cache == Into::l2 ? 2 : 3);
  asm volatile("");
}

template <class T, class Arch>
Batch<T, Arch> load(const T* p) {
  return Batch<T, Arch>::load_unaligned(p);
}

namespace detail {
/// Vectors with masked loads and stores of single elements: those of AVX-512, and of AVX2.
template <class T, class Arch>
inline constexpr bool has_masks = std::is_base_of_v<xsimd::avx512f, Arch> &&
                                  (std::is_same_v<T, float> || std::is_same_v<T, double>);
template <class T, class Arch>
inline constexpr bool has_vector_masks =
    std::is_base_of_v<xsimd::avx2, Arch> && !std::is_base_of_v<xsimd::avx512f, Arch> &&
    (std::is_same_v<T, float> || std::is_same_v<T, double>);

#ifdef __AVX2__
/// All bits of the first n lanes of T.
template <class T, class Arch>
[[gnu::always_inline]] inline __m256i first_lanes(std::int64_t n) {
  if constexpr (sizeof(T) == 4) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  } else {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
  }
}
#endif
}  // namespace detail

/// The first n <= width elements from p, the others `rest`.
template <class T, class Arch>
Batch<T, Arch> load_first(const T* p, std::int64_t n, T rest) {
#ifdef __AVX512F__
  if constexpr (detail::has_masks<T, Arch>) {
    const auto mask = (1U << n) - 1U;
    const Batch<T, Arch> others(rest);
    if constexpr (std::is_same_v<T, float>) {
      return _mm512_mask_loadu_ps(others, static_cast<__mmask16>(mask), p);
    } else {
      return _mm512_mask_loadu_pd(others, static_cast<__mmask8>(mask), p);
    }
  }
#endif
#ifdef __AVX2__
  if constexpr (detail::has_vector_masks<T, Arch>) {
    const __m256i mask = detail::first_lanes<T, Arch>(n);
    const Batch<T, Arch> others(rest);
    if constexpr (std::is_same_v<T, float>) {
      return _mm256_blendv_ps(others, _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
    } else {
      return _mm256_blendv_pd(others, _mm256_maskload_pd(p, mask), _mm256_castsi256_pd(mask));
    }
  }
#endif
  alignas(64) T buffer[Batch<T, Arch>::size];
  for (T& element : buffer) {
    element = rest;
  }
  std::memcpy(buffer, p, static_cast<std::size_t>(n) * sizeof(T));
  return Batch<T, Arch>::load_aligned(buffer);
}
/// The same with zeros.
template <class T, class Arch>
Batch<T, Arch> load_first(const T* p, std::int64_t n) {
#ifdef __AVX2__
  if constexpr (detail::has_vector_masks<T, Arch>) {
    const __m256i mask = detail::first_lanes<T, Arch>(n);
    if constexpr (std::is_same_v<T, float>) {
      return _mm256_maskload_ps(p, mask);
    } else {
      return _mm256_maskload_pd(p, mask);
    }
  }
#endif
  return load_first<T, Arch>(p, n, T{});
}

/// Stores the first n <= width elements to p.
template <class T, class Arch>
void store_first(T* p, const Batch<T, Arch>& v, std::int64_t n) {
#ifdef __AVX512F__
  if constexpr (detail::has_masks<T, Arch>) {
    const auto mask = (1U << n) - 1U;
    if constexpr (std::is_same_v<T, float>) {
      _mm512_mask_storeu_ps(p, static_cast<__mmask16>(mask), v);
    } else {
      _mm512_mask_storeu_pd(p, static_cast<__mmask8>(mask), v);
    }
    return;
  }
#endif
#ifdef __AVX2__
  if constexpr (detail::has_vector_masks<T, Arch>) {
    const __m256i mask = detail::first_lanes<T, Arch>(n);
    if constexpr (std::is_same_v<T, float>) {
      _mm256_maskstore_ps(p, mask, v);
    } else {
      _mm256_maskstore_pd(p, mask, v);
    }
    return;
  }
#endif
  alignas(64) T buffer[Batch<T, Arch>::size];
  v.store_aligned(buffer);
  std::memcpy(p, buffer, static_cast<std::size_t>(n) * sizeof(T));
}

/// Whether p and others a multiple of `step` elements further on may be given to stream().
template <class T, class Arch>
bool can_stream(const T* p, std::int64_t step) {
  return reinterpret_cast<std::uintptr_t>(p) % sizeof(Batch<T, Arch>) == 0 &&
         step % width<T, Arch> == 0;
}
/// Stores to p past the caches, so that nobody reads what is only to be overwritten: for results
/// that are too large to stay there. p is aligned to the vector. finish_streaming() comes last.
template <class T, class Arch>
void stream(T* p, const Batch<T, Arch>& v) {
  const auto bits = static_cast<typename Batch<T, Arch>::register_type>(v);
#ifdef __AVX512F__
  if constexpr (std::is_base_of_v<xsimd::avx512f, Arch>) {
    return _mm512_stream_si512(reinterpret_cast<__m512i*>(p), std::bit_cast<__m512i>(bits));
  }
#endif
#ifdef __AVX__
  if constexpr (std::is_base_of_v<xsimd::avx, Arch> && !std::is_base_of_v<xsimd::avx512f, Arch>) {
    return _mm256_stream_si256(reinterpret_cast<__m256i*>(p), std::bit_cast<__m256i>(bits));
  }
#endif
#ifdef __SSE2__
  if constexpr (std::is_base_of_v<xsimd::sse2, Arch> && !std::is_base_of_v<xsimd::avx, Arch>) {
    return _mm_stream_si128(reinterpret_cast<__m128i*>(p), std::bit_cast<__m128i>(bits));
  }
#endif
  v.store_unaligned(p);
}
/// The same for n elements.
template <class T, class Arch>
void stream(std::int64_t n, const T* from, T* to) {
  constexpr std::int64_t W = width<T, Arch>;
  const std::int64_t ahead = static_cast<std::int64_t>(-reinterpret_cast<std::uintptr_t>(to) %
                                                       sizeof(Batch<T, Arch>) / sizeof(T));
  std::int64_t i = std::min(n, ahead);
  std::copy_n(from, i, to);
  for (; i + W <= n; i += W) {
    stream<T, Arch>(to + i, load<T, Arch>(from + i));
  }
  std::copy_n(from + i, n - i, to + i);
}
/// The same for bytes that are whole elements of 4 or 8 bytes.
template <class Arch>
void stream_bytes(std::int64_t bytes, const std::byte* from, std::byte* to) {
  stream<float, Arch>(bytes / 4, reinterpret_cast<const float*>(from),
                      reinterpret_cast<float*>(to));
}
/// Makes what this thread streamed visible to those that are told of it from here on.
template <class Arch>
void finish_streaming() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

namespace detail {
template <std::size_t D, class B, std::size_t... Lane>
B swap_lanes(const B& v, std::index_sequence<Lane...>) {
  const auto bits = static_cast<typename B::register_type>(v);
  return B(__builtin_shufflevector(bits, bits, (Lane ^ D)...));
}
}  // namespace detail

/// join(lane, join(...)) over all lanes: halves of the vector, then quarters, and so on.
template <class T, class Arch, class Join>
T join_lanes(Batch<T, Arch> v, const Join& join) {
  constexpr std::size_t W = Batch<T, Arch>::size;
  constexpr auto lanes = std::make_index_sequence<W>{};
  if constexpr (W > 8) {
    v = join(v, detail::swap_lanes<8>(v, lanes));
  }
  if constexpr (W > 4) {
    v = join(v, detail::swap_lanes<4>(v, lanes));
  }
  if constexpr (W > 2) {
    v = join(v, detail::swap_lanes<2>(v, lanes));
  }
  if constexpr (W > 1) {
    v = join(v, detail::swap_lanes<1>(v, lanes));
  }
  return static_cast<typename Batch<T, Arch>::register_type>(v)[0];
}
template <class T, class Arch>
T sum_of_lanes(const Batch<T, Arch>& v) {
  return join_lanes<T, Arch>(v, [](const auto& a, const auto& b) { return a + b; });
}

/// y[i] = f(x[i]...) for n contiguous elements; the last, partial vector goes through the same f,
/// so that an element's value never depends on where it lies. y may be one of the x.
template <class Arch, class F, class T, class... In>
void transform(std::int64_t n, F&& f, T* y, const In*... x) {
  constexpr std::int64_t W = width<T, Arch>;
  std::int64_t i = 0;
  for (; i + W <= n; i += W) {
    f(load<In, Arch>(x + i)...).store_unaligned(y + i);
  }
  if (i < n) {
    store_first<T, Arch>(y + i, f(load_first<In, Arch>(x + i, n - i)...), n - i);
  }
}

/// transform for a row of n elements. Where the whole result goes `past_caches`, y, which then may
/// not be an operand, is streamed, and n elements from `next` on, the row after this, are asked
/// for.
template <class Arch, class F, class T, class... In>
void transform_row(bool past_caches, const T* next, std::int64_t n, const F& f, T* y,
                   const In*... x) {
  if constexpr (!has_special_loops<T>) {
    return transform<Arch>(n, f, y, x...);
  }
  if (!past_caches) {
    return transform<Arch>(n, f, y, x...);
  }
  constexpr std::int64_t block = 128, line = 64 / sizeof(T);
  const auto to_line =
      static_cast<std::int64_t>(-reinterpret_cast<std::uintptr_t>(y) % 64 / sizeof(T));
  alignas(64) T part[block];
  for (std::int64_t i = 0, count = 0; i < n; i += count) {
    count = std::min(i == 0 && to_line > 0 ? to_line : block, n - i);
    for (std::int64_t j = 0; j < count; j += line) {
      prefetch(next + i + j);
    }
    if (count < block) {
      transform<Arch>(count, f, y + i, (x + i)...);
    } else {
      transform<Arch>(count, f, part, (x + i)...);
      stream<T, Arch>(count, part, y + i);
    }
  }
}

/// Sum of f(x[i]...) over n contiguous elements; lanes beyond the end are not counted. Four
/// accumulators hide the latency of the additions.
template <class T, class Arch, class F, class... In>
T sum_of(std::int64_t n, F&& f, const In*... x) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  B s0(T{}), s1(T{}), s2(T{}), s3(T{});
  std::int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
    s0 += f(load<In, Arch>(x + i)...);
    s1 += f(load<In, Arch>(x + i + W)...);
    s2 += f(load<In, Arch>(x + i + 2 * W)...);
    s3 += f(load<In, Arch>(x + i + 3 * W)...);
  }
  for (; i + W <= n; i += W) {
    s0 += f(load<In, Arch>(x + i)...);
  }
  if (i < n) {
    alignas(64) T tail[B::size];
    f(load_first<In, Arch>(x + i, n - i)...).store_aligned(tail);
    std::fill(tail + (n - i), tail + W, T{});
    s1 += B::load_aligned(tail);
  }
  return sum_of_lanes<T, Arch>((s0 + s1) + (s2 + s3));
}

/// Memory for n elements, aligned to cache lines, uninitialised.
template <class T, class Arch>
class Scratch {
 public:
  explicit Scratch(std::int64_t n)
      : data_(static_cast<T*>(
            ::operator new (static_cast<std::size_t>(n) * sizeof(T), std::align_val_t{64}))) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { ::operator delete (data_, std::align_val_t{64}); }

  [[nodiscard]] T* data() const { return data_; }
  T& operator[](std::int64_t i) const { return data_[i]; }

 private:
  T* data_;
};

}  // namespace ldlm::simd
