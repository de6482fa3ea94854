#pragma once
// Trainers: a byte-level BPE or WordPiece tokenizer from texts.
//
//   ldlm::BpeTrainer trainer({.vocab_size = 8192, .special_tokens = {"<|endoftext|>"}});
//   for (const auto& line : lines) trainer.add(line);
//   ldlm::Tokenizer tokenizer = trainer.train();

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/pre_tokenizer.hpp>
#include <ldlm/text/tokenizer.hpp>
#include <ldlm/text/word_counter.hpp>

namespace ldlm {

/// Called now and then with (pieces so far, pieces wanted).
using TrainingProgress = std::function<void(std::size_t, std::size_t)>;

struct BpeTrainerOptions {
  std::size_t vocab_size = 30000;                ///< special tokens and the 256 bytes included
  std::uint64_t min_frequency = 2;               ///< rarer pairs are not merged
  std::vector<std::string> special_tokens = {};  ///< get the first ids
  Normalizer normalizer = {};
  bool add_prefix_space = false;
  std::size_t max_token_length = std::numeric_limits<std::size_t>::max();  ///< of pieces, in bytes
  TrainingProgress progress = {};
};

/// Learns GPT-2's kind of tokenizer; the same pieces and merges as Hugging Face's BpeTrainer with
/// the byte alphabet. The result does not depend on the order of texts.
class BpeTrainer {
 public:
  explicit BpeTrainer(BpeTrainerOptions options = {});

  /// Counts the words of a text.
  void add(std::string_view text);

  /// The number of different words so far.
  [[nodiscard]] std::size_t distinct_words() const noexcept { return words_.size(); }

  /// Learns the pieces.
  [[nodiscard]] Tokenizer train() const;

 private:
  BpeTrainerOptions options_;
  NormalizerRunner normalizer_;
  PreTokenizer pre_tokenizer_;
  WordCounter words_;
};

struct WordPieceTrainerOptions {
  std::size_t vocab_size = 30000;
  std::uint64_t min_frequency = 2;  ///< rarer pairs are not merged
  /// Get the first ids. "[UNK]" must be among them; "[CLS]" and "[SEP]" make BERT's template.
  std::vector<std::string> special_tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  BertNormalizer normalizer = {};
  std::size_t limit_alphabet = 1000;  ///< rarer characters are left out
  TrainingProgress progress = {};
};

/// Learns BERT's kind of tokenizer, as Hugging Face's WordPieceTrainer does: by merging the most
/// frequent pairs. Ties between pairs go by the pieces' order, which there is a random one.
class WordPieceTrainer {
 public:
  explicit WordPieceTrainer(WordPieceTrainerOptions options = {});

  /// Counts the words of a text.
  void add(std::string_view text);

  [[nodiscard]] std::size_t distinct_words() const noexcept { return words_.size(); }

  /// Learns the pieces.
  [[nodiscard]] Tokenizer train() const;

 private:
  /// The most frequent characters, of equal ones the lower code points, in their order.
  [[nodiscard]] std::u32string kept_characters(const std::vector<WordCounter::Word>& words) const;

  WordPieceTrainerOptions options_;
  NormalizerRunner normalizer_;
  PreTokenizer pre_tokenizer_;
  WordCounter words_;
};

/// Trains a byte-level BPE tokenizer on a range of texts.
template <class Texts>
[[nodiscard]] Tokenizer train_bpe(const Texts& texts, BpeTrainerOptions options = {}) {
  BpeTrainer trainer(std::move(options));
  for (const auto& text : texts) {
    trainer.add(text);
  }
  return trainer.train();
}

/// Trains a WordPiece tokenizer on a range of texts.
template <class Texts>
[[nodiscard]] Tokenizer train_wordpiece(const Texts& texts, WordPieceTrainerOptions options = {}) {
  WordPieceTrainer trainer(std::move(options));
  for (const auto& text : texts) {
    trainer.add(text);
  }
  return trainer.train();
}

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/tokenizer_trainer.hpp>
#endif
