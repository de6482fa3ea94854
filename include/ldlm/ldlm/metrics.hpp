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
inline Estimate estimate(std::span<const double> values) {
  LDLM_CHECK(!values.empty(), "estimate", "of no values");
  const auto n = static_cast<double>(values.size());
  double mean = 0.0;
  for (const double value : values) {
    mean += value / n;
  }
  double squares = 0.0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  const double variance = values.size() > 1 ? squares / (n - 1.0) : 0.0;
  return {mean, 1.96 * std::sqrt(variance / n), static_cast<std::int64_t>(values.size())};
}

/// The value below which a share q in [0, 1] of the values lies (linear between neighbours).
inline double quantile(std::vector<double> values, double q) {
  LDLM_CHECK(!values.empty() && q >= 0.0 && q <= 1.0, "quantile", "needs values and q in [0, 1]");
  std::sort(values.begin(), values.end());
  const double position = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (position - static_cast<double>(below)) * (values[above] - values[below]);
}

namespace detail {
template <class T, class Function>
std::vector<double> per_latent(const Tensor<T>& a, const Tensor<T>& b, Function&& f) {
  LDLM_CHECK(a.shape() == b.shape() && a.rank() >= 1, "metrics",
             "shapes differ: ", to_string(a.shape()), " and ", to_string(b.shape()));
  const Tensor<T> x = a.contiguous();
  const Tensor<T> y = b.contiguous();
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
inline double token_accuracy(const TokenIds& hypothesis, const TokenIds& reference) {
  LDLM_CHECK(!reference.empty(), "token_accuracy", "the reference is empty");
  std::size_t same = 0;
  for (std::size_t i = 0; i < std::min(hypothesis.size(), reference.size()); ++i) {
    same += hypothesis[i] == reference[i] ? 1U : 0U;
  }
  return static_cast<double>(same) / static_cast<double>(reference.size());
}

namespace detail {
inline std::map<TokenIds, std::int64_t> count_ngrams(const TokenIds& tokens, std::size_t n) {
  std::map<TokenIds, std::int64_t> counts;
  for (std::size_t i = 0; i + n <= tokens.size(); ++i) {
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(i);
    ++counts[TokenIds(first, first + static_cast<std::ptrdiff_t>(n))];
  }
  return counts;
}
}  // namespace detail

/// Corpus BLEU with n-grams up to 4 and the brevity penalty, one reference each, in [0, 1]
/// (Papineni et al., 2002). 0 if some n-gram order has no match.
inline double bleu4(std::span<const TokenIds> hypotheses, std::span<const TokenIds> references) {
  LDLM_CHECK(hypotheses.size() == references.size() && !references.empty(), "bleu4",
             hypotheses.size(), " hypotheses for ", references.size(), " references");
  double log_precision = 0.0;
  std::size_t hypothesis_length = 0;
  std::size_t reference_length = 0;
  for (std::size_t i = 0; i < references.size(); ++i) {
    hypothesis_length += hypotheses[i].size();
    reference_length += references[i].size();
  }
  for (std::size_t n = 1; n <= 4; ++n) {
    std::int64_t matches = 0;
    std::int64_t total = 0;
    for (std::size_t i = 0; i < references.size(); ++i) {
      const auto expected = detail::count_ngrams(references[i], n);
      for (const auto& [ngram, count] : detail::count_ngrams(hypotheses[i], n)) {
        const auto found = expected.find(ngram);
        matches += found != expected.end() ? std::min(count, found->second) : 0;
        total += count;
      }
    }
    if (matches == 0) {
      return 0.0;
    }
    log_precision += std::log(static_cast<double>(matches) / static_cast<double>(total)) / 4.0;
  }
  const double ratio =
      static_cast<double>(reference_length) / static_cast<double>(hypothesis_length);
  return std::exp(log_precision + std::min(0.0, 1.0 - ratio));
}

/// Different n-grams over all n-grams of a set of texts (Li et al., 2016); 0 if there are none.
inline double distinct_n(std::span<const TokenIds> texts, std::size_t n) {
  std::set<TokenIds> different;
  std::int64_t total = 0;
  for (const TokenIds& text : texts) {
    for (const auto& [ngram, count] : detail::count_ngrams(text, n)) {
      different.insert(ngram);
      total += count;
    }
  }
  return total > 0 ? static_cast<double>(different.size()) / static_cast<double>(total) : 0.0;
}

}  // namespace ldlm
