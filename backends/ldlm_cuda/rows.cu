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
  /// x, mean, rstd, dy, dx
  template <bool kept>
  __device__ void run(const std::int64_t (&at)[5]) const {
    using Part = NormColumns<T, kept>;
    const Part columns(x + at[0], count);
    const Row<Part> row(columns, x + at[0]);
    const Row<Part> grads(columns, dy + at[3]);
    const Row<Part> scales(columns, gamma, 1, rounded<T>(C{1}));
    const C mu = rms ? C{} : mean[at[1]];
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

/// dgamma and dbeta: sums over rows in two steps, of stretches of rows and then of those.
template <class T>
struct ParameterGradient {
  bool rms;
  std::int64_t columns, rows_each;
  const T* x;
  const ComputeType<T>*mean, *rstd;
  const T* dy;
  ComputeType<T>*gamma_parts, *beta_parts;  // (parts, C)
};
template <class T>
__global__ void parameter_gradient_kernel(const __grid_constant__ Walk<4> walk,
                                          const __grid_constant__ ParameterGradient<T> args) {
  const std::int64_t column = first_index();
  if (column >= args.columns) {
    return;
  }
  const std::int64_t first = std::int64_t{blockIdx.y} * args.rows_each;
  const std::int64_t last =
      first + args.rows_each < walk.count ? first + args.rows_each : walk.count;
  using C = ComputeType<T>;
  C gamma{};
  C beta{};
  for (std::int64_t row = first; row < last; ++row) {
    std::int64_t at[4];
    locate(walk, row, at);
    const C mu = args.rms ? C{} : args.mean[at[1]];
    const C g = widened(args.dy[at[3] + column]);
    gamma += g * ((widened(args.x[at[0] + column]) - mu) * args.rstd[at[2]]);
    beta += g;
  }
  args.gamma_parts[blockIdx.y * args.columns + column] = gamma;
  args.beta_parts[blockIdx.y * args.columns + column] = beta;
}
template <class T>
__global__ void sum_parts_kernel(std::int64_t columns, std::int64_t parts,
                                 const ComputeType<T>* gamma_parts,
                                 const ComputeType<T>* beta_parts, T* dgamma, T* dbeta) {
  for (std::int64_t c = first_index(); c < columns; c += index_step()) {
    ComputeType<T> gamma{};
    ComputeType<T> beta{};
    for (std::int64_t part = 0; part < parts; ++part) {
      gamma += gamma_parts[part * columns + c];
      beta += beta_parts[part * columns + c];
    }
    if (dgamma != nullptr) {
      dgamma[c] = rounded<T>(gamma);
    }
    if (dbeta != nullptr) {
      dbeta[c] = rounded<T>(beta);
    }
  }
}

template <class T>
void parameter_gradient(const char* op, bool rms, View<const T> x, View<const ComputeType<T>> mean,
                        View<const ComputeType<T>> rstd, View<const T> dy, View<T> dgamma,
                        View<T> dbeta) {
  using C = ComputeType<T>;
  const std::int64_t columns = x.shape().back();
  if ((dgamma.empty() && dbeta.empty()) || columns == 0) {
    return;
  }
  const View<const T> rows = row_starts(x);
  const auto walk = make_walk_in_order(rows, statistic(mean, rows.shape()), rstd, row_starts(dy));
  constexpr std::int64_t rows_each = 32;
  const std::int64_t parts = (walk.count + rows_each - 1) / rows_each;
  const Scratch scratch(static_cast<std::size_t>(2 * parts * columns) * sizeof(C));
  C* const gamma_parts = scratch.as<C>();
  C* const beta_parts = gamma_parts + parts * columns;
  if (parts > 0) {
    constexpr unsigned threads = 64;
    const auto blocks = static_cast<unsigned>((columns + threads - 1) / threads);
    launch(op, parameter_gradient_kernel<T>,
           Grid{dim3(blocks, static_cast<unsigned>(parts)), dim3(threads)}, walk,
           ParameterGradient<T>{rms, columns, rows_each, x.data, mean.data, rstd.data, dy.data,
                                gamma_parts, beta_parts});
  }
  launch(op, sum_parts_kernel<T>, grid_over(columns), columns, parts, gamma_parts, beta_parts,
         dgamma.data, dbeta.data);
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
  // The parameters' gradients first: dx may be where dy is.
  parameter_gradient("layer_norm_backward", false, x, mean, rstd, dy, dgamma, dbeta);
  run_rows<T>("layer_norm_backward", x.shape().back(),
              NormBackward<T>{false, x.shape().back(), x.data, gamma.data, mean.data, rstd.data,
                              dy.data, dx.data},
              row_starts(x), mean, rstd, row_starts(dy), row_starts(dx));
}
template <class T>
void rms_norm_backward(View<const T> x, View<const T> gamma, View<const ComputeType<T>> rstd,
                       View<const T> dy, View<T> dx, View<T> dgamma) {
  const View<const ComputeType<T>> none;
  parameter_gradient("rms_norm_backward", true, x, none, rstd, dy, dgamma, View<T>{});
  run_rows<T>("rms_norm_backward", x.shape().back(),
              NormBackward<T>{true, x.shape().back(), x.data, gamma.data, nullptr, rstd.data,
                              dy.data, dx.data},
              row_starts(x), statistic(none, row_starts(x).shape()), rstd, row_starts(dy),
              row_starts(dx));
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
