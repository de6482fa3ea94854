// Attention with heads of up to 128 channels on tensor cores, and its gradients.

#include <ldlm_cuda/attention_mma.cuh>

namespace ldlm::cuda_backend {

namespace {

/// Rows of a block, and columns of a tile: as many as 48 KiB of shared memory have room for.
template <class T, int channels>
struct ForwardShape {
  static constexpr int rows = 64;
  static constexpr int columns = channels * sizeof(T) <= 256 ? 64 : 32;
  static constexpr int threads = rows * 2;
};
template <class T, int channels>
struct GradientShape {
  static constexpr int row_bytes = channels * static_cast<int>(sizeof(T));
  static constexpr int rows = row_bytes <= 256 ? 64 : 32;
  static constexpr int columns = row_bytes <= 128 ? 64 : row_bytes <= 256 ? 16 : 8;
  static constexpr int threads = rows * 2;
};

/// A block some queries, over the tiles of keys that they see. While scores are computed values are
/// on their way, while values are mixed the next keys. (Where three blocks are to have room, ptxas
/// spills for compute capability 10.0.)
template <class T, int channels>
__global__ void __launch_bounds__(ForwardShape<T, channels>::threads, 2)
    attention_mma_kernel(const __grid_constant__ Attention<T> args, std::int64_t tiles,
                         bool aligned) {
  using Shape = ForwardShape<T, channels>;
  using Rows = MmaRows<T, channels, Shape::threads>;
  constexpr int columns = Shape::columns;
  static_assert(Shape::rows <= 2 * columns, "queries pass through the memory of keys and values");
  LDLM_SHARED(MmaPart<T>, memory, Rows::parts(2 * columns));
  const Rows k_rows{memory[0].of};
  const Rows v_rows{memory[Rows::parts(columns)].of};
  const MmaPlace place;
  const std::int64_t heads = args.q.layout.shape[1];
  const std::int64_t queries = args.q.layout.shape[2];
  const std::int64_t tiles_of_head = (queries + Shape::rows - 1) / Shape::rows;
  constexpr float lowest = -INFINITY;
  for (std::int64_t number = blockIdx.x; number < tiles; number += gridDim.x) {
    // The last queries first: of a causal attention they see the most keys.
    const std::int64_t first_row = (tiles_of_head - 1 - number % tiles_of_head) * Shape::rows;
    const std::int64_t head_number = number / tiles_of_head;
    const AttentionHead<T> head(args, head_number / heads, head_number % heads);
    const T* const keys = head.row(args.k, 0);
    const T* const values = head.row(args.v, 0);
    const std::int64_t last = first_row + Shape::rows < queries ? first_row + Shape::rows : queries;
    const std::int64_t visible = head.visible(last - 1);

    unsigned q[channels / Rows::depth][4];
    k_rows.template bring<Shape::rows>(head.row(args.q, 0), args.q.layout, first_row, aligned);
    wait_copies<0>();
    __syncthreads();
    LDLM_UNROLL
    for (int c = 0; c < channels; c += Rows::depth) {
      k_rows.as_a(place.warp_row, c, q[c / Rows::depth]);
    }
    __syncthreads();

    float largest[2] = {lowest, lowest};
    float sum[2] = {};
    MmaSums<channels> out = {};
    k_rows.template bring<columns>(keys, args.k.layout, 0, aligned);
    for (std::int64_t first = 0; first < visible; first += columns) {
      v_rows.template bring<columns>(values, args.v.layout, first, aligned);
      wait_copies<1>();
      __syncthreads();
      MmaSums<columns> scores = {};
      LDLM_UNROLL
      for (int c = 0; c < channels; c += Rows::depth) {
        multiply_channels<columns>(q[c / Rows::depth], k_rows, c, scores);
      }
      __syncthreads();
      if (first + columns < visible) {
        k_rows.template bring<columns>(keys, args.k.layout, first + columns, aligned);
      } else {
        commit_copies();  // an empty group: there is always one behind the values'
      }
      LDLM_UNROLL
      for (int half = 0; half < 2; ++half) {
        const std::int64_t row = first_row + place.row(2 * half);
        const std::int64_t seen = row < queries ? head.visible(row) : 0;
        float most = largest[half];
        LDLM_UNROLL
        for (int n = 0; n < columns / 8; ++n) {
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            const std::int64_t key = first + place.column(n, i);
            scores[n][i] = key < seen ? head.masked(scores[n][i], row, key) : lowest;
            most = Largest::combine(most, scores[n][i]);
          }
        }
        most = combine_four<Largest>(most);
        const float base = most == lowest ? 0.0F : most;  // all is masked so far
        const float correction = exp(largest[half] - base);
        float total = 0;
        LDLM_UNROLL
        for (int n = 0; n < columns / 8; ++n) {
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            const float weight = exp(scores[n][i] - base);
            total += weight;
            const std::int64_t key = first + place.column(n, i);
            scores[n][i] = key < seen ? weight * head.dropout_factor(row, key) : 0.0F;
          }
        }
        sum[half] = sum[half] * correction + combine_four<Add>(total);
        largest[half] = most;
        LDLM_UNROLL
        for (int n = 0; n < channels / 8; ++n) {
          out[n][2 * half] *= correction;
          out[n][2 * half + 1] *= correction;
        }
      }
      wait_copies<1>();
      __syncthreads();
      mix_rows<columns>(scores, v_rows, out);
      __syncthreads();
    }
    wait_copies<0>();
    float factors[2];
    for (int half = 0; half < 2; ++half) {
      const bool none = largest[half] == lowest;
      const std::int64_t row = first_row + place.row(2 * half);
      factors[half] = none ? 0.0F : 1 / sum[half];
      if (place.member == 0 && row < queries && args.lse.data != nullptr) {
        *head.row(args.lse, row) = none ? lowest : largest[half] + log(sum[half]);
      }
    }
    write_rows<channels>(place, head, args.out, first_row, out, factors, aligned);
    __syncthreads();
  }
}

