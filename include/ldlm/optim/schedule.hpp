#pragma once
// Learning-rate schedules: small function objects, step -> factor on the base rate. Any callable of
// that shape will do in their place.
//
//   optimizer.set_learning_rate(base * schedule(step));

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <ldlm/core/error.hpp>

namespace ldlm {

namespace detail {

/// step / warmup while that is below 1.
inline double warmup_factor(std::string_view op, std::int64_t step, std::int64_t warmup) {
  LDLM_CHECK(warmup >= 0, op, "warmup must not be negative, got ", warmup);
  LDLM_CHECK(step >= 0, op, "step must not be negative, got ", step);
  return step < warmup ? static_cast<double>(step) / static_cast<double>(warmup) : 1.0;
}

/// How far a step lies between the end of the warm-up (0) and the last step (1). Throws for a total
/// that was forgotten, which would be a rate of 0.
inline double decay_progress(std::string_view op, std::int64_t step, std::int64_t warmup,
                             std::int64_t total) {
  LDLM_CHECK(total > warmup, op, "total must be set to more steps than the warmup of ", warmup,
             ", got ", total);
  const auto span = static_cast<double>(total - warmup);
  return std::clamp(static_cast<double>(step - warmup) / span, 0.0, 1.0);
}

}  // namespace detail

/// A linear rise from 0 at step 0 to 1 at step `warmup`, then 1.
struct WarmupConstant {
  std::int64_t warmup = 0;
  double operator()(std::int64_t step) const {
    return detail::warmup_factor("WarmupConstant", step, warmup);
  }
};

/// After the warm-up a straight line, down to `floor` at step `total`.
struct WarmupLinear {
  std::int64_t warmup = 0;
  std::int64_t total = 0;  // must be set, to more than the warm-up
  double floor = 0;
  double operator()(std::int64_t step) const {
    const double rise = detail::warmup_factor("WarmupLinear", step, warmup);
    const double rest = 1 - detail::decay_progress("WarmupLinear", step, warmup, total);
    return rise * (floor + (1 - floor) * rest);
  }
};

/// After the warm-up half a cosine, down to `floor` at step `total` (Loshchilov & Hutter, 2017).
struct WarmupCosine {
  std::int64_t warmup = 0;
  std::int64_t total = 0;  // must be set, to more than the warm-up
  double floor = 0;
  double operator()(std::int64_t step) const {
    constexpr double pi = 3.14159265358979323846;
    const double rise = detail::warmup_factor("WarmupCosine", step, warmup);
    const double rest =
        0.5 * (1 + std::cos(pi * detail::decay_progress("WarmupCosine", step, warmup, total)));
    return rise * (floor + (1 - floor) * rest);
  }
};

}  // namespace ldlm
