#pragma once
// Products of few rows with weights of 8 and 4 bits, in integers: a row of A is rounded to 8 bits
// for each 32 of its elements, and four products of bytes are added up by one instruction (VNNI) in
// each lane. The one file with its intrinsics.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include <ldlm_simd/fma.hpp>
#include <ldlm_simd/gemm/columns.hpp>
#include <ldlm_simd/transpose.hpp>
#include <ldlm_simd/unroll.hpp>

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)

#include <immintrin.h>

namespace ldlm::simd {

template <class Arch>
constexpr bool compiled_with_vnni = std::is_base_of_v<xsimd::avx512bw, Arch>;

/// The weights are taken 64 bytes at a time, a block. One byte of it holds one weight, or two, of
/// which the lower half meets the first vector of A's bytes, the upper half the second.
template <WeightFormat Format, class Arch>
class GemmInt8 {
 public:
  static bool available() {
    static const bool answer = __builtin_cpu_supports("avx512vnni");
    return answer;
  }

  /// Floats that a packed row of k elements takes.
  static std::int64_t packed_size(std::int64_t k) { return blocks(k) * block_floats; }

  /// Rounds a row of k elements, `stride` apart.
  [[gnu::flatten]] static void pack(const float* a, std::int64_t stride, std::int64_t k,
                                    float* out) {
    for (std::int64_t block = 0; block < blocks(k); ++block, out += block_floats) {
      std::int8_t* const bytes = reinterpret_cast<std::int8_t*>(out);
      float* const scales = out + halves * W;
      for (std::int64_t g = 0; g < groups; ++g) {
        const std::int64_t first = block * block_elements + g * group;
        const auto part = [&](std::int64_t from) {
          const std::int64_t count = std::clamp<std::int64_t>(k - from, 0, W);
          if (stride == 1) {
            return count == W ? load<float, Arch>(a + from)
                              : load_first<float, Arch>(a + from, count);
          }
          alignas(64) float values[W] = {};
          for (std::int64_t i = 0; i < count; ++i) {
            values[i] = a[(from + i) * stride];
          }
          return B::load_aligned(values);
        };
        const B lower = part(first), upper = part(first + W);
        const float largest = _mm512_reduce_max_ps(simd::max(xsimd::abs(lower), xsimd::abs(upper)));
        const float not_finite =
            _mm512_reduce_add_ps((lower - lower) + (upper - upper));  // or zero
        const B inverse(largest > 0 ? 127 / largest : 0.0F);
        // The halves of a group lie one after the other, or in the two vectors at the same place.
        std::int8_t* const to = bytes + g * (halves == 2 ? W : group);
        store_bytes(lower * inverse, to);
        store_bytes(upper * inverse, to + (halves == 2 ? 64 : W));
        std::fill_n(scales + g * W / groups, W / groups, largest / 127 + not_finite);
      }
      // What the weights' bytes are too large by, times A's, is taken off beforehand.
      __m512i sum = _mm512_setzero_si512();
      for (int half = 0; half < halves; ++half) {
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(excess), bytes_at(bytes + 64 * half));
      }
      _mm512_storeu_si512(scales + W, _mm512_sub_epi32(_mm512_setzero_si512(), sum));
    }
  }

  /// sums[r * sum_row + c] = alpha (packed row r) . (column first + c) for R rows. Each column is
  /// read once, in the order in which they lie in memory. Writes up to W - 1 sums too many.
  template <int R>
  [[gnu::flatten]] static void multiply(const PackedView& b, const float* const (&a)[R],
                                        std::int64_t first, std::int64_t columns, float alpha,
                                        float* sums, std::int64_t sum_row) {
    for (std::int64_t j = 0; j < columns; j += W) {
      B lanes[R][W];
      for (std::int64_t c = 0; c < W; ++c) {
        const std::int64_t column = first + std::min(j + c, columns - 1);
        B total[R];
        dot<R>(b, a, column, total);
        detail::unroll<R>([&](int r) { lanes[r][c] = total[r]; });
      }
      for (int r = 0; r < R; ++r) {
        (B(alpha) * sum_rows<float, Arch>(lanes[r])).store_unaligned(sums + r * sum_row + j);
      }
    }
  }

