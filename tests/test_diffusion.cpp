#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include <ldlm/core/ops.hpp>
#include <ldlm/diffusion/interpolation.hpp>
#include <ldlm/diffusion/sampler.hpp>

using namespace ldlm;

namespace {

using Levels = std::vector<double>;

double largest_difference(const Tensor<double>& a, const Tensor<double>& b) {
  return max(abs(sub(a, b))).item();
}

// The exact posterior mean of data that is +m or -m with equal chance, each number by itself.
auto two_point_denoiser(double m) {
  return [m](const Tensor<double>& z, double alpha_bar) {
    return mul(tanh(mul(z, std::sqrt(alpha_bar) * m / (1.0 - alpha_bar))), m);
  };
}

}  // namespace

TEST_CASE("the forward process preserves unit variance and mixes as the formula says") {
  Generator generator(1);
  const std::int64_t n = 200'000;
  const auto z0 = randn<double>({1, n}, generator);
  const auto eps = randn<double>({1, n}, generator);
  for (const double alpha_bar : {0.999, 0.5, 0.01}) {
    const auto zt = add_noise(z0, eps, Levels{alpha_bar});
    CHECK(var(zt).item() == doctest::Approx(1.0).epsilon(0.015));
    const double covariance = mean(mul(zt, z0)).item();
    CHECK(covariance == doctest::Approx(std::sqrt(alpha_bar)).epsilon(0.02));
  }
}

TEST_CASE("x0, epsilon and v name the same point, row by row") {
  Generator generator(2);
  const auto z0 = randn<double>({3, 4, 5}, generator);
  const auto eps = randn<double>({3, 4, 5}, generator);
  const Levels levels{0.9, 0.5, 0.05};
  const auto zt = add_noise(z0, eps, levels);
  for (const Prediction kind : {Prediction::x0, Prediction::epsilon, Prediction::v}) {
    const auto target = prediction_target(kind, z0, eps, levels);
    const auto x0 = to_x0(kind, target, zt, levels);
    CHECK(largest_difference(x0, z0) < 1e-12);
    CHECK(largest_difference(to_epsilon(x0, zt, levels), eps) < 1e-12);
  }
}

TEST_CASE("the posterior agrees with Bayes' rule and with the step-by-step process") {
  const double at = 0.3;
  const double as = 0.6;
  const Posterior posterior(at, as);
  // q(z_s | z_0) q(z_t | z_s): two Gaussians in z_s, whose product has these moments.
  const double alpha = at / as;
  const double precision = 1.0 / (1.0 - as) + alpha / (1.0 - alpha);
  CHECK(posterior.variance == doctest::Approx(1.0 / precision));
  CHECK(posterior.x0_weight == doctest::Approx(std::sqrt(as) / (1.0 - as) / precision));
  CHECK(posterior.zt_weight == doctest::Approx(std::sqrt(alpha) / (1.0 - alpha) / precision));
  // Marginalising z_t out returns q(z_s | z_0).
  CHECK(posterior.x0_weight + posterior.zt_weight * std::sqrt(at) ==
        doctest::Approx(std::sqrt(as)));
  CHECK(posterior.variance + posterior.zt_weight * posterior.zt_weight * (1.0 - at) ==
        doctest::Approx(1.0 - as));
  CHECK_THROWS_AS(Posterior(0.6, 0.3), Error);
}

TEST_CASE("DDIM with eta = 1 takes the steps of DDPM") {
  const NoiseSchedule schedule = NoiseSchedule::scaled_linear();
  for (const auto& [t, s] : {std::pair<int, int>{999, 899}, {500, 499}, {20, 3}}) {
    const auto ddpm = detail::ddpm_step(schedule.alpha_bar(t), schedule.alpha_bar(s));
    const auto ddim = detail::ddim_step(schedule.alpha_bar(t), schedule.alpha_bar(s), 1.0);
    CHECK(ddim.x0_weight == doctest::Approx(ddpm.x0_weight));
    CHECK(ddim.zt_weight == doctest::Approx(ddpm.zt_weight));
    CHECK(ddim.stddev == doctest::Approx(ddpm.stddev));
  }
}

TEST_CASE("a perfect denoiser samples its data point with every sampler") {
  Generator generator(3);
  const auto data = randn<double>({2, 7}, generator);
  const auto denoise = [&](const Tensor<double>&, double) { return data; };
  for (const SamplerKind kind : {SamplerKind::ddpm, SamplerKind::ddim, SamplerKind::dpm_solver}) {
    for (const std::int64_t steps : {1, 2, 10, 0}) {
      const auto x = sample_diffusion<double>({2, 7}, NoiseSchedule::scaled_linear(100), denoise,
                                              {.kind = kind, .steps = steps}, generator);
      CHECK(largest_difference(x, data) == 0.0);
    }
  }
}

TEST_CASE("deterministic samplers repeat, and random ones follow their seed") {
  const NoiseSchedule schedule = NoiseSchedule::scaled_linear();
  const auto run = [&](SamplerKind kind, double eta, std::uint64_t noise_seed) {
    Generator start(4);
    const auto z = randn<double>({50}, start);
    Generator noise(noise_seed);
    return denoise_from(z, schedule, schedule.timesteps(20), two_point_denoiser(0.5),
                        {.kind = kind, .eta = eta}, noise);
  };
  for (const SamplerKind kind : {SamplerKind::ddim, SamplerKind::dpm_solver}) {
    CHECK(equal(run(kind, 0.0, 5), run(kind, 0.0, 6)));
  }
  CHECK(equal(run(SamplerKind::ddpm, 0.0, 5), run(SamplerKind::ddpm, 0.0, 5)));
  CHECK_FALSE(equal(run(SamplerKind::ddpm, 0.0, 5), run(SamplerKind::ddpm, 0.0, 6)));
  CHECK_FALSE(equal(run(SamplerKind::ddim, 1.0, 5), run(SamplerKind::ddim, 1.0, 6)));
}

