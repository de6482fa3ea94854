#pragma once
// Kernels over rows, the last axis: softmax, log-softmax, layer norm, RMS norm and their backward
// passes. A row stays in cache between its passes.

#include <optional>

#include <ldlm_simd/math.hpp>
#include <ldlm_simd/reduce.hpp>

namespace ldlm::simd {

namespace detail {

template <class Arch>
Shape row_shape(const Shape& shape) {
  return Shape(std::span<const std::int64_t>(shape.begin(), shape.end() - 1));
}

/// Rows worth a thread's while, if an element costs `cost` times a copy.
template <class Arch>
std::int64_t rows_grain(std::int64_t columns, std::int64_t cost) {
  return std::max<std::int64_t>(1, cheap_grain / (cost * std::max<std::int64_t>(1, columns)));
}

/// y = exp(x - shift); returns its sum. y may be x.
template <class T, class Arch>
T exp_and_sum(std::int64_t n, T shift, const T* x, T* y) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const B by(shift);
  B s0(T{0}), s1(T{0});
  std::int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    const B a = simd::exp(load<T, Arch>(x + i) - by);
    const B b = simd::exp(load<T, Arch>(x + i + W) - by);
    a.store_unaligned(y + i);
    b.store_unaligned(y + i + W);
    s0 += a;
    s1 += b;
  }
  for (; i < n; i += W) {
    const std::int64_t count = std::min(W, n - i);
    const B v = count == W ? load<T, Arch>(x + i)
                           : load_first<T, Arch>(x + i, count, -std::numeric_limits<T>::infinity());
    const B e = simd::exp(v - by);
    s0 += e;
    count == W ? e.store_unaligned(y + i) : store_first<T, Arch>(y + i, e, count);
  }
  return sum_of_lanes<T, Arch>(s0 + s1);
}

/// Sum of exp(x - shift) over n contiguous elements. Asks for what comes 4 KiB later, since memory
/// would be idle while exp is computed.
template <class T, class Arch>
T sum_of_exp(std::int64_t n, T shift, const T* x) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>, ahead = 4096 / sizeof(T);
  const B by(shift);
  B s0(T{}), s1(T{});
  std::int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    prefetch(x + i + ahead);
    prefetch(x + i + W + ahead);
    s0 += simd::exp(load<T, Arch>(x + i) - by);
    s1 += simd::exp(load<T, Arch>(x + i + W) - by);
  }
  for (; i < n; i += W) {
    const std::int64_t count = std::min(W, n - i);
    s0 += simd::exp(load_first<T, Arch>(x + i, count, -std::numeric_limits<T>::infinity()) - by);
  }
  return sum_of_lanes<T, Arch>(s0 + s1);
}

/// `view` if it is there, else n times `value`.
template <class T, class Arch>
class RowParameter {
 public:
  RowParameter(const View<const T>& view, std::int64_t n, T value) : data_(view.data) {
    if (view.empty()) {
      own_.emplace(n);
      std::fill(own_->data(), own_->data() + n, value);
      data_ = own_->data();
    }
  }
  operator const T*() const { return data_; }

 private:
  const T* data_;
  std::optional<Scratch<T, Arch>> own_;
};

/// Splits rows into blocks by their number alone, gives each block a zeroed array of n sums, and
/// adds the arrays up in order: body(first row, last row, sums) runs in parallel.
template <class T, class Arch, class Body>
void sum_over_row_blocks(std::int64_t rows, std::int64_t n, T* total, const Body& body) {
  constexpr std::int64_t max_blocks = 32;
  constexpr std::int64_t min_rows = 32;
  const std::int64_t size = std::max(min_rows, (rows + max_blocks - 1) / max_blocks);
  const std::int64_t blocks = (rows + size - 1) / size;
  const Scratch<T, Arch> sums(std::max<std::int64_t>(1, blocks) * n);
  parallel_for(0, blocks, 1, [&](std::int64_t lo, std::int64_t hi) {
    for (std::int64_t b = lo; b < hi; ++b) {
      T* const mine = sums.data() + b * n;
      std::fill(mine, mine + n, T{});
      body(b * size, std::min(rows, (b + 1) * size), mine);
    }
  });
  if (total != nullptr) {
    std::fill(total, total + n, T{});
    for (std::int64_t b = 0; b < blocks; ++b) {
      transform<Arch>(
          n, [](const auto& a, const auto& s) { return a + s; }, total,
          static_cast<const T*>(total), static_cast<const T*>(sums.data() + b * n));
    }
  }
}

}  // namespace detail

/// y = exp(x) / sum(exp(x)); y may be x.
template <class T, class Arch>
void softmax(View<const T> x, View<T> y) {
  const std::int64_t C = x.shape().back();
  constexpr std::int64_t most_streamed = 2048;  // elements of a row that is held in L1 meanwhile
  for_rows<Arch>(
      detail::row_shape<Arch>(x.shape()), detail::rows_grain<Arch>(C, 8),
      [C, past_caches = C <= most_streamed && goes_past_caches<Arch>(y, x)](const T* in, T* out) {
        alignas(64) T own[most_streamed];
        T* const e = past_caches ? own : out;
        const T sum = detail::exp_and_sum<T, Arch>(C, max_of<T, Arch>(C, in), in, e);
        transform_row<Arch>(
            past_caches, in + C, C,
            [f = Batch<T, Arch>(T{1} / sum)](const auto& v) { return v * f; }, out,
            static_cast<const T*>(e));
      },
      x, y);
}

