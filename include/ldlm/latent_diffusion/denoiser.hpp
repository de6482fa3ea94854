#pragma once
// The denoiser beside its diffusion: what it is told and asked, its estimates and its own loss.

#include <cmath>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <ldlm/core/random.hpp>
#include <ldlm/diffusion/process.hpp>
#include <ldlm/diffusion/schedule.hpp>
#include <ldlm/latent_diffusion/loss_curve.hpp>
#include <ldlm/models/reverse_transformer.hpp>

namespace ldlm {

/// What a denoiser is trained for: the noise levels, and what it predicts.
struct Diffusion {
  NoiseSchedule schedule;
  Prediction prediction = Prediction::x0;
};

/// What a denoiser takes as time: log-SNRs, or the nearest timesteps of the schedule; (B).
template <Floating T>
[[nodiscard]] Tensor<ComputeType<T>> denoiser_times(const ReverseTransformer<T>& model,
                                                    const Diffusion& diffusion,
                                                    std::span<const double> alpha_bars) {
  using C = ComputeType<T>;
  Tensor<C> out = Tensor<C>::empty({static_cast<std::int64_t>(alpha_bars.size())});
  for (std::size_t i = 0; i < alpha_bars.size(); ++i) {
    out.data()[i] = model.config.time_conditioning == TimeConditioning::log_snr
                        ? static_cast<C>(NoiseSchedule::log_snr_of(alpha_bars[i]))
                        : static_cast<C>(diffusion.schedule.nearest(alpha_bars[i]));
  }
  return out;
}

/// A denoiser's output, of what it predicts, for noisy latents (B, L, d) and, if it is
/// self-conditioned, an estimate like them.
template <Floating T>
[[nodiscard]] Variable<T> predict(const ReverseTransformer<T>& model, const Diffusion& diffusion,
                                  const Variable<T>& zt, std::span<const double> alpha_bars,
                                  const Tensor<std::type_identity_t<T>>& estimate = {}) {
  return model(
      {.z = zt, .times = denoiser_times(model, diffusion, alpha_bars), .estimate = estimate});
}

/// A denoiser's estimate of z_0 (B, L, d), without a graph. One that is self-conditioned reads the
/// previous estimate, if there is one.
template <Floating T>
[[nodiscard]] Tensor<T> estimate_x0(const ReverseTransformer<T>& model, const Diffusion& diffusion,
                                    const Tensor<T>& zt, std::span<const double> alpha_bars,
                                    const Tensor<std::type_identity_t<T>>& previous = {}) {
  const NoGrad no_grad;
  const Tensor<T> read = model.config.self_conditioning ? previous : Tensor<T>();
  const Variable<T> output = predict(model, diffusion, Variable<T>(zt), alpha_bars, read);
  return to_x0(diffusion.prediction, output.value(), zt, alpha_bars);
}

namespace detail {

/// Random steps (B) of a schedule, one from each of B equal parts of it.
inline std::vector<std::int64_t> stratified_steps(const NoiseSchedule& schedule, std::int64_t rows,
                                                  Generator& generator) {
  std::vector<std::int64_t> steps;
  const double shift = generator.uniform();
  for (std::int64_t b = 0; b < rows; ++b) {
    const double u = (static_cast<double>(b) + shift) / static_cast<double>(rows);
    steps.push_back(static_cast<std::int64_t>(u * static_cast<double>(schedule.steps())));
  }
  return steps;
}

/// abar (B) of steps (B).
inline std::vector<double> levels_of(const NoiseSchedule& schedule,
                                     std::span<const std::int64_t> steps) {
  std::vector<double> alpha_bars;
  for (const std::int64_t t : steps) {
    alpha_bars.push_back(schedule.alpha_bar(t));
  }
  return alpha_bars;
}

/// What a self-conditioned denoiser is given in training: its own first estimate in a share of the
/// rows, evenly spread over them, zeros in the others. Undefined for one that is not
/// self-conditioned.
template <Floating T>
Tensor<T> estimate_in_rows(double share, const ReverseTransformer<T>& model,
                           const Diffusion& diffusion, const Tensor<T>& zt,
                           std::span<const double> alpha_bars) {
  if (!model.config.self_conditioning) {
    return {};
  }
  std::vector<std::int64_t> rows;
  std::vector<double> levels;
  for (std::size_t b = 0; b < alpha_bars.size(); ++b) {
    if (std::ceil(static_cast<double>(b + 1) * share) > std::ceil(static_cast<double>(b) * share)) {
      rows.push_back(static_cast<std::int64_t>(b));
      levels.push_back(alpha_bars[b]);
    }
  }
  Tensor<T> estimate = Tensor<T>::zeros(zt.shape(), zt.device());
  if (!rows.empty()) {
    const auto index =
        Tensor<std::int64_t>::from_values({static_cast<std::int64_t>(rows.size())}, rows);
    index_copy_(estimate, index, estimate_x0(model, diffusion, index_select(zt, 0, index), levels));
  }
  return estimate;
}

}  // namespace detail

/// Share of the rows that a self-conditioned denoiser is given an estimate in, as published.
inline constexpr double usual_self_conditioning = 0.5;

/// Mean squared error of a denoiser's prediction on latents z_0 (B, L, d) at stratified random
/// levels of the schedule, or of a curve of the losses, which it then adds to. With
/// self-conditioning, the share `self_conditioned` of the rows is given the model's own first
/// estimate (Chen et al., 2023, "Analog bits").
template <Floating T>
Variable<ComputeType<T>> denoiser_loss(
    const ReverseTransformer<T>& model, const Diffusion& diffusion, const Tensor<T>& z0,
    Generator& generator, double self_conditioned = usual_self_conditioning,
    std::type_identity_t<LossCurve<ComputeType<T>>>* curve = nullptr) {
  using C = ComputeType<T>;
  LDLM_CHECK(curve == nullptr || diffusion.prediction == Prediction::x0, "denoiser loss",
             "a curve of losses is of a denoiser that predicts x0");
  const NoiseSchedule& schedule = diffusion.schedule;
  const std::vector<std::int64_t> steps =
      curve == nullptr ? detail::stratified_steps(schedule, z0.size(0), generator)
                       : curve->draw(schedule, z0.size(0), generator);
  const std::vector<double> alpha_bars = detail::levels_of(schedule, steps);
  const Tensor<T> eps = randn_like(z0, generator);
  const Tensor<T> zt = add_noise(z0, eps, alpha_bars);
  const Tensor<T> estimate =
      detail::estimate_in_rows(self_conditioned, model, diffusion, zt, alpha_bars);
  const Tensor<T> target = prediction_target(diffusion.prediction, z0, eps, alpha_bars);
  const Variable<T> prediction = predict(model, diffusion, Variable<T>(zt), alpha_bars, estimate);
  if (curve != nullptr) {
    const Tensor<C> error = square(cast<C>(sub(prediction.value(), target)));
    curve->update(schedule, steps, mean(error, {1, 2}));
  }
  return mse_loss(prediction, Variable<T>(target));
}

/// Estimates of latents, and the noise levels at which they were made.
template <Floating T>
struct DenoisedLatents {
  Tensor<T> estimates;             // (B, L, d)
  std::vector<double> alpha_bars;  // (B)
};

/// One-step estimates of latents z_0 (B, L, d) at random noise levels: a quarter of the rows clean,
/// the others at levels of the schedule. Half of the estimates are refined by self-conditioning, as
/// in use. No gradient.
template <Floating T>
[[nodiscard]] DenoisedLatents<T> denoise_at_random_levels(const ReverseTransformer<T>& model,
                                                          const Diffusion& diffusion,
                                                          const Tensor<T>& z0,
                                                          Generator& generator) {
  const std::int64_t rows = z0.size(0);
  std::vector<double> alpha_bars;
  for (std::int64_t b = 0; b < rows; ++b) {
    alpha_bars.push_back(diffusion.schedule.alpha_bar(generator.below(diffusion.schedule.steps())));
  }
  const Tensor<T> zt = add_noise(z0, randn_like(z0, generator), alpha_bars);
  Tensor<T> estimate = estimate_x0(model, diffusion, zt, alpha_bars);
  if (model.config.self_conditioning && generator.uniform() < 0.5) {
    estimate = estimate_x0(model, diffusion, zt, alpha_bars, estimate);
  }
  for (std::int64_t b = 0; b < rows; b += 4) {
    alpha_bars[static_cast<std::size_t>(b)] = 1.0;
    estimate.select(0, b).copy_(z0.select(0, b));
  }
  return {std::move(estimate), std::move(alpha_bars)};
}

}  // namespace ldlm
