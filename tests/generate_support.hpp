#pragma once
// What the tests of generate/ share: prompts, and a Markov chain whose answers are known.

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <ldlm/generate/causal_lm.hpp>

namespace generate_support {

using ldlm::Tensor;
using Tokens = std::vector<std::int64_t>;

inline Tensor<std::int64_t> prompts_of(const std::vector<Tokens>& rows) {
  Tokens flat;
  for (const Tokens& row : rows) {
    flat.insert(flat.end(), row.begin(), row.end());
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  return Tensor<std::int64_t>::from_values({count, static_cast<std::int64_t>(flat.size()) / count},
                                           flat);
}

/// The next token depends on the last one alone: its probabilities are row `last` of a table.
class MarkovChain {
 public:
  using value_type = double;

  explicit MarkovChain(std::vector<std::vector<double>> table) : table_(std::move(table)) {}

  Tensor<double> step(const Tensor<std::int64_t>& ids) {
    CHECK((last_.empty() || static_cast<std::int64_t>(last_.size()) == ids.size(0)));
    last_.clear();
    const auto size = static_cast<std::int64_t>(table_.size());
    auto logits = Tensor<double>::empty({ids.size(0), size});
    for (std::int64_t b = 0; b < ids.size(0); ++b) {
      last_.push_back(ids.at({b, -1}));
      for (std::int64_t v = 0; v < size; ++v) {
        logits.at({b, v}) = std::log(probability(last_.back(), v)) + 3;  // not normalised
      }
    }
    steps += ids.size(0);
    return logits;
  }
  void reorder(const Tensor<std::int64_t>& rows) {
    Tokens next;
    for (const std::int64_t row : rows.to_vector()) {
      next.push_back(last_.at(static_cast<std::size_t>(row)));
    }
    last_ = next;
  }

  double probability(std::int64_t from, std::int64_t to) const {
    return table_[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
  }

  std::int64_t steps = 0;  // rows computed

 private:
  std::vector<std::vector<double>> table_;
  Tokens last_;
};
static_assert(ldlm::CausalLm<MarkovChain>);

inline const std::vector<std::vector<double>> weather{
    {0.1, 0.6, 0.2, 0.1}, {0.3, 0.1, 0.35, 0.25}, {0.05, 0.15, 0.5, 0.3}, {0.4, 0.3, 0.2, 0.1}};

}  // namespace generate_support