/// The gradients of a block's rows: of keys and their values, over the tiles of queries that see
/// them, or of queries, over the tiles of keys that they see. With S the scores and their factors f
/// and weights p (see attention_backward.cu), rows times columns are S and dp, the columns' rows
/// are mixed by slopes and, for values, by weights.
template <class T, bool of_keys, int channels>
__global__ void __launch_bounds__(GradientShape<T, channels>::threads)
    attention_gradients_mma_kernel(const __grid_constant__ AttentionBackward<T> args,
                                   std::int64_t tiles, const float* totals, bool aligned) {
  using Shape = GradientShape<T, channels>;
  using Rows = MmaRows<T, channels, Shape::threads>;
  constexpr int columns = Shape::columns;
  constexpr int queries_held = of_keys ? columns : Shape::rows;
  LDLM_SHARED(MmaPart<T>, row_memory, Rows::parts(2 * Shape::rows));
  LDLM_SHARED(MmaPart<T>, column_memory, Rows::parts(2 * columns));
  LDLM_SHARED(float, lse, queries_held);
  LDLM_SHARED(float, total, queries_held);
  const Rows rows{row_memory[0].of};                               // keys or queries
  const Rows row_others{row_memory[Rows::parts(Shape::rows)].of};  // values or grad_out
  const Rows column_rows{column_memory[0].of};
  const Rows column_others{column_memory[Rows::parts(columns)].of};
  const MmaPlace place;
  const Attention<T>& forward = args.forward;
  const std::int64_t heads = forward.q.layout.shape[1];
  const std::int64_t queries = forward.q.layout.shape[2];
  const std::int64_t keys = forward.k.layout.shape[2];
  const std::int64_t extent = of_keys ? keys : queries;
  const std::int64_t tiles_of_head = (extent + Shape::rows - 1) / Shape::rows;
  for (std::int64_t number = blockIdx.x; number < tiles; number += gridDim.x) {
    const std::int64_t tile = number % tiles_of_head;
    const std::int64_t first_row = (of_keys ? tile : tiles_of_head - 1 - tile) * Shape::rows;
    const std::int64_t head_number = number / tiles_of_head;
    const AttentionHead<T> head(forward, head_number / heads, head_number % heads);
    const auto bring = [&]<int count>(std::integral_constant<int, count>, bool their_keys,
                                      const Rows& to, const Rows& other, std::int64_t first) {
      const View<const T>& own = their_keys ? forward.k : forward.q;
      const View<const T>& beside = their_keys ? forward.v : args.grad_out;
      to.template bring<count>(head.row(own, 0), own.layout, first, aligned);
      other.template bring<count>(head.row(beside, 0), beside.layout, first, aligned);
    };
    const auto bring_queries = [&](std::int64_t first) {
      for (int i = static_cast<int>(threadIdx.x); i < queries_held; i += Shape::threads) {
        const bool there = first + i < queries;
        lse[i] = there ? *head.row(forward.lse, first + i) : -INFINITY;
        total[i] = there ? totals[head_number * queries + first + i] : 0.0F;
      }
    };
    bring(std::integral_constant<int, Shape::rows>{}, of_keys, rows, row_others, first_row);
    if constexpr (!of_keys) {
      bring_queries(first_row);
    }
    MmaSums<channels> grad = {};
    MmaSums<channels> grad_v = {};
    std::int64_t begin = 0;
    std::int64_t end = queries;
    if constexpr (of_keys) {  // from the first query that sees the first key on
      const std::int64_t seen_from = forward.causal ? first_row - (keys - queries) : 0;
      begin = seen_from > 0 ? seen_from / columns * columns : 0;
    } else {
      const std::int64_t last =
          first_row + Shape::rows < queries ? first_row + Shape::rows : queries;
      end = head.visible(last - 1);
    }
    for (std::int64_t first = begin; first < end; first += columns) {
      bring(std::integral_constant<int, columns>{}, !of_keys, column_rows, column_others, first);
      if constexpr (of_keys) {
        bring_queries(first);
      }
      wait_copies<0>();
      __syncthreads();
      MmaSums<columns> weights;
      MmaSums<columns> slopes;
      multiply_rows<columns>(rows, place.warp_row, column_rows, weights);
      multiply_rows<columns>(row_others, place.warp_row, column_others, slopes);
      LDLM_UNROLL
      for (int n = 0; n < columns / 8; ++n) {
        LDLM_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int row = place.row(i);
          const int column = place.column(n, i);
          const int held = of_keys ? column : row;
          const std::int64_t query = of_keys ? first + column : first_row + row;
          const std::int64_t key = of_keys ? first_row + row : first + column;
          float weight = 0;
          float slope = 0;
          if (query < queries && key < head.visible(query) && lse[held] != -INFINITY) {
            const float p = exp(head.masked(weights[n][i], query, key) - lse[held]);
            const float factor = head.dropout_factor(query, key);
            weight = p * factor;
            slope = forward.scale * p * (factor * slopes[n][i] - total[held]);
          }
          weights[n][i] = weight;
          slopes[n][i] = slope;
        }
      }
      if constexpr (of_keys) {
        mix_rows<columns>(weights, column_others, grad_v);
      }
      mix_rows<columns>(slopes, column_rows, grad);
      __syncthreads();
    }
    wait_copies<0>();
    const float as_it_is[2] = {1, 1};
    if constexpr (of_keys) {
      write_rows<channels>(place, head, args.grad_k, first_row, grad, as_it_is, aligned);
      write_rows<channels>(place, head, args.grad_v, first_row, grad_v, as_it_is, aligned);
    } else {
      write_rows<channels>(place, head, args.grad_q, first_row, grad, as_it_is, aligned);
    }
    __syncthreads();
  }
}

