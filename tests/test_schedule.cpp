#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include <ldlm/diffusion/schedule.hpp>

using ldlm::Error;
using ldlm::NoiseSchedule;

namespace {
bool throws_with(const auto& action, const std::string& part) {
  try {
    action();
  } catch (const Error& error) {
    return std::string(error.what()).find(part) != std::string::npos;
  }
  return false;
}
}  // namespace

TEST_CASE("the published schedule is linspace(sqrt(0.00085), sqrt(0.012), 1000)^2") {
  const NoiseSchedule schedule = NoiseSchedule::scaled_linear();
  CHECK(schedule.steps() == 1000);
  CHECK(schedule.beta(0) == doctest::Approx(0.00085));
  CHECK(schedule.beta(999) == doctest::Approx(0.012));
  const double middle = std::pow((std::sqrt(0.00085) * 499 + std::sqrt(0.012) * 500) / 999, 2);
  CHECK(schedule.beta(500) == doctest::Approx(middle));
  CHECK(schedule.alpha_bar(-1) == 1.0);
  CHECK(schedule.alpha_bar(1) == doctest::Approx((1 - schedule.beta(0)) * (1 - schedule.beta(1))));
}

TEST_CASE("every schedule falls from nearly clean to nearly noise") {
  const NoiseSchedule schedules[] = {NoiseSchedule::scaled_linear(), NoiseSchedule::linear(),
                                     NoiseSchedule::cosine(), NoiseSchedule::tan_d(),
                                     NoiseSchedule::cosine().shifted(2.0)};
  for (const NoiseSchedule& schedule : schedules) {
    CHECK(schedule.alpha_bar(0) > 0.98);
    CHECK(schedule.alpha_bar(999) < 0.01);
    for (std::int64_t t = 0; t < 1000; ++t) {
      CHECK(schedule.alpha_bar(t) < schedule.alpha_bar(t - 1));
    }
  }
}

TEST_CASE("closed forms of the cosine, tan-d and shifted schedules") {
  const auto f = [](double u) { return std::pow(std::cos((u + 0.008) / 1.008 * M_PI / 2), 2); };
  CHECK(NoiseSchedule::cosine().alpha_bar(499) == doctest::Approx(f(0.5) / f(0.0)));
  // tan-d: at u = 1/2 the noise is d times the signal.
  CHECK(NoiseSchedule::tan_d(999, 9.0).alpha_bar(499) == doctest::Approx(1.0 / 82.0));
  // A shift by k lowers the log-SNR by 2 log k.
  const NoiseSchedule plain = NoiseSchedule::scaled_linear();
  CHECK(plain.shifted(3.0).log_snr(400) == doctest::Approx(plain.log_snr(400) - 2 * std::log(3.0)));
}

TEST_CASE("fewer sampling steps keep the noisiest level and an even spacing") {
  const NoiseSchedule schedule = NoiseSchedule::scaled_linear();
  CHECK(schedule.timesteps(4) == std::vector<std::int64_t>{999, 749, 499, 249});
  CHECK(schedule.timesteps(1000).back() == 0);
  CHECK(schedule.timesteps(1000).size() == 1000);
}

TEST_CASE("a noise level finds its timestep") {
  const NoiseSchedule schedule = NoiseSchedule::tan_d();
  for (const std::int64_t t : {0, 1, 250, 998, 999}) {
    CHECK(schedule.nearest(schedule.alpha_bar(t)) == t);
  }
  CHECK(schedule.nearest(0.9999999) == 0);
  CHECK(schedule.nearest(1e-12) == 999);
  CHECK(schedule.nearest(0.9 * schedule.alpha_bar(300) + 0.1 * schedule.alpha_bar(301)) == 300);
  CHECK(schedule.nearest(0.1 * schedule.alpha_bar(300) + 0.9 * schedule.alpha_bar(301)) == 301);
}

TEST_CASE("impossible schedules are refused with the reason") {
  CHECK(throws_with([] { NoiseSchedule({0.5, 0.5}); }, "at t = 1"));
  CHECK(throws_with([] { NoiseSchedule({1.5}); }, "(0, 1)"));
  CHECK(throws_with([] { NoiseSchedule(std::vector<double>{}); }, "at least one step"));
  CHECK(throws_with([] { NoiseSchedule::from_betas({0.1, 1.0}); }, "beta"));
  CHECK(throws_with([] { NoiseSchedule::tan_d(10, -1.0); }, "d must be positive"));
  CHECK(throws_with([] { (void)NoiseSchedule::linear().alpha_bar(1000); }, "outside [-1, 1000)"));
  CHECK(throws_with([] { (void)NoiseSchedule::linear().timesteps(1001); }, "1001 of 1000"));
}
