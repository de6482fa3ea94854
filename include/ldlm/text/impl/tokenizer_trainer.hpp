#pragma once
// The bodies of text/tokenizer_trainer.hpp.

#include <ldlm/text/tokenizer_trainer.hpp>

#include <algorithm>
#include <map>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/byte_level.hpp>
#include <ldlm/text/merge_trainer.hpp>

namespace ldlm {

LDLM_BODY BpeTrainer::BpeTrainer(BpeTrainerOptions options)
    : options_(std::move(options)), normalizer_(options_.normalizer) {
  LDLM_CHECK(options_.vocab_size >= 256 + options_.special_tokens.size() &&
                 options_.vocab_size <= static_cast<std::size_t>(Vocabulary::max_id),
             "train_bpe", "vocab_size ", options_.vocab_size, " is not between 256 bytes + ",
             options_.special_tokens.size(), " special tokens and ", Vocabulary::max_id);
  pre_tokenizer_.kind = PreTokenizer::Kind::byte_level;
  pre_tokenizer_.add_prefix_space = options_.add_prefix_space;
}

LDLM_BODY void BpeTrainer::add(std::string_view text) {
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

LDLM_BODY Tokenizer BpeTrainer::train() const {
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
  std::vector<BpeMerge> merges = trainer.train();

  TokenizerParts parts;
  parts.normalizer = options_.normalizer;
  parts.pre_tokenizer = pre_tokenizer_;
  parts.post_processor.byte_level = OffsetTrimming{true, false, true};
  parts.decoder.kind = TokenDecoder::Kind::byte_level;
  Tokenizer tokenizer(BpeModel(trainer.vocabulary(), std::move(merges), {}), std::move(parts));
  for (const std::string& token : options_.special_tokens) {
    tokenizer.add_special_token(token);
  }
  return tokenizer;
}

LDLM_BODY WordPieceTrainer::WordPieceTrainer(WordPieceTrainerOptions options)
    : options_(std::move(options)), normalizer_({options_.normalizer}) {
  LDLM_CHECK(options_.vocab_size > options_.special_tokens.size() &&
                 options_.vocab_size <= static_cast<std::size_t>(Vocabulary::max_id),
             "train_wordpiece", "vocab_size ", options_.vocab_size, " is not between the ",
             options_.special_tokens.size(), " special tokens and ", Vocabulary::max_id);
  pre_tokenizer_.kind = PreTokenizer::Kind::bert;
}

LDLM_BODY void WordPieceTrainer::add(std::string_view text) {
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

LDLM_BODY Tokenizer WordPieceTrainer::train() const {
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
  parts.decoder.kind = TokenDecoder::Kind::wordpiece;
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

LDLM_BODY std::u32string WordPieceTrainer::kept_characters(
    const std::vector<WordCounter::Word>& words) const {
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

}  // namespace ldlm
