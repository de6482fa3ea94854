#pragma once
// Bodies of train/ngram_model.hpp.

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/hash.hpp>
#include <ldlm/train/ngram_model.hpp>

namespace ldlm::detail {

inline constexpr TokenId text_begin = -1;  // no token's id

/// The entry of a hash in a table of rising ones, or null.
template <class Entry>
const Entry* find_hash(const std::vector<Entry>& table, std::uint64_t hash) {
  const auto found =
      std::lower_bound(table.begin(), table.end(), hash,
                       [](const Entry& entry, std::uint64_t h) { return entry.hash < h; });
  return found != table.end() && found->hash == hash ? &*found : nullptr;
}

}  // namespace ldlm::detail

namespace ldlm {

LDLM_BODY NgramModel::NgramModel(std::size_t order, std::int64_t vocab_size, TokenId end)
    : orders_(order), vocab_size_(vocab_size), end_(end) {
  LDLM_CHECK(order >= 2 && order <= 16, "NgramModel", "order must lie in [2, 16], got ", order);
  LDLM_CHECK(vocab_size > 0, "NgramModel", "vocab_size must be positive, got ", vocab_size);
  check_id(end);
}

LDLM_BODY void NgramModel::check_id(TokenId id) const {
  LDLM_CHECK_INDEX(id >= 0 && id < vocab_size_, "NgramModel", "id ", id, " is none of ",
                   vocab_size_);
}

LDLM_BODY void NgramModel::append(std::vector<TokenId>& tokens,
                                  std::span<const TokenId> ids) const {
  std::for_each(ids.begin(), ids.end(), [this](TokenId id) { check_id(id); });
  tokens.push_back(detail::text_begin);
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  tokens.push_back(end_);
}

LDLM_BODY void NgramModel::add(std::span<const TokenId> ids) {
  finished_ = false;
  append(tokens_, ids);
}

LDLM_BODY std::uint64_t NgramModel::hash_of(const std::vector<TokenId>& tokens, std::size_t first,
                                            std::size_t length) const {
  std::uint64_t hash = length;
  for (std::size_t i = first; i < first + length; ++i) {
    hash = detail::mix(hash * 3 + static_cast<std::uint64_t>(tokens[i]));
  }
  return hash;
}

/// All runs of as many tokens as the order within a text.
LDLM_BODY std::vector<NgramModel::Run> NgramModel::longest_runs() const {
  std::vector<Run> runs;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    begin = tokens_[i] == detail::text_begin ? i : begin;
    if (i + 1 >= begin + order()) {
      const std::size_t first = i + 1 - order();
      runs.push_back({hash_of(tokens_, first, order()), first});
    }
  }
  return runs;
}

/// Runs at the beginning of a text: nothing comes before them, so that they count as often as they
/// come, and not as often as something else comes before.
LDLM_BODY void NgramModel::add_first_runs(std::vector<Run>& runs, std::size_t length) const {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    begin = tokens_[i] == detail::text_begin ? i : begin;
    if (i + 1 == begin + length) {
      runs.push_back({hash_of(tokens_, begin, length), begin});
    }
  }
}

/// Counts them as those of an order; each different one, once, is left.
LDLM_BODY std::vector<NgramModel::Run> NgramModel::count_runs(std::vector<Run> runs,
                                                              std::size_t length) {
  Order& order = orders_[length - 1];
  order = {};
  std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) {
    return std::pair(a.hash, a.first) < std::pair(b.hash, b.first);
  });
  std::vector<Run> different;
  for (const Run& run : runs) {
    if (different.empty() || different.back().hash != run.hash) {
      different.push_back(run);
      order.runs.push_back({run.hash, 0});
    }
    ++order.runs.back().count;
  }
  std::vector<Count> contexts;
  std::int64_t once = 0, twice = 0;
  for (std::size_t i = 0; i < different.size(); ++i) {
    const std::int64_t count = order.runs[i].count;
    contexts.push_back({hash_of(tokens_, different[i].first, length - 1), count});
    once += count == 1 ? 1 : 0;
    twice += count == 2 ? 1 : 0;
  }
  LDLM_CHECK(once > 0, "NgramModel", "needs more text: no run of ", length,
             " tokens comes just once");
  order.discount = static_cast<double>(once) / static_cast<double>(once + 2 * twice);
  std::sort(contexts.begin(), contexts.end(),
            [](const Count& a, const Count& b) { return a.hash < b.hash; });
  for (const Count& context : contexts) {
    if (order.contexts.empty() || order.contexts.back().hash != context.hash) {
      order.contexts.push_back({context.hash, 0, 0});
    }
    order.contexts.back().total += context.count;
    ++order.contexts.back().tokens;
  }
  return different;
}

LDLM_BODY void NgramModel::finish() {
  std::vector<Run> different = count_runs(longest_runs(), order());
  for (std::size_t length = order() - 1; length > 0; --length) {
    // Shorter runs count as often as different tokens come before them.
    std::vector<Run> runs;
    runs.reserve(different.size());
    for (const Run& longer : different) {
      runs.push_back({hash_of(tokens_, longer.first + 1, length), longer.first + 1});
    }
    if (length > 1) {  // the mark itself is never predicted
      add_first_runs(runs, length);
    }
    different = count_runs(std::move(runs), length);
  }
  finished_ = true;
}

LDLM_BODY double NgramModel::probability(const std::vector<TokenId>& tokens, std::size_t at) const {
  double out = 1.0 / static_cast<double>(vocab_size_);
  for (std::size_t length = 1; length <= std::min(order(), at + 1); ++length) {
    const Order& order = orders_[length - 1];
    const std::size_t first = at + 1 - length;
    const Context* const context =
        detail::find_hash(order.contexts, hash_of(tokens, first, length - 1));
    if (context == nullptr) {
      break;  // nor is a longer one
    }
    const Count* const run = detail::find_hash(order.runs, hash_of(tokens, first, length));
    const auto total = static_cast<double>(context->total);
    const double count = run != nullptr ? static_cast<double>(run->count) : order.discount;
    out = (count - order.discount) / total +
          order.discount * static_cast<double>(context->tokens) / total * out;
  }
  return out;
}

LDLM_BODY std::vector<double> NgramModel::log_probabilities(std::span<const TokenId> ids) const {
  LDLM_CHECK_STATE(finished_, "NgramModel", "finish() comes before the first question");
  std::vector<TokenId> tokens;
  append(tokens, ids);
  std::vector<double> out;
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    out.push_back(std::log(probability(tokens, i)));
  }
  return out;
}

}  // namespace ldlm
