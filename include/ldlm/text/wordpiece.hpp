#pragma once
// The WordPiece model: splits a word into the longest pieces that fit, from left to right.
//
// Source: Wu et al. 2016 (arXiv 1609.08144); as in BERT, Devlin et al. 2018 (arXiv 1810.04805).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ldlm/text/bpe.hpp>
#include <ldlm/text/trie.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm {

/// A WordPiece model; a word that cannot be split is one unknown token.
class WordPieceModel {
 public:
  struct Options {
    std::string unk_token = "[UNK]";
    std::string continuing_subword_prefix = "##";
    std::size_t max_input_chars_per_word = 100;  ///< longer words are unknown
  };

  using Pieces = BpeModel::Pieces;

  WordPieceModel(Vocabulary vocabulary, Options options);

  /// Splits a word (valid UTF-8, normalized) into pieces; fills `out`. Error for a word that cannot
  /// be split, where the unknown token is no piece.
  void tokenize(std::string_view word, Pieces& out) const;

  [[nodiscard]] const Vocabulary& vocabulary() const noexcept { return vocabulary_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

 private:
  void unknown(std::string_view word, Pieces& out) const;

  Vocabulary vocabulary_;
  Options options_;
  detail::Trie trie_;
  std::uint32_t continuing_ = detail::Trie::none;
  PieceId unk_id_ = -1;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/wordpiece.hpp>
#endif
