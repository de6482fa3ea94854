// Attention of few queries, as in generation: what takes long is to read keys and values, so that
// those of a query are split over several blocks (Dao, Haziza, Massa and Sizov, Flash-Decoding,
// 2023), which read them as they lie in memory, 16 bytes at a time. A second kernel puts their
// results together.

#include <ldlm_cuda/attention.cuh>
#include <ldlm_cuda/kernels.hpp>

namespace ldlm::cuda_backend {

namespace {

constexpr float lowest = -INFINITY;
/// Fewer keys are not worth a block.
constexpr std::int64_t least_keys = 64;

/// Of some keys: the largest score, and sums of w = exp(score - largest) and of w times a channel
/// of the value. It lies in memory as largest, sum, channels.
struct Partial {
  float largest = lowest;
  float sum = 0;
  float mixed = 0;
};
constexpr int before_channels = 2;

/// What exp() is taken from; all is masked so far where `largest` is -infinity.
__device__ float base_of(float largest) {
  return largest == lowest ? 0.0F : largest;
}

/// Puts `count` partial results together, in their order. They lie `pitch` apart.
__device__ Partial combine_partials(const float* from, std::int64_t count, std::int64_t pitch,
                                    std::int64_t channel) {
  constexpr int at_once = 8;  // that are read before the first is used
  Partial all;
  LDLM_KEEP_LOOP
  for (std::int64_t first = 0; first < count; first += at_once) {
    Partial next[at_once];
    LDLM_UNROLL
    for (int p = 0; p < at_once; ++p) {
      if (first + p < count) {
        const float* const at = from + (first + p) * pitch;
        next[p] = {at[0], at[1], at[before_channels + channel]};
      }
    }
    float most = all.largest;
    LDLM_UNROLL
    for (int p = 0; p < at_once; ++p) {
      most = Largest::combine(most, next[p].largest);
    }
    const float base = base_of(most);
    const float correction = exp(all.largest - base);
    all = {most, all.sum * correction, all.mixed * correction};
    LDLM_UNROLL
    for (int p = 0; p < at_once; ++p) {
      const float weight = exp(next[p].largest - base);
      all.sum += weight * next[p].sum;
      all.mixed += weight * next[p].mixed;
    }
  }
  return all;
}

/// Writes a channel of query i, and its log-sum-exp with channel 0.
template <class T>
__device__ void finish(const AttentionHead<T>& head, const Attention<T>& args, std::int64_t i,
                       std::int64_t channel, const Partial& all) {
  const bool none = all.largest == lowest;
  head.row(args.out, i)[channel] = rounded<T>(none ? 0.0F : all.mixed / all.sum);
  if (channel == 0 && args.lse.data != nullptr) {
    *head.row(args.lse, i) = none ? lowest : all.largest + log(all.sum);
  }
}

/// Reads 16 bytes of rows first, first + step, ...; those of rows from `end` on are zeros.
template <class T, int rows>
__device__ void read_rows(const T* from, std::int64_t stride, std::int64_t first, int step,
                          std::int64_t end, Vector<T, vector_width<T>> (&to)[rows]) {
  LDLM_UNROLL
  for (int r = 0; r < rows; ++r) {
    const std::int64_t row = first + r * step;
    to[r] = {};
    if (row < end) {
      to[r] = *reinterpret_cast<const Vector<T, vector_width<T>>*>(from + row * stride);
    }
  }
}

/// A block a part of a query's keys, which are dealt out to teams of threads: a thread has some
/// channels of its team's keys, and the same ones of their values. The result of the only part is
/// attention's, those of several go to `partials`.
template <class T, int most_channels>
__global__ void __launch_bounds__(attention_threads)
    attention_few_kernel(const __grid_constant__ Attention<T> args, std::int64_t blocks,
                         std::int64_t parts, float* partials) {
  constexpr int width = vector_width<T>;
  constexpr int lanes = most_channels / width;  // of a team
  constexpr int teams = attention_threads / lanes;
  constexpr int at_once = 4;  // keys of a team
  constexpr int pitch = before_channels + most_channels;
  static_assert(lanes <= 32 && most_channels <= attention_threads);
  constexpr int floats = teams * pitch;
  LDLM_SHARED(float, of_teams, floats);
  const std::int64_t heads = args.q.layout.shape[1];
  const std::int64_t queries = args.q.layout.shape[2];
  const std::int64_t channels = args.q.layout.shape[3];
  const int thread = static_cast<int>(threadIdx.x);
  const int team = thread / lanes;
  const int first_channel = thread % lanes * width;
  const bool has_channels = first_channel < channels;
  for (std::int64_t number = blockIdx.x; number < blocks; number += gridDim.x) {
    // Queries that read the same keys are neighbours.
    const std::int64_t i = number % queries;
    const std::int64_t part = number / queries % parts;
    const std::int64_t head_number = number / queries / parts;
    const AttentionHead<T> head(args, head_number / heads, head_number % heads);
    // How many keys there are may be known only here: parts have equal shares of these.
    const std::int64_t visible = head.visible(i);
    const std::int64_t equal_share = (visible + parts - 1) / parts;
    const std::int64_t share = equal_share < least_keys ? least_keys : equal_share;
    const std::int64_t end = (part + 1) * share < visible ? (part + 1) * share : visible;

    const T* const keys_from = head.row(args.k, 0) + first_channel;
    const T* const values_from = head.row(args.v, 0) + first_channel;
    const std::int64_t read_end = has_channels ? end : 0;
    Vector<T, width> query[1];
    read_rows(head.row(args.q, i) + first_channel, 0, 0, 0, has_channels ? 1 : 0, query);
    float largest = lowest;
    float sum = 0;
    float mixed[width] = {};
    LDLM_KEEP_LOOP
    for (std::int64_t first = part * share; first < end; first += teams * at_once) {
      Vector<T, width> keys[at_once], values[at_once];
      read_rows(keys_from, args.k.layout.strides[2], first + team, teams, read_end, keys);
      read_rows(values_from, args.v.layout.strides[2], first + team, teams, read_end, values);
      float masks[at_once];
      LDLM_UNROLL
      for (int k = 0; k < at_once; ++k) {
        const std::int64_t key = first + team + k * teams;
        masks[k] = key < end ? head.mask(i, key) : 0.0F;
      }
      float scores[at_once];
      float most = largest;
      LDLM_UNROLL
      for (int k = 0; k < at_once; ++k) {
        float dot = 0;
        LDLM_UNROLL
        for (int e = 0; e < width; ++e) {
          dot += widened(query[0].of[e]) * widened(keys[k].of[e]);
        }
        LDLM_UNROLL
        for (int distance = lanes / 2; distance > 0; distance /= 2) {
          dot += __shfl_xor_sync(0xffffffffU, dot, distance);
        }
        const std::int64_t key = first + team + k * teams;
        scores[k] = key < end ? dot * args.scale + masks[k] : lowest;
        most = Largest::combine(most, scores[k]);
      }
      const float base = base_of(most);
      const float correction = exp(largest - base);
      largest = most;
      sum *= correction;
      LDLM_UNROLL
      for (int e = 0; e < width; ++e) {
        mixed[e] *= correction;
      }
      LDLM_UNROLL
      for (int k = 0; k < at_once; ++k) {
        const float weight = exp(scores[k] - base);
        sum += weight;
        LDLM_UNROLL
        for (int e = 0; e < width; ++e) {
          mixed[e] += weight * widened(values[k].of[e]);
        }
      }
    }

    float* const of_team = of_teams + team * pitch;
    if (first_channel == 0) {
      of_team[0] = largest;
      of_team[1] = sum;
    }
    LDLM_UNROLL
    for (int e = 0; e < width; ++e) {
      of_team[before_channels + first_channel + e] = mixed[e];
    }
    __syncthreads();
    if (thread < channels) {
      const Partial all = combine_partials(of_teams, teams, pitch, thread);
      if (parts == 1) {
        finish(head, args, i, thread, all);
      } else {
        float* const to =
            partials + ((head_number * queries + i) * parts + part) * (before_channels + channels);
        to[before_channels + thread] = all.mixed;
        if (thread == 0) {
          to[0] = all.largest;
          to[1] = all.sum;
        }
      }
    }
    __syncthreads();
  }
}

/// A block a query, a thread a channel.
template <class T>
__global__ void __launch_bounds__(attention_threads)
    combine_parts_kernel(const __grid_constant__ Attention<T> args, std::int64_t parts,
                         const float* partials) {
  const std::int64_t heads = args.q.layout.shape[1];
  const std::int64_t queries = args.q.layout.shape[2];
  const std::int64_t channels = args.q.layout.shape[3];
  if (threadIdx.x >= channels) {
    return;
  }
  const std::int64_t row = blockIdx.x;
  const std::int64_t head_number = row / queries;
  const std::int64_t pitch = before_channels + channels;
  const AttentionHead<T> head(args, head_number / heads, head_number % heads);
  finish(head, args, row % queries, threadIdx.x,
         combine_partials(partials + row * parts * pitch, parts, pitch, threadIdx.x));
}

/// As many parts as fill the card, of all keys that there may be.
std::int64_t parts_of(std::int64_t rows, std::int64_t keys) {
  const std::int64_t wanted = std::int64_t{4} * multiprocessors() / rows;
  const std::int64_t most = (keys + least_keys - 1) / least_keys;
  return std::max<std::int64_t>(1, std::min(wanted, most));
}

Grid grid_of_blocks(std::int64_t blocks) {
  return {dim3(static_cast<unsigned>(blocks)), dim3(attention_threads)};
}

}  // namespace

template <class T>
void attention_few(const Attention<T>& args) {
  const std::int64_t channels = args.q.size(3);
  const std::int64_t rows = args.q.size(0) * args.q.size(1) * args.q.size(2);
  const std::int64_t parts = parts_of(rows, args.k.size(2));
  const std::int64_t blocks = rows * parts;
  const std::int64_t floats = parts == 1 ? 0 : blocks * (before_channels + channels);
  const Scratch partials(static_cast<std::size_t>(floats) * sizeof(float));
  launch("attention",
         channels <= 64 ? attention_few_kernel<T, 64> : attention_few_kernel<T, tile_channels>,
         grid_of_blocks(std::min<std::int64_t>(blocks, std::int64_t{64} * multiprocessors())), args,
         blocks, parts, partials.as<float>());
  if (parts > 1) {
    launch("attention", combine_parts_kernel<T>, grid_of_blocks(rows), args, parts,
           partials.as<float>());
  }
}

#define LDLM_INSTANTIATE(T) template void attention_few(const Attention<T>&);
LDLM_INSTANTIATE(float)
LDLM_INSTANTIATE(bf16)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
