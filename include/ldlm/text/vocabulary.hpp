#pragma once
// Vocabulary: a two-way map between pieces and ids.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/hash.hpp>

namespace ldlm::text {

using TokenId = std::int32_t;

/// Pieces by id and ids by piece. Ids may have holes, but no id has two pieces.
class Vocabulary {
 public:
  /// Far above any real vocabulary's: a lying file must not make us allocate gigabytes.
  static constexpr TokenId max_id = (1 << 24) - 1;

  /// Adds a piece; an Error names both if the piece or the id is taken.
  void add(std::string_view token, TokenId id) {
    LDLM_CHECK(find(token) < 0, "vocabulary", "piece \"", token, "\" has two ids: ", find(token),
               " and ", id);
    set(token, id);
  }

  /// Adds a piece, or gives it another id: its old id is then nobody's. An Error if the id is
  /// taken.
  void set(std::string_view token, TokenId id) {
    LDLM_CHECK(id >= 0, "vocabulary", "negative id ", id, " of \"", token, '"');
    LDLM_CHECK(id <= max_id, "vocabulary", "id ", id, " of \"", token, "\" is above ", max_id);
    const auto at = static_cast<std::size_t>(id);
    if (at >= tokens_.size()) {
      tokens_.resize(at + 1);
    }
    LDLM_CHECK(!tokens_[at], "vocabulary", "id ", id, " belongs to two pieces: \"", *tokens_[at],
               "\" and \"", token, '"');
    if (const std::size_t slot = slot_of(token); slot < slots_.size()) {
      tokens_[static_cast<std::size_t>(slots_[slot])].reset();
      tokens_[at] = std::string(token);
      slots_[slot] = id;
      return;
    }
    tokens_[at] = std::string(token);
    ++count_;
    if (count_ * 2 > slots_.size()) {
      rehash();
    } else {
      insert_slot(id);
    }
  }

  /// The piece's id, or -1.
  [[nodiscard]] TokenId find(std::string_view token) const noexcept {
    const std::size_t slot = slot_of(token);
    return slot < slots_.size() ? slots_[slot] : -1;
  }

  [[nodiscard]] bool contains(TokenId id) const noexcept {
    return id >= 0 && static_cast<std::size_t>(id) < tokens_.size() &&
           tokens_[static_cast<std::size_t>(id)].has_value();
  }

  /// The piece of an id that `contains` knows.
  [[nodiscard]] const std::string& token(TokenId id) const {
    LDLM_CHECK(contains(id), "vocabulary", "no piece has id ", id, "; ids end at ", id_bound());
    return *tokens_[static_cast<std::size_t>(id)];
  }

  /// Number of pieces.
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  /// One more than the largest id: above size() where ids have holes.
  [[nodiscard]] std::size_t id_bound() const noexcept { return tokens_.size(); }

 private:
  /// The slot that holds a piece, or slots_.size().
  [[nodiscard]] std::size_t slot_of(std::string_view token) const noexcept {
    if (slots_.empty()) {
      return 0;
    }
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t s = detail::hash_bytes(token) & mask; slots_[s] >= 0; s = (s + 1) & mask) {
      if (*tokens_[static_cast<std::size_t>(slots_[s])] == token) {
        return s;
      }
    }
    return slots_.size();
  }

  void insert_slot(TokenId id) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t s = detail::hash_bytes(*tokens_[static_cast<std::size_t>(id)]) & mask;
    while (slots_[s] >= 0) {
      s = (s + 1) & mask;
    }
    slots_[s] = id;
  }

  void rehash() {
    slots_.assign(detail::power_of_two(count_ * 4 + 16), -1);
    for (std::size_t id = 0; id < tokens_.size(); ++id) {
      if (tokens_[id]) {
        insert_slot(static_cast<TokenId>(id));
      }
    }
  }

  std::vector<std::optional<std::string>> tokens_;
  std::vector<TokenId> slots_;  // open addressing; -1: free
  std::size_t count_ = 0;
};

}  // namespace ldlm::text
