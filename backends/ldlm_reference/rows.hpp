#pragma once
// Kernels over rows, the last axis: softmax, log-softmax, layer norm, RMS norm. x and y are
// (..., C), the norms' with unit stride on C; statistics are (...).

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <ldlm_reference/walk.hpp>

namespace ldlm::reference {

/// The largest of n elements, `step` apart, and the sum of exp(x - largest).
template <class T>
struct ExpSum {
  Wide<T> largest = -std::numeric_limits<Wide<T>>::infinity();
  Wide<T> sum{};

  ExpSum(const T* x, std::int64_t n, std::int64_t step = 1) {
    for (std::int64_t i = 0; i < n; ++i) {
      largest = larger<Wide<T>>(x[i * step], largest) ? Wide<T>{x[i * step]} : largest;
    }
    // Of all -infinity the sum is 0, not NaN.
    for (std::int64_t i = 0; i < n && largest != -std::numeric_limits<Wide<T>>::infinity(); ++i) {
      sum += std::exp(x[i * step] - largest);
    }
  }
  Wide<T> log_sum_exp() const { return largest + std::log(sum); }
};

/// y = exp(x) / sum(exp(x)); y may be x.
template <std::floating_point T>
void softmax(View<const T> x, View<T> y) {
  const int last = x.rank() - 1;
  const std::int64_t C = x.size(last), from = x.stride(last), to = y.stride(last);
  walk(
      row_shape(x.shape()),
      [&](const T* in, T* out) {
        const ExpSum<T> row(in, C, from);
        for (std::int64_t i = 0; i < C; ++i) {
          out[i * to] = static_cast<T>(std::exp(in[i * from] - row.largest) / row.sum);
        }
      },
      x, y);
}

/// dx = y (dy - sum(y dy)); dx may be dy.
template <std::floating_point T>
void softmax_backward(View<const T> y, View<const T> dy, View<T> dx) {
  const int last = y.rank() - 1;
  const std::int64_t C = y.size(last), from = y.stride(last);
  const std::int64_t from_grad = dy.stride(last), to = dx.stride(last);
  walk(
      row_shape(y.shape()),
      [&](const T* p, const T* g, T* out) {
        Wide<T> dot{};
        for (std::int64_t i = 0; i < C; ++i) {
          dot += Wide<T>{p[i * from]} * g[i * from_grad];
        }
        for (std::int64_t i = 0; i < C; ++i) {
          out[i * to] = static_cast<T>(p[i * from] * (g[i * from_grad] - dot));
        }
      },
      y, dy, dx);
}

/// y = x - log(sum(exp(x)))
template <std::floating_point T>
void log_softmax(View<const T> x, View<T> y) {
  const int last = x.rank() - 1;
  const std::int64_t C = x.size(last), from = x.stride(last), to = y.stride(last);
  walk(
      row_shape(x.shape()),
      [&](const T* in, T* out) {
        const ExpSum<T> row(in, C, from);
        for (std::int64_t i = 0; i < C; ++i) {
          // In this order, so that a row of large equal logits keeps its digits.
          out[i * to] = static_cast<T>((in[i * from] - row.largest) - std::log(row.sum));
        }
      },
      x, y);
}

/// dx = dy - exp(y) sum(dy)
template <std::floating_point T>
void log_softmax_backward(View<const T> y, View<const T> dy, View<T> dx) {
  const int last = y.rank() - 1;
  const std::int64_t C = y.size(last), from = y.stride(last);
  const std::int64_t from_grad = dy.stride(last), to = dx.stride(last);
  walk(
      row_shape(y.shape()),
      [&](const T* log_p, const T* g, T* out) {
        Wide<T> total{};
        for (std::int64_t i = 0; i < C; ++i) {
          total += g[i * from_grad];
        }
        for (std::int64_t i = 0; i < C; ++i) {
          out[i * to] =
              static_cast<T>(g[i * from_grad] - std::exp(Wide<T>{log_p[i * from]}) * total);
        }
      },
      y, dy, dx);
}

/// s = x + residual; y = (s - mean(s)) rstd gamma + beta, rstd = 1 / sqrt(mean((s - mean)^2) +
/// epsilon). All but x and y may be absent.
template <std::floating_point T>
void layer_norm(View<const T> x, View<const T> residual, View<const T> gamma, View<const T> beta,
                T epsilon, View<T> sum, View<T> y, View<T> mean, View<T> rstd) {
  using W = Wide<T>;
  const std::int64_t C = x.shape().back();
  std::vector<T> s(static_cast<std::size_t>(C));
  walk(
      row_shape(x.shape()),
      [&](const T* in, const T* other, T* sum_out, T* out, T* mean_out, T* rstd_out) {
        W mu{};
        for (std::int64_t i = 0; i < C; ++i) {
          s[static_cast<std::size_t>(i)] = other != nullptr ? in[i] + other[i] : in[i];
          mu += s[static_cast<std::size_t>(i)];
        }
        mu /= static_cast<W>(C);
        // What rounding left: of equal elements the mean is then that element.
        W rest{};
        for (const T value : s) {
          rest += value - mu;
        }
        mu += rest / static_cast<W>(C);
        W variance{};
        for (const T value : s) {
          variance += (value - mu) * (value - mu);
        }
        const W r = 1 / std::sqrt(variance / static_cast<W>(C) + epsilon);
        for (std::int64_t i = 0; i < C; ++i) {
          const W g = gamma.empty() ? W{1} : W{gamma.data[i]};
          const W b = beta.empty() ? W{0} : W{beta.data[i]};
          out[i] = static_cast<T>((s[static_cast<std::size_t>(i)] - mu) * r * g + b);
        }
        if (sum_out != nullptr) {
          std::copy(s.begin(), s.end(), sum_out);
        }
        if (mean_out != nullptr) {
          *mean_out = static_cast<T>(mu);
        }
        if (rstd_out != nullptr) {
          *rstd_out = static_cast<T>(r);
        }
      },
      x, residual, sum, y, mean, rstd);
}

/// With n = (x - mean) rstd and g = dy gamma:
/// dx = rstd (g - mean(g) - n mean(g n)); dgamma = sum over rows of dy n; dbeta = sum of dy.
template <std::floating_point T>
void layer_norm_backward(View<const T> x, View<const T> gamma, View<const T> mean,
                         View<const T> rstd, View<const T> dy, View<T> dx, View<T> dgamma,
                         View<T> dbeta) {
  using W = Wide<T>;
  const std::int64_t C = x.shape().back();
  std::vector<W> gamma_sum(static_cast<std::size_t>(C));
  std::vector<W> beta_sum(static_cast<std::size_t>(C));
  walk(
      row_shape(x.shape()),
      [&](const T* in, const T* mu, const T* r, const T* grad, T* out) {
        const auto n = [&](std::int64_t i) { return (W{in[i]} - *mu) * *r; };
        const auto g = [&](std::int64_t i) {
          return gamma.empty() ? W{grad[i]} : W{grad[i]} * gamma.data[i];
        };
        W mean_g{};
        W mean_gn{};
        for (std::int64_t i = 0; i < C; ++i) {
          mean_g += g(i) / static_cast<W>(C);
          mean_gn += g(i) * n(i) / static_cast<W>(C);
        }
        for (std::int64_t i = 0; i < C; ++i) {
          gamma_sum[static_cast<std::size_t>(i)] += grad[i] * n(i);
          beta_sum[static_cast<std::size_t>(i)] += grad[i];
          out[i] = static_cast<T>(*r * (g(i) - mean_g - n(i) * mean_gn));
        }
      },
      x, mean, rstd, dy, dx);
  for (std::int64_t i = 0; i < C; ++i) {
    if (!dgamma.empty()) {
      dgamma.data[i] = static_cast<T>(gamma_sum[static_cast<std::size_t>(i)]);
    }
    if (!dbeta.empty()) {
      dbeta.data[i] = static_cast<T>(beta_sum[static_cast<std::size_t>(i)]);
    }
  }
}

/// y = x rstd gamma, rstd = 1 / sqrt(mean(x^2) + epsilon). gamma and rstd may be absent.
template <std::floating_point T>
void rms_norm(View<const T> x, View<const T> gamma, T epsilon, View<T> y, View<T> rstd) {
  using W = Wide<T>;
  const std::int64_t C = x.shape().back();
  walk(
      row_shape(x.shape()),
      [&](const T* in, T* out, T* rstd_out) {
        W squares{};
        for (std::int64_t i = 0; i < C; ++i) {
          squares += W{in[i]} * in[i];
        }
        const W r = 1 / std::sqrt(squares / static_cast<W>(C) + epsilon);
        for (std::int64_t i = 0; i < C; ++i) {
          out[i] = static_cast<T>(in[i] * r * (gamma.empty() ? W{1} : W{gamma.data[i]}));
        }
        if (rstd_out != nullptr) {
          *rstd_out = static_cast<T>(r);
        }
      },
      x, y, rstd);
}

/// With n = x rstd and g = dy gamma: dx = rstd (g - n mean(g n)); dgamma = sum over rows of dy n.
template <std::floating_point T>
void rms_norm_backward(View<const T> x, View<const T> gamma, View<const T> rstd, View<const T> dy,
                       View<T> dx, View<T> dgamma) {
  using W = Wide<T>;
  const std::int64_t C = x.shape().back();
  std::vector<W> gamma_sum(static_cast<std::size_t>(C));
  walk(
      row_shape(x.shape()),
      [&](const T* in, const T* r, const T* grad, T* out) {
        const auto n = [&](std::int64_t i) { return W{in[i]} * *r; };
        const auto g = [&](std::int64_t i) {
          return gamma.empty() ? W{grad[i]} : W{grad[i]} * gamma.data[i];
        };
        W mean_gn{};
        for (std::int64_t i = 0; i < C; ++i) {
          mean_gn += g(i) * n(i) / static_cast<W>(C);
        }
        for (std::int64_t i = 0; i < C; ++i) {
          gamma_sum[static_cast<std::size_t>(i)] += grad[i] * n(i);
          out[i] = static_cast<T>(*r * (g(i) - n(i) * mean_gn));
        }
      },
      x, rstd, dy, dx);
  for (std::int64_t i = 0; i < C && !dgamma.empty(); ++i) {
    dgamma.data[i] = static_cast<T>(gamma_sum[static_cast<std::size_t>(i)]);
  }
}

}  // namespace ldlm::reference
