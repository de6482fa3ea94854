#pragma once
// The bodies of text/wordpiece.hpp.

#include <ldlm/text/wordpiece.hpp>

#include <utility>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>

namespace ldlm {

LDLM_BODY WordPieceModel::WordPieceModel(Vocabulary vocabulary, Options options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  unk_id_ = static_cast<PieceId>(vocabulary_.find(options_.unk_token));
  for (std::size_t i = 0; i < vocabulary_.id_bound(); ++i) {
    if (const auto id = static_cast<TokenId>(i); vocabulary_.contains(id)) {
      trie_.add(vocabulary_.token(id), id);
    }
  }
  continuing_ = trie_.walk(detail::Trie::root, options_.continuing_subword_prefix);
}

LDLM_BODY void WordPieceModel::tokenize(std::string_view word, Pieces& out) const {
  out.ids.clear();
  out.sizes.clear();
  if (word.size() > options_.max_input_chars_per_word &&
      count_code_points(word) > options_.max_input_chars_per_word) {
    return unknown(word, out);
  }
  for (std::size_t start = 0; start < word.size();) {
    std::uint32_t node = start == 0 ? detail::Trie::root : continuing_;
    std::size_t end = start;
    PieceId id = -1;
    for (std::size_t i = start; i < word.size() && node != detail::Trie::none; ++i) {
      node = trie_.child(node, word[i]);
      if (node != detail::Trie::none && trie_.value(node) >= 0) {
        id = trie_.value(node);
        end = i + 1;
      }
    }
    if (id < 0) {
      return unknown(word, out);
    }
    out.ids.push_back(id);
    out.sizes.push_back(static_cast<std::uint32_t>(end - start));
    start = end;
  }
}

LDLM_BODY void WordPieceModel::unknown(std::string_view word, Pieces& out) const {
  LDLM_CHECK(unk_id_ >= 0, "wordpiece", "no pieces for \"", word.substr(0, 60),
             "\", and the unknown token \"", options_.unk_token, "\" is not in the vocabulary");
  out.ids.assign(1, unk_id_);
  out.sizes.assign(1, static_cast<std::uint32_t>(word.size()));
}

}  // namespace ldlm
