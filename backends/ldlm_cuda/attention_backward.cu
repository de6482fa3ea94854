// Gradients of attention, in three kernels without atomics: per query the sum that the softmax's
// gradient subtracts, then grad_q by query, then grad_k and grad_v by key.

#include <ldlm_cuda/attention_tile.cuh>
#include <ldlm_cuda/kernels.hpp>

namespace ldlm::cuda_backend {

namespace {

/// With p the softmax weight of (i, j), f its dropout factor and dp = f grad_out v_j: p and
/// ds = scale p (dp - total), total being the sum of p dp over the query's keys.
template <class C>
struct Pair {
  C weight, factor, slope;
};
template <class T, class C = ComputeType<T>>
__device__ Pair<C> pair_of(const AttentionBackward<T>& args, const AttentionHead<T>& head,
                           std::int64_t i, std::int64_t j, C total) {
  const Attention<T>& forward = args.forward;
  const C lse = *head.row(forward.lse, i);
  if (lse == -static_cast<C>(INFINITY)) {
    return {C{}, C{}, C{}};
  }
  const C weight = exp(head.score(head.row(forward.q, i), i, j) - lse);
  const C factor = head.dropout_factor(i, j);
  const C dp = factor * head.dot(head.row(args.grad_out, i), head.row(forward.v, j));
  return {weight, factor, forward.scale * weight * (dp - total)};
}

/// total of each query: the sum of out * grad_out over its channels, since out is the sum of
/// p f v_j.
template <class T>
__global__ void totals_kernel(const __grid_constant__ AttentionBackward<T> args, std::int64_t rows,
                              ComputeType<T>* totals) {
  const std::int64_t heads = args.forward.q.layout.shape[1];
  const std::int64_t queries = args.forward.q.layout.shape[2];
  for (std::int64_t number = first_index(); number < rows; number += index_step()) {
    const AttentionHead<T> head(args.forward, number / queries / heads, number / queries % heads);
    const std::int64_t i = number % queries;
    totals[number] = head.dot(head.row(args.forward.out, i), head.row(args.grad_out, i));
  }
}

/// scores -> weights, and their gradients -> slopes (see Pair), of a tile; `query` and `key` number
/// its elements.
template <class Query, class Key>
__device__ void weights_and_slopes(const AttentionBackward<float>& args,
                                   const AttentionHead<float>& head, const float* totals,
                                   const Query& query, const Key& key, float (&scores)[4][4],
                                   float (&slopes)[4][4]) {
  const std::int64_t queries = args.forward.q.layout.shape[2];
  LDLM_UNROLL
  for (int i = 0; i < 4; ++i) {
    LDLM_UNROLL
    for (int j = 0; j < 4; ++j) {
      const std::int64_t q = query(i, j);
      const std::int64_t k = key(i, j);
      float weight = 0;
      float factor = 0;
      if (q < queries && k < head.visible(q)) {
        const float lse = *head.row(args.forward.lse, q);
        weight = lse == -INFINITY ? 0.0F : exp(head.masked(scores[i][j], q, k) - lse);
        factor = head.dropout_factor(q, k);
        slopes[i][j] = args.forward.scale * weight * (factor * slopes[i][j] - totals[q]);
      } else {
        slopes[i][j] = 0;
      }
      scores[i][j] = weight * factor;
    }
  }
}

template <int parts>
__device__ void write_rows(const TileThread& thread, const AttentionHead<float>& head,
                           const View<float>& view, std::int64_t first,
                           const float (&values)[4][parts]) {
  LDLM_UNROLL
  for (int i = 0; i < 4; ++i) {
    const std::int64_t row = first + thread.row(i);
    for (int c = 0; c < parts; ++c) {
      if (row < view.layout.shape[2] && thread.channel(c) < view.layout.shape[3]) {
        head.row(view, row)[thread.channel(c)] = values[i][c];
      }
    }
  }
}

/// A block a tile of queries, over the tiles of keys that they see.
template <int parts>
__global__ void __launch_bounds__(tile_threads)
    grad_q_tiled_kernel(const __grid_constant__ AttentionBackward<float> args, std::int64_t tiles,
                        const float* totals) {
  LDLM_TILE_THREAD(thread);
  const Attention<float>& forward = args.forward;
  const std::int64_t heads = forward.q.layout.shape[1];
  const std::int64_t queries = forward.q.layout.shape[2];
  const std::int64_t tiles_of_head = (queries + tile_extent - 1) / tile_extent;
  for (std::int64_t number = blockIdx.x; number < tiles; number += gridDim.x) {
    const std::int64_t first_row = (tiles_of_head - 1 - number % tiles_of_head) * tile_extent;
    const std::int64_t head_number = number / tiles_of_head;
    const AttentionHead<float> head(forward, head_number / heads, head_number % heads);
    const std::int64_t visible = head.visible(last_of_tile(first_row, queries));
    float grad[4][parts] = {};
    for (std::int64_t first = 0; first < visible; first += tile_extent) {
      float scores[4][4];
      float slopes[4][4];
      const TileRows k = tile_rows(head, forward.k, first);
      thread.multiply(tile_rows(head, forward.q, first_row), k, scores);
      thread.multiply(tile_rows(head, args.grad_out, first_row), tile_rows(head, forward.v, first),
                      slopes);
      weights_and_slopes(
          args, head, totals + head_number * queries,
          [&](int i, int) { return first_row + thread.row(i); },
          [&](int, int j) { return first + thread.column(j); }, scores, slopes);
      thread.lay(slopes);
      thread.mix(k, grad);
    }
    write_rows(thread, head, args.grad_q, first_row, grad);
  }
}

/// A block a tile of keys, over the tiles of queries that see them.
template <int parts>
__global__ void __launch_bounds__(tile_threads)
    grad_kv_tiled_kernel(const __grid_constant__ AttentionBackward<float> args, std::int64_t tiles,
                         const float* totals) {
  LDLM_TILE_THREAD(thread);
  const Attention<float>& forward = args.forward;
  const std::int64_t heads = forward.q.layout.shape[1];
  const std::int64_t queries = forward.q.layout.shape[2];
  const std::int64_t keys = forward.k.layout.shape[2];
  const std::int64_t tiles_of_head = (keys + tile_extent - 1) / tile_extent;
  for (std::int64_t number = blockIdx.x; number < tiles; number += gridDim.x) {
    const std::int64_t first_key = number % tiles_of_head * tile_extent;
    const std::int64_t head_number = number / tiles_of_head;
    const AttentionHead<float> head(forward, head_number / heads, head_number % heads);
    // The first query that sees the first key.
    const std::int64_t seen_from = forward.causal ? first_key - (keys - queries) : 0;
    float grad_k[4][parts] = {};
    float grad_v[4][parts] = {};
    for (std::int64_t first = seen_from > 0 ? seen_from / tile_extent * tile_extent : 0;
         first < queries; first += tile_extent) {
      float scores[4][4];
      float slopes[4][4];
      const TileRows q = tile_rows(head, forward.q, first);
      const TileRows grad_out = tile_rows(head, args.grad_out, first);
      thread.multiply(tile_rows(head, forward.k, first_key), q, scores);
      thread.multiply(tile_rows(head, forward.v, first_key), grad_out, slopes);
      weights_and_slopes(
          args, head, totals + head_number * queries,
          [&](int, int j) { return first + thread.column(j); },
          [&](int i, int) { return first_key + thread.row(i); }, scores, slopes);
      thread.lay(scores);
      thread.mix(grad_out, grad_v);
      thread.lay(slopes);
      thread.mix(q, grad_k);
    }
    write_rows(thread, head, args.grad_k, first_key, grad_k);
    write_rows(thread, head, args.grad_v, first_key, grad_v);
  }
}

/// Any head size and element type. A block works on some channels of a query's gradient.
template <class T>
__global__ void grad_q_kernel(const __grid_constant__ AttentionBackward<T> args, std::int64_t rows,
                              const ComputeType<T>* totals) {
  using C = ComputeType<T>;
  LDLM_SHARED(C, slopes, attention_threads);
  const std::int64_t heads = args.forward.q.layout.shape[1];
  const std::int64_t queries = args.forward.q.layout.shape[2];
  const std::int64_t channels = args.forward.q.layout.shape[3];
  const std::int64_t parts = channel_parts(channels);
  for (std::int64_t number = blockIdx.x; number < rows * parts; number += gridDim.x) {
    const std::int64_t part = number % parts;
    const std::int64_t row = number / parts;
    const std::int64_t i = row % queries;
    const AttentionHead<T> head(args.forward, row / queries / heads, row / queries % heads);
    const std::int64_t visible = head.visible(i);
    C grad[channels_each] = {};
    for (std::int64_t first = 0; first < visible; first += blockDim.x) {
      const std::int64_t j = first + threadIdx.x;
      slopes[threadIdx.x] = j < visible ? pair_of(args, head, i, j, totals[row]).slope : C{};
      __syncthreads();
      const std::int64_t count =
          visible - first < std::int64_t{blockDim.x} ? visible - first : blockDim.x;
      for_channels(part, channels, [&](int c, std::int64_t channel) {
        C sum = grad[c];
        for (std::int64_t k = 0; k < count; ++k) {
          sum += slopes[k] * widened(head.row(args.forward.k, first + k)[channel]);
        }
        grad[c] = sum;
      });
      __syncthreads();
    }
    T* const out = head.row(args.grad_q, i);
    for_channels(part, channels,
                 [&](int c, std::int64_t channel) { out[channel] = rounded<T>(grad[c]); });
  }
}

/// The same of the gradients of a key and its value.
template <class T>
__global__ void grad_kv_kernel(const __grid_constant__ AttentionBackward<T> args, std::int64_t rows,
                               const ComputeType<T>* totals) {
  using C = ComputeType<T>;
  LDLM_SHARED(C, slopes, attention_threads);
  LDLM_SHARED(C, weights, attention_threads);
  const std::int64_t heads = args.forward.q.layout.shape[1];
  const std::int64_t queries = args.forward.q.layout.shape[2];
  const std::int64_t channels = args.forward.q.layout.shape[3];
  const std::int64_t keys = args.forward.k.layout.shape[2];
  const std::int64_t parts = channel_parts(channels);
  for (std::int64_t number = blockIdx.x; number < rows * parts; number += gridDim.x) {
    const std::int64_t part = number % parts;
    const std::int64_t j = number / parts % keys;
    const std::int64_t batch_head = number / parts / keys;
    const AttentionHead<T> head(args.forward, batch_head / heads, batch_head % heads);
    C grad_k[channels_each] = {};
    C grad_v[channels_each] = {};
    for (std::int64_t first = 0; first < queries; first += blockDim.x) {
      const std::int64_t i = first + threadIdx.x;
      Pair<C> pair{C{}, C{}, C{}};
      if (i < queries && j < head.visible(i)) {
        pair = pair_of(args, head, i, j, totals[batch_head * queries + i]);
      }
      slopes[threadIdx.x] = pair.slope;
      weights[threadIdx.x] = pair.weight * pair.factor;
      __syncthreads();
      const std::int64_t count =
          queries - first < std::int64_t{blockDim.x} ? queries - first : blockDim.x;
      for_channels(part, channels, [&](int c, std::int64_t channel) {
        C k_sum = grad_k[c];
        C v_sum = grad_v[c];
        for (std::int64_t k = 0; k < count; ++k) {
          k_sum += slopes[k] * widened(head.row(args.forward.q, first + k)[channel]);
          v_sum += weights[k] * widened(head.row(args.grad_out, first + k)[channel]);
        }
        grad_k[c] = k_sum;
        grad_v[c] = v_sum;
      });
      __syncthreads();
    }
    T* const to_k = head.row(args.grad_k, j);
    T* const to_v = head.row(args.grad_v, j);
    for_channels(part, channels, [&](int c, std::int64_t channel) {
      to_k[channel] = rounded<T>(grad_k[c]);
      to_v[channel] = rounded<T>(grad_v[c]);
    });
  }
}

}  // namespace

template <class T>
void attention_backward(const AttentionBackward<T>& args) {
  const View<const T>& q = args.forward.q;
  const std::int64_t heads = q.size(0) * q.size(1);
  const std::int64_t rows = heads * q.size(2);
  const std::int64_t keys = heads * args.forward.k.size(2);
  using C = ComputeType<T>;
  const Scratch scratch(static_cast<std::size_t>(rows) * sizeof(C));
  const auto grid = [&](std::int64_t n) {
    const std::int64_t blocks =
        std::min<std::int64_t>(n * channel_parts(q.size(3)), std::int64_t{256} * multiprocessors());
    return Grid{dim3(static_cast<unsigned>(blocks)), dim3(attention_threads)};
  };
  if (rows > 0) {
    launch("attention_backward", totals_kernel<T>, grid_over(rows), args, rows, scratch.as<C>());
  }
  if constexpr (std::is_same_v<C, float>) {
    if (takes_mma(args.forward)) {
      attention_backward_mma(args, scratch.as<float>());
      return;
    }
  }
  if constexpr (std::is_same_v<T, float>) {
    if (takes_tiles(args.forward)) {
      const auto run = [&](auto* kernel, std::int64_t tiles) {
        if (tiles > 0) {
          launch("attention_backward", kernel, grid_of_tiles(tiles), args, tiles,
                 scratch.as<float>());
        }
      };
      const bool narrow = q.size(3) <= 64;
      run(narrow ? grad_q_tiled_kernel<4> : grad_q_tiled_kernel<8>, heads * tiles_of(q.size(2)));
      run(narrow ? grad_kv_tiled_kernel<4> : grad_kv_tiled_kernel<8>,
          heads * tiles_of(args.forward.k.size(2)));
      return;
    }
  }
  if (rows > 0) {
    launch("attention_backward", grad_q_kernel<T>, grid(rows), args, rows, scratch.as<C>());
  }
  if (keys > 0) {
    launch("attention_backward", grad_kv_kernel<T>, grid(keys), args, keys, scratch.as<C>());
  }
}

#define LDLM_INSTANTIATE(T) template void attention_backward(const AttentionBackward<T>&);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