/// dx = y (dy - sum(y dy)); dx may be dy.
template <class T, class Arch>
void softmax_backward(View<const T> y, View<const T> dy, View<T> dx) {
  const std::int64_t C = y.shape().back();
  for_rows<Arch>(
      detail::row_shape<Arch>(y.shape()), detail::rows_grain<Arch>(C, 2),
      [C](const T* p, const T* g, T* out) {
        const T dot = sum_of<T, Arch>(
            C, [](const auto& a, const auto& b) { return a * b; }, p, g);
        transform<Arch>(
            C, [d = Batch<T, Arch>(dot)](const auto& a, const auto& b) { return a * (b - d); }, out,
            p, g);
      },
      y, dy, dx);
}

/// y = x - log(sum(exp(x)))
template <class T, class Arch>
void log_softmax(View<const T> x, View<T> y) {
  using B = Batch<T, Arch>;
  const std::int64_t C = x.shape().back();
  for_rows<Arch>(
      detail::row_shape<Arch>(x.shape()), detail::rows_grain<Arch>(C, 8),
      [C, past_caches = goes_past_caches<Arch>(y, x)](const T* in, T* out) {
        const T largest = max_of<T, Arch>(C, in);
        const T log_sum = std::log(detail::sum_of_exp<T, Arch>(C, largest, in));
        // In this order, so that a row of large equal logits keeps its digits.
        transform_row<Arch>(
            past_caches, in + C, C,
            [m = B(largest), l = B(log_sum)](const B& v) { return (v - m) - l; }, out, in);
      },
      x, y);
}

/// dx = dy - exp(y) sum(dy)
template <class T, class Arch>
void log_softmax_backward(View<const T> y, View<const T> dy, View<T> dx) {
  using B = Batch<T, Arch>;
  const std::int64_t C = y.shape().back();
  for_rows<Arch>(
      detail::row_shape<Arch>(y.shape()), detail::rows_grain<Arch>(C, 8),
      [C](const T* log_p, const T* g, T* out) {
        const T total = sum_of<T, Arch>(
            C, [](const B& v) { return v; }, g);
        transform<Arch>(
            C, [t = B(total)](const B& a, const B& b) { return simd::fnma(simd::exp(a), t, b); },
            out, log_p, g);
      },
      y, dy, dx);
}

/// y = (s - mean(s)) rstd gamma + beta with s = x + residual. All but x and y may be absent.
template <class T, class Arch>
void layer_norm(View<const T> x, View<const T> residual, View<const T> gamma, View<const T> beta,
                T epsilon, View<T> sum, View<T> y, View<T> mean, View<T> rstd) {
  using B = Batch<T, Arch>;
  const std::int64_t C = x.shape().back();
  const detail::RowParameter<T, Arch> scale(gamma, C, T{1});
  const detail::RowParameter<T, Arch> shift(beta, C, T{0});
  const bool past_caches = residual.empty() && goes_past_caches<Arch>(y, x);
  for_rows<Arch>(
      detail::row_shape<Arch>(x.shape()), detail::rows_grain<Arch>(C, 4),
      [&](const T* in, const T* other, T* sum_out, T* out, T* mean_out, T* rstd_out) {
        const T* s = in;
        if (other != nullptr) {
          T* const target = sum_out != nullptr ? sum_out : out;
          transform<Arch>(
              C, [](const B& a, const B& b) { return a + b; }, target, in, other);
          s = target;
        } else if (sum_out != nullptr) {
          std::copy(in, in + C, sum_out);
        }
        const T first = sum_of<T, Arch>(
                            C, [](const B& v) { return v; }, s) /
                        static_cast<T>(C);
        // What rounding left is added: of equal elements the mean is then that element.
        const Deviations<T, Arch> from_first(C, first, s);
        const T rest = from_first.sum / static_cast<T>(C);
        const T mu = first + rest;
        const B m(mu);
        const T variance = std::max(from_first.squares / static_cast<T>(C) - rest * rest, T{0});
        const T r = 1 / std::sqrt(variance + epsilon);
        transform_row<Arch>(
            past_caches, in + C, C,
            [m, f = B(r)](const B& v, const B& g, const B& b) {
              return simd::fma((v - m) * f, g, b);
            },
            out, s, static_cast<const T*>(scale), static_cast<const T*>(shift));
        if (mean_out != nullptr) {
          *mean_out = mu;
        }
        if (rstd_out != nullptr) {
          *rstd_out = r;
        }
      },
      x, residual, sum, y, mean, rstd);
}

