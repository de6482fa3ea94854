#pragma once
// GEMM of floats rounded to bf16 in AMX's tile registers, which multiply 16 x 32 by 32 x 16 numbers
// in 16 cycles: more than ten times what vectors do. The one file with AMX's intrinsics.

#include <algorithm>
#include <bit>
#include <cstdint>

#include <ldlm_simd/gemm/pack.hpp>

namespace ldlm::simd {

/// Only defined where this unit's flags allow it.
template <class Arch>
struct GemmAmx;

}  // namespace ldlm::simd

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ldlm::simd {

template <class T, class Arch>
constexpr bool compiled_with_amx =
    std::is_same_v<T, float>&& std::is_base_of_v<xsimd::avx512bw, Arch>;

/// A packed element is a pair of steps of K, rounded to bf16, the first in the lower half; a tile
/// of A has 16 rows of 16 pairs, one of B 16 pairs of 16 columns. C is made 32 x 32 at a time.
template <class Arch>
struct GemmAmx {
  static constexpr std::int64_t steps = 2;
  static constexpr std::int64_t k_unit = 16;
  static constexpr std::int64_t rows = 32;

  /// Whether processor and system let this process use AMX's bf16 products. Asks for them once.
  static bool available() {
    static const bool answer = [] {
      constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XTILEDATA
      return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
             ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
    }();
    return answer;
  }

  /// The tile registers' shapes, all 16 x 64 bytes.
  struct Session {
    Session() {
      struct alignas(64) {
        std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
        std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        std::uint8_t row_count[16] = {16, 16, 16, 16, 16, 16, 16, 16};
      } shapes;
      _tile_loadconfig(&shapes);
    }
    ~Session() { _tile_release(); }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
  };

  static constexpr std::int64_t tile_rows(std::int64_t left) { return left <= 16 ? 16 : 32; }

  /// Blocks of 16 pairs; in each, row by row.
  static void pack_a(const GemmStrips<float>& s, std::int64_t height, float* out) {
    for (std::int64_t first = 0; first < s.count; first += height) {
      for (std::int64_t step = 0; step < s.k; step += 2 * W) {
        for (std::int64_t row = first; row < first + height; row += W, out += W * W) {
          B square[W];
          if (s.k_stride == 1) {
            load_rows(s, row, step, square);
          } else {
            load_pairs(s, row, step, square);
            transpose<float, Arch>(square);
          }
          detail::unroll<W>([&](int i) { square[i].store_unaligned(out + i * W); });
        }
      }
    }
  }
  /// Pair by pair; in each, column by column.
  static void pack_b(const GemmStrips<float>& s, std::int64_t lanes, float* out) {
    for (std::int64_t first = 0; first < s.count; first += lanes) {
      for (std::int64_t step = 0; step < s.k; step += 2 * W, out += W * lanes) {
        for (std::int64_t lane = 0; lane < lanes; lane += W) {
          B square[W];
          if (s.k_stride == 1) {
            load_rows(s, first + lane, step, square);
            transpose<float, Arch>(square);
          } else {
            load_pairs(s, first + lane, step, square);
          }
          detail::unroll<W>([&](int i) { square[i].store_unaligned(out + lane + i * lanes); });
        }
      }
    }
  }

  static void multiply(std::int64_t height, std::int64_t lanes, std::int64_t k, const float* a,
                       const GemmPanel<float>& b, float alpha, float* c, std::int64_t c_row,
                       TileStore store) {
    alignas(64) float sums[32 * 32];
    const bool high = height > W;
    const bool wide = lanes > W;
    (high   ? wide ? multiply_tiles<2, 2> : multiply_tiles<2, 1>
       : wide ? multiply_tiles<1, 2>
            : multiply_tiles<1, 1>)(k, a, b.data, sums);
    const B scale(alpha);
    for (std::int64_t i = 0; i < height; ++i) {
      for (std::int64_t j = 0; j < lanes; j += W) {
        const B sum = B::load_aligned(sums + i * 32 + j);
        float* const to = c + i * c_row + j;
        if (store == TileStore::stream) {
          stream<float, Arch>(to, scale * sum);
        } else {
          (store == TileStore::add ? simd::fma(scale, sum, load<float, Arch>(to)) : scale * sum)
              .store_unaligned(to);
        }
      }
    }
  }

 private:
  using B = Batch<float, Arch>;
  static constexpr int W = 16;
  static_assert(width<float, Arch> == W);

  /// square[i]: 16 pairs of lane `lane` + i from `step` on; zeros where there are none.
  static void load_rows(const GemmStrips<float>& s, std::int64_t lane, std::int64_t step,
                        B* square) {
    const std::int64_t left = s.k - step;
    detail::unroll<W>([&](int i) {
      const float* const row = s.data + (lane + i) * s.lane_stride + step;
      if (lane + i >= s.count) {
        square[i] = B(0.0F);
      } else if (left >= 2 * W) {
        square[i] = round_neighbours(load<float, Arch>(row), load<float, Arch>(row + W));
      } else {
        const std::int64_t lower = std::min<std::int64_t>(W, left);
        square[i] = round_neighbours(load_first<float, Arch>(row, lower),
                                     load_first<float, Arch>(row + lower, left - lower));
      }
    });
  }
  /// square[i]: of 16 lanes from `lane` on, the pair at `step` + 2 i; zeros where there are none.
  static void load_pairs(const GemmStrips<float>& s, std::int64_t lane, std::int64_t step,
                         B* square) {
    const std::int64_t there = std::clamp<std::int64_t>(s.count - lane, 0, W);
    detail::unroll<W>([&](int i) {
      const std::int64_t at = step + 2 * i;
      const float* const from = s.data + lane * s.lane_stride + at * s.k_stride;
      const B lower = at < s.k ? load_lanes(from, there, s.lane_stride) : B(0.0F);
      const B upper = at + 1 < s.k ? load_lanes(from + s.k_stride, there, s.lane_stride) : B(0.0F);
      square[i] = round_lanes(lower, upper);
    });
  }
  static B load_lanes(const float* from, std::int64_t count, std::int64_t stride) {
    if (stride == 1) {
      return count == W ? load<float, Arch>(from) : load_first<float, Arch>(from, count);
    }
    alignas(64) float values[W] = {};
    for (std::int64_t i = 0; i < count; ++i) {
      values[i] = from[i * stride];
    }
    return B::load_aligned(values);
  }

  /// Pairs of neighbours: of W floats in `lower`, then of those in `upper`.
  static B round_neighbours(const B& lower, const B& upper) {
    return std::bit_cast<__m512>(_mm512_cvtne2ps_pbh(upper, lower));
  }
  /// Pairs of the same lane.
  static B round_lanes(const B& lower, const B& upper) {
    const auto widen = [](const B& x) {
      return _mm512_cvtepu16_epi32(std::bit_cast<__m256i>(_mm512_cvtneps_pbh(x)));
    };
    return _mm512_castsi512_ps(_mm512_or_si512(widen(lower), _mm512_slli_epi32(widen(upper), 16)));
  }

  /// sums, 32 floats a row, = a b for H x V tiles.
  template <int H, int V>
  static void multiply_tiles(std::int64_t k, const float* a, const float* b, float* sums) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (std::int64_t step = 0; step < k; step += W) {
      _tile_loadd(4, a, 64);
      _tile_loadd(6, b, V * 64);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (V == 2) {
        _tile_loadd(7, b + W, V * 64);
        _tile_dpbf16ps(1, 4, 7);
      }
      if constexpr (H == 2) {
        _tile_loadd(5, a + W * W, 64);
        _tile_dpbf16ps(2, 5, 6);
        if constexpr (V == 2) {
          _tile_dpbf16ps(3, 5, 7);
        }
      }
      a += H * W * W;
      b += V * W * W;
    }
    _tile_stored(0, sums, 128);
    if constexpr (V == 2) {
      _tile_stored(1, sums + W, 128);
    }
    if constexpr (H == 2) {
      _tile_stored(2, sums + W * 32, 128);
      if constexpr (V == 2) {
        _tile_stored(3, sums + W * 32 + W, 128);
      }
    }
  }
};

}  // namespace ldlm::simd

#else

namespace ldlm::simd {

template <class T, class Arch>
constexpr bool compiled_with_amx = false;

}  // namespace ldlm::simd

#endif
