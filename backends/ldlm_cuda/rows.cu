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
__device__ ExpSum<ComputeType<T>> exp_sum(const T* x, std::int64_t columns, std::int64_t step) {
  using C = ComputeType<T>;
  C largest = minus_infinity<C>();
  for_columns(columns,
              [&](std::int64_t i) { largest = Largest::combine(largest, widened(x[i * step])); });
  largest = combine_block<Largest>(largest, minus_infinity<C>());
  C sum{};
  if (largest != minus_infinity<C>()) {
    for_columns(columns, [&](std::int64_t i) { sum += exp(widened(x[i * step]) - largest); });
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
    const ExpSum<ComputeType<T>> row = exp_sum(in, columns, from);
    const ComputeType<T> log_sum = log(row.sum);
    for_columns(columns, [&](std::int64_t i) {
      const ComputeType<T> distance = widened(in[i * from]) - row.largest;
      out[i * to] = rounded<T>(logarithm ? distance - log_sum : exp(distance) / row.sum);
    });
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
    using C = ComputeType<T>;
    C total{};
    for_columns(columns, [&](std::int64_t i) {
      const C grad = widened(g[i * dy_step]);
      total += logarithm ? grad : widened(p[i * y_step]) * grad;
    });
    total = sum_block(total);
    for_columns(columns, [&](std::int64_t i) {
      const C value = widened(p[i * y_step]);
      const C grad = widened(g[i * dy_step]);
      out[i * dx_step] = rounded<T>(logarithm ? grad - exp(value) * total : value * (grad - total));
    });
  }
};

/// Layer norm, or with `rms` the root mean square norm: no mean, no residual, no beta.
template <class T>
struct Norm {
  using C = ComputeType<T>;
  bool rms;
  std::int64_t columns;
  C epsilon;
  const T *x, *residual, *gamma, *beta;
  T *sum, *y;
  C *mean, *rstd;
  /// x, residual, sum, y, mean, rstd
  __device__ void operator()(const std::int64_t (&at)[6]) const {
    const C n = static_cast<C>(columns);
    const auto element = [&](std::int64_t i) {
      const C own = widened(x[at[0] + i]);
      return residual != nullptr ? own + widened(residual[at[1] + i]) : own;
    };
    C mu{};
    if (!rms) {
      C total{};
      for_columns(columns, [&](std::int64_t i) { total += element(i); });
      mu = sum_block(total) / n;
      C rest{};  // what rounding left: of equal elements the mean is then that element
      for_columns(columns, [&](std::int64_t i) { rest += element(i) - mu; });
      mu += sum_block(rest) / n;
    }
    C squares{};
    for_columns(columns, [&](std::int64_t i) {
      const C d = element(i) - mu;
      squares += d * d;
    });
    const C r = C{1} / sqrt(sum_block(squares) / n + epsilon);
    for_columns(columns, [&](std::int64_t i) {
      const C s = element(i);
      const C g = gamma != nullptr ? widened(gamma[i]) : C{1};
      const C b = beta != nullptr ? widened(beta[i]) : C{};
      if (sum != nullptr) {
        sum[at[2] + i] = rounded<T>(s);
      }
      y[at[3] + i] = rounded<T>((s - mu) * r * g + b);
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
  using C = ComputeType<T>;
  bool rms;
  std::int64_t columns;
  const T *x, *gamma;
  const C *mean, *rstd;
  const T* dy;
  T* dx;
  /// x, mean, rstd, dy, dx
  __device__ void operator()(const std::int64_t (&at)[5]) const {
    const C mu = rms ? C{} : mean[at[1]];
    const C r = rstd[at[2]];
    const C n = static_cast<C>(columns);
    const auto normalised = [&](std::int64_t i) { return (widened(x[at[0] + i]) - mu) * r; };
    const auto grad = [&](std::int64_t i) {
      const C own = widened(dy[at[3] + i]);
      return gamma != nullptr ? own * widened(gamma[i]) : own;
    };
    C mean_g{};
    C mean_gn{};
    for_columns(columns, [&](std::int64_t i) {
      mean_g += grad(i);
      mean_gn += grad(i) * normalised(i);
    });
    mean_g = rms ? C{} : sum_block(mean_g) / n;
    mean_gn = sum_block(mean_gn) / n;
    for_columns(columns, [&](std::int64_t i) {
      dx[at[4] + i] = rounded<T>(r * (grad(i) - mean_g - normalised(i) * mean_gn));
    });
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
                ComputeType<T> epsilon, View<T> sum, View<T> y, View<ComputeType<T>> mean,
                View<ComputeType<T>> rstd) {
  const View<const T> rows = row_starts(x);
  const Shape& shape = rows.shape();
  run_rows("layer_norm", x.shape().back(),
           Norm<T>{false, x.shape().back(), epsilon, x.data, residual.data, gamma.data, beta.data,
                   sum.data, y.data, mean.data, rstd.data},
           rows, statistic(row_starts(residual), shape), statistic(row_starts(sum), shape),
           row_starts(y), statistic(mean, shape), statistic(rstd, shape));
}
template <class T>
void rms_norm(View<const T> x, View<const T> gamma, ComputeType<T> epsilon, View<T> y,
              View<ComputeType<T>> rstd) {
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
void layer_norm_backward(View<const T> x, View<const T> gamma, View<const ComputeType<T>> mean,
                         View<const ComputeType<T>> rstd, View<const T> dy, View<T> dx,
                         View<T> dgamma, View<T> dbeta) {
  // The parameters' gradients first: dx may be where dy is.
  parameter_gradient("layer_norm_backward", false, x, mean, rstd, dy, dgamma, dbeta);
  run_rows("layer_norm_backward", x.shape().back(),
           NormBackward<T>{false, x.shape().back(), x.data, gamma.data, mean.data, rstd.data,
                           dy.data, dx.data},
           row_starts(x), mean, rstd, row_starts(dy), row_starts(dx));
}
template <class T>
void rms_norm_backward(View<const T> x, View<const T> gamma, View<const ComputeType<T>> rstd,
                       View<const T> dy, View<T> dx, View<T> dgamma) {
  const View<const ComputeType<T>> none;
  parameter_gradient("rms_norm_backward", true, x, none, rstd, dy, dgamma, View<T>{});
  run_rows("rms_norm_backward", x.shape().back(),
           NormBackward<T>{true, x.shape().back(), x.data, gamma.data, nullptr, rstd.data, dy.data,
                           dx.data},
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
