// Attention of bf16 with heads of up to 128 channels, on tensor cores, and its gradients.

#include <ldlm_cuda/attention_mma.cuh>

namespace ldlm::cuda_backend {

namespace {

/// A block 64 queries, over the tiles of keys that they see. While scores are computed values are
/// on their way, while values are mixed the next keys.
template <int channels>
__global__ void __launch_bounds__(mma_threads)
    attention_mma_kernel(const __grid_constant__ Attention<bf16> args, std::int64_t tiles,
                         bool aligned) {
  using Rows = MmaRows<channels>;
  constexpr int columns = 64;  // keys of a tile
  LDLM_SHARED(EightHalves, k_memory, Rows::eights(columns));
  LDLM_SHARED(EightHalves, v_memory, Rows::eights(columns));
  const Rows k_rows{k_memory[0].of};
  const Rows v_rows{v_memory[0].of};
  const MmaPlace place;
  const std::int64_t heads = args.q.layout.shape[1];
  const std::int64_t queries = args.q.layout.shape[2];
  const std::int64_t tiles_of_head = (queries + mma_rows - 1) / mma_rows;
  constexpr float lowest = -INFINITY;
  for (std::int64_t number = blockIdx.x; number < tiles; number += gridDim.x) {
    // The last queries first: of a causal attention they see the most keys.
    const std::int64_t first_row = (tiles_of_head - 1 - number % tiles_of_head) * mma_rows;
    const std::int64_t head_number = number / tiles_of_head;
    const AttentionHead<bf16> head(args, head_number / heads, head_number % heads);
    const bf16* const keys = head.row(args.k, 0);
    const bf16* const values = head.row(args.v, 0);
    const std::int64_t last = first_row + mma_rows < queries ? first_row + mma_rows : queries;
    const std::int64_t visible = head.visible(last - 1);

    unsigned q[channels / 16][4];
    k_rows.template bring<mma_rows>(head.row(args.q, 0), args.q.layout, first_row, aligned);
    wait_copies<0>();
    __syncthreads();
    LDLM_UNROLL
    for (int c = 0; c < channels; c += 16) {
      k_rows.as_a(place.warp_row, c, q[c / 16]);
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
      for (int c = 0; c < channels; c += 16) {
        LDLM_UNROLL
        for (int column = 0; column < columns; column += 16) {
          unsigned b[4];
          k_rows.as_columns(column, c, b);
          multiply_sixteen<columns>(scores, column, q[c / 16], b);
        }
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

/// The gradients of 64 rows: of keys and their values, over the tiles of queries that see them, or
/// of queries, over the tiles of keys that they see. With S the scores and their factors f and
/// weights p (see attention_backward.cu), rows times columns are S and dp, the columns' rows are
/// mixed by slopes and, for values, by weights.
template <bool of_keys, int channels>
__global__ void __launch_bounds__(mma_threads)
    attention_gradients_mma_kernel(const __grid_constant__ AttentionBackward<bf16> args,
                                   std::int64_t tiles, const float* totals, bool aligned) {
  using Rows = MmaRows<channels>;
  constexpr int columns = channels <= 64 ? 64 : 16;
  constexpr int queries_held = of_keys ? columns : mma_rows;
  LDLM_SHARED(EightHalves, row_memory, Rows::eights(2 * mma_rows));
  LDLM_SHARED(EightHalves, column_memory, Rows::eights(2 * columns));
  LDLM_SHARED(float, lse, queries_held);
  LDLM_SHARED(float, total, queries_held);
  const Rows rows{row_memory[0].of};                             // keys or queries
  const Rows row_others{row_memory[Rows::eights(mma_rows)].of};  // values or grad_out
  const Rows column_rows{column_memory[0].of};
  const Rows column_others{column_memory[Rows::eights(columns)].of};
  const MmaPlace place;
  const Attention<bf16>& forward = args.forward;
  const std::int64_t heads = forward.q.layout.shape[1];
  const std::int64_t queries = forward.q.layout.shape[2];
  const std::int64_t keys = forward.k.layout.shape[2];
  const std::int64_t extent = of_keys ? keys : queries;
  const std::int64_t tiles_of_head = (extent + mma_rows - 1) / mma_rows;
  for (std::int64_t number = blockIdx.x; number < tiles; number += gridDim.x) {
    const std::int64_t tile = number % tiles_of_head;
    const std::int64_t first_row = (of_keys ? tile : tiles_of_head - 1 - tile) * mma_rows;
    const std::int64_t head_number = number / tiles_of_head;
    const AttentionHead<bf16> head(forward, head_number / heads, head_number % heads);
    const auto bring = [&]<int count>(std::integral_constant<int, count>, bool their_keys,
                                      const Rows& to, const Rows& other, std::int64_t first) {
      const View<const bf16>& own = their_keys ? forward.k : forward.q;
      const View<const bf16>& beside = their_keys ? forward.v : args.grad_out;
      to.template bring<count>(head.row(own, 0), own.layout, first, aligned);
      other.template bring<count>(head.row(beside, 0), beside.layout, first, aligned);
    };
    const auto bring_queries = [&](std::int64_t first) {
      for (int i = static_cast<int>(threadIdx.x); i < queries_held; i += mma_threads) {
        const bool there = first + i < queries;
        lse[i] = there ? *head.row(forward.lse, first + i) : -INFINITY;
        total[i] = there ? totals[head_number * queries + first + i] : 0.0F;
      }
    };
    bring(std::integral_constant<int, mma_rows>{}, of_keys, rows, row_others, first_row);
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
      const std::int64_t last = first_row + mma_rows < queries ? first_row + mma_rows : queries;
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

}  // namespace

void attention_mma(const Attention<bf16>& args) {
  const std::int64_t heads = args.q.size(0) * args.q.size(1);
  const Grid grid = grid_of_mma(heads, args.q.size(2));
  launch("attention", args.q.size(3) <= 64 ? attention_mma_kernel<64> : attention_mma_kernel<128>,
         grid, args, heads * ((args.q.size(2) + mma_rows - 1) / mma_rows),
         rows_are_aligned(args.q, args.k, args.v, args.out));
}

void attention_backward_mma(const AttentionBackward<bf16>& args, const float* totals) {
  const Attention<bf16>& forward = args.forward;
  const std::int64_t heads = forward.q.size(0) * forward.q.size(1);
  const bool aligned = rows_are_aligned(forward.q, forward.k, forward.v, args.grad_out, args.grad_q,
                                        args.grad_k, args.grad_v);
  const auto run = [&](auto* kernel, std::int64_t rows) {
    const std::int64_t tiles = heads * ((rows + mma_rows - 1) / mma_rows);
    if (tiles > 0) {
      launch("attention_backward", kernel, grid_of_mma(heads, rows), args, tiles, totals, aligned);
    }
  };
  const bool narrow = forward.q.size(3) <= 64;
  run(narrow ? attention_gradients_mma_kernel<false, 64>
             : attention_gradients_mma_kernel<false, 128>,
      forward.q.size(2));
  run(narrow ? attention_gradients_mma_kernel<true, 64> : attention_gradients_mma_kernel<true, 128>,
      forward.k.size(2));
}

}  // namespace ldlm::cuda_backend
