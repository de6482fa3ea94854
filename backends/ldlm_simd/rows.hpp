#pragma once
// Layer norm, RMS norm and their backward passes over rows, the last axis. A row stays in cache
// between its passes; short rows go side by side, in panels.

#include <optional>

#include <ldlm_simd/math.hpp>
#include <ldlm_simd/panel.hpp>
#include <ldlm_simd/reduce.hpp>

namespace ldlm::simd {

namespace detail {

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

namespace detail {

/// layer_norm of short rows, side by side.
template <class T, class Arch>
void layer_norm_panels(const Loops<6, Arch>& loops, std::int64_t C, const T* x, const T* residual,
                       const T* gamma, const T* beta, T epsilon, T* sum, T* y, T* mean, T* rstd) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const PanelLayout<T, Arch> layout(C);
  const std::int64_t lanes = layout.lanes;
  const B count(static_cast<T>(C));
  for_panels<Arch>(loops, lanes, rows_grain<Arch>(C, 4), [&](const auto& at, std::int64_t rows) {
    const Scratch<T, Arch> memory(2 * (layout.size() + lanes));
    T* const s = memory.data();
    T* const other = s + layout.size();
    T* const means = other + layout.size();
    T* const rstds = means + lanes;
    layout.read(x + at[0], loops.step[0], 1, rows, s);
    if (residual != nullptr) {
      layout.read(residual + at[1], loops.step[1], 1, rows, other);
      transform<Arch>(
          layout.size(), [](const B& a, const B& b) { return a + b; }, s, static_cast<const T*>(s),
          static_cast<const T*>(other));
    }
    if (sum != nullptr) {
      layout.write(s, sum + at[2], loops.step[2], 1, rows);
    }
    for (std::int64_t i = 0; i < rows; i += W) {
      const auto total = [&](const auto& f) {
        B all(T{0});
        for (std::int64_t c = 0; c < C; ++c) {
          all += f(load<T, Arch>(s + c * lanes + i));
        }
        return all;
      };
      B m = total([](const B& v) { return v; }) / count;
      m += total([&](const B& v) { return v - m; }) / count;  // of equal elements: exactly they
      const B squares = total([&](const B& v) { return (v - m) * (v - m); });
      const B r = B(T{1}) / xsimd::sqrt(squares / count + B(epsilon));
      for (std::int64_t c = 0; c < C; ++c) {
        T* const v = s + c * lanes + i;
        simd::fma((load<T, Arch>(v) - m) * r, B(gamma[c]), B(beta[c])).store_unaligned(v);
      }
      m.store_unaligned(means + i);
      r.store_unaligned(rstds + i);
    }
    layout.write(s, y + at[3], loops.step[3], 1, rows);
    if (mean != nullptr) {
      unpack<T, Arch>(means, mean + at[4], loops.step[4], rows);
    }
    if (rstd != nullptr) {
      unpack<T, Arch>(rstds, rstd + at[5], loops.step[5], rows);
    }
  });
}

/// rms_norm of short rows, side by side.
template <class T, class Arch>
void rms_norm_panels(const Loops<3, Arch>& loops, std::int64_t C, const T* x, const T* gamma,
                     T epsilon, T* y, T* rstd) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const PanelLayout<T, Arch> layout(C);
  const std::int64_t lanes = layout.lanes;
  const B share(T{1} / static_cast<T>(C));
  for_panels<Arch>(loops, lanes, rows_grain<Arch>(C, 3), [&](const auto& at, std::int64_t rows) {
    const Scratch<T, Arch> memory(layout.size() + lanes);
    T* const s = memory.data();
    T* const rstds = s + layout.size();
    layout.read(x + at[0], loops.step[0], 1, rows, s);
    for (std::int64_t i = 0; i < rows; i += W) {
      B squares(T{0});
      for (std::int64_t c = 0; c < C; ++c) {
        const B v = load<T, Arch>(s + c * lanes + i);
        squares = simd::fma(v, v, squares);
      }
      const B r = B(T{1}) / xsimd::sqrt(simd::fma(squares, share, B(epsilon)));
      for (std::int64_t c = 0; c < C; ++c) {
        T* const v = s + c * lanes + i;
        (load<T, Arch>(v) * r * B(gamma[c])).store_unaligned(v);
      }
      r.store_unaligned(rstds + i);
    }
    layout.write(s, y + at[1], loops.step[1], 1, rows);
    if (rstd != nullptr) {
      unpack<T, Arch>(rstds, rstd + at[2], loops.step[2], rows);
    }
  });
}

/// Loops over the rows of views (..., C), absent ones left out.
template <class Arch, class... View>
Loops<sizeof...(View), Arch> loops_over_rows(const Shape& rows, const View&... views) {
  Loops<sizeof...(View), Arch> loops(rows, {(views.empty() ? Strides{} : views.layout.strides)...},
                                     0);
  loops.lengthen();
  return loops;
}
/// Whether rows of C elements go side by side.
template <class T, class Arch>
bool in_panels(std::int64_t C, std::int64_t rows) {
  return C <= short_row && rows >= width<T, Arch> / 2;
}

}  // namespace detail

