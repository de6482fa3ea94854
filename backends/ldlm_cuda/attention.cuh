#pragma once
// What attention's forward and backward kernels both need of a query.

#include <ldlm_cuda/block.cuh>
#include <ldlm_cuda/map.cuh>

namespace ldlm::cuda_backend {

/// One (b, h) of (B, H, T, D) operands.
template <class T>
class AttentionHead {
 public:
  using C = ComputeType<T>;

  __device__ AttentionHead(const Attention<T>& args, std::int64_t b, std::int64_t h)
      : args_(args), b_(b), h_(h) {}

  /// Row i of a (B, H, T, D) view.
  template <class U>
  __device__ U* row(const View<U>& view, std::int64_t i) const {
    return view.data + b_ * view.layout.strides[0] + h_ * view.layout.strides[1] +
           i * view.layout.strides[2];
  }

  /// Keys that query i may see: the first ones.
  __device__ std::int64_t visible(std::int64_t i) const {
    const std::int64_t keys =
        args_.last_key != nullptr ? *args_.last_key + 1 : args_.k.layout.shape[2];
    const std::int64_t seen = i + keys - args_.q.layout.shape[2] + 1;
    return args_.causal && seen < keys ? seen : keys;
  }

  /// scale * q_i k_j + mask
  __device__ C score(const T* query, std::int64_t i, std::int64_t j) const {
    return masked(dot(query, row(args_.k, j)), i, j);
  }
  /// scale * dot + mask
  __device__ C masked(C dot, std::int64_t i, std::int64_t j) const {
    dot *= args_.scale;
    return args_.mask.data == nullptr ? dot : dot + mask(i, j);
  }
  /// Is added to the score of key j.
  __device__ C mask(std::int64_t i, std::int64_t j) const {
    return args_.mask.data == nullptr
               ? C{}
               : widened(row(args_.mask, i)[j * args_.mask.layout.strides[3]]);
  }
  /// Of two rows of D.
  __device__ C dot(const T* a, const T* b) const {
    const std::int64_t channels = args_.q.layout.shape[3];
    C sum{};
    for (std::int64_t d = 0; d < channels; ++d) {
      sum += widened(a[d]) * widened(b[d]);
    }
    return sum;
  }

  /// What dropout multiplies the weight of key j with.
  __device__ C dropout_factor(std::int64_t i, std::int64_t j) const {
    if (args_.dropout == C{}) {
      return C{1};
    }
    const std::int64_t element =
        ((b_ * args_.q.layout.shape[1] + h_) * args_.q.layout.shape[2] + i) *
            args_.k.layout.shape[2] +
        j;
    const C u = static_cast<C>(
        uniform_from_bits(philox_word(args_.stream, static_cast<std::uint64_t>(element))));
    return u >= args_.dropout ? C{1} / (C{1} - args_.dropout) : C{};
  }

 private:
  const Attention<T>& args_;
  std::int64_t b_, h_;
};

/// At most, of attention in tiles.
inline constexpr std::int64_t tile_channels = 128;

/// Whether attention of these is computed in tiles: sums of floats, and enough queries for them. A
/// tile reads all of its keys, also those that are not there yet.
template <class T>
bool takes_tiles(const Attention<T>& args) {
  constexpr std::int64_t least = 8;
  return std::is_same_v<ComputeType<T>, float> && args.q.size(3) <= tile_channels &&
         args.q.size(2) >= least && args.last_key == nullptr;
}

/// Whether it is computed on tensor cores.
template <class T>
bool takes_mma(const Attention<T>& args) {
  return takes_tiles(args) && (std::is_same_v<T, bf16> || args.allow_tf32);
}

/// Whether every row of these views begins at a multiple of 16 bytes, with whole words of 16 bytes.
template <class T, class... Views>
bool rows_are_aligned(const Views&... views) {
  const auto aligned = [](const auto& view) {
    constexpr int width = vector_width<T>;
    bool fits = reinterpret_cast<std::uintptr_t>(view.data) % 16 == 0 && view.size(3) % width == 0;
    for (int axis = 0; axis < 3; ++axis) {
      fits = fits && (view.size(axis) == 1 || view.stride(axis) % width == 0);
    }
    return fits;
  };
  return (aligned(views) && ...);
}

/// Whether the keys of a query are split over several blocks: where it is not computed in tiles.
template <class T>
bool takes_few(const Attention<T>& args) {
  return std::is_same_v<ComputeType<T>, float> && args.q.size(3) <= tile_channels &&
         !takes_tiles(args) && args.dropout == 0 && rows_are_aligned<T>(args.q, args.k, args.v);
}

// attention_few.cu: what takes_few().
template <class T>
void attention_few(const Attention<T>& args);

// attention_mma.cu: what takes_mma(). `totals` as attention_backward.cu makes them.
template <class T>
void attention_mma(const Attention<T>& args);
template <class T>
void attention_backward_mma(const AttentionBackward<T>& args, const float* totals);

// The kernels for any head size: a block works on a row of channels, some of them at a time, which
// its threads keep in registers.
inline constexpr int attention_threads = 128;
inline constexpr int channels_each = 4;  // that a thread keeps

/// Calls f(number, channel) for those of a thread's channels that exist; `part` is of all.
template <class F>
__device__ void for_channels(std::int64_t part, std::int64_t channels, const F& f) {
  LDLM_UNROLL
  for (int c = 0; c < channels_each; ++c) {
    const std::int64_t channel =
        (part * channels_each + c) * attention_threads + static_cast<std::int64_t>(threadIdx.x);
    if (channel < channels) {
      f(c, channel);
    }
  }
}
__host__ __device__ inline std::int64_t channel_parts(std::int64_t channels) {
  constexpr std::int64_t at_once = attention_threads * channels_each;
  return (channels + at_once - 1) / at_once;
}

}  // namespace ldlm::cuda_backend
