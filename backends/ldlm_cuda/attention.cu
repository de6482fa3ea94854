// Scaled dot-product attention. The softmax is corrected as larger scores come (Milakov and
// Gimelshein, 2018; Dao et al., 2022), so that no more than a tile of scores exists at a time.

#include <ldlm_cuda/attention_tile.cuh>
#include <ldlm_cuda/kernels.hpp>

namespace ldlm::cuda_backend {

namespace {

/// A block a tile of queries, over the tiles of keys that they see.
template <int parts>
__global__ void __launch_bounds__(tile_threads)
    attention_tiled_kernel(const __grid_constant__ Attention<float> args, std::int64_t tiles) {
  LDLM_TILE_THREAD(thread);
  const std::int64_t heads = args.q.layout.shape[1];
  const std::int64_t queries = args.q.layout.shape[2];
  const std::int64_t channels = args.q.layout.shape[3];
  const std::int64_t tile_rows_of_head = (queries + tile_extent - 1) / tile_extent;
  constexpr float lowest = -INFINITY;
  for (std::int64_t number = blockIdx.x; number < tiles; number += gridDim.x) {
    // The last queries first: of a causal attention they see the most keys.
    const std::int64_t first_row =
        (tile_rows_of_head - 1 - number % tile_rows_of_head) * tile_extent;
    const std::int64_t head_number = number / tile_rows_of_head;
    const AttentionHead<float> head(args, head_number / heads, head_number % heads);
    const TileRows q = tile_rows(head, args.q, first_row);
    const std::int64_t visible = head.visible(last_of_tile(first_row, queries));
    float largest[4], sum[4], out[4][parts];
    for (int i = 0; i < 4; ++i) {
      largest[i] = lowest;
      sum[i] = 0;
      for (int c = 0; c < parts; ++c) {
        out[i][c] = 0;
      }
    }
    for (std::int64_t first = 0; first < visible; first += tile_extent) {
      float scores[4][4];
      thread.multiply(q, tile_rows(head, args.k, first), scores);
      LDLM_UNROLL
      for (int i = 0; i < 4; ++i) {
        const std::int64_t row = first_row + thread.row(i);
        const std::int64_t seen = row < queries ? head.visible(row) : 0;
        float most = largest[i];
        for (int j = 0; j < 4; ++j) {
          const std::int64_t key = first + thread.column(j);
          scores[i][j] = key < seen ? head.masked(scores[i][j], row, key) : lowest;
          most = Largest::combine(most, scores[i][j]);
        }
        most = TileThread::combine_row<Largest>(most);
        const float base = most == lowest ? 0.0F : most;  // all is masked so far
        const float correction = exp(largest[i] - base);
        float total = 0;
        for (int j = 0; j < 4; ++j) {
          const float weight = exp(scores[i][j] - base);
          total += weight;
          const std::int64_t key = first + thread.column(j);
          scores[i][j] = key < seen ? weight * head.dropout_factor(row, key) : 0.0F;
        }
        sum[i] = sum[i] * correction + TileThread::combine_row<Add>(total);
        largest[i] = most;
        for (int c = 0; c < parts; ++c) {
          out[i][c] *= correction;
        }
      }
      thread.lay(scores);
      thread.mix(tile_rows(head, args.v, first), out);
    }
    LDLM_UNROLL
    for (int i = 0; i < 4; ++i) {
      const std::int64_t row = first_row + thread.row(i);
      if (row >= queries) {
        continue;
      }
      float* const to = head.row(args.out, row);
      for (int c = 0; c < parts; ++c) {
        if (thread.channel(c) < channels) {
          to[thread.channel(c)] = largest[i] == lowest ? 0.0F : out[i][c] / sum[i];
        }
      }
      if (thread.column(0) == 0 && args.lse.data != nullptr) {
        *head.row(args.lse, row) = largest[i] == lowest ? lowest : largest[i] + log(sum[i]);
      }
    }
  }
}

/// Any head size and element type. A block works on some channels of a query, in stretches of keys
/// whose weights are kept in shared memory.
template <class T>
__global__ void attention_kernel(const __grid_constant__ Attention<T> args, std::int64_t rows) {
  using C = ComputeType<T>;
  LDLM_SHARED(C, weights, attention_threads);
  const std::int64_t heads = args.q.layout.shape[1];
  const std::int64_t queries = args.q.layout.shape[2];
  const std::int64_t channels = args.q.layout.shape[3];
  const std::int64_t parts = channel_parts(channels);
  const C lowest = -static_cast<C>(INFINITY);
  for (std::int64_t number = blockIdx.x; number < rows * parts; number += gridDim.x) {
    const std::int64_t part = number % parts;
    const std::int64_t i = number / parts % queries;
    const std::int64_t head_number = number / parts / queries;
    const AttentionHead<T> head(args, head_number / heads, head_number % heads);
    const T* const query = head.row(args.q, i);
    T* const out = head.row(args.out, i);
    const std::int64_t visible = head.visible(i);
    C mixed[channels_each] = {};
    C largest = lowest;
    C sum{};
    for (std::int64_t first = 0; first < visible; first += blockDim.x) {
      const std::int64_t j = first + threadIdx.x;
      const C score = j < visible ? head.score(query, i, j) : lowest;
      const C most = Largest::combine(largest, combine_block<Largest>(score));
      if (most == lowest) {
        continue;  // all masked so far; the same in every thread
      }
      const C weight = j < visible ? exp(score - most) : C{};
      const C correction = largest == lowest ? C{} : exp(largest - most);
      sum = sum * correction + sum_block(weight);
      weights[threadIdx.x] = j < visible ? weight * head.dropout_factor(i, j) : C{};
      __syncthreads();
      const std::int64_t count =
          visible - first < std::int64_t{blockDim.x} ? visible - first : blockDim.x;
      for_channels(part, channels, [&](int c, std::int64_t channel) {
        C total = mixed[c] * correction;
        for (std::int64_t k = 0; k < count; ++k) {
          total += weights[k] * widened(head.row(args.v, first + k)[channel]);
        }
        mixed[c] = total;
      });
      __syncthreads();
      largest = most;
    }
    for_channels(part, channels, [&](int c, std::int64_t channel) {
      out[channel] = rounded<T>(largest == lowest ? C{} : mixed[c] / sum);
    });
    if (part == 0 && threadIdx.x == 0 && args.lse.data != nullptr) {
      *head.row(args.lse, i) = largest == lowest ? lowest : largest + log(sum);
    }
  }
}

}  // namespace

template <class T>
void attention(const Attention<T>& args) {
  const std::int64_t heads = args.q.size(0) * args.q.size(1);
  const std::int64_t rows = heads * args.q.size(2);
  if constexpr (std::is_same_v<ComputeType<T>, float>) {
    if (rows > 0 && takes_mma(args)) {
      attention_mma(args);
      return;
    }
  }
  if constexpr (std::is_same_v<T, float>) {
    if (rows > 0 && takes_tiles(args)) {
      const std::int64_t tiles = heads * tiles_of(args.q.size(2));
      launch("attention",
             args.q.size(3) <= 64 ? attention_tiled_kernel<4> : attention_tiled_kernel<8>,
             grid_of_tiles(tiles), args, tiles);
      return;
    }
  }
  if constexpr (std::is_same_v<ComputeType<T>, float>) {
    if (rows > 0 && takes_few(args)) {
      attention_few(args);
      return;
    }
  }
  if (rows > 0) {
    const std::int64_t blocks = std::min<std::int64_t>(rows * channel_parts(args.q.size(3)),
                                                       std::int64_t{256} * multiprocessors());
    launch("attention", attention_kernel<T>,
           Grid{dim3(static_cast<unsigned>(blocks)), dim3(attention_threads)}, args, rows);
  }
}

#define LDLM_INSTANTIATE(T) template void attention(const Attention<T>&);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
