#pragma once
// Attention of bf16 on tensor cores (Dao, 2023). A block of four warps works on 64 rows, 16 of a
// warp, and passes over the other side's rows in tiles that lie in shared memory. Scores stay in
// registers: what a product leaves there is, rounded, the first factor of the next one.

#include <ldlm_cuda/attention.cuh>
#include <ldlm_cuda/mma.cuh>

namespace ldlm::cuda_backend {

inline constexpr int mma_rows = 64;  // of a block
inline constexpr int mma_threads = 128;

/// Eight elements, which are read and written at once.
struct alignas(16) EightHalves {
  bf16 of[8];
};

/// Rows of up to `channels` channels in shared memory. No two of the eight rows that are read at
/// once share a bank.
template <int channels>
struct MmaRows {
  static constexpr int pitch = channels + 8;
  static constexpr int eights(int rows) { return rows * pitch / 8; }

  bf16* data;

  /// Brings rows first, first + 1, ... of (b, h) of a (B, H, T, D) view; those that are not there,
  /// and channels beyond D, are zeros. `aligned`: every row begins at a multiple of 16 bytes, and D
  /// is one of 8. The copies are a group of their own.
  template <int rows>
  __device__ void bring(const bf16* from, const Layout& layout, std::int64_t first,
                        bool aligned) const {
    constexpr int parts = channels / 8;
    for (int i = static_cast<int>(threadIdx.x); i < rows * parts; i += mma_threads) {
      const int row = i / parts;
      const int channel = i % parts * 8;
      bf16* const to = data + row * pitch + channel;
      const bool there = first + row < layout.shape[2];
      const bf16* const at = from + (there ? (first + row) * layout.strides[2] : 0);
      if (aligned) {
        const bool whole = there && channel < layout.shape[3];
        copy_async(to, at + (whole ? channel : 0), whole);
      } else {
        for (int e = 0; e < 8; ++e) {
          to[e] = there && channel + e < layout.shape[3] ? at[channel + e] : bf16{};
        }
      }
    }
    commit_copies();
  }

