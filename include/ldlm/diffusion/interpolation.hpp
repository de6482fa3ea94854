#pragma once
// Between two latents: along the sphere, so that what lies between is about as long as its ends.

#include <algorithm>
#include <cmath>

#include <ldlm/core/tensor.hpp>

namespace ldlm {

/// Spherical interpolation of vectors along the last dimension (Shoemake, 1985): a and b are
/// (..., d), `share` from 0, which is a, to 1, which is b. Vectors whose directions are the same or
/// opposite are mixed linearly. Computes on the host.
template <Floating T>
[[nodiscard]] Tensor<T> slerp(const Tensor<T>& a, const Tensor<T>& b, double share) {
  LDLM_CHECK_SHAPE(a.rank() >= 1 && a.shape() == b.shape(), "slerp", "cannot go from ",
                   to_string(a.shape()), " to ", to_string(b.shape()));
  LDLM_CHECK(share >= 0.0 && share <= 1.0, "slerp", "share must lie in [0, 1], got ", share);
  const Tensor<T> from = a.to(cpu).contiguous();
  const Tensor<T> to = b.to(cpu).contiguous();
  Tensor<T> out = Tensor<T>::empty(a.shape());
  const std::int64_t width = std::max<std::int64_t>(a.size(-1), 1);
  for (std::int64_t begin = 0; begin < a.numel(); begin += width) {
    const T* const x = from.data() + begin;
    const T* const y = to.data() + begin;
    double xx = 0.0, xy = 0.0, yy = 0.0;
    for (std::int64_t i = 0; i < width; ++i) {
      const auto p = convert<double>(x[i]);
      const auto q = convert<double>(y[i]);
      xx += p * p;
      xy += p * q;
      yy += q * q;
    }
    const double cosine = std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0);
    const double angle = std::acos(cosine);  // NaN of a vector that is 0
    const bool flat = !(std::sin(angle) > 1e-6);
    const double x_share = flat ? 1.0 - share : std::sin((1.0 - share) * angle) / std::sin(angle);
    const double y_share = flat ? share : std::sin(share * angle) / std::sin(angle);
    for (std::int64_t i = 0; i < width; ++i) {
      out.data()[begin + i] =
          convert<T>(x_share * convert<double>(x[i]) + y_share * convert<double>(y[i]));
    }
  }
  return out.to(a.device());
}

}  // namespace ldlm