 private:
  using B = Batch<float, Arch>;
  static constexpr std::int64_t W = 16;
  static_assert(width<float, Arch> == W);
  static constexpr std::int64_t group = 32;  // elements of A that share a scale
  static constexpr int halves = Format == WeightFormat::int4 ? 2 : 1;
  static constexpr std::int64_t block_elements = 64 * halves;
  static constexpr std::int64_t groups = block_elements / group;
  static constexpr char excess = Format == WeightFormat::int4 ? 8 : -128;  // (as unsigned: 128)
  // Bytes of A, then for each lane the scale, and the integer that its sum begins with.
  static constexpr std::int64_t block_floats = halves * W + 2 * W;
  static constexpr std::int64_t ahead = 8192;  // bytes until memory's answer is there

  static std::int64_t blocks(std::int64_t k) { return (k + block_elements - 1) / block_elements; }
  static __m512i bytes_at(const void* p) { return _mm512_loadu_si512(p); }

  static void store_bytes(const B& x, std::int8_t* to) {
    const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  }

  /// For each lane, the scale of the weights that it adds up.
  static B scales_of(const bf16* scales, std::int64_t block, std::int64_t there) {
    if constexpr (Format == WeightFormat::int8) {
      return B(static_cast<float>(scales[block / 2]));
    } else {
      std::uint64_t four = 0;
      std::memcpy(&four, scales + 4 * block,
                  static_cast<std::size_t>(2 * std::min<std::int64_t>(4, there - 4 * block)));
      const __m128i wide =
          _mm_slli_epi32(_mm_cvtepu16_epi32(_mm_cvtsi64_si128(static_cast<long long>(four))), 16);
      const __m512i lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
      return _mm512_castsi512_ps(_mm512_permutexvar_epi32(lanes, _mm512_castsi128_si512(wide)));
    }
  }

  /// Vectors whose lanes add up to the dot products of R rows and one column.
  template <int R>
  static void dot(const PackedView& b, const float* const (&a)[R], std::int64_t column,
                  B (&total)[R]) {
    const std::uint8_t* const data = column_of<Arch, Format>(b, column).data;
    const bf16* const scales = column_of<Arch, Format>(b, column).scales;
    const std::int64_t bytes = bytes_per_row(Format, b.k),
                       groups_there = groups_per_row(Format, b.k);
    detail::unroll<R>([&](int r) { total[r] = B(0.0F); });
    for (std::int64_t block = 0; block < blocks(b.k); ++block) {
      const std::uint8_t* const at = data + 64 * block;
      const std::int64_t left = bytes - 64 * block;
      prefetch<Into::l2>(at + ahead);
      const __m512i weights =
          left >= 64 ? bytes_at(at) : _mm512_maskz_loadu_epi8((std::uint64_t{1} << left) - 1, at);
      const B scale = scales_of(scales, block, groups_there);
      __m512i part[2];
      if constexpr (halves == 2) {
        const __m512i nibble = _mm512_set1_epi8(15);
        part[0] = _mm512_and_si512(weights, nibble);
        part[1] = _mm512_and_si512(_mm512_srli_epi16(weights, 4), nibble);
      } else {
        part[0] = _mm512_xor_si512(weights, _mm512_set1_epi8(excess));
      }
      detail::unroll<R>([&](int r) {
        const float* const row = a[r] + block * block_floats;
        __m512i sum = bytes_at(row + halves * W + W);
        detail::unroll<halves>([&](int half) {
          sum = _mm512_dpbusd_epi32(sum, part[half], bytes_at(row + half * W));
        });
        const B scaled = B(_mm512_cvtepi32_ps(sum)) * load<float, Arch>(row + halves * W);
        total[r] = simd::fma(scaled, scale, total[r]);
      });
    }
  }
};

}  // namespace ldlm::simd

#else

namespace ldlm::simd {
template <class Arch>
constexpr bool compiled_with_vnni = false;
template <WeightFormat Format, class Arch>
class GemmInt8;  // only defined where this unit's flags allow it
}  // namespace ldlm::simd

#endif
