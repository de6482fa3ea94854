// Scaled dot-product attention of any head size. A block works on a query, in stretches of keys
// whose weights are kept in shared memory; the softmax is corrected as larger scores come.

#include <ldlm_cuda/attention.cuh>
#include <ldlm_cuda/kernels.hpp>

namespace ldlm::cuda_backend {

namespace {

inline constexpr unsigned attention_threads = 128;

template <class T>
__global__ void attention_kernel(const __grid_constant__ Attention<T> args, std::int64_t rows) {
  LDLM_SHARED(T, weights, attention_threads);
  const std::int64_t heads = args.q.layout.shape[1];
  const std::int64_t queries = args.q.layout.shape[2];
  const std::int64_t channels = args.q.layout.shape[3];
  const T lowest = -static_cast<T>(INFINITY);
  for (std::int64_t number = blockIdx.x; number < rows; number += gridDim.x) {
    const std::int64_t i = number % queries;
    const AttentionHead<T> head(args, number / queries / heads, number / queries % heads);
    const T* const query = head.row(args.q, i);
    T* const out = head.row(args.out, i);
    const std::int64_t visible = head.visible(i);
    // Every thread keeps the channels that are its own in `out` until the end.
    for (std::int64_t d = threadIdx.x; d < channels; d += blockDim.x) {
      out[d] = T{};
    }
    T largest = lowest;
    T sum{};
    for (std::int64_t first = 0; first < visible; first += blockDim.x) {
      const std::int64_t j = first + threadIdx.x;
      const T score = j < visible ? head.score(query, i, j) : lowest;
      const T most = Largest::combine(largest, combine_block<Largest>(score, lowest));
      if (most == lowest) {
        continue;  // all masked so far; the same in every thread
      }
      const T weight = j < visible ? exp(score - most) : T{};
      const T correction = largest == lowest ? T{} : exp(largest - most);
      sum = sum * correction + sum_block(weight);
      weights[threadIdx.x] = j < visible ? weight * head.dropout_factor(i, j) : T{};
      __syncthreads();
      const std::int64_t count =
          visible - first < std::int64_t{blockDim.x} ? visible - first : blockDim.x;
      for (std::int64_t d = threadIdx.x; d < channels; d += blockDim.x) {
        T mixed = out[d] * correction;
        for (std::int64_t k = 0; k < count; ++k) {
          mixed += weights[k] * head.row(args.v, first + k)[d];
        }
        out[d] = mixed;
      }
      __syncthreads();
      largest = most;
    }
    for (std::int64_t d = threadIdx.x; d < channels; d += blockDim.x) {
      out[d] = largest == lowest ? T{} : out[d] / sum;
    }
    if (threadIdx.x == 0 && args.lse.data != nullptr) {
      *head.row(args.lse, i) = largest == lowest ? lowest : largest + log(sum);
    }
  }
}

}  // namespace

template <class T>
void attention(const Attention<T>& args) {
  const std::int64_t rows = args.q.size(0) * args.q.size(1) * args.q.size(2);
  if (rows > 0) {
    const std::int64_t blocks = std::min<std::int64_t>(rows, std::int64_t{256} * multiprocessors());
    launch("attention", attention_kernel<T>,
           Grid{dim3(static_cast<unsigned>(blocks)), dim3(attention_threads)}, args, rows);
  }
}

#define LDLM_INSTANTIATE(T) template void attention(const Attention<T>&);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