namespace detail {

/// The backward pass of layer norm and RMS norm, which has no mean and no dbeta. With
/// n = (x - mean) rstd and g = dy gamma: dx = rstd (g - mean(g) - n mean(g n)).
template <bool Centred, class T, class Arch>
void norm_backward(const View<const T>& x, const View<const T>& gamma, const View<const T>& mean,
                   const View<const T>& rstd, const View<const T>& dy, const View<T>& dx,
                   const View<T>& dgamma, const View<T>& dbeta) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const std::int64_t C = x.shape().back();
  const std::int64_t padded = (C + W - 1) / W * W;
  const RowParameter<T, Arch> scale(gamma, C, T{1});
  const Loops<5, Arch> loops(row_shape<Arch>(x.shape()),
                             {x.layout.strides, Centred ? mean.layout.strides : Strides{},
                              rstd.layout.strides, dy.layout.strides, dx.layout.strides},
                             0);
  const auto run_row = [&](const T* in, T mu, T r, const T* grad, T* out, T* gamma_sum,
                           T* beta_sum) {
    const B m(mu), f(r);
    B sum_g(T{0}), sum_gn(T{0});
    const auto at = [&](const T* p, std::int64_t i) {
      return i + W <= C ? load<T, Arch>(p + i) : load_first<T, Arch>(p + i, C - i);
    };
    for (std::int64_t i = 0; i < C; i += W) {
      const B d = at(grad, i);
      const B n = (at(in, i) - m) * f;
      const B g = d * at(scale, i);
      sum_g += g;
      sum_gn = simd::fma(g, n, sum_gn);  // d is 0 beyond the end
      (simd::fma(d, n, load<T, Arch>(gamma_sum + i))).store_unaligned(gamma_sum + i);
      if constexpr (Centred) {
        (load<T, Arch>(beta_sum + i) + d).store_unaligned(beta_sum + i);
      }
    }
    const B mean_g(Centred ? sum_of_lanes<T, Arch>(sum_g) / static_cast<T>(C) : T{0});
    const B mean_gn(sum_of_lanes<T, Arch>(sum_gn) / static_cast<T>(C));
    transform<Arch>(
        C,
        [&](const B& v, const B& d, const B& s) {
          const B n = (v - m) * f;
          return f * simd::fnma(n, mean_gn, d * s - mean_g);
        },
        out, in, grad, static_cast<const T*>(scale));
  };
  const Scratch<T, Arch> totals(2 * padded);
  sum_over_row_blocks<T, Arch>(
      loops.lines * loops.length, 2 * padded, totals.data(),
      [&](std::int64_t first, std::int64_t last, T* sums) {
        auto cursor = loops.at(first / loops.length);
        std::int64_t i = first % loops.length;
        for (std::int64_t row = first; row < last; ++row) {
          const auto& o = cursor.offsets;
          const auto& step = loops.step;
          run_row(x.data + o[0] + i * step[0], Centred ? mean.data[o[1] + i * step[1]] : T{0},
                  rstd.data[o[2] + i * step[2]], dy.data + o[3] + i * step[3],
                  dx.data + o[4] + i * step[4], sums, sums + padded);
          if (++i == loops.length) {
            i = 0;
            loops.advance(cursor);
          }
        }
      });
  if (!dgamma.empty()) {
    std::copy(totals.data(), totals.data() + C, dgamma.data);
  }
  if (!dbeta.empty()) {
    std::copy(totals.data() + padded, totals.data() + padded + C, dbeta.data);
  }
}

}  // namespace detail

template <class T, class Arch>
void layer_norm_backward(View<const T> x, View<const T> gamma, View<const T> mean,
                         View<const T> rstd, View<const T> dy, View<T> dx, View<T> dgamma,
                         View<T> dbeta) {
  detail::norm_backward<true, T, Arch>(x, gamma, mean, rstd, dy, dx, dgamma, dbeta);
}

/// y = x rstd gamma, rstd = 1 / sqrt(mean(x^2) + epsilon). gamma and rstd may be absent.
template <class T, class Arch>
void rms_norm(View<const T> x, View<const T> gamma, T epsilon, View<T> y, View<T> rstd) {
  using B = Batch<T, Arch>;
  const std::int64_t C = x.shape().back();
  const detail::RowParameter<T, Arch> scale(gamma, C, T{1});
  for_rows<Arch>(
      detail::row_shape<Arch>(x.shape()), detail::rows_grain<Arch>(C, 3),
      [&, past_caches = goes_past_caches<Arch>(y, x)](const T* in, T* out, T* rstd_out) {
        const T squares = sum_of<T, Arch>(
            C, [](const B& v) { return v * v; }, in);
        const T r = 1 / std::sqrt(squares / static_cast<T>(C) + epsilon);
        transform_row<Arch>(
            past_caches, in + C, C, [f = B(r)](const B& v, const B& g) { return v * f * g; }, out,
            in, static_cast<const T*>(scale));
        if (rstd_out != nullptr) {
          *rstd_out = r;
        }
      },
      x, y, rstd);
}

template <class T, class Arch>
void rms_norm_backward(View<const T> x, View<const T> gamma, View<const T> rstd, View<const T> dy,
                       View<T> dx, View<T> dgamma) {
  detail::norm_backward<false, T, Arch>(x, gamma, {}, rstd, dy, dx, dgamma, {});
}

}  // namespace ldlm::simd
