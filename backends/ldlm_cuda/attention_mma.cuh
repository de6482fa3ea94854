#pragma once
// Attention on tensor cores (Dao, 2023), of bf16 and of floats that may be rounded to tf32. Each
// warp of a block has 16 rows, and passes over the other side's rows in tiles that lie in shared
// memory. Scores stay in registers: what a product leaves there is, rounded, the first factor of
// the next one.

#include <ldlm_cuda/attention.cuh>
#include <ldlm_cuda/mma.cuh>

namespace ldlm::cuda_backend {

/// Elements that are read, and written to shared memory, at once.
template <class T>
struct alignas(16) MmaPart {
  static constexpr int size = 16 / sizeof(T);
  T of[size];
};

/// Rows of up to `channels_` channels in shared memory, for blocks of so many threads. No two of
/// the eight rows that are read at once share a bank.
template <class T, int channels_, int threads>
struct MmaRows {
  using Factors = std::conditional_t<std::is_same_v<T, bf16>, Bf16Factors, Tf32Factors>;
  static constexpr int channels = channels_;
  static constexpr int depth = 8 * Factors::per_word;  // of one product
  static constexpr int part = MmaPart<T>::size;
  static constexpr int pitch = channels + part;
  static constexpr int parts(int rows) { return rows * pitch / part; }

  T* data;

  /// Brings rows first, first + 1, ... of (b, h) of a (B, H, T, D) view; those that are not there,
  /// and channels beyond D, are zeros. `aligned`: see rows_are_aligned(). The copies are a group of
  /// their own.
  template <int rows>
  __device__ void bring(const T* from, const Layout& layout, std::int64_t first,
                        bool aligned) const {
    constexpr int parts = channels / part;
    for (int i = static_cast<int>(threadIdx.x); i < rows * parts; i += threads) {
      const int row = i / parts;
      const int channel = i % parts * part;
      T* const to = data + row * pitch + channel;
      const bool there = first + row < layout.shape[2];
      const T* const at = from + (there ? (first + row) * layout.strides[2] : 0);
      if (aligned) {
        const bool whole = there && channel < layout.shape[3];
        copy_async(to, at + (whole ? channel : 0), whole);
      } else {
        for (int e = 0; e < part; ++e) {
          to[e] = there && channel + e < layout.shape[3] ? at[channel + e] : T{};
        }
      }
    }
    commit_copies();
  }

