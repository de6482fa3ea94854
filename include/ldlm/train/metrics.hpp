#pragma once
// Metrics of reconstructions and of generated text, each with the spread that a reader needs.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/tensor.hpp>

namespace ldlm {

using TokenIds = std::vector<std::int64_t>;

/// A mean with the half-width of its 95% confidence interval (normal approximation).
struct Estimate {
  double mean = 0.0;
  double half_width = 0.0;
  std::int64_t count = 0;
};

/// Throws on no values.
Estimate estimate(std::span<const double> values);

/// The value below which a share q in [0, 1] of the values lies (linear between neighbours).
double quantile(std::vector<double> values, double q);

namespace detail {
template <class T, class Function>
std::vector<double> per_latent(const Tensor<T>& a, const Tensor<T>& b, Function&& f) {
  LDLM_CHECK(a.shape() == b.shape() && a.rank() >= 1, "metrics",
             "shapes differ: ", to_string(a.shape()), " and ", to_string(b.shape()));
  const Tensor<T> x = a.to(cpu).contiguous();
  const Tensor<T> y = b.to(cpu).contiguous();
  const std::int64_t rows = x.size(0);
  const std::int64_t columns = rows > 0 ? x.numel() / rows : 0;
  std::vector<double> out;
  out.reserve(static_cast<std::size_t>(rows));
  for (std::int64_t i = 0; i < rows; ++i) {
    out.push_back(f(x.data() + i * columns, y.data() + i * columns, columns));
  }
  return out;
}
}  // namespace detail

/// Mean squared error of each row of (B, ...) over all its numbers.
template <Floating T>
std::vector<double> mean_squared_errors(const Tensor<T>& a, const Tensor<T>& b) {
  return detail::per_latent(a, b, [](const T* x, const T* y, std::int64_t n) {
    double total = 0.0;
    for (std::int64_t i = 0; i < n; ++i) {
      const double difference = static_cast<double>(x[i]) - static_cast<double>(y[i]);
      total += difference * difference;
    }
    return total / static_cast<double>(n);
  });
}

/// Cosine similarity of each row of (B, ...) as one vector; 0 where one of the two is zero.
template <Floating T>
std::vector<double> cosine_similarities(const Tensor<T>& a, const Tensor<T>& b) {
  return detail::per_latent(a, b, [](const T* x, const T* y, std::int64_t n) {
    double xy = 0.0;
    double xx = 0.0;
    double yy = 0.0;
    for (std::int64_t i = 0; i < n; ++i) {
      xy += static_cast<double>(x[i]) * static_cast<double>(y[i]);
      xx += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      yy += static_cast<double>(y[i]) * static_cast<double>(y[i]);
    }
    return xx > 0.0 && yy > 0.0 ? xy / std::sqrt(xx * yy) : 0.0;
  });
}

/// Share of the reference's positions at which the hypothesis has the same token. Both end with
/// their end token, so a wrong length costs.
double token_accuracy(const TokenIds& hypothesis, const TokenIds& reference);

namespace detail {
std::map<TokenIds, std::int64_t> count_ngrams(const TokenIds& tokens, std::size_t n);
}  // namespace detail

/// Corpus BLEU with n-grams up to 4 and the brevity penalty, one reference each, in [0, 1]
/// (Papineni et al., 2002). 0 if some n-gram order has no match.
double bleu4(std::span<const TokenIds> hypotheses, std::span<const TokenIds> references);

/// Different n-grams over all n-grams of a set of texts (Li et al., 2016); 0 if there are none.
double distinct_n(std::span<const TokenIds> texts, std::size_t n);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/train/impl/metrics.hpp>
#endif
