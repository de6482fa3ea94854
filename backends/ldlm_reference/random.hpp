#pragma once
// Random numbers: element i of a contiguous output is a function of word i of a Philox stream.

#include <cmath>
#include <limits>
#include <numbers>

#include <ldlm_reference/walk.hpp>

namespace ldlm::reference {

/// Uniform in [0, 1), element i of the stream; the same number in every type.
inline float uniform_element(PhiloxStream stream, std::int64_t i) {
  return uniform_from_bits(philox_word(stream, static_cast<std::uint64_t>(i)));
}

/// low + (high - low) u, never rounded up to high.
template <std::floating_point T>
void uniform(PhiloxStream stream, T low, T high, View<T> out) {
  const T below = std::nextafter(high, low);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    const T value = low + (high - low) * static_cast<T>(uniform_element(stream, i));
    out.data[i] = value < high ? value : below;
  }
}

/// Box-Muller: elements 2 j and 2 j + 1 are r cos(2 pi u1) and r sin(2 pi u1),
/// r = sqrt(-2 log(1 - u0)), with u0 and u1 of those two elements' words.
template <std::floating_point T>
void normal(PhiloxStream stream, T mean, T stddev, View<T> out) {
  using W = Wide<T>;
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    const std::int64_t first = i - i % 2;
    const W r = std::sqrt(-2 * std::log1p(-W{uniform_element(stream, first)}));
    const W angle = 2 * std::numbers::pi_v<W> * uniform_element(stream, first + 1);
    const W z = r * (i == first ? std::cos(angle) : std::sin(angle));
    out.data[i] = static_cast<T>(mean + stddev * z);
  }
}

/// 1 where the uniform element is below `probability`, else 0.
template <std::floating_point T>
void bernoulli(PhiloxStream stream, T probability, View<T> out) {
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.data[i] = static_cast<T>(uniform_element(stream, i)) < probability ? T{1} : T{0};
  }
}

/// y = x / (1 - p) where the uniform element is at least p, else 0.
template <std::floating_point T>
void dropout(PhiloxStream stream, T p, View<const T> x, View<T> y) {
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const bool keep = static_cast<T>(uniform_element(stream, i)) >= p;
    y.data[i] = keep ? static_cast<T>(x.data[i] / (1 - Wide<T>{p})) : T{0};
  }
}

/// Row i takes the first class whose cumulative weight exceeds uniform element i times the row's
/// sum; sums run in double. Throws unless the sum is positive and finite.
template <std::floating_point T>
void categorical(PhiloxStream stream, View<const T> weights, View<std::int64_t> out) {
  const std::int64_t V = weights.size(1);
  for (std::int64_t row = 0; row < weights.size(0); ++row) {
    const T* w = weights.data + row * weights.stride(0);
    double sum = 0;
    for (std::int64_t c = 0; c < V; ++c) {
      LDLM_CHECK(w[c] >= T{0}, "categorical", "weight ", w[c], " of class ", c, " in row ", row);
      sum += w[c];
    }
    LDLM_CHECK(sum > 0 && sum <= std::numeric_limits<double>::max(), "categorical",
               "the weights of row ", row, " sum to ", sum);
    const double threshold = sum * uniform_element(stream, row);
    std::int64_t drawn = -1;
    double cumulative = 0;
    for (std::int64_t c = 0; c < V && !(drawn >= 0 && cumulative > threshold); ++c) {
      cumulative += w[c];
      drawn = w[c] > T{0} ? c : drawn;  // a class without weight is never drawn
    }
    out.data[row * out.stride(0)] = drawn;
  }
}

}  // namespace ldlm::reference
