#pragma once
// Greedy generation, and sampling with temperature, top-k and top-p.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <ldlm/core/ops/index.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/generate/causal_lm.hpp>

namespace ldlm {

namespace detail {

/// The position of each row's largest logit, found where they are: only that leaves a device.
template <Floating T>
std::vector<std::int64_t> largest_of_rows(const Tensor<T>& logits, std::string_view op) {
  const TopK<T> best = top_k(logits, 1);  // NaN is larger than all numbers
  const auto infinite = std::numeric_limits<ComputeType<T>>::infinity();
  const auto found = where(lt(abs(best.values), infinite), best.indices, std::int64_t{-1});
  std::vector<std::int64_t> out = found.to_vector();
  for (std::size_t row = 0; row < out.size(); ++row) {
    if (out[row] < 0) {
      const auto largest = cast<ComputeType<T>>(best.values.to(cpu)).data()[row];
      LDLM_CHECK(!std::isnan(largest), op, "a logit is NaN");
      LDLM_CHECK(false, op, "the largest logit is ", largest);
    }
  }
  return out;
}

}  // namespace detail

/// The most probable token at every step. Throws for logits that are NaN.
template <CausalLm M>
[[nodiscard]] TokenSequences greedy(M& model, const Tensor<std::int64_t>& prompts,
                                    const StopOptions& stop = {},
                                    const TokenCallback& on_token = {}) {
  detail::check_request("greedy", model, prompts, stop);
  return detail::generate_rows(
      "greedy", model, prompts, stop, on_token,
      [](const auto& logits, const auto&) { return detail::largest_of_rows(logits, "greedy"); });
}

/// How a token is drawn: the filters act in this order, each on what the one before it left.
struct SamplingOptions {
  StopOptions stop{};
  double temperature = 1;  // divides the logits
  std::int64_t top_k = 0;  // keeps the k most probable tokens, and those as probable; 0: all
  double top_p = 1;        // keeps the fewest tokens that together have this probability

  /// Throws an Error that names the option which is out of range.
  void validate(std::string_view op = "sample") const {
    stop.validate(op);
    LDLM_CHECK(temperature > 0 && std::isfinite(temperature), op,
               "temperature must be positive and finite, got ", temperature,
               " (greedy() takes the most probable token)");
    LDLM_CHECK(top_k >= 0, op, "top_k must not be negative, got ", top_k);
    LDLM_CHECK(top_p > 0 && top_p <= 1, op, "top_p must lie in (0, 1], got ", top_p);
  }
};

/// A token and its probability.
struct TokenProbability {
  std::int64_t token;
  double probability;
};

/// What `sample` draws from: the tokens that the filters leave, the most probable first, with
/// probabilities above 0 that sum to 1. Throws for options out of range, and for logits that are
/// NaN or none.
template <Floating T>
[[nodiscard]] std::vector<TokenProbability> sampling_distribution(std::span<const T> logits,
                                                                  const SamplingOptions& options) {
  options.validate();
  LDLM_CHECK_SHAPE(!logits.empty(), "sample", "there are no logits");
  std::vector<TokenProbability> kept;
  kept.reserve(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const auto logit = static_cast<double>(logits[i]);
    LDLM_CHECK(!std::isnan(logit), "sample", "the logit of token ", i, " is NaN");
    kept.push_back({static_cast<std::int64_t>(i), logit});
  }
  const auto before = [](const TokenProbability& a, const TokenProbability& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
  };
  const auto k = static_cast<std::size_t>(options.top_k);
  if (k > 0 && k < kept.size()) {
    const auto last = kept.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(kept.begin(), last, kept.end(), before);
    const double least = last->probability;
    std::erase_if(kept, [least](const TokenProbability& t) { return t.probability < least; });
  }
  const double largest = std::min_element(kept.begin(), kept.end(), before)->probability;
  LDLM_CHECK(std::isfinite(largest), "sample", "the largest logit is ", largest);
  double total = 0;
  for (TokenProbability& t : kept) {
    t.probability = std::exp((t.probability - largest) / options.temperature);
    total += t.probability;
  }
  // Sorts from the front, no further than the filter needs.
  const double wanted =
      options.top_p < 1 ? options.top_p * total : std::numeric_limits<double>::infinity();
  double covered = 0;
  std::size_t count = 0;
  for (std::size_t sorted = 0; count < kept.size() && covered < wanted; ++count) {
    if (count == sorted) {
      sorted = std::min(kept.size(), std::max<std::size_t>(64, 4 * sorted));
      std::partial_sort(kept.begin() + static_cast<std::ptrdiff_t>(count),
                        kept.begin() + static_cast<std::ptrdiff_t>(sorted), kept.end(), before);
    }
    covered += kept[count].probability;
  }
  kept.resize(count);
  while (kept.back().probability == 0) {  // such as those of -infinity
    kept.pop_back();
  }
  for (TokenProbability& t : kept) {
    t.probability /= covered;
  }
  return kept;
}

namespace detail {

/// The token that `u` of [0, 1) stands for among those of the filtered distribution, one behind the
/// other.
template <Floating T>
std::int64_t drawn_token(std::span<const T> logits, const SamplingOptions& options, double u) {
  const std::vector<TokenProbability> tokens = sampling_distribution(logits, options);
  for (const TokenProbability& t : tokens) {
    u -= t.probability;
    if (u < 0) {
      return t.token;
    }
  }
  return tokens.back().token;  // the sum fell short of 1 by rounding
}

/// The likeliest tokens of logits (R, V) on a device: mostly what is drawn is one of them, and the
/// rest of the row stays there.
template <Floating T>
class Candidates {
 public:
  static constexpr std::int64_t usual = 256;
  /// A device sorts so many at once: of more the whole row is faster to fetch.
  static constexpr std::int64_t most = 1024;
  /// So many tokens have numbers that a float holds.
  static constexpr std::int64_t most_tokens = std::int64_t{1} << 24;