  /// Rows first to first + 15, channels c to c + depth - 1 as a first factor.
  __device__ void as_a(int first, int c, unsigned (&a)[4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    load(a, first + lane % 16, c + lane / 16 * part);
  }
  /// Rows first to first + 15 as columns of a second factor, over channels c to c + depth - 1:
  /// b[0], b[1] of the first eight, b[2], b[3] of the others.
  __device__ void as_columns(int first, int c, unsigned (&b)[4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    load(b, first + lane / 16 * 8 + lane % 8, c + lane / 8 % 2 * part);
  }
  /// The same of rows 0 to 7, over twice as many channels: b[0], b[1] over the first half of them.
  __device__ void as_eight_columns(int c, unsigned (&b)[4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    load(b, lane % 8, c + lane / 8 * part);
  }
  /// Channels c to c + 15 as columns of a second factor, over rows first to first + depth - 1:
  /// b[0], b[1] of the first eight, b[2], b[3] of the others. The order of floats' rows is that of
  /// as_factor().
  __device__ void as_rows(int first, int c, unsigned (&b)[4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if constexpr (std::is_same_v<T, bf16>) {
      load_matrices<true>(b, data + (first + lane % 16) * pitch + c + lane / 16 * 8);
    } else {
      for (int i = 0; i < 4; ++i) {
        const int row = first + lane % 4 * 2 + i % 2;
        b[i] = Factors::pack({data[row * pitch + c + lane / 4 + i / 2 * 8]});
      }
    }
  }

 private:
  /// Four matrices of eight parts each; this lane names one of those.
  __device__ void load(unsigned (&words)[4], int row, int channel) const {
    load_matrices<false>(words, data + row * pitch + channel);
    if constexpr (std::is_same_v<T, float>) {
      for (unsigned& word : words) {
        word = Factors::pack({std::bit_cast<float>(word)});
      }
    }
  }
};

/// Sums of a warp's 16 rows and `columns` columns: [n][i] is, of lane 4g + t, row g + i / 2 * 8,
/// column 8 n + 2 t + i % 2.
template <int columns>
using MmaSums = float[columns / 8][4];

/// Columns `column` to column + depth - 1 of sums as a first factor. Of tf32 column 2 t is word t
/// and column 2 t + 1 word t + 4, so that each lane has its words already: a sum knows no order.
template <class Factors, int columns>
__device__ void as_factor(const MmaSums<columns>& sums, int column, unsigned (&a)[4]) {
  const float(&left)[4] = sums[column / 8];
  if constexpr (Factors::per_word == 2) {
    const float(&right)[4] = sums[column / 8 + 1];
    a[0] = Factors::pack({left[0], left[1]});
    a[1] = Factors::pack({left[2], left[3]});
    a[2] = Factors::pack({right[0], right[1]});
    a[3] = Factors::pack({right[2], right[3]});
  } else {
    a[0] = Factors::pack({left[0]});
    a[1] = Factors::pack({left[2]});
    a[2] = Factors::pack({left[1]});
    a[3] = Factors::pack({left[3]});
  }
}

/// first += a (b[0], b[1]), second += a (b[2], b[3])
template <class Factors>
__device__ void multiply_pair(float (&first)[4], float (&second)[4], const unsigned (&a)[4],
                              const unsigned (&b)[4]) {
  Factors::multiply(first, a, {b[0], b[1]});
  Factors::multiply(second, a, {b[2], b[3]});
}
/// sums (16, columns) += 16 rows' channels c to c + depth - 1, which are `a`, times those of rows
/// [0, columns) of b, transposed.
template <int columns, class Rows>
__device__ void multiply_channels(const unsigned (&a)[4], const Rows& b, int c,
                                  MmaSums<columns>& sums) {
  LDLM_UNROLL
  for (int column = 0; column < columns; column += 16) {
    unsigned other[4];
    b.as_columns(column, c, other);
    multiply_pair<typename Rows::Factors>(sums[column / 8], sums[column / 8 + 1], a, other);
  }
}
/// sums (16, columns) = rows [own, own + 16) of `a` times those [0, columns) of `b`, transposed.
template <int columns, class Rows>
__device__ void multiply_rows(const Rows& a, int own, const Rows& b, MmaSums<columns>& sums) {
  using Factors = typename Rows::Factors;
  for (int n = 0; n < columns / 8; ++n) {
    for (int i = 0; i < 4; ++i) {
      sums[n][i] = 0;
    }
  }
  constexpr int step = columns == 8 ? 2 * Rows::depth : Rows::depth;
  LDLM_UNROLL
  for (int c = 0; c < Rows::channels; c += step) {
    unsigned factor[4];
    a.as_a(own, c, factor);
    if constexpr (columns == 8) {
      unsigned next[4], other[4];
      a.as_a(own, c + Rows::depth, next);
      b.as_eight_columns(c, other);
      Factors::multiply(sums[0], factor, {other[0], other[1]});
      Factors::multiply(sums[0], next, {other[2], other[3]});
    } else {
      multiply_channels<columns>(factor, b, c, sums);
    }
  }
}
/// out (16, channels) += weights (16, columns), rounded, times rows [0, columns) of b.
template <int columns, class Rows>
__device__ void mix_rows(const MmaSums<columns>& weights, const Rows& b,
                         MmaSums<Rows::channels>& out) {
  using Factors = typename Rows::Factors;
  LDLM_UNROLL
  for (int row = 0; row < columns; row += Rows::depth) {
    unsigned factor[4];
    as_factor<Factors, columns>(weights, row, factor);
    LDLM_UNROLL
    for (int c = 0; c < Rows::channels; c += 16) {
      unsigned other[4];
      b.as_rows(row, c, other);
      multiply_pair<Factors>(out[c / 8], out[c / 8 + 1], factor, other);
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
template <int channels, class T>
__device__ void write_rows(const MmaPlace& place, const AttentionHead<T>& head, const View<T>& view,
                           std::int64_t first, const MmaSums<channels>& sums,
                           const float (&factors)[2], bool aligned) {
  struct alignas(2 * sizeof(T)) Pair {
    T of[2];
  };
  LDLM_UNROLL
  for (int half = 0; half < 2; ++half) {
    const std::int64_t row = first + place.row(2 * half);
    if (row >= view.layout.shape[2]) {
      continue;
    }
    T* const to = head.row(view, row);
    LDLM_UNROLL
    for (int n = 0; n < channels / 8; ++n) {
      const int channel = place.column(n, 0);
      const Pair pair{{rounded<T>(sums[n][2 * half] * factors[half]),
                       rounded<T>(sums[n][2 * half + 1] * factors[half])}};
      if (aligned) {
        if (channel < view.layout.shape[3]) {
          *reinterpret_cast<Pair*>(to + channel) = pair;
        }
      } else {
        for (int e = 0; e < 2; ++e) {
          if (channel + e < view.layout.shape[3]) {
            to[channel + e] = pair.of[e];
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

}  // namespace ldlm::cuda_backend
