#pragma once
// The forward process q(z_t | z_0), its posterior, and the three ways to state a prediction.
//
// Latents z are (B, ...). Noise levels are given per row as abar (B): no schedule is needed here.
//   z_t = a z_0 + s eps,  v = a eps - s z_0,  with a = sqrt(abar), s = sqrt(1 - abar)
// (v: Salimans & Ho, 2022).

#include <cmath>
#include <span>
#include <vector>

#include <ldlm/core/ops/elementwise.hpp>

namespace ldlm {

/// What a denoiser's output stands for.
enum class Prediction : std::uint8_t { x0, epsilon, v };

namespace detail {

/// f(abar) for every row as a tensor (B, 1, ..., 1) that broadcasts over z.
template <class T, class Function>
Tensor<T> per_row(std::span<const double> alpha_bars, const Tensor<T>& z, Function&& f) {
  LDLM_CHECK_SHAPE(z.rank() >= 1 && static_cast<std::int64_t>(alpha_bars.size()) == z.size(0),
                   "diffusion", alpha_bars.size(), " noise levels for latents ",
                   to_string(z.shape()));
  Shape shape;
  for (int i = 0; i < z.rank(); ++i) {
    shape.push_back(i == 0 ? z.size(0) : 1);
  }
  Tensor<T> out = Tensor<T>::empty(shape);
  for (std::size_t i = 0; i < alpha_bars.size(); ++i) {
    LDLM_CHECK(alpha_bars[i] > 0.0 && alpha_bars[i] <= 1.0, "diffusion",
               "abar must lie in (0, 1], got ", alpha_bars[i]);
    out.data()[i] = convert<T>(f(alpha_bars[i]));
  }
  return out.to(z.device());
}

inline double signal(double alpha_bar) {
  return std::sqrt(alpha_bar);
}
inline double noise(double alpha_bar) {
  return std::sqrt(1.0 - alpha_bar);
}

/// f(abar) x + g(abar) y, row by row: every formula of this file has this form.
template <class T, class F, class G>
Tensor<T> combine(std::span<const double> alpha_bars, const Tensor<T>& x, F&& f, const Tensor<T>& y,
                  G&& g) {
  LDLM_CHECK_SHAPE(x.shape() == y.shape(), "diffusion", "shapes differ: ", to_string(x.shape()),
                   " and ", to_string(y.shape()));
  Tensor<T> out = mul(x, per_row(alpha_bars, x, f));
  add_(out, mul(y, per_row(alpha_bars, y, g)));
  return out;
}

}  // namespace detail

/// z_t = sqrt(abar) z_0 + sqrt(1 - abar) eps. z_0, eps: (B, ...).
template <Floating T>
Tensor<T> add_noise(const Tensor<T>& z0, const Tensor<T>& eps, std::span<const double> alpha_bars) {
  return detail::combine(alpha_bars, z0, detail::signal, eps, detail::noise);
}

/// z_0 from z_t and a prediction of the given kind. From epsilon it needs abar > 0, which grows
/// noise at small abar.
template <Floating T>
Tensor<T> to_x0(Prediction kind, const Tensor<T>& prediction, const Tensor<T>& zt,
                std::span<const double> alpha_bars) {
  switch (kind) {
    case Prediction::epsilon:
      return detail::combine(
          alpha_bars, zt, [](double a) { return 1.0 / std::sqrt(a); }, prediction,
          [](double a) { return -std::sqrt((1.0 - a) / a); });
    case Prediction::v:
      return detail::combine(alpha_bars, zt, detail::signal, prediction,
                             [](double a) { return -detail::noise(a); });
    case Prediction::x0:
      break;
  }
  return prediction;
}

/// eps from z_t and z_0; needs abar < 1.
template <Floating T>
Tensor<T> to_epsilon(const Tensor<T>& x0, const Tensor<T>& zt, std::span<const double> alpha_bars) {
  return detail::combine(
      alpha_bars, zt, [](double a) { return 1.0 / std::sqrt(1.0 - a); }, x0,
      [](double a) { return -std::sqrt(a / (1.0 - a)); });
}

/// What a denoiser of this kind is trained to output.
template <Floating T>
Tensor<T> prediction_target(Prediction kind, const Tensor<T>& z0, const Tensor<T>& eps,
                            std::span<const double> alpha_bars) {
  switch (kind) {
    case Prediction::epsilon:
      return eps;
    case Prediction::v:
      return detail::combine(alpha_bars, eps, detail::signal, z0,
                             [](double a) { return -detail::noise(a); });
    case Prediction::x0:
      break;
  }
  return z0;
}

/// Mean and variance of q(z_s | z_t, z_0) for a less noisy level s (Ho et al., 2020, eq. 7, for any
/// two levels): mean = x0_weight z_0 + zt_weight z_t.
struct Posterior {
  double x0_weight, zt_weight, variance;

  Posterior(double alpha_bar_t, double alpha_bar_s) {
    LDLM_CHECK(alpha_bar_t > 0.0 && alpha_bar_t < alpha_bar_s && alpha_bar_s <= 1.0, "posterior",
               "needs 0 < abar_t < abar_s <= 1, got ", alpha_bar_t, " and ", alpha_bar_s);
    const double alpha = alpha_bar_t / alpha_bar_s;  // of the step from s to t
    x0_weight = std::sqrt(alpha_bar_s) * (1.0 - alpha) / (1.0 - alpha_bar_t);
    zt_weight = std::sqrt(alpha) * (1.0 - alpha_bar_s) / (1.0 - alpha_bar_t);
    variance = (1.0 - alpha) * (1.0 - alpha_bar_s) / (1.0 - alpha_bar_t);
  }
};

}  // namespace ldlm
