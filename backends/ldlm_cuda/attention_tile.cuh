#pragma once
// Attention in tiles: products of 64 x 64 scores, and of 64 rows by up to 128 channels, by a block
// of 256 threads that stand in 16 rows and 16 columns. A thread has four rows, and columns by
// fours.

#include <ldlm_cuda/attention.cuh>

namespace ldlm::cuda_backend {

inline constexpr int tile_extent = 64;  // rows, and columns, of a tile of scores
inline constexpr int tile_threads = 256;
inline constexpr int tile_depth = 16;  // channels, or keys, that pass through shared memory at once
inline constexpr int tile_pitch = tile_extent + 4;

/// Rows first, first + 1, ... < end of a (B, H, T, D) view, for one (b, h).
struct TileRows {
  const float* data;
  std::int64_t step, first, end, channels;

  __device__ float at(std::int64_t row, std::int64_t channel) const {
    return first + row < end && channel < channels ? data[(first + row) * step + channel] : 0.0F;
  }
};
template <class Head, class View>
__device__ TileRows tile_rows(const Head& head, const View& view, std::int64_t first) {
  return {head.row(view, 0), view.layout.strides[2], first, view.layout.shape[2],
          view.layout.shape[3]};
}

/// The last row of the tile that begins with `first`, of `rows`.
__device__ inline std::int64_t last_of_tile(std::int64_t first, std::int64_t rows) {
  return (first + tile_extent < rows ? first + tile_extent : rows) - 1;
}

struct alignas(16) FourFloats {
  float of[4];
};

/// The shared memory of a block, and where this thread stands in it.
class TileThread {
 public:
  __device__ TileThread(FourFloats* strips, FourFloats* weights)
      : strips_(strips),
        weights_(weights),
        row_(static_cast<int>(threadIdx.x) / 16),
        column_(static_cast<int>(threadIdx.x) % 16) {}

  /// The rows of a tile, or its columns, that this thread has.
  __device__ int row(int i) const { return row_ * 4 + i; }
  __device__ int column(int j) const { return column_ * 4 + j; }
  /// Channels by fours, 64 apart.
  __device__ int channel(int c) const { return c / 4 * 64 + column_ * 4 + c % 4; }

  /// out[i][j] = sum over channels of a(row i) b(column j).
  __device__ void multiply(const TileRows& a, const TileRows& b, float (&out)[4][4]) const {
    float* const a_strip = strips_[0].of;
    float* const b_strip = a_strip + tile_depth * tile_pitch;
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 4; ++j) {
        out[i][j] = 0;
      }
    }
    for (std::int64_t first = 0; first < a.channels; first += tile_depth) {
      for (int e = 0; e < tile_extent * tile_depth / tile_threads; ++e) {
        const int index = static_cast<int>(threadIdx.x) + e * tile_threads;
        const int depth = index % tile_depth;
        const int outer = index / tile_depth;
        a_strip[depth * tile_pitch + outer] = a.at(outer, first + depth);
        b_strip[depth * tile_pitch + outer] = b.at(outer, first + depth);
      }
      __syncthreads();
      for (int depth = 0; depth < tile_depth; ++depth) {
        const FourFloats x = strips_[(depth * tile_pitch + row(0)) / 4];
        const FourFloats y = strips_[((tile_depth + depth) * tile_pitch + column(0)) / 4];
        for (int i = 0; i < 4; ++i) {
          for (int j = 0; j < 4; ++j) {
            out[i][j] += x.of[i] * y.of[j];
          }
        }
      }
      __syncthreads();
    }
  }

  /// Lays a tile down for mix(). What mix() read before has been read by all.
  __device__ void lay(const float (&tile)[4][4]) const {
    for (int j = 0; j < 4; ++j) {
      weights_[(column(j) * tile_pitch + row(0)) / 4] = {tile[0][j], tile[1][j], tile[2][j],
                                                         tile[3][j]};
    }
    __syncthreads();
  }
  /// out[i][c] += sum over the tile's columns of the tile that was laid down times b(column)'s
  /// channel c.
  template <int parts>
  __device__ void mix(const TileRows& b, float (&out)[4][parts]) const {
    constexpr int channels = 16 * parts;
    float* const strip = strips_[0].of;
    for (int first = 0; first < tile_extent; first += tile_depth) {
      for (int e = 0; e < tile_depth * channels / tile_threads; ++e) {
        const int index = static_cast<int>(threadIdx.x) + e * tile_threads;
        strip[index] = b.at(first + index / channels, index % channels);
      }
      __syncthreads();
      for (int depth = 0; depth < tile_depth; ++depth) {
        const FourFloats x = weights_[((first + depth) * tile_pitch + row(0)) / 4];
        for (int part = 0; part < parts / 4; ++part) {
          const FourFloats y = strips_[(depth * channels + channel(4 * part)) / 4];
          for (int i = 0; i < 4; ++i) {
            for (int c = 0; c < 4; ++c) {
              out[i][4 * part + c] += x.of[i] * y.of[c];
            }
          }
        }
      }
      __syncthreads();
    }
  }

  /// A value of each of the thread's rows, combined with those of the threads that have the same.
  template <class Op>
  __device__ static float combine_row(float mine) {
    for (unsigned distance = 8; distance > 0; distance /= 2) {
      mine = Op::combine(mine, __shfl_down_sync(0xffffffffU, mine, distance, 16));
    }
    return __shfl_sync(0xffffffffU, mine, 0, 16);
  }

 private:
  FourFloats* strips_;
  FourFloats* weights_;
  int row_, column_;
};

/// Shared memory of a TileThread: two strips of multiply(), or one of mix(); and a tile.
#define LDLM_TILE_THREAD(name)                                             \
  LDLM_SHARED(FourFloats, name##_strips, 2 * tile_depth * tile_pitch / 4); \
  LDLM_SHARED(FourFloats, name##_weights, tile_extent* tile_pitch / 4);    \
  const TileThread name(name##_strips, name##_weights)
static_assert(2 * tile_pitch >= tile_channels, "a strip of mix() fits in two of multiply()");

inline std::int64_t tiles_of(std::int64_t n) {
  return (n + tile_extent - 1) / tile_extent;
}

/// Blocks that work through `tiles` tiles, one at a time each.
inline Grid grid_of_tiles(std::int64_t tiles) {
  const std::int64_t most = std::int64_t{0x7fffffff};
  return {dim3(static_cast<unsigned>(std::min(tiles, most))), dim3(tile_threads)};
}

}  // namespace ldlm::cuda_backend
