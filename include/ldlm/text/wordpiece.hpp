#pragma once
// The WordPiece model: splits a word into the longest pieces that fit, from left to right.
//
// Source: Wu et al. 2016 (arXiv 1609.08144); as in BERT, Devlin et al. 2018 (arXiv 1810.04805).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/bpe.hpp>
#include <ldlm/text/hash.hpp>
#include <ldlm/text/utf8.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm::text {

namespace detail {

/// A trie over bytes whose edges lie in one hash table.
class Trie {
 public:
  static constexpr std::uint32_t root = 0;
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  void add(std::string_view key, TokenId value) {
    std::uint32_t node = root;
    for (const char c : key) {
      node = child_or_new(node, c);
    }
    values_[node] = value;
  }

  /// The child of `node` by `byte`, or none.
  [[nodiscard]] std::uint32_t child(std::uint32_t node, char byte) const noexcept {
    const std::uint64_t key = key_of(node, byte);
    const std::size_t mask = edges_.size() - 1;
    for (std::size_t s = mix(key) & mask; edges_[s].key != 0; s = (s + 1) & mask) {
      if (edges_[s].key == key) {
        return edges_[s].child;
      }
    }
    return none;
  }

  /// The node that a key leads to, or none.
  [[nodiscard]] std::uint32_t walk(std::uint32_t node, std::string_view key) const noexcept {
    for (std::size_t i = 0; i < key.size() && node != none; ++i) {
      node = child(node, key[i]);
    }
    return node;
  }

  /// The value of the key that ends at a node, or -1.
  [[nodiscard]] TokenId value(std::uint32_t node) const noexcept { return values_[node]; }

 private:
  struct Edge {
    std::uint64_t key = 0;  // 0: free
    std::uint32_t child = 0;
  };

  static std::uint64_t key_of(std::uint32_t node, char byte) noexcept {
    return (std::uint64_t{node} << 8 | static_cast<unsigned char>(byte)) + 1;
  }

  std::uint32_t child_or_new(std::uint32_t node, char byte) {
    if (const std::uint32_t known = child(node, byte); known != none) {
      return known;
    }
    if (values_.size() * 2 > edges_.size()) {
      std::vector<Edge> old(edges_.size() * 4);
      old.swap(edges_);
      for (const Edge& edge : old) {
        if (edge.key != 0) {
          insert(edge);
        }
      }
    }
    const auto made = static_cast<std::uint32_t>(values_.size());
    values_.push_back(-1);
    insert({key_of(node, byte), made});
    return made;
  }

  void insert(const Edge& edge) {
    const std::size_t mask = edges_.size() - 1;
    std::size_t s = mix(edge.key) & mask;
    while (edges_[s].key != 0) {
      s = (s + 1) & mask;
    }
    edges_[s] = edge;
  }

  std::vector<Edge> edges_ = std::vector<Edge>(16);
  std::vector<TokenId> values_ = {-1};
};

}  // namespace detail

/// A WordPiece model; a word that cannot be split is one unknown token.
class WordPieceModel {
 public:
  struct Options {
    std::string unk_token = "[UNK]";
    std::string continuing_subword_prefix = "##";
    std::size_t max_input_chars_per_word = 100;  ///< longer words are unknown
  };

  using Pieces = BpeModel::Pieces;

  WordPieceModel(Vocabulary vocabulary, Options options)
      : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
    unk_id_ = vocabulary_.find(options_.unk_token);
    for (std::size_t i = 0; i < vocabulary_.id_bound(); ++i) {
      if (const auto id = static_cast<TokenId>(i); vocabulary_.contains(id)) {
        trie_.add(vocabulary_.token(id), id);
      }
    }
    continuing_ = trie_.walk(detail::Trie::root, options_.continuing_subword_prefix);
  }

  /// Splits a word (valid UTF-8, normalized) into pieces; fills `out`. Error for a word that cannot
  /// be split, where the unknown token is no piece.
  void tokenize(std::string_view word, Pieces& out) const {
    out.ids.clear();
    out.sizes.clear();
    if (word.size() > options_.max_input_chars_per_word &&
        count_code_points(word) > options_.max_input_chars_per_word) {
      return unknown(word, out);
    }
    for (std::size_t start = 0; start < word.size();) {
      std::uint32_t node = start == 0 ? detail::Trie::root : continuing_;
      std::size_t end = start;
      TokenId id = -1;
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

  [[nodiscard]] const Vocabulary& vocabulary() const noexcept { return vocabulary_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

 private:
  void unknown(std::string_view word, Pieces& out) const {
    LDLM_CHECK(unk_id_ >= 0, "wordpiece", "no pieces for \"", word.substr(0, 60),
               "\", and the unknown token \"", options_.unk_token, "\" is not in the vocabulary");
    out.ids.assign(1, unk_id_);
    out.sizes.assign(1, static_cast<std::uint32_t>(word.size()));
  }

  Vocabulary vocabulary_;
  Options options_;
  detail::Trie trie_;
  std::uint32_t continuing_ = detail::Trie::none;
  TokenId unk_id_ = -1;
};

}  // namespace ldlm::text
