// Kernels over rows, the last axis: softmax, log-softmax, layer norm, RMS norm. A block works on a
// row.

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/rows.cuh>

namespace ldlm::cuda_backend {

namespace {

template <class T>
struct Softmax {
  using C = ComputeType<T>;
  bool logarithm;
  std::int64_t count;
  const T* x;
  std::int64_t from;
  T* y;
  std::int64_t to;
  template <bool kept>
  __device__ void run(const std::int64_t (&at)[2]) const {
    using Part = Columns<T, kept>;
    const Part columns(x + at[0], count);
    const Row<Part> row(columns, x + at[0], from);
    const ExpSum<C> all = exp_sum(columns, row);
    const C log_sum = log(all.sum);
    const C scale = C{1} / all.sum;
    write_row(
        columns, y + at[1], to,
        [&](std::int64_t, C element) {
          const C distance = element - all.largest;
          return logarithm ? distance - log_sum : exp(distance) * scale;
        },
        row);
  }
};

template <class T>
struct SoftmaxBackward {
  using C = ComputeType<T>;
  bool logarithm;
  std::int64_t count;
  const T* y;
  std::int64_t y_step;
  const T* dy;
  std::int64_t dy_step;
  T* dx;
  std::int64_t dx_step;
  template <bool kept>
  __device__ void run(const std::int64_t (&at)[3]) const {
    using Part = Columns<T, kept>;
    const Part columns(y + at[0], count);
    const Row<Part> values(columns, y + at[0], y_step);
    const Row<Part> grads(columns, dy + at[1], dy_step);
    C total{};
    for_elements(
        columns, [&](C value, C grad) { total += logarithm ? grad : value * grad; }, values, grads);
    total = sum_block(total);
    write_row(
        columns, dx + at[2], dx_step,
        [&](std::int64_t, C value, C grad) {
          return logarithm ? grad - exp(value) * total : value * (grad - total);
        },
        values, grads);
  }
};

/// Four operands of long rows have registers for one vector of each.
template <class T, bool kept>
using NormColumns = Columns<T, kept, kept ? usual_vectors<T> : 1>;

/// Layer norm, or with `rms` the root mean square norm: no mean, no residual, no beta.
template <class T>
struct Norm {
  using C = ComputeType<T>;
  bool rms;
  std::int64_t count;
  C epsilon;
  const T *x, *residual, *gamma, *beta;
  T *sum, *y;
  C *mean, *rstd;
  /// x, residual, sum, y, mean, rstd
  template <bool kept>
  __device__ void run(const std::int64_t (&at)[6]) const {
    using Part = NormColumns<T, kept>;
    const Part columns(x + at[0], count);
    const Row<Part> row(columns, x + at[0]);
    const T nothing = rounded<T>(-C{});  // x + -0 is x, also of x = -0
    const Row<Part> other(columns, residual != nullptr ? residual + at[1] : nullptr, 1, nothing);
    const C n = static_cast<C>(count);
    C mu{};
    if (!rms) {
      C total{};
      for_elements(
          columns, [&](C a, C b) { total += a + b; }, row, other);
      mu = sum_block(total) / n;
      C rest{};  // what rounding left: of equal elements the mean is then that element
      for_elements(
          columns, [&](C a, C b) { rest += a + b - mu; }, row, other);
      mu += sum_block(rest) / n;
    }
    C squares{};
    for_elements(
        columns,
        [&](C a, C b) {
          const C d = a + b - mu;
          squares += d * d;
        },
        row, other);
    const C r = C{1} / sqrt(sum_block(squares) / n + epsilon);
    if (sum != nullptr) {
      write_row(
          columns, sum + at[2], 1, [](std::int64_t, C a, C b) { return a + b; }, row, other);
    }
    // Read where they are needed, once for all rows that follow from the cache.
    const StreamedRow<Part> scales(columns, gamma, 1, rounded<T>(C{1}));
    const StreamedRow<Part> biases(columns, beta);
    write_row(
        columns, y + at[3], 1,
        [&](std::int64_t, C a, C b, C g, C bias) { return (a + b - mu) * r * g + bias; }, row,
        other, scales, biases);
    if (threadIdx.x == 0) {
      if (mean != nullptr) {
        mean[at[4]] = mu;
      }
      if (rstd != nullptr) {
        rstd[at[5]] = r;
      }
    }
  }
};

/// dx of a norm.
template <class T>
struct NormBackward {
  using C = ComputeType<T>;
  bool rms;
  std::int64_t count;
  const T *x, *gamma;
  const C *mean, *rstd;
  const T* dy;
  T* dx;
  /// Indices are those of x, mean, rstd, dy, dx.
  __device__ C mean_of(const std::int64_t (&at)[5]) const { return rms ? C{} : mean[at[1]]; }
  template <bool kept>
  __device__ void run(const std::int64_t (&at)[5]) const {
    using Part = NormColumns<T, kept>;
    const Part columns(x + at[0], count);
    const Row<Part> row(columns, x + at[0]);
    const Row<Part> grads(columns, dy + at[3]);
    const Row<Part> scales(columns, gamma, 1, rounded<T>(C{1}));
    write_dx(columns, at, row, grads, scales);
  }
  template <class Part>
  __device__ void write_dx(const Part& columns, const std::int64_t (&at)[5], const Row<Part>& row,
                           const Row<Part>& grads, const Row<Part>& scales) const {
    const C mu = mean_of(at);
    const C r = rstd[at[2]];
    const C n = static_cast<C>(count);
    C mean_g{};
    C mean_gn{};
    for_elements(
        columns,
        [&](C element, C grad, C scale) {
          mean_g += grad * scale;
          mean_gn += grad * scale * ((element - mu) * r);
        },
        row, grads, scales);
    mean_g = rms ? C{} : sum_block(mean_g) / n;
    mean_gn = sum_block(mean_gn) / n;
    write_row(
        columns, dx + at[4], 1,
        [&](std::int64_t, C element, C grad, C scale) {
          return r * (grad * scale - mean_g - (element - mu) * r * mean_gn);
        },
        row, grads, scales);
  }
};

/// dgamma and dbeta are sums over rows in two steps: of stretches of rows, and then of those.
template <class T>
struct ParameterGradient {
  using C = ComputeType<T>;
  std::int64_t rows_each;
  C *gamma_parts, *beta_parts;  // (stretches, columns)

