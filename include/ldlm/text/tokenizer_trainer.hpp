#pragma once
// Trainers: a byte-level BPE or WordPiece tokenizer from texts.
//
//   ldlm::text::BpeTrainer trainer({.vocab_size = 8192, .special_tokens = {"<|endoftext|>"}});
//   for (const auto& line : lines) trainer.add(line);
//   ldlm::Tokenizer tokenizer = trainer.train();

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/merge_trainer.hpp>
#include <ldlm/text/tokenizer.hpp>
#include <ldlm/text/word_counter.hpp>

namespace ldlm::text {

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
  explicit BpeTrainer(BpeTrainerOptions options = {})
      : options_(std::move(options)), normalizer_(options_.normalizer) {
    LDLM_CHECK(options_.vocab_size >= 256 + options_.special_tokens.size() &&
                   options_.vocab_size <= static_cast<std::size_t>(Vocabulary::max_id),
               "train_bpe", "vocab_size ", options_.vocab_size, " is not between 256 bytes + ",
               options_.special_tokens.size(), " special tokens and ", Vocabulary::max_id);
    pre_tokenizer_.kind = PreTokenizer::Kind::byte_level;
    pre_tokenizer_.add_prefix_space = options_.add_prefix_space;
  }

  /// Counts the words of a text.
  void add(std::string_view text) {
    std::string changed;
    if (!is_utf8(text)) {
      text = changed = repair_utf8(text);
    }
    if (!normalizer_.empty()) {
      text = changed = normalizer_(text);
    }
    if (options_.add_prefix_space && !text.empty() && text[0] != ' ') {
      text = changed = ' ' + std::string(text);
    }
    split_words(pre_tokenizer_, text, [&](std::size_t begin, std::size_t end) {
      words_.add(text.substr(begin, end - begin));
    });
  }

  /// The number of different words so far.
  [[nodiscard]] std::size_t distinct_words() const noexcept { return words_.size(); }

  /// Learns the pieces.
  [[nodiscard]] Tokenizer train() const {
    detail::MergeTrainer trainer({options_.vocab_size,
                                  options_.min_frequency,
                                  options_.max_token_length,
                                  {},
                                  options_.progress});
    for (const std::string& token : options_.special_tokens) {
      LDLM_CHECK(trainer.vocabulary().find(token) < 0, "train_bpe", "special token \"", token,
                 "\" is given twice");
      trainer.piece(token);
    }
    std::u32string alphabet(byte_characters().begin(), byte_characters().end());
    std::sort(alphabet.begin(), alphabet.end());
    for (const char32_t character : alphabet) {
      trainer.piece(to_utf8(std::u32string(1, character)));
    }
    std::vector<TokenId> byte_ids;
    for (const char32_t character : byte_characters()) {
      byte_ids.push_back(trainer.piece(to_utf8(std::u32string(1, character))));
    }
    std::vector<TokenId> symbols;
    for (const WordCounter::Word& word : words_.sorted()) {
      symbols.clear();
      for (const char byte : word.text) {
        symbols.push_back(byte_ids[static_cast<unsigned char>(byte)]);
      }
      trainer.add_word(symbols, word.count);
    }
    std::vector<Merge> merges = trainer.train();

    TokenizerParts parts;
    parts.normalizer = options_.normalizer;
    parts.pre_tokenizer = pre_tokenizer_;
    parts.post_processor.byte_level = OffsetTrimming{true, false, true};
    parts.decoder.kind = Decoder::Kind::byte_level;
    Tokenizer tokenizer(BpeModel(trainer.vocabulary(), std::move(merges), {}), std::move(parts));
    for (const std::string& token : options_.special_tokens) {
      tokenizer.add_special_token(token);
    }
    return tokenizer;
  }

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
  explicit WordPieceTrainer(WordPieceTrainerOptions options = {})
      : options_(std::move(options)), normalizer_({options_.normalizer}) {
    LDLM_CHECK(options_.vocab_size > options_.special_tokens.size() &&
                   options_.vocab_size <= static_cast<std::size_t>(Vocabulary::max_id),
               "train_wordpiece", "vocab_size ", options_.vocab_size, " is not between the ",
               options_.special_tokens.size(), " special tokens and ", Vocabulary::max_id);
    pre_tokenizer_.kind = PreTokenizer::Kind::bert;
  }

