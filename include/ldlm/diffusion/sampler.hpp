#pragma once
// Samplers: from pure noise, or from any noise level, to data, with a denoiser of the caller's.
//
// A denoiser is any callable `Tensor<T>(const Tensor<T>& z_t, double alpha_bar)` that returns an
// estimate of z_0. Turn other predictions into one with to_x0().

#include <algorithm>
#include <concepts>
#include <utility>
#include <vector>

#include <ldlm/core/random.hpp>
#include <ldlm/diffusion/process.hpp>
#include <ldlm/diffusion/schedule.hpp>

namespace ldlm {

template <class Function, class T>
concept Denoiser = requires(Function f, const Tensor<T>& z, double alpha_bar) {
  { f(z, alpha_bar) } -> std::convertible_to<Tensor<T>>;
};

enum class SamplerKind : std::uint8_t {
  ddpm,        // ancestral: draws from the posterior (Ho et al., 2020)
  ddim,        // Song et al., 2021; eta = 0 deterministic, eta = 1 ancestral
  dpm_solver,  // DPM-Solver++(2M): second-order multistep, deterministic (Lu et al., 2022)
};

struct SamplerOptions {
  SamplerKind kind = SamplerKind::ddpm;
  std::int64_t steps = 0;     // 0: every level of the schedule
  double eta = 0.0;           // DDIM only
  std::int64_t stop_at = -1;  // ends with the estimate of z_0 made at the first level t <= stop_at

  /// The levels of a schedule that are visited, from the noisiest down to the last one or to the
  /// first at or below stop_at. Throws for more steps than the schedule has.
  [[nodiscard]] std::vector<std::int64_t> timesteps(const NoiseSchedule& schedule) const {
    auto all = schedule.timesteps(steps > 0 ? steps : schedule.steps());
    const auto last =
        std::find_if(all.begin(), all.end(), [this](std::int64_t t) { return t <= stop_at; });
    all.erase(last == all.end() ? last : last + 1, all.end());
    return all;
  }
  /// Throws for values out of range.
  void validate() const {
    LDLM_CHECK(steps >= 0, "sampler", "steps must not be negative, got ", steps);
    LDLM_CHECK(eta >= 0.0 && eta <= 1.0, "sampler", "eta must lie in [0, 1], got ", eta);
    LDLM_CHECK(stop_at >= -1, "sampler", "stop_at must be at least -1, got ", stop_at);
  }
};

namespace detail {

/// One step from level t to a less noisy s: z_s = x0_weight x0 + zt_weight z_t + stddev noise.
struct ReverseStep {
  double x0_weight, zt_weight, stddev;
};

inline ReverseStep ddpm_step(double at, double as) {
  const Posterior posterior(at, as);
  return {posterior.x0_weight, posterior.zt_weight, std::sqrt(posterior.variance)};
}

// Song et al., 2021, eq. 12 and 16, with eps written through z_t and x0.
inline ReverseStep ddim_step(double at, double as, double eta) {
  const double sigma = eta * std::sqrt(Posterior(at, as).variance);
  const double direction = std::sqrt(std::max(0.0, 1.0 - as - sigma * sigma) / (1.0 - at));
  return {std::sqrt(as) - direction * std::sqrt(at), direction, sigma};
}

}  // namespace detail

/// Runs the reverse process on z, noisy latents at the schedule's first sampled level, and returns
/// the last estimate of z_0, same shape. The generator is used only by DDPM and DDIM with eta > 0.
template <Floating T, Denoiser<T> Denoise>
Tensor<T> denoise_from(Tensor<T> z, const NoiseSchedule& schedule,
                       const std::vector<std::int64_t>& timesteps, Denoise&& denoise,
                       const SamplerOptions& options, Generator& generator) {
  LDLM_CHECK(!timesteps.empty(), "sampler", "needs at least one step");
  options.validate();
  Tensor<T> x0;
  Tensor<T> previous_x0;
  double previous_lambda = 0.0;
  for (std::size_t i = 0; i < timesteps.size(); ++i) {
    const double at = schedule.alpha_bar(timesteps[i]);
    x0 = denoise(std::as_const(z), at);
    LDLM_CHECK_SHAPE(x0.shape() == z.shape(), "sampler", "the denoiser turned ",
                     to_string(z.shape()), " into ", to_string(x0.shape()));
    if (i + 1 == timesteps.size() || timesteps[i] <= options.stop_at) {
      break;
    }
    const double as = schedule.alpha_bar(timesteps[i + 1]);
    LDLM_CHECK(as > at, "sampler", "timesteps must fall, got ", timesteps[i], " then ",
               timesteps[i + 1]);
    detail::ReverseStep step{};
    Tensor<T> estimate = x0;
    switch (options.kind) {
      case SamplerKind::ddpm:
        step = detail::ddpm_step(at, as);
        break;
      case SamplerKind::ddim:
        step = detail::ddim_step(at, as, options.eta);
        break;
      case SamplerKind::dpm_solver: {
        // In lambda = log(a / s), half the log-SNR; the second order extrapolates x0 linearly.
        const double lambda = NoiseSchedule::log_snr_of(at) / 2.0;
        const double h = NoiseSchedule::log_snr_of(as) / 2.0 - lambda;
        if (previous_x0.defined()) {
          const double r = (lambda - previous_lambda) / h;
          estimate = mul(x0, 1.0 + 0.5 / r);
          axpy_(estimate, -0.5 / r, previous_x0);
        }
        previous_x0 = x0;
        previous_lambda = lambda;
        step = {-std::sqrt(as) * std::expm1(-h), std::sqrt((1.0 - as) / (1.0 - at)), 0.0};
        break;
      }
    }
    z = mul(z, step.zt_weight);
    axpy_(z, step.x0_weight, estimate);
    if (step.stddev > 0.0) {
      add_(z, randn<T>(z.shape(), generator, 0, step.stddev, z.device()));
    }
  }
  return x0;
}

/// Draws z ~ N(0, 1) of `shape` on a device and denoises it to data.
template <Floating T, Denoiser<T> Denoise>
Tensor<T> sample_diffusion(const Shape& shape, const NoiseSchedule& schedule, Denoise&& denoise,
                           const SamplerOptions& options, Generator& generator,
                           Device device = cpu) {
  options.validate();
  Tensor<T> z = randn<T>(shape, generator, 0, 1, device);
  return denoise_from(std::move(z), schedule, options.timesteps(schedule),
                      std::forward<Denoise>(denoise), options, generator);
}

}  // namespace ldlm