  __device__ std::int64_t end_of(std::int64_t first, std::int64_t rows) const {
    return first + rows_each < rows ? first + rows_each : rows;
  }
};
/// A block takes a stretch of rows that are kept and lie alike for its threads, so that a thread
/// has the same columns of each: dx, and the stretch's sums in registers, with one reading of x and
/// dy.
template <class T>
__global__ void __launch_bounds__(most_row_threads, 1)
    norm_gradients_kernel(const __grid_constant__ Walk<5> walk,
                          const __grid_constant__ NormBackward<T> norm,
                          const __grid_constant__ ParameterGradient<T> sums) {
  using C = ComputeType<T>;
  using Part = NormColumns<T, true>;
  constexpr int elements = Part::vectors * Part::width;
  C gamma[elements] = {};
  C beta[elements] = {};
  const Part columns(norm.x, norm.count);
  const Row<Part> scales(columns, norm.gamma, 1, rounded<T>(C{1}));
  const std::int64_t first = std::int64_t{blockIdx.x} * sums.rows_each;
  const std::int64_t last = sums.end_of(first, walk.count);
  LDLM_KEEP_LOOP
  for (std::int64_t i = first; i < last; ++i) {
    std::int64_t at[5];
    locate(walk, i, at);
    const Row<Part> row(columns, norm.x + at[0]);
    const Row<Part> grads(columns, norm.dy + at[3]);
    const C mu = norm.mean_of(at);
    const C r = norm.rstd[at[2]];
    LDLM_UNROLL
    for (int v = 0; v < Part::vectors; ++v) {
      LDLM_UNROLL
      for (int e = 0; e < Part::width; ++e) {
        const C grad = widened(grads.kept.of[v].of[e]);
        gamma[v * Part::width + e] += grad * ((widened(row.kept.of[v].of[e]) - mu) * r);
        beta[v * Part::width + e] += grad;
      }
    }
    norm.write_dx(columns, at, row, grads, scales);
  }
  const std::int64_t part = std::int64_t{blockIdx.x} * norm.count;
  LDLM_UNROLL
  for (int v = 0; v < Part::vectors; ++v) {
    const std::int64_t column = columns.column(0, v);
    if (column < norm.count) {  // whole vectors: see fused
      LDLM_UNROLL
      for (int e = 0; e < Part::width; ++e) {
        sums.gamma_parts[part + column + e] = gamma[v * Part::width + e];
        sums.beta_parts[part + column + e] = beta[v * Part::width + e];
      }
    }
  }
}
/// Of other rows the stretches' sums alone, by a thread a column.
template <class T>
__global__ void parameter_gradient_kernel(const __grid_constant__ Walk<5> walk,
                                          const __grid_constant__ NormBackward<T> norm,
                                          const __grid_constant__ ParameterGradient<T> sums) {
  using C = ComputeType<T>;
  const std::int64_t column = first_index();
  if (column >= norm.count) {
    return;
  }
  const std::int64_t first = std::int64_t{blockIdx.y} * sums.rows_each;
  const std::int64_t last = sums.end_of(first, walk.count);
  C gamma{};
  C beta{};
  for (std::int64_t row = first; row < last; ++row) {
    std::int64_t at[5];
    locate(walk, row, at);
    const C g = widened(norm.dy[at[3] + column]);
    gamma += g * ((widened(norm.x[at[0] + column]) - norm.mean_of(at)) * norm.rstd[at[2]]);
    beta += g;
  }
  sums.gamma_parts[blockIdx.y * norm.count + column] = gamma;
  sums.beta_parts[blockIdx.y * norm.count + column] = beta;
}
/// A warp's lanes have a column each; the warps of a block share the stretches.
constexpr unsigned part_warps = 8;
template <class T>
__global__ void __launch_bounds__(32 * part_warps)
    sum_parts_kernel(std::int64_t columns, std::int64_t parts, const ComputeType<T>* gamma_parts,
                     const ComputeType<T>* beta_parts, T* dgamma, T* dbeta) {
  using C = ComputeType<T>;
  LDLM_SHARED(C, sums, 2 * 32 * part_warps);
  const std::int64_t column = std::int64_t{blockIdx.x} * 32 + threadIdx.x % 32;
  C gamma{};
  C beta{};
  for (std::int64_t part = threadIdx.x / 32; part < parts && column < columns; part += part_warps) {
    gamma += gamma_parts[part * columns + column];
    beta += beta_parts[part * columns + column];
  }
  sums[threadIdx.x] = gamma;
  sums[32 * part_warps + threadIdx.x] = beta;
  __syncthreads();
  if (threadIdx.x >= 32 || column >= columns) {
    return;
  }
  for (unsigned warp = 1; warp < part_warps; ++warp) {
    gamma += sums[32 * warp + threadIdx.x];
    beta += sums[32 * (part_warps + warp) + threadIdx.x];
  }
  if (dgamma != nullptr) {
    dgamma[column] = rounded<T>(gamma);
  }
  if (dbeta != nullptr) {
    dbeta[column] = rounded<T>(beta);
  }
}

/// dx, and dgamma and dbeta where they are wanted.
template <class T>
void norm_backward(const char* op, bool rms, View<const T> x, View<const T> gamma,
                   View<const ComputeType<T>> mean, View<const ComputeType<T>> rstd,
                   View<const T> dy, View<T> dx, View<T> dgamma, View<T> dbeta) {
  using C = ComputeType<T>;
  const std::int64_t columns = x.shape().back();
  const NormBackward<T> norm{rms,       columns,   x.data,  gamma.data,
                             mean.data, rstd.data, dy.data, dx.data};
  const View<const T> rows = row_starts(x);
  const auto means = statistic(mean, rows.shape());
  if ((dgamma.empty() && dbeta.empty()) || columns == 0) {
    run_rows<T>(op, columns, norm, rows, means, rstd, row_starts(dy), row_starts(dx));
    return;
  }
  const auto walk = make_walk_in_order(rows, means, rstd, row_starts(dy), row_starts(dx));
  constexpr std::int64_t most_parts = 65535;  // of a grid's second axis
  const std::int64_t rows_each =
      std::max<std::int64_t>(16, (walk.count + most_parts - 1) / most_parts);
  const std::int64_t parts = (walk.count + rows_each - 1) / rows_each;
  const Scratch scratch(static_cast<std::size_t>(2 * parts * columns) * sizeof(C));
  C* const gamma_parts = scratch.as<C>();
  C* const beta_parts = gamma_parts + parts * columns;
  const ParameterGradient<T> sums{rows_each, gamma_parts, beta_parts};
  const unsigned threads = threads_of_row<T>(columns);
  const bool fused = threads <= most_row_threads && columns % vector_width<T> == 0;
  if (fused && parts > 0) {
    launch(op, norm_gradients_kernel<T>, Grid{dim3(static_cast<unsigned>(parts)), dim3(threads)},
           walk, norm, sums);
  } else if (parts > 0) {
    // Before dx, which may be where dy is.
    constexpr unsigned block = 64;
    const auto blocks = static_cast<unsigned>((columns + block - 1) / block);
    launch(op, parameter_gradient_kernel<T>,
           Grid{dim3(blocks, static_cast<unsigned>(parts)), dim3(block)}, walk, norm, sums);
    run_rows<T>(op, columns, norm, rows, means, rstd, row_starts(dy), row_starts(dx));
  }
  launch(op, sum_parts_kernel<T>,
         Grid{dim3(static_cast<unsigned>((columns + 31) / 32)), dim3(32 * part_warps)}, columns,
         parts, gamma_parts, beta_parts, dgamma.data, dbeta.data);
}

}  // namespace

template <class T>
void softmax(View<const T> x, View<T> y) {
  const int last = x.rank() - 1;
  run_rows<T>("softmax", x.size(last),
              Softmax<T>{false, x.size(last), x.data, x.stride(last), y.data, y.stride(last)},
              row_starts(x), row_starts(y));
}
template <class T>
void log_softmax(View<const T> x, View<T> y) {
  const int last = x.rank() - 1;
  run_rows<T>("log_softmax", x.size(last),
              Softmax<T>{true, x.size(last), x.data, x.stride(last), y.data, y.stride(last)},
              row_starts(x), row_starts(y));
}
template <class T>
void softmax_backward(View<const T> y, View<const T> dy, View<T> dx) {
  const int last = y.rank() - 1;
  run_rows<T>("softmax_backward", y.size(last),
              SoftmaxBackward<T>{false, y.size(last), y.data, y.stride(last), dy.data,
                                 dy.stride(last), dx.data, dx.stride(last)},
              row_starts(y), row_starts(dy), row_starts(dx));
}
template <class T>
void log_softmax_backward(View<const T> y, View<const T> dy, View<T> dx) {
  const int last = y.rank() - 1;
  run_rows<T>("log_softmax_backward", y.size(last),
              SoftmaxBackward<T>{true, y.size(last), y.data, y.stride(last), dy.data,
                                 dy.stride(last), dx.data, dx.stride(last)},
              row_starts(y), row_starts(dy), row_starts(dx));
}
template <class T>
void layer_norm(View<const T> x, View<const T> residual, View<const T> gamma, View<const T> beta,
                ComputeType<T> epsilon, View<T> sum, View<T> y, View<ComputeType<T>> mean,
                View<ComputeType<T>> rstd) {
  const View<const T> rows = row_starts(x);
  const Shape& shape = rows.shape();
  run_rows<T>("layer_norm", x.shape().back(),
              Norm<T>{false, x.shape().back(), epsilon, x.data, residual.data, gamma.data,
                      beta.data, sum.data, y.data, mean.data, rstd.data},
              rows, statistic(row_starts(residual), shape), statistic(row_starts(sum), shape),
              row_starts(y), statistic(mean, shape), statistic(rstd, shape));
}
template <class T>
void rms_norm(View<const T> x, View<const T> gamma, ComputeType<T> epsilon, View<T> y,
              View<ComputeType<T>> rstd) {
  const View<const T> rows = row_starts(x);
  const Shape& shape = rows.shape();
  const View<T> none;
  run_rows<T>("rms_norm", x.shape().back(),
              Norm<T>{true, x.shape().back(), epsilon, x.data, nullptr, gamma.data, nullptr,
                      nullptr, y.data, nullptr, rstd.data},
              rows, statistic(none, shape), statistic(none, shape), row_starts(y),
              statistic(none, shape), statistic(rstd, shape));
}
template <class T>
void layer_norm_backward(View<const T> x, View<const T> gamma, View<const ComputeType<T>> mean,
                         View<const ComputeType<T>> rstd, View<const T> dy, View<T> dx,
                         View<T> dgamma, View<T> dbeta) {
  norm_backward("layer_norm_backward", false, x, gamma, mean, rstd, dy, dx, dgamma, dbeta);
}
template <class T>
void rms_norm_backward(View<const T> x, View<const T> gamma, View<const ComputeType<T>> rstd,
                       View<const T> dy, View<T> dx, View<T> dgamma) {
  norm_backward("rms_norm_backward", true, x, gamma, View<const ComputeType<T>>{}, rstd, dy, dx,
                dgamma, View<T>{});
}

#define LDLM_INSTANTIATE(T)                                                                      \
  template void softmax(View<const T>, View<T>);                                                 \
  template void log_softmax(View<const T>, View<T>);                                             \
  template void softmax_backward(View<const T>, View<const T>, View<T>);                         \
  template void log_softmax_backward(View<const T>, View<const T>, View<T>);                     \
  template void layer_norm(View<const T>, View<const T>, View<const T>, View<const T>,           \
                           ComputeType<T>, View<T>, View<T>, View<ComputeType<T>>,               \
                           View<ComputeType<T>>);                                                \
  template void layer_norm_backward(View<const T>, View<const T>, View<const ComputeType<T>>,    \
                                    View<const ComputeType<T>>, View<const T>, View<T>, View<T>, \
                                    View<T>);                                                    \
  template void rms_norm(View<const T>, View<const T>, ComputeType<T>, View<T>,                  \
                         View<ComputeType<T>>);                                                  \
  template void rms_norm_backward(View<const T>, View<const T>, View<const ComputeType<T>>,      \
                                  View<const T>, View<T>, View<T>);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