  /// Rows first to first + 15, channels c to c + 15 as a first factor.
  __device__ void as_a(int first, int c, unsigned (&a)[4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    load_matrices<false>(a, data + (first + lane % 16) * pitch + c + lane / 16 * 8);
  }
  /// Rows first to first + 15 as columns of a second factor, over channels c to c + 15: b[0], b[1]
  /// of the first eight, b[2], b[3] of the others.
  __device__ void as_columns(int first, int c, unsigned (&b)[4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    load_matrices<false>(b,
                         data + (first + lane / 16 * 8 + lane % 8) * pitch + c + lane / 8 % 2 * 8);
  }
  /// Channels c to c + 15 as columns of a second factor, over rows first to first + 15.
  __device__ void as_rows(int first, int c, unsigned (&b)[4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    load_matrices<true>(b, data + (first + lane % 16) * pitch + c + lane / 16 * 8);
  }
};

/// Sums of a warp's 16 rows and `columns` columns: [n][i] is, of lane 4g + t, row g + i / 2 * 8,
/// column 8 n + 2 t + i % 2.
template <int columns>
using MmaSums = float[columns / 8][4];

/// sums += a b for 16 columns from number `column` on.
template <int columns>
__device__ void multiply_sixteen(MmaSums<columns>& sums, int column, const unsigned (&a)[4],
                                 const unsigned (&b)[4]) {
  const unsigned left[2] = {b[0], b[1]};
  const unsigned right[2] = {b[2], b[3]};
  Bf16Factors::multiply(sums[column / 8], a, left);
  Bf16Factors::multiply(sums[column / 8 + 1], a, right);
}
/// Columns `column` to column + 15 of sums as a first factor.
template <int columns>
__device__ void as_factor(const MmaSums<columns>& sums, int column, unsigned (&a)[4]) {
  const float(&left)[4] = sums[column / 8];
  const float(&right)[4] = sums[column / 8 + 1];
  a[0] = Bf16Factors::pack({left[0], left[1]});
  a[1] = Bf16Factors::pack({left[2], left[3]});
  a[2] = Bf16Factors::pack({right[0], right[1]});
  a[3] = Bf16Factors::pack({right[2], right[3]});
}

/// sums (16, columns) = rows [own, own + 16) of `a` times those [0, columns) of `b`, transposed.
template <int columns, int channels>
__device__ void multiply_rows(const MmaRows<channels>& a, int own, const MmaRows<channels>& b,
                              MmaSums<columns>& sums) {
  for (int n = 0; n < columns / 8; ++n) {
    for (int i = 0; i < 4; ++i) {
      sums[n][i] = 0;
    }
  }
  LDLM_UNROLL
  for (int c = 0; c < channels; c += 16) {
    unsigned factor[4];
    a.as_a(own, c, factor);
    LDLM_UNROLL
    for (int column = 0; column < columns; column += 16) {
      unsigned other[4];
      b.as_columns(column, c, other);
      multiply_sixteen<columns>(sums, column, factor, other);
    }
  }
}
/// out (16, channels) += weights (16, columns), rounded, times rows [0, columns) of b.
template <int columns, int channels>
__device__ void mix_rows(const MmaSums<columns>& weights, const MmaRows<channels>& b,
                         MmaSums<channels>& out) {
  LDLM_UNROLL
  for (int row = 0; row < columns; row += 16) {
    unsigned factor[4];
    as_factor<columns>(weights, row, factor);
    LDLM_UNROLL
    for (int c = 0; c < channels; c += 16) {
      unsigned other[4];
      b.as_rows(row, c, other);
      multiply_sixteen<channels>(out, c, factor, other);
    }
  }
}

/// Where a thread's sums are: row i / 2, column i % 2 of each [n][i].
struct MmaPlace {
  int warp_row = static_cast<int>(threadIdx.x) / 32 * 16;  // the warp's first row in the block
  int group = static_cast<int>(threadIdx.x) % 32 / 4;
  int member = static_cast<int>(threadIdx.x) % 4;

  __device__ int row(int i) const { return warp_row + group + i / 2 * 8; }
  __device__ int column(int n, int i) const { return 8 * n + 2 * member + i % 2; }
};

/// Writes a block's rows, each times a factor of its own.
template <int channels>
__device__ void write_rows(const MmaPlace& place, const AttentionHead<bf16>& head,
                           const View<bf16>& view, std::int64_t first,
                           const MmaSums<channels>& sums, const float (&factors)[2], bool aligned) {
  LDLM_UNROLL
  for (int half = 0; half < 2; ++half) {
    const std::int64_t row = first + place.row(2 * half);
    if (row >= view.layout.shape[2]) {
      continue;
    }
    bf16* const to = head.row(view, row);
    LDLM_UNROLL
    for (int n = 0; n < channels / 8; ++n) {
      const int channel = place.column(n, 0);
      const float pair[2] = {sums[n][2 * half] * factors[half],
                             sums[n][2 * half + 1] * factors[half]};
      if (aligned) {
        if (channel < view.layout.shape[3]) {
          *reinterpret_cast<unsigned*>(to + channel) = Bf16Factors::pack(pair);
        }
      } else {
        for (int e = 0; e < 2; ++e) {
          if (channel + e < view.layout.shape[3]) {
            to[channel + e] = rounded<bf16>(pair[e]);
          }
        }
      }
    }
  }
}

/// A value of each of the thread's two rows, combined with those of the three threads beside it.
template <class Op>
__device__ float combine_four(float mine) {
  mine = Op::combine(mine, __shfl_xor_sync(0xffffffffU, mine, 1));
  return Op::combine(mine, __shfl_xor_sync(0xffffffffU, mine, 2));
}

/// Whether every row of these views begins at a multiple of 16 bytes, with whole words of 16 bytes.
template <class... Views>
bool rows_are_aligned(const Views&... views) {
  const auto aligned = [](const auto& view) {
    bool fits = reinterpret_cast<std::uintptr_t>(view.data) % 16 == 0 && view.size(3) % 8 == 0;
    for (int axis = 0; axis < 3; ++axis) {
      fits = fits && (view.size(axis) == 1 || view.stride(axis) % 8 == 0);
    }
    return fits;
  };
  return (aligned(views) && ...);
}

/// Blocks that work through the tiles of `rows` rows of each head.
inline Grid grid_of_mma(std::int64_t heads, std::int64_t rows) {
  const std::int64_t tiles = heads * ((rows + mma_rows - 1) / mma_rows);
  return {dim3(static_cast<unsigned>(std::min<std::int64_t>(tiles, 0x7fffffff))),
          dim3(mma_threads)};
}

}  // namespace ldlm::cuda_backend
