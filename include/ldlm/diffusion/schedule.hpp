#pragma once
// Noise schedules: how much of the data is left at each of T noise levels.
//
// z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) eps for t = 0 .. T-1, with abar falling from nearly 1
// to nearly 0. Everything else (beta_t, signal-to-noise ratio, posteriors) follows from abar.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

#include <ldlm/core/error.hpp>

namespace ldlm {

class NoiseSchedule {
 public:
  /// A longer schedule costs memory and tells nothing more.
  static constexpr std::int64_t max_steps = 1'000'000;

  /// From abar itself: strictly falling values in (0, 1). Throws otherwise.
  explicit NoiseSchedule(std::vector<double> alpha_bars) : alpha_bars_(std::move(alpha_bars)) {
    LDLM_CHECK(!alpha_bars_.empty(), "schedule", "needs at least one step");
    double previous = 1.0;
    for (std::size_t t = 0; t < alpha_bars_.size(); ++t) {
      const double value = alpha_bars_[t];
      LDLM_CHECK(value > 0.0 && value < previous, "schedule",
                 "abar must fall strictly within (0, 1); at t = ", t, " it is ", value, " after ",
                 previous);
      previous = value;
    }
  }
  /// From beta_t in (0, 1): abar_t = prod_{s <= t} (1 - beta_s) (Ho et al., 2020, eq. 4).
  static NoiseSchedule from_betas(const std::vector<double>& betas) {
    std::vector<double> alpha_bars;
    alpha_bars.reserve(betas.size());
    double product = 1.0;
    for (const double beta : betas) {
      LDLM_CHECK(beta > 0.0 && beta < 1.0, "schedule", "beta must lie in (0, 1), got ", beta);
      alpha_bars.push_back(product *= 1.0 - beta);
    }
    return NoiseSchedule(std::move(alpha_bars));
  }

  /// beta evenly spaced from first to last (Ho et al., 2020: 1e-4 to 0.02).
  static NoiseSchedule linear(std::int64_t steps = 1000, double first = 1e-4, double last = 0.02) {
    return from_betas(spaced(steps, first, last));
  }
  /// sqrt(beta) evenly spaced (Rombach et al., 2022); the defaults are the published
  /// configuration's.
  static NoiseSchedule scaled_linear(std::int64_t steps = 1000, double first = 0.00085,
                                     double last = 0.012) {
    std::vector<double> betas = spaced(steps, std::sqrt(first), std::sqrt(last));
    for (double& beta : betas) {
      beta *= beta;
    }
    return from_betas(betas);
  }
  /// abar = cos^2(pi/2 (u + s) / (1 + s)) over its value at u = 0, beta at most 0.999 (Nichol &
  /// Dhariwal, 2021, eq. 17).
  static NoiseSchedule cosine(std::int64_t steps = 1000, double offset = 0.008) {
    const auto f = [offset](double u) {
      const double c = std::cos((u + offset) / (1.0 + offset) * std::numbers::pi / 2.0);
      return c * c;
    };
    std::vector<double> betas(checked(steps));
    for (std::size_t t = 0; t < betas.size(); ++t) {
      const auto u = static_cast<double>(t) / static_cast<double>(steps);
      const auto next = static_cast<double>(t + 1) / static_cast<double>(steps);
      betas[t] = std::min(1.0 - f(next) / f(u), 0.999);
    }
    return from_betas(betas);
  }
  /// abar = 1 / (1 + d^2 tan^2(pi u / 2)) at u = (t + 1/2) / T: d > 1 spends more steps on much
  /// noise, which text needs (Shabalin et al., 2024, arXiv:2402.19097).
  static NoiseSchedule tan_d(std::int64_t steps = 1000, double d = 9.0) {
    LDLM_CHECK(d > 0.0, "schedule", "d must be positive, got ", d);
    std::vector<double> alpha_bars(checked(steps));
    for (std::size_t t = 0; t < alpha_bars.size(); ++t) {
      const double u = (static_cast<double>(t) + 0.5) / static_cast<double>(steps);
      const double noise_to_signal = d * std::tan(std::numbers::pi / 2.0 * u);
      alpha_bars[t] = 1.0 / (1.0 + noise_to_signal * noise_to_signal);
    }
    return NoiseSchedule(std::move(alpha_bars));
  }
  /// The same schedule with the ratio of noise to signal amplitude multiplied by `factor`
  /// (Hoogeboom et al., 2023).
  [[nodiscard]] NoiseSchedule shifted(double factor) const {
    LDLM_CHECK(factor > 0.0, "schedule", "shift must be positive, got ", factor);
    std::vector<double> out = alpha_bars_;
    for (double& value : out) {
      value = value / (value + (1.0 - value) * factor * factor);
    }
    return NoiseSchedule(std::move(out));
  }

