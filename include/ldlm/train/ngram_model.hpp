#pragma once
// NgramModel: a language model that counts, as a second opinion beside one that was trained.
//
//   NgramModel model(5, vocab_size, end_id);
//   for (...) model.add(tokenizer.encode_ids(sentence));
//   model.finish();
//   double nats = -sum(model.log_probabilities(ids)) / (ids.size() + 1);

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm {

/// n-grams with interpolated Kneser-Ney smoothing, one discount an order (Kneser and Ney, 1995, as
/// in Chen and Goodman, 1998). A text begins after a mark of its own and ends with the end token.
/// An n-gram is known by 64 bits of its hash.
class NgramModel {
 public:
  /// Counts runs of up to `order` tokens (2 or more) of ids in [0, vocab_size).
  NgramModel(std::size_t order, std::int64_t vocab_size, TokenId end);

  /// The ids of a text, without its end. Throws IndexError for an id that is none.
  void add(std::span<const TokenId> ids);
  /// After the last text, and before the first question. Throws ValueError for texts of which no
  /// run comes just once, as that is what the discounts are made of.
  void finish();

  [[nodiscard]] std::size_t order() const { return orders_.size(); }
  /// Natural logarithms of each token's probability after those before it, and of the end's.
  [[nodiscard]] std::vector<double> log_probabilities(std::span<const TokenId> ids) const;

 private:
  struct Count {
    std::uint64_t hash;
    std::int64_t count;
  };
  /// What followed a context: all that is counted, and how many different tokens.
  struct Context {
    std::uint64_t hash;
    std::int64_t total, tokens;
  };
  struct Order {
    std::vector<Count> runs;        // rising hashes
    std::vector<Context> contexts;  // rising hashes
    double discount = 0.0;
  };
  struct Run {
    std::uint64_t hash;
    std::size_t first;  // in tokens_
  };

  [[nodiscard]] std::uint64_t hash_of(const std::vector<TokenId>& tokens, std::size_t first,
                                      std::size_t length) const;
  void check_id(TokenId id) const;
  void append(std::vector<TokenId>& tokens, std::span<const TokenId> ids) const;
  [[nodiscard]] std::vector<Run> longest_runs() const;
  void add_first_runs(std::vector<Run>& runs, std::size_t length) const;
  [[nodiscard]] std::vector<Run> count_runs(std::vector<Run> runs, std::size_t length);
  [[nodiscard]] double probability(const std::vector<TokenId>& tokens, std::size_t at) const;

  std::vector<Order> orders_;  // of runs of 1, 2, ... tokens
  std::int64_t vocab_size_;
  TokenId end_;
  std::vector<TokenId> tokens_;  // all texts between their marks
  bool finished_ = false;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/train/impl/ngram_model.hpp>
#endif