/// y = (s - mean(s)) rstd gamma + beta with s = x + residual. All but x and y may be absent.
template <class T, class Arch>
void layer_norm(View<const T> x, View<const T> residual, View<const T> gamma, View<const T> beta,
                T epsilon, View<T> sum, View<T> y, View<T> mean, View<T> rstd) {
  using B = Batch<T, Arch>;
  const std::int64_t C = x.shape().back();
  const detail::RowParameter<T, Arch> scale(gamma, C, T{1});
  const detail::RowParameter<T, Arch> shift(beta, C, T{0});
  const auto loops = detail::loops_over_rows<Arch>(detail::row_shape<Arch>(x.shape()), x, residual,
                                                   sum, y, mean, rstd);
  if (detail::in_panels<T, Arch>(C, loops.length)) {
    return detail::layer_norm_panels<T, Arch>(loops, C, x.data, residual.data, scale, shift,
                                              epsilon, sum.data, y.data, mean.data, rstd.data);
  }
  const bool past_caches = residual.empty() && rows_go_past_caches<Arch>(y, x);
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
        const auto total = [C, s](const auto& f) { return sum_of<T, Arch>(C, f, s); };
        const T n = static_cast<T>(C);
        T mu = total([](const B& v) { return v; }) / n;
        B m(mu);
        T variance = total([m](const B& v) { return (v - m) * (v - m); }) / n;
        // Beside a small spread what rounding left of the mean counts: with that added, the mean of
        // equal elements is exactly that element.
        if (variance > 0 && variance < mu * mu / 4096) {
          const T rest = total([m](const B& v) { return v - m; }) / n;
          variance = std::max(variance - rest * rest, T{0});
          mu += rest;
          m = B(mu);
        }
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

/// The backward pass of layer norm and, if not `centred`, of RMS norm, which has no mean and no
/// dbeta. With n = (x - mean) rstd and g = dy gamma: dx = rstd (g - mean(g) - n mean(g n)).
template <class T, class Arch>
void norm_backward(bool centred, const View<const T>& x, const View<const T>& gamma,
                   const View<const T>& mean, const View<const T>& rstd, const View<const T>& dy,
                   const View<T>& dx, const View<T>& dgamma, const View<T>& dbeta) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const std::int64_t C = x.shape().back();
  const std::int64_t padded = (C + W - 1) / W * W;
  const RowParameter<T, Arch> scale(gamma, C, T{1});
  const auto loops = loops_over_rows<Arch>(row_shape<Arch>(x.shape()), x, mean, rstd, dy, dx);
  const auto run_row = [&]<bool Centred>(std::bool_constant<Centred>, const T* in, T mu, T r,
                                         const T* grad, T* out, T* gamma_sum, T* beta_sum) {
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
  // The same for up to `lanes` rows side by side. dy is 0 in lanes without a row.
  const PanelLayout<T, Arch> layout(C);
  const std::int64_t lanes = layout.lanes;
  const auto run_panel = [&](const auto& at, std::int64_t rows, T* memory, T* gamma_sum,
                             T* beta_sum) {
    T* const in = memory;
    T* const grad = in + layout.size();
    T* const mu = grad + layout.size();
    T* const r = mu + lanes;
    layout.read(x.data + at[0], loops.step[0], 1, rows, in);
    layout.read(dy.data + at[3], loops.step[3], 1, rows, grad);
    std::fill(mu, mu + 2 * lanes, T{0});
    if (centred) {
      pack<T, Arch>(mean.data + at[1], loops.step[1], mu, rows);
    }
    pack<T, Arch>(rstd.data + at[2], loops.step[2], r, rows);
    for (std::int64_t i = 0; i < rows; i += W) {
      const B m = load<T, Arch>(mu + i), f = load<T, Arch>(r + i);
      B sum_g(T{0}), sum_gn(T{0});
      for (std::int64_t c = 0; c < C; ++c) {
        const B d = load<T, Arch>(grad + c * lanes + i);
        const B n = (load<T, Arch>(in + c * lanes + i) - m) * f;
        const B g = d * B(scale[c]);
        sum_g += g;
        sum_gn = simd::fma(g, n, sum_gn);
        simd::fma(d, n, load<T, Arch>(gamma_sum + c * W)).store_unaligned(gamma_sum + c * W);
        if (centred) {
          (load<T, Arch>(beta_sum + c * W) + d).store_unaligned(beta_sum + c * W);
        }
      }
      const B count(static_cast<T>(C));
      const B mean_g = centred ? sum_g / count : B(T{0});
      const B mean_gn = sum_gn / count;
      for (std::int64_t c = 0; c < C; ++c) {
        T* const v = in + c * lanes + i;
        const B n = (load<T, Arch>(v) - m) * f;
        const B g = load<T, Arch>(grad + c * lanes + i) * B(scale[c]);
        (f * simd::fnma(n, mean_gn, g - mean_g)).store_unaligned(v);
      }
    }
    layout.write(in, dx.data + at[4], loops.step[4], 1, rows);
  };
  const auto run_panels = [&](std::int64_t first, std::int64_t last, T* sums) {
    const Scratch<T, Arch> memory(2 * (layout.size() + lanes + C * W));
    T* const gamma_sum = memory.data() + 2 * (layout.size() + lanes);
    T* const beta_sum = gamma_sum + C * W;
    std::fill(gamma_sum, beta_sum + C * W, T{0});
    for (std::int64_t row = first; row < last;) {
      auto at = loops.at(row / loops.length).offsets;
      const std::int64_t i = row % loops.length;
      for (std::size_t k = 0; k < at.size(); ++k) {
        at[k] += i * loops.step[k];
      }
      const std::int64_t rows = std::min({lanes, last - row, loops.length - i});
      run_panel(at, rows, memory.data(), gamma_sum, beta_sum);
      row += rows;
    }
    for (std::int64_t c = 0; c < C; ++c) {
      sums[c] = sum_of_lanes<T, Arch>(load<T, Arch>(gamma_sum + c * W));
      sums[padded + c] = sum_of_lanes<T, Arch>(load<T, Arch>(beta_sum + c * W));
    }
  };
  const bool side_by_side = in_panels<T, Arch>(C, loops.length);
  const Scratch<T, Arch> totals(2 * padded);
  sum_over_row_blocks<T, Arch>(loops.lines * loops.length, 2 * padded, totals.data(),
                               [&](std::int64_t first, std::int64_t last, T* sums) {
                                 if (side_by_side) {
                                   return run_panels(first, last, sums);
                                 }
                                 auto cursor = loops.at(first / loops.length);
                                 std::int64_t i = first % loops.length;
                                 for (std::int64_t row = first; row < last; ++row) {
                                   const auto& o = cursor.offsets;
                                   const auto& step = loops.step;
                                   const auto run = [&](auto centre) {
                                     run_row(centre, x.data + o[0] + i * step[0],
                                             centre() ? mean.data[o[1] + i * step[1]] : T{0},
                                             rstd.data[o[2] + i * step[2]],
                                             dy.data + o[3] + i * step[3],
                                             dx.data + o[4] + i * step[4], sums, sums + padded);
                                   };
                                   centred ? run(std::true_type{}) : run(std::false_type{});
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
  detail::norm_backward<T, Arch>(true, x, gamma, mean, rstd, dy, dx, dgamma, dbeta);
}

/// y = x rstd gamma, rstd = 1 / sqrt(mean(x^2) + epsilon). gamma and rstd may be absent.
template <class T, class Arch>
void rms_norm(View<const T> x, View<const T> gamma, T epsilon, View<T> y, View<T> rstd) {
  using B = Batch<T, Arch>;
  const std::int64_t C = x.shape().back();
  const detail::RowParameter<T, Arch> scale(gamma, C, T{1});
  const auto loops = detail::loops_over_rows<Arch>(detail::row_shape<Arch>(x.shape()), x, y, rstd);
  if (detail::in_panels<T, Arch>(C, loops.length)) {
    return detail::rms_norm_panels<T, Arch>(loops, C, x.data, scale, epsilon, y.data, rstd.data);
  }
  for_rows<Arch>(
      detail::row_shape<Arch>(x.shape()), detail::rows_grain<Arch>(C, 3),
      [&, past_caches = rows_go_past_caches<Arch>(y, x)](const T* in, T* out, T* rstd_out) {
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
  detail::norm_backward<T, Arch>(false, x, gamma, View<const T>(), rstd, dy, dx, dgamma, View<T>());
}

}  // namespace ldlm::simd
