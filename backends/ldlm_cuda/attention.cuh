#pragma once
// What attention's forward and backward kernels both need of a query.

#include <ldlm_cuda/block.cuh>

namespace ldlm::cuda_backend {

/// One (b, h) of (B, H, T, D) operands.
template <class T>
class AttentionHead {
 public:
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
    const std::int64_t keys = args_.k.layout.shape[2];
    const std::int64_t seen = i + keys - args_.q.layout.shape[2] + 1;
    return args_.causal && seen < keys ? seen : keys;
  }

  /// scale * q_i k_j + mask
  __device__ T score(const T* query, std::int64_t i, std::int64_t j) const {
    const T* const key = row(args_.k, j);
    const std::int64_t channels = args_.q.layout.shape[3];
    T dot{};
    for (std::int64_t d = 0; d < channels; ++d) {
      dot += query[d] * key[d];
    }
    return masked(dot, i, j);
  }
  /// scale * dot + mask
  __device__ T masked(T dot, std::int64_t i, std::int64_t j) const {
    dot *= args_.scale;
    return args_.mask.data == nullptr ? dot
                                      : dot + row(args_.mask, i)[j * args_.mask.layout.strides[3]];
  }

  /// What dropout multiplies the weight of key j with.
  __device__ T dropout_factor(std::int64_t i, std::int64_t j) const {
    if (args_.dropout == T{}) {
      return T{1};
    }
    const std::int64_t element =
        ((b_ * args_.q.layout.shape[1] + h_) * args_.q.layout.shape[2] + i) *
            args_.k.layout.shape[2] +
        j;
    const T u = static_cast<T>(
        uniform_from_bits(philox_word(args_.stream, static_cast<std::uint64_t>(element))));
    return u >= args_.dropout ? T{1} / (T{1} - args_.dropout) : T{};
  }

 private:
  const Attention<T>& args_;
  std::int64_t b_, h_;
};

}  // namespace ldlm::cuda_backend