  /// Counts the words of a text.
  void add(std::string_view text) {
    std::string repaired;
    if (!is_utf8(text)) {
      text = repaired = repair_utf8(text);
    }
    const std::string normalized = normalizer_(text);
    text = normalized;
    split_words(pre_tokenizer_, text, [&](std::size_t begin, std::size_t end) {
      words_.add(text.substr(begin, end - begin));
    });
  }

  [[nodiscard]] std::size_t distinct_words() const noexcept { return words_.size(); }

  /// Learns the pieces.
  [[nodiscard]] Tokenizer train() const {
    const std::string prefix = WordPieceModel::Options().continuing_subword_prefix;
    detail::MergeTrainer trainer({options_.vocab_size, options_.min_frequency,
                                  std::numeric_limits<std::size_t>::max(), prefix,
                                  options_.progress});
    for (const std::string& token : options_.special_tokens) {
      LDLM_CHECK(trainer.vocabulary().find(token) < 0, "train_wordpiece", "special token \"", token,
                 "\" is given twice");
      trainer.piece(token);
    }
    const std::vector<WordCounter::Word> words = words_.sorted();
    const std::u32string alphabet = kept_characters(words);
    for (const char32_t character : alphabet) {
      trainer.piece(to_utf8(std::u32string(1, character)));
    }
    std::vector<TokenId> symbols;
    for (const WordCounter::Word& word : words) {
      symbols.clear();
      for (std::size_t i = 0; i < word.text.size();) {
        const CodePoint c = decode_valid_utf8(word.text.data() + i);
        if (std::binary_search(alphabet.begin(), alphabet.end(), c.value)) {
          const std::string spelling(word.text.substr(i, c.size));
          symbols.push_back(trainer.piece(i == 0 ? spelling : prefix + spelling));
        }
        i += c.size;
      }
      trainer.add_word(symbols, word.count);
    }
    (void)trainer.train();  // WordPiece keeps the pieces and forgets the merges

    TokenizerParts parts;
    parts.normalizer = {options_.normalizer};
    parts.pre_tokenizer = pre_tokenizer_;
    parts.decoder.kind = Decoder::Kind::wordpiece;
    WordPieceModel model(trainer.vocabulary(), {});
    LDLM_CHECK(model.vocabulary().find(model.options().unk_token) >= 0, "train_wordpiece",
               "the special tokens must have ", model.options().unk_token);
    Tokenizer tokenizer(std::move(model), std::move(parts));
    for (const std::string& token : options_.special_tokens) {
      tokenizer.add_special_token(token);
    }
    if (tokenizer.token_to_id("[CLS]") && tokenizer.token_to_id("[SEP]")) {
      tokenizer.set_template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1");
    }
    return tokenizer;
  }

 private:
  /// The most frequent characters, of equal ones the lower code points, in their order.
  [[nodiscard]] std::u32string kept_characters(const std::vector<WordCounter::Word>& words) const {
    std::map<char32_t, std::uint64_t> counts;
    for (const WordCounter::Word& word : words) {
      for (std::size_t i = 0; i < word.text.size();) {
        const CodePoint c = decode_valid_utf8(word.text.data() + i);
        counts[c.value] += word.count;
        i += c.size;
      }
    }
    std::u32string kept;
    for (const auto& [character, count] : counts) {
      kept += character;
    }
    if (kept.size() > options_.limit_alphabet) {
      std::sort(kept.begin(), kept.end(), [&](char32_t x, char32_t y) {
        const std::uint64_t of_x = counts.at(x), of_y = counts.at(y);
        return of_x != of_y ? of_x > of_y : x < y;
      });
      kept.resize(options_.limit_alphabet);
      std::sort(kept.begin(), kept.end());
    }
    return kept;
  }

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

}  // namespace ldlm::text

namespace ldlm {
using text::BpeTrainer;
using text::BpeTrainerOptions;
using text::train_bpe;
using text::train_wordpiece;
using text::WordPieceTrainer;
using text::WordPieceTrainerOptions;
}  // namespace ldlm
