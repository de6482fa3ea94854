#pragma once
// The bodies of text/added_tokens.hpp.

#include <ldlm/text/added_tokens.hpp>

#include <algorithm>
#include <cstdint>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/unicode.hpp>

namespace ldlm {

namespace detail {

inline bool contains_whitespace(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    if (is_whitespace(c.value)) {
      return true;
    }
    i += c.size;
  }
  return false;
}

inline CodePoint character_before(std::string_view text, std::size_t i) {
  std::size_t start = i - 1;
  while (start > 0 && !starts_code_point(text[start])) {
    --start;
  }
  return decode_utf8(text, start);
}

inline std::size_t space_before(std::string_view text, std::size_t i) {
  const CodePoint c = character_before(text, i);
  return is_whitespace(c.value) ? c.size : 0;
}

inline bool word_ends_at(std::string_view text, std::size_t i) {
  return i > 0 && is_word_character(character_before(text, i).value);
}

inline bool word_starts_at(std::string_view text, std::size_t i) {
  return i < text.size() && is_word_character(decode_utf8(text, i).value);
}

}  // namespace detail

LDLM_BODY AddedToken special_token(std::string content) {
  AddedToken token;
  token.content = std::move(content);
  token.normalized = false;
  token.special = true;
  return token;
}

LDLM_BODY void AddedVocabulary::add(AddedToken token, TokenId id,
                                    const NormalizerRunner& normalizer) {
  LDLM_CHECK(!token.content.empty(), "added_tokens", "an added token has no content");
  LDLM_CHECK(is_utf8(token.content), "added_tokens", "token ", id, " is not valid UTF-8");
  const auto known = ids_.find(token.content);
  LDLM_CHECK(known == ids_.end() || known->second == id, "added_tokens", "token \"", token.content,
             "\" has two ids: ", known->second, " and ", id);
  const auto other = tokens_.find(id);
  LDLM_CHECK(other == tokens_.end() || other->second.token.content == token.content, "added_tokens",
             "id ", id, " belongs to two added tokens: \"", other->second.token.content,
             "\" and \"", token.content, '"');
  ids_[token.content] = id;
  Entry entry{token, token.content};
  if (token.normalized && !normalizer.empty()) {
    entry.shown = normalizer(token.content);
    LDLM_CHECK(!entry.shown.empty(), "added_tokens", "token ", id,
               " is empty when it is normalized");
  }
  const bool known_id = other != tokens_.end();
  const Entry& stored = tokens_[id] = std::move(entry);
  if (known_id) {
    rebuild();
  } else {
    matcher_of(stored).add(stored.shown, id);
  }
}

LDLM_BODY TokenId AddedVocabulary::find(std::string_view content) const {
  const auto at = ids_.find(content);
  return at == ids_.end() ? -1 : at->second;
}

LDLM_BODY bool AddedVocabulary::separable_at_spaces() const {
  return std::all_of(tokens_.begin(), tokens_.end(), [](const auto& each) {
    const Entry& entry = each.second;
    return !entry.token.normalized ||
           (!entry.token.rstrip && !detail::contains_whitespace(entry.shown));
  });
}

LDLM_BODY bool AddedVocabulary::is_special(TokenId id) const {
  const auto at = tokens_.find(id);
  if (at == tokens_.end()) {
    return false;
  }
  const TokenId shown = find(at->second.shown);
  return shown >= 0 && tokens_.at(shown).token.special;
}

LDLM_BODY std::size_t AddedVocabulary::last_space(std::string_view text) {
  for (std::size_t i = text.size(); i-- > 1;) {
    if (text[i] == ' ' && detail::space_before(text, i) == 0) {
      return i;
    }
  }
  return 0;
}

LDLM_BODY void AddedVocabulary::Matcher::add(std::string_view key, TokenId id) {
  const std::uint32_t node = trie.walk(detail::Trie::root, key);
  if (key.empty() || (node != detail::Trie::none && trie.value(node) >= 0)) {
    return;
  }
  trie.add(key, id);
  starts[static_cast<unsigned char>(key[0])] = true;
  empty = false;
}

LDLM_BODY void AddedVocabulary::rebuild() {
  raw_ = {};
  normalized_ = {};
  for (const auto& [id, entry] : tokens_) {
    matcher_of(entry).add(entry.shown, id);
  }
}

LDLM_BODY std::pair<std::size_t, TokenId> AddedVocabulary::Matcher::match(
    std::string_view text, std::size_t i) const noexcept {
  std::pair<std::size_t, TokenId> best{0, -1};
  std::uint32_t node = detail::Trie::root;
  for (std::size_t k = i; k < text.size(); ++k) {
    node = trie.child(node, text[k]);
    if (node == detail::Trie::none) {
      break;
    }
    if (trie.value(node) >= 0) {
      best = {k + 1 - i, trie.value(node)};
    }
  }
  return best;
}

LDLM_BODY AddedVocabulary::Match AddedVocabulary::next(std::string_view text, bool normalized,
                                                       std::size_t from, std::size_t& at) const {
  const Matcher& matcher = normalized ? normalized_ : raw_;
  while (!matcher.empty && at < text.size()) {
    if (!matcher.starts[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    const auto [size, id] = matcher.match(text, at);
    if (size == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_.at(id).token;
    std::size_t begin = at;
    std::size_t end = at + size;
    at = end;
    if (token.single_word &&
        (detail::word_ends_at(text, begin) || detail::word_starts_at(text, end))) {
      continue;
    }
    if (token.lstrip) {
      while (begin > from && detail::space_before(text, begin) != 0) {
        begin -= detail::space_before(text, begin);
      }
      begin = std::max(begin, from);  // white space that the token before took stays with it
    }
    if (token.rstrip) {
      while (end < text.size() && is_whitespace(decode_utf8(text, end).value)) {
        end += decode_utf8(text, end).size;
      }
    }
    if (begin < end) {  // else the token before it took all of it
      return {begin, end, id};
    }
  }
  return {};
}

}  // namespace ldlm