  [[nodiscard]] std::int64_t steps() const { return static_cast<std::int64_t>(alpha_bars_.size()); }
  /// Share of the signal's variance at level t; t = -1 is the clean data, 1. Throws out of range.
  [[nodiscard]] double alpha_bar(std::int64_t t) const {
    LDLM_CHECK_INDEX(t >= -1 && t < steps(), "schedule", "t = ", t, " is outside [-1, ", steps(),
                     ")");
    return t < 0 ? 1.0 : alpha_bars_[static_cast<std::size_t>(t)];
  }
  /// 1 - abar_t / abar_{t-1}.
  [[nodiscard]] double beta(std::int64_t t) const {
    LDLM_CHECK_INDEX(t >= 0, "schedule", "beta of the clean data is not defined");
    return 1.0 - alpha_bar(t) / alpha_bar(t - 1);
  }
  /// log(abar / (1 - abar)), t >= 0.
  [[nodiscard]] double log_snr(std::int64_t t) const {
    LDLM_CHECK_INDEX(t >= 0, "schedule", "the clean data has no finite signal-to-noise ratio");
    return log_snr_of(alpha_bar(t));
  }
  static double log_snr_of(double alpha_bar) { return std::log(alpha_bar / (1.0 - alpha_bar)); }
  /// The level whose abar is nearest, in log-SNR, to a value in (0, 1).
  [[nodiscard]] std::int64_t nearest(double alpha_bar) const {
    LDLM_CHECK(alpha_bar > 0.0 && alpha_bar < 1.0, "schedule", "abar must lie in (0, 1), got ",
               alpha_bar);
    const auto above = std::lower_bound(alpha_bars_.begin(), alpha_bars_.end(), alpha_bar,
                                        [](double a, double b) { return a > b; });
    const auto t = static_cast<std::int64_t>(above - alpha_bars_.begin());
    if (t == 0 || t == steps()) {
      return t == 0 ? 0 : steps() - 1;
    }
    const double target = log_snr_of(alpha_bar);
    return log_snr(t - 1) - target < target - log_snr(t) ? t - 1 : t;
  }
  [[nodiscard]] const std::vector<double>& alpha_bars() const { return alpha_bars_; }

  /// `count` levels from T-1 down, evenly spaced, for a sampler of fewer steps: T-1 is the first,
  /// and each stands for an equal stretch of the schedule.
  [[nodiscard]] std::vector<std::int64_t> timesteps(std::int64_t count) const {
    LDLM_CHECK(count >= 1 && count <= steps(), "schedule", "cannot take ", count, " of ", steps(),
               " steps");
    std::vector<std::int64_t> out;
    out.reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = count; i > 0; --i) {
      out.push_back(i * steps() / count - 1);
    }
    return out;
  }

 private:
  static std::size_t checked(std::int64_t steps) {
    LDLM_CHECK(steps >= 1, "schedule", "needs at least one step, got ", steps);
    LDLM_CHECK(steps <= max_steps, "schedule", "can have ", max_steps, " steps at most, got ",
               steps);
    return static_cast<std::size_t>(steps);
  }
  static std::vector<double> spaced(std::int64_t steps, double first, double last) {
    std::vector<double> out(checked(steps));
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double weight =
          steps > 1 ? static_cast<double>(i) / static_cast<double>(steps - 1) : 0.0;
      out[i] = first + (last - first) * weight;
    }
    return out;
  }

  std::vector<double> alpha_bars_;
};

}  // namespace ldlm
