#pragma once
// The bodies of text/vocabulary.hpp.

#include <ldlm/text/vocabulary.hpp>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/text/hash.hpp>

namespace ldlm {

LDLM_BODY void Vocabulary::add(std::string_view token, TokenId id) {
  LDLM_CHECK(find(token) < 0, "vocabulary", "piece \"", token, "\" has two ids: ", find(token),
             " and ", id);
  set(token, id);
}

LDLM_BODY void Vocabulary::set(std::string_view token, TokenId id) {
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
    slots_[slot] = static_cast<PieceId>(id);
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

LDLM_BODY TokenId Vocabulary::find(std::string_view token) const noexcept {
  const std::size_t slot = slot_of(token);
  return slot < slots_.size() ? slots_[slot] : -1;
}

LDLM_BODY void Vocabulary::fail_missing(TokenId id) const {
  detail::fail("vocabulary", "no piece has id ", id, "; ids end at ", id_bound());
}

LDLM_BODY std::size_t Vocabulary::slot_of(std::string_view token) const noexcept {
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

LDLM_BODY void Vocabulary::insert_slot(TokenId id) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t s = detail::hash_bytes(*tokens_[static_cast<std::size_t>(id)]) & mask;
  while (slots_[s] >= 0) {
    s = (s + 1) & mask;
  }
  slots_[s] = static_cast<PieceId>(id);
}

LDLM_BODY void Vocabulary::rehash() {
  slots_.assign(detail::power_of_two(count_ * 4 + 16), -1);
  for (std::size_t id = 0; id < tokens_.size(); ++id) {
    if (tokens_[id]) {
      insert_slot(static_cast<TokenId>(id));
    }
  }
}

}  // namespace ldlm
