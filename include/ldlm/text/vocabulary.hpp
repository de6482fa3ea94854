#pragma once
// Vocabulary: a two-way map between pieces and ids.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ldlm {

/// An id as models read it, in tensors too.
using TokenId = std::int64_t;
/// An id of a vocabulary (see Vocabulary::max_id) in tables, whose size counts; -1: none.
using PieceId = std::int32_t;

/// Pieces by id and ids by piece. Ids may have holes, but no id has two pieces.
class Vocabulary {
 public:
  /// Far above any real vocabulary's: a lying file must not make us allocate gigabytes.
  static constexpr TokenId max_id = (1 << 24) - 1;

  /// Adds a piece; an Error names both if the piece or the id is taken.
  void add(std::string_view token, TokenId id);

  /// Adds a piece, or gives it another id: its old id is then nobody's. An Error if the id is
  /// taken.
  void set(std::string_view token, TokenId id);

  /// The piece's id, or -1.
  [[nodiscard]] TokenId find(std::string_view token) const noexcept;

  [[nodiscard]] bool contains(TokenId id) const noexcept {
    return id >= 0 && static_cast<std::size_t>(id) < tokens_.size() &&
           tokens_[static_cast<std::size_t>(id)].has_value();
  }

  /// The piece of an id that `contains` knows.
  [[nodiscard]] const std::string& token(TokenId id) const {
    if (!contains(id)) {
      fail_missing(id);
    }
    return *tokens_[static_cast<std::size_t>(id)];
  }

  /// Number of pieces.
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  /// One more than the largest id: above size() where ids have holes.
  [[nodiscard]] std::size_t id_bound() const noexcept { return tokens_.size(); }

 private:
  [[noreturn]] void fail_missing(TokenId id) const;

  /// The slot that holds a piece, or slots_.size().
  [[nodiscard]] std::size_t slot_of(std::string_view token) const noexcept;

  void insert_slot(TokenId id);

  void rehash();

  std::vector<std::optional<std::string>> tokens_;
  std::vector<PieceId> slots_;  // open addressing; -1: free
  std::size_t count_ = 0;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/vocabulary.hpp>
#endif
