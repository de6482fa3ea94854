#pragma once
// The byte-pair encoding model: applies ranked merges to the bytes of a word.
//
// Source: Sennrich et al. 2016 (arXiv 1508.07909); over bytes: Radford et al. 2019 (GPT-2).

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/text/hash.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm {

/// One merge rule: the ids of its two parts, in the order of their ranks.
using BpeMerge = std::pair<TokenId, TokenId>;

namespace detail {

/// An open-addressing hash table (left id, right id) -> (rank, merged id).
class MergeTable {
 public:
  struct Entry {
    std::uint64_t key = free;
    std::uint32_t rank = 0;
    PieceId merged = -1;
  };

  void reserve(std::size_t merges);

  /// A later rank for the same pair replaces the earlier one, as in Hugging Face's table.
  void set(BpeMerge pair, std::uint32_t rank, TokenId merged);

  /// The pair's entry, or null.
  [[nodiscard]] const Entry* find(TokenId left, TokenId right) const noexcept {
    const Entry& entry = entries_[slot(key_of(left, right))];
    return entry.key == free ? nullptr : &entry;
  }

 private:
  static constexpr std::uint64_t free = ~std::uint64_t{0};

  static std::uint64_t key_of(TokenId left, TokenId right) noexcept {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 |
           static_cast<std::uint32_t>(right);
  }

  [[nodiscard]] std::size_t slot(std::uint64_t key) const noexcept {
    const std::size_t mask = entries_.size() - 1;
    std::size_t s = mix(key) & mask;
    while (entries_[s].key != key && entries_[s].key != free) {
      s = (s + 1) & mask;
    }
    return s;
  }

  std::vector<Entry> entries_ = std::vector<Entry>(2);
};

}  // namespace detail

/// A byte-level BPE model. Pieces are spelt in the byte-level alphabet (text/byte_level.hpp).
class BpeModel {
 public:
  struct Options {
    std::optional<std::string> unk_token;  ///< for bytes that the vocabulary lacks; unset: dropped
    bool fuse_unk = false;                 ///< one unknown token for a run of such bytes
    bool ignore_merges = false;            ///< a word that is a piece is taken whole
  };

  /// A word's pieces: ids and the number of bytes that each covers.
  struct Pieces {
    std::vector<PieceId> ids;
    std::vector<std::uint32_t> sizes;
  };

  /// Checks that every merge's parts and result are pieces; an Error names the first that is not.
  BpeModel(Vocabulary vocabulary, std::vector<BpeMerge> merges, Options options);

  /// Splits a word (raw bytes) into pieces; fills `out`, perhaps with none. Error for a byte that
  /// has no piece, where the unknown token has none either.
  void tokenize(std::string_view word, Pieces& out) const;

  [[nodiscard]] const Vocabulary& vocabulary() const noexcept { return vocabulary_; }
  [[nodiscard]] const std::vector<BpeMerge>& merges() const noexcept { return merges_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

 private:
  static constexpr std::size_t scan_limit = 48;  // above: a heap, so that no word is quadratic
  static constexpr std::uint32_t no_rank = ~std::uint32_t{0};

  /// One symbol a byte.
  void start(std::string_view word, Pieces& out) const;

  [[nodiscard]] std::uint32_t rank(TokenId left, TokenId right) const noexcept {
    const auto* entry = table_.find(left, right);
    return entry == nullptr ? no_rank : entry->rank;
  }

  /// For short words: find the lowest rank by scanning, merge, repeat.
  void merge_by_scanning(Pieces& word) const;

  /// For long words: a heap of (rank, place), n log n. Symbols stay at their places and are as wide
  /// as they have bytes: the id stands at the first place, the width at the first and the last.
  void merge_by_heap(Pieces& word) const;

  static constexpr PieceId absorbed = -1;  // at a place inside of a symbol
  static constexpr std::size_t place_of(std::uint64_t entry) {
    return static_cast<std::uint32_t>(entry);
  }
  static constexpr std::uint32_t rank_of(std::uint64_t entry) {
    return static_cast<std::uint32_t>(entry >> 32);
  }

  /// Gives symbols of several bytes (unknown ones that were fused) as many places.
  static void widen(Pieces& word);

  Vocabulary vocabulary_;
  std::vector<BpeMerge> merges_;
  Options options_;
  detail::MergeTable table_;
  std::array<PieceId, 256> byte_ids_{};
  PieceId unk_id_ = -1;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/bpe.hpp>
#endif
