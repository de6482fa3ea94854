#pragma once
// Initial values of parameters, under PyTorch's names. A matrix (out, in) has fan_in = in and
// fan_out = out.

#include <cmath>

#include <ldlm/core/random.hpp>

namespace ldlm {

namespace detail {

struct Fans {
  double in, out;
};

template <Floating T>
Fans fans(const Tensor<T>& weight, std::string_view op) {
  LDLM_CHECK_SHAPE(weight.rank() == 2, op, "needs a matrix, got ", to_string(weight.shape()));
  return {static_cast<double>(weight.size(1)), static_cast<double>(weight.size(0))};
}

}  // namespace detail

/// Uniform in [low, high).
template <Floating T>
void uniform_(const Tensor<T>& weight, Generator& generator, double low, double high) {
  weight.copy_(rand<T>(weight.shape(), generator, low, high));
}

/// Normal.
template <Floating T>
void normal_(const Tensor<T>& weight, Generator& generator, double mean, double stddev) {
  weight.copy_(randn<T>(weight.shape(), generator, mean, stddev));
}

/// Uniform within gain * sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio, 2010).
template <Floating T>
void xavier_uniform_(const Tensor<T>& weight, Generator& generator, double gain = 1) {
  const auto fan = detail::fans(weight, "xavier_uniform_");
  const double bound = gain * std::sqrt(6 / (fan.in + fan.out));
  uniform_(weight, generator, -bound, bound);
}

/// Normal with deviation gain * sqrt(2 / (fan_in + fan_out)).
template <Floating T>
void xavier_normal_(const Tensor<T>& weight, Generator& generator, double gain = 1) {
  const auto fan = detail::fans(weight, "xavier_normal_");
  normal_(weight, generator, 0, gain * std::sqrt(2 / (fan.in + fan.out)));
}

/// Uniform within sqrt(6 / ((1 + slope^2) fan_in)) (He et al., 2015), for a leaky ReLU of that
/// negative slope; sqrt(5), PyTorch's default for linear layers, makes it 1 / sqrt(fan_in).
template <Floating T>
void kaiming_uniform_(const Tensor<T>& weight, Generator& generator, double slope = 0) {
  const double bound =
      std::sqrt(6 / ((1 + slope * slope) * detail::fans(weight, "kaiming_uniform_").in));
  uniform_(weight, generator, -bound, bound);
}

/// Normal with deviation sqrt(2 / ((1 + slope^2) fan_in)).
template <Floating T>
void kaiming_normal_(const Tensor<T>& weight, Generator& generator, double slope = 0) {
  const double variance = 2 / ((1 + slope * slope) * detail::fans(weight, "kaiming_normal_").in);
  normal_(weight, generator, 0, std::sqrt(variance));
}

}  // namespace ldlm
