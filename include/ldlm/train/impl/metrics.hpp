#pragma once
// Bodies of train/metrics.hpp.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <ldlm/core/tensor.hpp>
#include <ldlm/train/metrics.hpp>

namespace ldlm {

LDLM_BODY Estimate estimate(std::span<const double> values) {
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

LDLM_BODY double quantile(std::vector<double> values, double q) {
  LDLM_CHECK(!values.empty() && q >= 0.0 && q <= 1.0, "quantile", "needs values and q in [0, 1]");
  std::sort(values.begin(), values.end());
  const double position = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (position - static_cast<double>(below)) * (values[above] - values[below]);
}

LDLM_BODY double token_accuracy(const TokenIds& hypothesis, const TokenIds& reference) {
  LDLM_CHECK(!reference.empty(), "token_accuracy", "the reference is empty");
  std::size_t same = 0;
  for (std::size_t i = 0; i < std::min(hypothesis.size(), reference.size()); ++i) {
    same += hypothesis[i] == reference[i] ? 1U : 0U;
  }
  return static_cast<double>(same) / static_cast<double>(reference.size());
}

}  // namespace ldlm

namespace ldlm::detail {

LDLM_BODY std::map<TokenIds, std::int64_t> count_ngrams(const TokenIds& tokens, std::size_t n) {
  std::map<TokenIds, std::int64_t> counts;
  for (std::size_t i = 0; i + n <= tokens.size(); ++i) {
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(i);
    ++counts[TokenIds(first, first + static_cast<std::ptrdiff_t>(n))];
  }
  return counts;
}

}  // namespace ldlm::detail

namespace ldlm {

LDLM_BODY double bleu4(std::span<const TokenIds> hypotheses, std::span<const TokenIds> references) {
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

LDLM_BODY double distinct_n(std::span<const TokenIds> texts, std::size_t n) {
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