/// Calls kernel(..., tiles, more...) with blocks that work through the tiles of `rows` rows of each
/// head.
template <class Shape, class Kernel, class Args, class... More>
void launch_tiles(const char* op, Kernel* kernel, std::int64_t heads, std::int64_t rows,
                  const Args& args, const More&... more) {
  const std::int64_t tiles = heads * ((rows + Shape::rows - 1) / Shape::rows);
  if (tiles > 0) {
    const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(tiles, 0x7fffffff));
    launch(op, kernel, Grid{dim3(blocks), dim3(Shape::threads)}, args, tiles, more...);
  }
}

template <class T, int channels>
void attention_of_channels(const Attention<T>& args) {
  launch_tiles<ForwardShape<T, channels>>("attention", attention_mma_kernel<T, channels>,
                                          args.q.size(0) * args.q.size(1), args.q.size(2), args,
                                          rows_are_aligned<T>(args.q, args.k, args.v, args.out));
}

template <class T, int channels>
void gradients_of_channels(const AttentionBackward<T>& args, const float* totals) {
  using Shape = GradientShape<T, channels>;
  const Attention<T>& forward = args.forward;
  const std::int64_t heads = forward.q.size(0) * forward.q.size(1);
  const bool aligned = rows_are_aligned<T>(forward.q, forward.k, forward.v, args.grad_out,
                                           args.grad_q, args.grad_k, args.grad_v);
  launch_tiles<Shape>("attention_backward", attention_gradients_mma_kernel<T, false, channels>,
                      heads, forward.q.size(2), args, totals, aligned);
  launch_tiles<Shape>("attention_backward", attention_gradients_mma_kernel<T, true, channels>,
                      heads, forward.k.size(2), args, totals, aligned);
}

}  // namespace

template <class T>
void attention_mma(const Attention<T>& args) {
  args.q.size(3) <= 64 ? attention_of_channels<T, 64>(args) : attention_of_channels<T, 128>(args);
}

template <class T>
void attention_backward_mma(const AttentionBackward<T>& args, const float* totals) {
  args.forward.q.size(3) <= 64 ? gradients_of_channels<T, 64>(args, totals)
                               : gradients_of_channels<T, 128>(args, totals);
}

#define LDLM_INSTANTIATE(T)                         \
  template void attention_mma(const Attention<T>&); \
  template void attention_backward_mma(const AttentionBackward<T>&, const float*);
LDLM_INSTANTIATE(float)
LDLM_INSTANTIATE(bf16)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