  /// Whether rows of so many logits are worth it.
  static bool help(std::int64_t tokens, const SamplingOptions& options) {
    return tokens <= most_tokens && (options.top_k < most || options.top_k >= tokens);
  }

  Candidates(const Tensor<T>& logits, const SamplingOptions& options)
      : options_(&options), filters_(options.top_k > 0 && options.top_k < logits.size(1)) {
    const std::int64_t wanted = filters_ ? std::max(usual, options.top_k + 1) : usual;
    count_ = static_cast<std::size_t>(std::min(logits.size(1), wanted));
    has_all_ = logits.size(1) <= wanted;
    const TopK<T> best = top_k(logits, static_cast<std::int64_t>(count_));
    const Tensor<T> distance = (logits - best.values.slice(1, 0, 1)) / options.temperature;
    // Together, so that the device is waited for once.
    rows_ =
        ldlm::concat({best.values, cast<T>(best.indices), sum(exp(distance), 1, true)}, 1).to(cpu);
  }

  /// drawn_token of a row; nothing if that may be another token.
  [[nodiscard]] std::optional<std::int64_t> drawn_token(std::size_t row, double u) const {
    const auto values = row_of(rows_, row);
    const auto token = [&](std::size_t i) { return static_cast<std::int64_t>(values[count_ + i]); };
    const auto largest = static_cast<double>(values[0]);
    LDLM_CHECK(!std::isnan(largest), "sample", "the logit of token ", token(0), " is NaN");
    LDLM_CHECK(std::isfinite(largest), "sample", "the largest logit is ", largest);
    const auto weight = [&](std::size_t i) {
      return std::exp((static_cast<double>(values[i]) - largest) / options_->temperature);
    };
    std::size_t kept = count_;
    auto total = static_cast<double>(values.back());
    if (filters_) {
      kept = static_cast<std::size_t>(options_->top_k);
      if (values[kept] == values[kept - 1]) {
        return std::nullopt;  // nor how many more are as probable is known
      }
    }
    const bool knows_all = has_all_ || filters_;
    if (knows_all) {
      total = 0;
      for (std::size_t i = 0; i < kept; ++i) {
        total += weight(i);
      }
    }
    if (options_->top_p < 1) {
      const double wanted = options_->top_p * total;
      double covered = 0;
      std::size_t count = 0;
      while (count < kept && covered < wanted) {
        covered += weight(count++);
      }
      if (covered < wanted && !knows_all) {
        return std::nullopt;
      }
      kept = count;
      total = covered;
    }
    for (std::size_t i = 0; i < kept; ++i) {
      u -= weight(i) / total;
      if (u < 0) {
        return token(i);
      }
    }
    if (options_->top_p == 1 && !knows_all) {
      return std::nullopt;
    }
    while (weight(kept - 1) == 0) {
      --kept;
    }
    return token(kept - 1);  // the sum fell short of 1 by rounding
  }

 private:
  const SamplingOptions* options_;
  bool filters_;  // by top_k
  bool has_all_;  // tokens, and not the likeliest alone
  std::size_t count_;
  Tensor<T> rows_;  // logits, tokens, and the sum of exp((logit - largest) / temperature) of all
};

}  // namespace detail

/// Draws each token from the filtered distribution. Every sequence has a random stream of its own,
/// so that what it becomes depends on the generator and on its row, not on the rest of the batch.
/// The generator moves on: the next call draws other texts.
template <CausalLm M>
[[nodiscard]] TokenSequences sample(M& model, const Tensor<std::int64_t>& prompts,
                                    const SamplingOptions& options, Generator& generator,
                                    const TokenCallback& on_token = {}) {
  using T = ComputeType<typename M::value_type>;
  options.validate();
  detail::check_request("sample", model, prompts, options.stop);
  const Generator base(
      static_cast<std::uint64_t>(generator.below(std::numeric_limits<std::int64_t>::max())));
  std::vector<Generator> streams;
  for (std::int64_t row = 0; row < prompts.size(0); ++row) {
    streams.push_back(base.fork(static_cast<std::uint64_t>(row)));
  }
  const auto choose = [&](const auto& given, const std::vector<std::size_t>& rows) {
    Tensor<T> logits = cast<T>(given);
    std::optional<detail::Candidates<T>> candidates;
    if (!is_host_memory(logits.device()) && detail::Candidates<T>::help(logits.size(1), options)) {
      candidates.emplace(logits, options);
    } else {
      logits = logits.to(cpu).contiguous();
    }
    std::vector<std::int64_t> out(rows.size());
    std::vector<double> draws;
    std::vector<std::int64_t> open;  // rows of which all logits are needed
    for (std::size_t i = 0; i < rows.size(); ++i) {
      draws.push_back(streams[rows[i]].uniform());
      const auto token = candidates ? candidates->drawn_token(i, draws[i]) : std::nullopt;
      out[i] = token.value_or(0);
      if (!token) {
        open.push_back(static_cast<std::int64_t>(i));
      }
    }
    if (candidates && !open.empty()) {  // together, so that the device is waited for once
      const auto count = static_cast<std::int64_t>(open.size());
      logits = index_select(logits, 0, Tensor<std::int64_t>::from_values({count}, open)).to(cpu);
    }
    for (std::size_t k = 0; k < open.size(); ++k) {  // without candidates all rows are open
      const auto i = static_cast<std::size_t>(open[k]);
      out[i] = detail::drawn_token(detail::row_of(logits, k), options, draws[i]);
    }
    return out;
  };
  return detail::generate_rows("sample", model, prompts, options.stop, on_token, choose);
}

}  // namespace ldlm
