#pragma once
// Noise levels for the training of a denoiser, where its loss rises with the noise.

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/core/tensor.hpp>
#include <ldlm/diffusion/schedule.hpp>

namespace ldlm {

/// The loss of a denoiser that predicts z_0 over equal parts of a schedule, as a running mean of
/// its training. Where more noise does not raise it, everything can be told, or nothing: levels are
/// drawn by its slope, a tenth of them evenly (the time warping of Dieleman et al., 2022,
/// "Continuous diffusion for categorical data").
template <Floating T>
requires std::same_as<T, ComputeType<T>>
struct LossCurve {
  static constexpr std::int64_t parts = 32;

  Tensor<T> loss;  // (parts), over all elements of a latent

  /// Begins with the loss of the best estimates of latents of independent normal numbers, 1 - abar.
  /// Throws for a schedule of fewer steps than parts.
  explicit LossCurve(const NoiseSchedule& schedule) : loss(Tensor<T>::empty({parts})) {
    LDLM_CHECK(schedule.steps() >= parts, "loss curve", "a schedule of ", schedule.steps(),
               " steps has fewer than ", parts);
    for (std::int64_t i = 0; i < parts; ++i) {
      const std::int64_t middle = (2 * i + 1) * schedule.steps() / (2 * parts);
      loss.data()[i] = static_cast<T>(1.0 - schedule.alpha_bar(middle));
    }
  }

  /// The part in which a step of the schedule has its middle.
  [[nodiscard]] static std::int64_t part_of(const NoiseSchedule& schedule, std::int64_t step) {
    return (2 * step + 1) * parts / (2 * schedule.steps());
  }

  /// The share of the levels that each part gets.
  [[nodiscard]] std::array<double, parts> shares() const {
    const Tensor<T> host = loss.to(cpu);
    const auto at = [&](std::int64_t i) {
      return i < 0 ? 0.0 : static_cast<double>(host.data()[std::min(i, parts - 1)]);
    };
    std::array<double, parts> out{};
    double sum = 0.0;
    for (std::int64_t i = 0; i < parts; ++i) {
      sum += out[static_cast<std::size_t>(i)] = std::max(at(i + 1) - at(i - 1), 0.0);
    }
    for (double& share : out) {
      share = 0.1 / parts + 0.9 * (sum > 0.0 ? share / sum : 1.0 / parts);
    }
    return out;
  }

  /// Steps of the schedule (rows), one from each of `rows` equal parts of the shares' sum.
  [[nodiscard]] std::vector<std::int64_t> draw(const NoiseSchedule& schedule, std::int64_t rows,
                                               Generator& generator) const {
    const std::array<double, parts> share = shares();
    const double shift = generator.uniform();
    std::vector<std::int64_t> steps;
    std::size_t part = 0;
    double before = 0.0;  // the shares' sum up to the part
    for (std::int64_t b = 0; b < rows; ++b) {
      const double u = (static_cast<double>(b) + shift) / static_cast<double>(rows);
      while (part + 1 < share.size() && u >= before + share[part]) {
        before += share[part++];
      }
      const double within = std::min((u - before) / share[part], 1.0);
      const double place = (static_cast<double>(part) + within) / parts;
      const auto t = static_cast<std::int64_t>(place * static_cast<double>(schedule.steps()));
      steps.push_back(std::min(t, schedule.steps() - 1));
    }
    return steps;
  }

  /// Takes in the losses (B) of rows at steps (B) of the schedule: each part's mean is over some
  /// 500 of its rows.
  void update(const NoiseSchedule& schedule, std::span<const std::int64_t> steps,
              const Tensor<T>& losses) {
    constexpr T weight = T(0.002);
    const Tensor<T> host = losses.to(cpu);
    const Tensor<T> changed = loss.to(cpu).clone();
    for (std::size_t b = 0; b < steps.size(); ++b) {
      T& mean = changed.data()[part_of(schedule, steps[b])];
      mean += weight * (host.data()[b] - mean);
    }
    loss.copy_(changed);
  }
};

}  // namespace ldlm
