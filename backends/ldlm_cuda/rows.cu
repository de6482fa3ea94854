// Kernels over rows, the last axis: softmax, log-softmax, layer norm, RMS norm. A block works on a
// row.

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/rows.cuh>

namespace ldlm::cuda_backend {

namespace {

template <class T>
__device__ T minus_infinity() {
  return -static_cast<T>(INFINITY);
}

/// The largest of a row, and the sum of exp(x - largest); of all -infinity 0.
template <class T>
struct ExpSum {
  T largest, sum;
};
template <class T>
__device__ ExpSum<T> exp_sum(const T* x, std::int64_t columns, std::int64_t step) {
  T largest = minus_infinity<T>();
  for_columns(columns, [&](std::int64_t i) { largest = Largest::combine(largest, x[i * step]); });
  largest = combine_block<Largest>(largest, minus_infinity<T>());
  T sum{};
  if (largest != minus_infinity<T>()) {
    for_columns(columns, [&](std::int64_t i) { sum += exp(x[i * step] - largest); });
  }
  return {largest, sum_block(sum)};
}

template <class T>
struct Softmax {
  bool logarithm;
  std::int64_t columns;
  const T* x;
  std::int64_t from;
  T* y;
  std::int64_t to;
  __device__ void operator()(const std::int64_t (&at)[2]) const {
    const T* const in = x + at[0];
    T* const out = y + at[1];
    const ExpSum<T> row = exp_sum(in, columns, from);
    if (logarithm) {
      const T log_sum = log(row.sum);
      for_columns(columns,
                  [&](std::int64_t i) { out[i * to] = (in[i * from] - row.largest) - log_sum; });
    } else {
      for_columns(columns,
                  [&](std::int64_t i) { out[i * to] = exp(in[i * from] - row.largest) / row.sum; });
    }
  }
};

template <class T>
struct SoftmaxBackward {
  bool logarithm;
  std::int64_t columns;
  const T* y;
  std::int64_t y_step;
  const T* dy;
  std::int64_t dy_step;
  T* dx;
  std::int64_t dx_step;
  __device__ void operator()(const std::int64_t (&at)[3]) const {
    const T* const p = y + at[0];
    const T* const g = dy + at[1];
    T* const out = dx + at[2];
    T total{};
    for_columns(columns, [&](std::int64_t i) {
      total += logarithm ? g[i * dy_step] : p[i * y_step] * g[i * dy_step];
    });
    total = sum_block(total);
    for_columns(columns, [&](std::int64_t i) {
      const T value = p[i * y_step];
      const T grad = g[i * dy_step];
      out[i * dx_step] = logarithm ? grad - exp(value) * total : value * (grad - total);
    });
  }
};

/// Layer norm, or with `rms` the root mean square norm: no mean, no residual, no beta.
template <class T>
struct Norm {
  bool rms;
  std::int64_t columns;
  T epsilon;
  const T *x, *residual, *gamma, *beta;
  T *sum, *y, *mean, *rstd;
  /// x, residual, sum, y, mean, rstd
  __device__ void operator()(const std::int64_t (&at)[6]) const {
    const T n = static_cast<T>(columns);
    const auto element = [&](std::int64_t i) {
      return residual != nullptr ? x[at[0] + i] + residual[at[1] + i] : x[at[0] + i];
    };
    T mu{};
    if (!rms) {
      T total{};
      for_columns(columns, [&](std::int64_t i) { total += element(i); });
      mu = sum_block(total) / n;
      T rest{};  // what rounding left: of equal elements the mean is then that element
      for_columns(columns, [&](std::int64_t i) { rest += element(i) - mu; });
      mu += sum_block(rest) / n;
    }
    T squares{};
    for_columns(columns, [&](std::int64_t i) {
      const T d = element(i) - mu;
      squares += d * d;
    });
    const T r = T{1} / sqrt(sum_block(squares) / n + epsilon);
    for_columns(columns, [&](std::int64_t i) {
      const T s = element(i);
      const T g = gamma != nullptr ? gamma[i] : T{1};
      const T b = beta != nullptr ? beta[i] : T{};
      if (sum != nullptr) {
        sum[at[2] + i] = s;
      }
      y[at[3] + i] = (s - mu) * r * g + b;
    });
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
  bool rms;
  std::int64_t columns;
  const T *x, *gamma, *mean, *rstd, *dy;
  T* dx;
  /// x, mean, rstd, dy, dx
  __device__ void operator()(const std::int64_t (&at)[5]) const {
    const T mu = rms ? T{} : mean[at[1]];
    const T r = rstd[at[2]];
    const T n = static_cast<T>(columns);
    const auto normalised = [&](std::int64_t i) { return (x[at[0] + i] - mu) * r; };
    const auto grad = [&](std::int64_t i) {
      return gamma != nullptr ? dy[at[3] + i] * gamma[i] : dy[at[3] + i];
    };
    T mean_g{};
    T mean_gn{};
    for_columns(columns, [&](std::int64_t i) {
      mean_g += grad(i);
      mean_gn += grad(i) * normalised(i);
    });
    mean_g = rms ? T{} : sum_block(mean_g) / n;
    mean_gn = sum_block(mean_gn) / n;
    for_columns(columns, [&](std::int64_t i) {
      dx[at[4] + i] = r * (grad(i) - mean_g - normalised(i) * mean_gn);
    });
  }
};

/// dgamma and dbeta: sums over rows in two steps, of stretches of rows and then of those.
template <class T>
struct ParameterGradient {
  bool rms;
  std::int64_t columns, rows_each;
  const T *x, *mean, *rstd, *dy;
  T *gamma_parts, *beta_parts;  // (parts, C)
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
  T gamma{};
  T beta{};
  for (std::int64_t row = first; row < last; ++row) {
    std::int64_t at[4];
    locate(walk, row, at);
    const T mu = args.rms ? T{} : args.mean[at[1]];
    const T g = args.dy[at[3] + column];
    gamma += g * ((args.x[at[0] + column] - mu) * args.rstd[at[2]]);
    beta += g;
  }
  args.gamma_parts[blockIdx.y * args.columns + column] = gamma;
  args.beta_parts[blockIdx.y * args.columns + column] = beta;
}
template <class T>
__global__ void sum_parts_kernel(std::int64_t columns, std::int64_t parts, const T* gamma_parts,
                                 const T* beta_parts, T* dgamma, T* dbeta) {
  for (std::int64_t c = first_index(); c < columns; c += index_step()) {
    T gamma{};
    T beta{};
    for (std::int64_t part = 0; part < parts; ++part) {
      gamma += gamma_parts[part * columns + c];
      beta += beta_parts[part * columns + c];
    }
    if (dgamma != nullptr) {
      dgamma[c] = gamma;
    }
    if (dbeta != nullptr) {
      dbeta[c] = beta;
    }
  }
}

template <class T>
void parameter_gradient(const char* op, bool rms, View<const T> x, View<const T> mean,
                        View<const T> rstd, View<const T> dy, View<T> dgamma, View<T> dbeta) {
  const std::int64_t columns = x.shape().back();
  if ((dgamma.empty() && dbeta.empty()) || columns == 0) {
    return;
  }
  const View<const T> rows = row_starts(x);
  const auto walk = make_walk_in_order(rows, statistic(mean, rows.shape()), rstd, row_starts(dy));
  constexpr std::int64_t rows_each = 32;
  const std::int64_t parts = (walk.count + rows_each - 1) / rows_each;
  const Scratch scratch(static_cast<std::size_t>(2 * parts * columns) * sizeof(T));
  T* const gamma_parts = scratch.as<T>();
  T* const beta_parts = gamma_parts + parts * columns;
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
  run_rows("softmax", x.size(last),
           Softmax<T>{false, x.size(last), x.data, x.stride(last), y.data, y.stride(last)},
           row_starts(x), row_starts(y));
}
template <class T>
void log_softmax(View<const T> x, View<T> y) {
  const int last = x.rank() - 1;
  run_rows("log_softmax", x.size(last),
           Softmax<T>{true, x.size(last), x.data, x.stride(last), y.data, y.stride(last)},
           row_starts(x), row_starts(y));
}
template <class T>
void softmax_backward(View<const T> y, View<const T> dy, View<T> dx) {
  const int last = y.rank() - 1;
  run_rows("softmax_backward", y.size(last),
           SoftmaxBackward<T>{false, y.size(last), y.data, y.stride(last), dy.data, dy.stride(last),
                              dx.data, dx.stride(last)},
           row_starts(y), row_starts(dy), row_starts(dx));
}
template <class T>
void log_softmax_backward(View<const T> y, View<const T> dy, View<T> dx) {
  const int last = y.rank() - 1;
  run_rows("log_softmax_backward", y.size(last),
           SoftmaxBackward<T>{true, y.size(last), y.data, y.stride(last), dy.data, dy.stride(last),
                              dx.data, dx.stride(last)},
           row_starts(y), row_starts(dy), row_starts(dx));
}
template <class T>
void layer_norm(View<const T> x, View<const T> residual, View<const T> gamma, View<const T> beta,
                T epsilon, View<T> sum, View<T> y, View<T> mean, View<T> rstd) {
  const View<const T> rows = row_starts(x);
  const Shape& shape = rows.shape();
  run_rows("layer_norm", x.shape().back(),
           Norm<T>{false, x.shape().back(), epsilon, x.data, residual.data, gamma.data, beta.data,
                   sum.data, y.data, mean.data, rstd.data},
           rows, statistic(row_starts(residual), shape), statistic(row_starts(sum), shape),
           row_starts(y), statistic(mean, shape), statistic(rstd, shape));
}
template <class T>
void rms_norm(View<const T> x, View<const T> gamma, T epsilon, View<T> y, View<T> rstd) {
  const View<const T> rows = row_starts(x);
  const Shape& shape = rows.shape();
  const View<T> none;
  run_rows("rms_norm", x.shape().back(),
           Norm<T>{true, x.shape().back(), epsilon, x.data, nullptr, gamma.data, nullptr, nullptr,
                   y.data, nullptr, rstd.data},
           rows, statistic(none, shape), statistic(none, shape), row_starts(y),
           statistic(none, shape), statistic(rstd, shape));
}
template <class T>
void layer_norm_backward(View<const T> x, View<const T> gamma, View<const T> mean,
                         View<const T> rstd, View<const T> dy, View<T> dx, View<T> dgamma,
                         View<T> dbeta) {
  // The parameters' gradients first: dx may be where dy is.
  parameter_gradient("layer_norm_backward", false, x, mean, rstd, dy, dgamma, dbeta);
  run_rows("layer_norm_backward", x.shape().back(),
           NormBackward<T>{false, x.shape().back(), x.data, gamma.data, mean.data, rstd.data,
                           dy.data, dx.data},
           row_starts(x), mean, rstd, row_starts(dy), row_starts(dx));
}
template <class T>
void rms_norm_backward(View<const T> x, View<const T> gamma, View<const T> rstd, View<const T> dy,
                       View<T> dx, View<T> dgamma) {
  const View<const T> none;
  parameter_gradient("rms_norm_backward", true, x, none, rstd, dy, dgamma, View<T>{});
  run_rows("rms_norm_backward", x.shape().back(),
           NormBackward<T>{true, x.shape().back(), x.data, gamma.data, nullptr, rstd.data, dy.data,
                           dx.data},
           row_starts(x), statistic(none, row_starts(x).shape()), rstd, row_starts(dy),
           row_starts(dx));
}

#define LDLM_INSTANTIATE(T)                                                                        \
  template void softmax(View<const T>, View<T>);                                                   \
  template void log_softmax(View<const T>, View<T>);                                               \
  template void softmax_backward(View<const T>, View<const T>, View<T>);                           \
  template void log_softmax_backward(View<const T>, View<const T>, View<T>);                       \
  template void layer_norm(View<const T>, View<const T>, View<const T>, View<const T>, T, View<T>, \
                           View<T>, View<T>, View<T>);                                             \
  template void layer_norm_backward(View<const T>, View<const T>, View<const T>, View<const T>,    \
                                    View<const T>, View<T>, View<T>, View<T>);                     \
  template void rms_norm(View<const T>, View<const T>, T, View<T>, View<T>);                       \
  template void rms_norm_backward(View<const T>, View<const T>, View<const T>, View<const T>,      \
                                  View<T>, View<T>);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