TEST_CASE("every sampler draws the two points of a mixture equally often") {
  const double m = 1.0;
  const NoiseSchedule schedule = NoiseSchedule::scaled_linear();
  const std::int64_t n = 4000;
  for (const SamplerKind kind : {SamplerKind::ddpm, SamplerKind::ddim, SamplerKind::dpm_solver}) {
    Generator generator(7);
    const auto x = sample_diffusion<double>({n}, schedule, two_point_denoiser(m),
                                            {.kind = kind, .steps = 100}, generator);
    CHECK(largest_difference(abs(x), Tensor<double>::full({n}, m)) < 0.02);
    CHECK(std::abs(mean(x).item()) < 4.0 / std::sqrt(static_cast<double>(n)));
  }
}

TEST_CASE("DPM-Solver++ is of second order: a quarter of the error at twice the steps") {
  const NoiseSchedule schedule = NoiseSchedule::scaled_linear(4096, 1e-4, 5e-3);
  // Gaussian data of variance c^2: the denoiser is linear and the flow has a smooth solution.
  const double c = 0.7;
  const auto denoise = [c](const Tensor<double>& z, double ab) {
    return mul(z, std::sqrt(ab) * c * c / (ab * c * c + 1.0 - ab));
  };
  const auto run = [&](SamplerKind kind, std::int64_t steps) {
    Generator start(8);
    Generator unused(0);
    std::vector<std::int64_t> timesteps;  // the same first and last level for every step count
    for (std::int64_t i = 0; i <= steps; ++i) {
      timesteps.push_back(4095 - i * 3968 / steps);
    }
    return denoise_from(randn<double>({20}, start), schedule, timesteps, denoise, {.kind = kind},
                        unused);
  };
  const auto exact = run(SamplerKind::dpm_solver, 1984);
  const double coarse = largest_difference(run(SamplerKind::dpm_solver, 32), exact);
  const double fine = largest_difference(run(SamplerKind::dpm_solver, 64), exact);
  CHECK(coarse / fine > 3.0);
  CHECK(fine < largest_difference(run(SamplerKind::ddim, 64), exact));
}

TEST_CASE("a sampler can stop at a noise level and refuses what cannot be") {
  const NoiseSchedule schedule = NoiseSchedule::scaled_linear();
  Generator generator(9);
  std::int64_t calls = 0;
  const auto count = [&](const Tensor<double>& z, double) {
    ++calls;
    return z;
  };
  (void)sample_diffusion<double>({3}, schedule, count, {.steps = 10, .stop_at = 500}, generator);
  CHECK(calls == 6);  // t = 999, 899, 799, 699, 599, 499
  const auto wrong = [](const Tensor<double>& z, double) { return z.slice(0, 1); };
  CHECK_THROWS_AS(sample_diffusion<double>({3}, schedule, wrong, {}, generator), Error);
  CHECK_THROWS_AS(sample_diffusion<double>({3}, schedule, count, {.eta = 2.0}, generator), Error);
  CHECK_THROWS_AS(
      add_noise(Tensor<double>::zeros({2, 3}), Tensor<double>::zeros({2, 3}), Levels{0.5}), Error);
}

TEST_CASE("slerp goes from one vector to another along the sphere") {
  const auto a = Tensor<double>::from_values({2, 2}, {1, 0, 0, 3});
  const auto b = Tensor<double>::from_values({2, 2}, {0, 1, 3, 0});
  CHECK(largest_difference(slerp(a, b, 0.0), a) < 1e-15);
  CHECK(largest_difference(slerp(a, b, 1.0), b) < 1e-15);
  const double c = std::cos(std::numbers::pi / 6.0);  // a third of the way: 30 degrees
  const auto third = Tensor<double>::from_values({2, 2}, {c, 0.5, 1.5, 3 * c});
  CHECK(largest_difference(slerp(a, b, 1.0 / 3.0), third) < 1e-15);
  const auto strided = b.transpose(0, 1).contiguous().transpose(0, 1);
  CHECK(largest_difference(slerp(a, strided, 1.0 / 3.0), third) < 1e-15);
  // Along a line where there is no arc, and where there are many.
  for (const double sign : {2.0, -1.0, 0.0}) {
    CHECK(largest_difference(slerp(a, mul(a, sign), 0.25), mul(a, 0.75 + 0.25 * sign)) < 1e-15);
  }
  CHECK(slerp(Tensor<float>::zeros({0, 4}), Tensor<float>::zeros({0, 4}), 0.5).numel() == 0);
  CHECK_THROWS_WITH_AS((void)slerp(a, b, 1.5), "[slerp] share must lie in [0, 1], got 1.5", Error);
  CHECK_THROWS_WITH_AS((void)slerp(a, Tensor<double>::zeros({2}), 0.5),
                       "[slerp] cannot go from (2, 2) to (2,)", Error);
}
