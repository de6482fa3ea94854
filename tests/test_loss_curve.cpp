// Noise levels that are drawn where a denoiser's loss rises.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include <ldlm/latent_diffusion/denoiser.hpp>
#include <ldlm/latent_diffusion/loss_curve.hpp>

using namespace ldlm;

namespace {

using Curve = LossCurve<float>;
constexpr std::int64_t parts = Curve::parts;

/// How many of the steps lie in each part.
std::array<double, parts> counts(const std::vector<std::int64_t>& steps,
                                 const NoiseSchedule& schedule) {
  std::array<double, parts> out{};
  for (const std::int64_t t : steps) {
    REQUIRE(t >= 0);
    REQUIRE(t < schedule.steps());
    out[static_cast<std::size_t>(Curve::part_of(schedule, t))] += 1.0;
  }
  return out;
}

}  // namespace

TEST_CASE("a curve begins as the loss of independent normal numbers, and rises with the noise") {
  const NoiseSchedule schedule = NoiseSchedule::tan_d(1000);
  const Curve curve(schedule);
  CHECK(curve.loss.shape() == Shape{parts});
  for (std::int64_t i = 0; i < parts; ++i) {
    const double sigma =
        std::tan(std::acos(-1.0) / 2.0 * (static_cast<double>(i) + 0.5) / parts) * 9.0;
    CHECK(curve.loss.data()[i] ==
          doctest::Approx(sigma * sigma / (1.0 + sigma * sigma)).epsilon(0.03));
  }
  const auto shares = curve.shares();
  CHECK(std::accumulate(shares.begin(), shares.end(), 0.0) == doctest::Approx(1.0));
  CHECK(*std::min_element(shares.begin(), shares.end()) > 0.1 / parts - 1e-9);
  CHECK(std::accumulate(shares.begin(), shares.begin() + 4, 0.0) > 0.6);  // up to a deviation of 2
  CHECK_THROWS_AS(Curve(NoiseSchedule::tan_d(parts - 1)), Error);
}

TEST_CASE("levels are drawn by the slope of the loss, and a tenth of them evenly") {
  for (const std::int64_t length : {parts, std::int64_t{100}, std::int64_t{1000}}) {
    const NoiseSchedule schedule = NoiseSchedule::tan_d(length);
    Curve curve(schedule);
    curve.loss.fill_(0.0F);
    for (std::int64_t i = 10; i < parts; ++i) {  // all can be told up to part 9, then nothing
      curve.loss.data()[i] = 1.0F;
    }
    Generator generator(1);
    const std::vector<std::int64_t> steps = curve.draw(schedule, 3200, generator);
    CHECK(steps.size() == 3200);
    CHECK(std::is_sorted(steps.begin(), steps.end()));
    const auto found = counts(steps, schedule);
    // A part of which there are no whole steps shares one with its neighbour.
    const double shared = length == parts ? 0.0 : 0.5 * parts / static_cast<double>(length);
    for (std::size_t i = 0; i < parts; ++i) {
      const double share = i == 9 || i == 10 ? 0.1 / parts + 0.45 : 0.1 / parts;
      CHECK(std::abs(found[i] - 3200.0 * share) <= 1.0 + 1450.0 * shared);
    }
    // Where the loss is the same everywhere, so are the shares.
    curve.loss.fill_(0.0F);
    for (const double count : counts(curve.draw(schedule, 3200, generator), schedule)) {
      CHECK(std::abs(count - 100.0) <= 1.0 + 100.0 * 2.0 * shared);
    }
    // A loss that falls teaches nothing.
    curve.loss.fill_(0.5F);
    curve.loss.data()[parts - 1] = 0.0F;
    CHECK(curve.shares()[0] > 0.4);
    CHECK(curve.shares()[parts - 1] == doctest::Approx(0.1 / parts));
  }
}

TEST_CASE("a curve follows the losses of the parts in which they were found") {
  const NoiseSchedule schedule = NoiseSchedule::tan_d(320);
  Curve curve(schedule);
  const std::vector<float> before(curve.loss.data(), curve.loss.data() + parts);
  const std::vector<std::int64_t> steps{0, 9, 10, 319};
  curve.update(schedule, steps, Tensor<float>::from_values({4}, {1.0F, 3.0F, 5.0F, 7.0F}));
  const float first = before[0] + 0.002F * (1.0F - before[0]);
  CHECK(curve.loss.data()[0] == doctest::Approx(first + 0.002F * (3.0F - first)));
  CHECK(curve.loss.data()[1] == doctest::Approx(before[1] + 0.002F * (5.0F - before[1])));
  CHECK(curve.loss.data()[parts - 1] ==
        doctest::Approx(before[parts - 1] + 0.002F * (7.0F - before[parts - 1])));
  for (std::size_t i = 2; i + 1 < parts; ++i) {
    CHECK(curve.loss.data()[i] == before[i]);
  }
  for (int i = 0; i < 5000; ++i) {
    curve.update(schedule, steps, Tensor<float>::from_values({4}, {1.0F, 1.0F, 5.0F, 7.0F}));
  }
  CHECK(curve.loss.data()[0] == doctest::Approx(1.0F).epsilon(1e-3));
  CHECK(curve.loss.data()[parts - 1] == doctest::Approx(7.0F).epsilon(1e-3));
}

TEST_CASE("a denoiser's loss is that of the levels of its curve, and goes into it") {
  Generator generator(1);
  const ReverseTransformerConfig config{.latent_dim = 4,
                                        .width = 8,
                                        .heads = 2,
                                        .feed_forward = 16,
                                        .encoder_layers = 1,
                                        .decoder_layers = 0,
                                        .length = 3,
                                        .dropout = 0.0};
  const ReverseTransformer<float> model(config, generator);
  const Diffusion diffusion{NoiseSchedule::tan_d(1000), Prediction::x0};
  const Tensor<float> z0 = randn<float>({64, 3, 4}, generator);
  Curve curve(diffusion.schedule);
  Curve expected(diffusion.schedule);
  Generator one(2);
  Generator two(2);
  const float loss = denoiser_loss(model, diffusion, z0, one, 0.5, &curve).item();

  const std::vector<std::int64_t> steps = expected.draw(diffusion.schedule, 64, two);
  const std::vector<double> alpha_bars = detail::levels_of(diffusion.schedule, steps);
  const Tensor<float> zt = add_noise(z0, randn_like(z0, two), alpha_bars);
  const Tensor<float> error =
      mean(square(sub(estimate_x0(model, diffusion, zt, alpha_bars), z0)), {1, 2});
  expected.update(diffusion.schedule, steps, error);
  CHECK(loss == doctest::Approx(mean(error).item()));
  CHECK(max(abs(sub(curve.loss, expected.loss))).item() < 1e-6F);
  CHECK(max(abs(sub(curve.loss, Curve(diffusion.schedule).loss))).item() > 1e-4F);

  // Without a curve the schedule's levels are as they were.
  Generator three(2);
  CHECK(denoiser_loss(model, diffusion, z0, three).item() != loss);
  const Diffusion other{diffusion.schedule, Prediction::epsilon};
  CHECK_THROWS_AS(denoiser_loss(model, other, z0, one, 0.5, &curve), Error);
}
