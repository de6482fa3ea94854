#pragma once
// What the tests of nn/ and optim/ share: golden values and comparisons.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/nn/module.hpp>

#include "error_message.hpp"
#include "paths.hpp"

namespace nn_support {

/// Values of tests/golden/nn/<file>, which tools/make_nn_fixtures.py made in double.
inline const ldlm::SafetensorsFile& golden(const std::string& file) {
  static const auto layers =
      ldlm::SafetensorsFile::open(ldlm_test::data_dir() + "/golden/nn/layers.safetensors");
  static const auto optim =
      ldlm::SafetensorsFile::open(ldlm_test::data_dir() + "/golden/nn/optim.safetensors");
  return file == "layers" ? layers : optim;
}

/// Relative to the largest element of what is expected.
template <class T>
inline constexpr double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-12;

/// Largest difference over the largest expected magnitude; infinite for NaN and other shapes.
template <class T>
double relative_error(const ldlm::Tensor<T>& actual, const ldlm::Tensor<T>& expected) {
  if (actual.shape() != expected.shape()) {
    return INFINITY;
  }
  const std::vector<T> a = actual.to_vector();
  const std::vector<T> e = expected.to_vector();
  double largest = 0;
  double difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(e[i])) {
      return INFINITY;
    }
    largest = std::max(largest, std::abs(static_cast<double>(e[i])));
    difference = std::max(difference, std::abs(static_cast<double>(a[i] - e[i])));
  }
  return difference == 0 ? 0 : difference / largest;
}

template <class T>
void check_close(const ldlm::Tensor<T>& actual, const ldlm::Tensor<T>& expected,
                 const std::string& what, double limit = tolerance<T>) {
  CAPTURE(what);
  CAPTURE(actual.shape());
  CAPTURE(expected.shape());
  CHECK(relative_error(actual, expected) <= limit);
}

using ldlm_test::contains;
using ldlm_test::message_of;

}  // namespace nn_support
