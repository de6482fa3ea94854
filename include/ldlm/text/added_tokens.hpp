#pragma once
// Added tokens: strings that are found in the text before the model sees it.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/unicode.hpp>
#include <ldlm/text/vocabulary.hpp>
#include <ldlm/text/wordpiece.hpp>

namespace ldlm::text {

/// A token that is matched as a whole, such as "<|endoftext|>" or "[MASK]".
struct AddedToken {
  std::string content;
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< takes the white space on its left with it
  bool rstrip = false;       ///< takes the white space on its right with it
  bool normalized = true;    ///< is searched for in the normalized text, itself normalized
  bool special = false;      ///< is left out by decode(ids, skip_special_tokens)
  friend bool operator==(const AddedToken&, const AddedToken&) = default;
};

/// A special token as Hugging Face makes it: not normalized.
[[nodiscard]] inline AddedToken special_token(std::string content) {
  AddedToken token;
  token.content = std::move(content);
  token.normalized = false;
  token.special = true;
  return token;
}

/// The added tokens of a tokenizer with their ids, and the search for them.
class AddedVocabulary {
 public:
  /// A stretch of text: an added token's, or (id -1) the text between.
  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
    TokenId id = -1;
  };

  /// Adds a token, or changes the one of the same id.
  void add(AddedToken token, TokenId id, const NormalizerRunner& normalizer) {
    LDLM_CHECK(!token.content.empty(), "added_tokens", "an added token has no content");
    LDLM_CHECK(is_utf8(token.content), "added_tokens", "token ", id, " is not valid UTF-8");
    const auto known = ids_.find(token.content);
    LDLM_CHECK(known == ids_.end() || known->second == id, "added_tokens", "token \"",
               token.content, "\" has two ids: ", known->second, " and ", id);
    const auto other = tokens_.find(id);
    LDLM_CHECK(other == tokens_.end() || other->second.token.content == token.content,
               "added_tokens", "id ", id, " belongs to two added tokens: \"",
               other->second.token.content, "\" and \"", token.content, '"');
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

  struct Entry {
    AddedToken token;
    std::string shown;  // as it appears in the text that is searched, and in decoded text
  };

  /// All tokens by ascending id.
  [[nodiscard]] const std::map<TokenId, Entry>& tokens() const noexcept { return tokens_; }

  [[nodiscard]] TokenId find(std::string_view content) const {
    const auto at = ids_.find(content);
    return at == ids_.end() ? -1 : at->second;
  }

  /// Whether any token is searched for in normalized text.
  [[nodiscard]] bool any_normalized() const noexcept { return !normalized_.empty; }
  /// Whether that search may begin anew at a space that follows no white space: whether no such
  /// token has white space in it or takes that on its right.
  [[nodiscard]] bool separable_at_spaces() const {
    return std::all_of(tokens_.begin(), tokens_.end(), [](const auto& each) {
      const Entry& entry = each.second;
      return !entry.token.normalized || (!entry.token.rstrip && !contains_whitespace(entry.shown));
    });
  }

  /// Whether decode(ids, skip_special_tokens) leaves an id out: whether what it would show is a
  /// special token's content.
  [[nodiscard]] bool is_special(TokenId id) const {
    const auto at = tokens_.find(id);
    if (at == tokens_.end()) {
      return false;
    }
    const TokenId shown = find(at->second.shown);
    return shown >= 0 && tokens_.at(shown).token.special;
  }

  /// The bytes up to the last space that follows no white space; 0 if there is none.
  [[nodiscard]] static std::size_t last_space(std::string_view text) {
    for (std::size_t i = text.size(); i-- > 1;) {
      if (text[i] == ' ' && space_before(text, i) == 0) {
        return i;
      }
    }
    return 0;
  }

  /// Calls part(Match) for the stretches of raw text, or of normalized text: together they cover
  /// it. The leftmost match wins, then the longest.
  template <class Part>
  void split(std::string_view text, bool normalized, Part&& part) const {
    const Matcher& matcher = normalized ? normalized_ : raw_;
    std::size_t from = 0;
    for (std::size_t i = matcher.empty ? text.size() : 0; i < text.size();) {
      const auto [size, id] = matcher.match(text, i);
      if (size == 0) {
        ++i;
        continue;
      }
      const AddedToken& token = tokens_.at(id).token;
      std::size_t begin = i;
      std::size_t end = i + size;
      i = end;
      if (token.single_word && (word_ends_at(text, begin) || word_starts_at(text, end))) {
        continue;
      }
      if (token.lstrip) {
        while (begin > from && space_before(text, begin) != 0) {
          begin -= space_before(text, begin);
        }
        begin = std::max(begin, from);  // white space that the token before took stays with it
      }
      if (token.rstrip) {
        while (end < text.size() && is_whitespace(decode_utf8(text, end).value)) {
          end += decode_utf8(text, end).size;
        }
      }
      if (begin >= end) {  // the token before it took all of it
        continue;
      }
      if (from < begin) {
        part(Match{from, begin, -1});
      }
      part(Match{begin, end, id});
      from = end;
    }
    if (from < text.size()) {
      part(Match{from, text.size(), -1});
    }
  }

 private:
  struct Matcher {
    detail::Trie trie;
    std::array<bool, 256> starts{};
    bool empty = true;

    /// Adds a token. Of those that are alike when normalized, the first is found (`tokenizers`
    /// finds one by chance).
    void add(std::string_view key, TokenId id) {
      const std::uint32_t node = trie.walk(detail::Trie::root, key);
      if (key.empty() || (node != detail::Trie::none && trie.value(node) >= 0)) {
        return;
      }
      trie.add(key, id);
      starts[static_cast<unsigned char>(key[0])] = true;
      empty = false;
    }

    /// Size and id of the longest token that starts at byte i, or size 0.
    [[nodiscard]] std::pair<std::size_t, TokenId> match(std::string_view text,
                                                        std::size_t i) const noexcept {
      std::pair<std::size_t, TokenId> best{0, -1};
      if (!starts[static_cast<unsigned char>(text[i])]) {
        return best;
      }
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
  };

  static bool contains_whitespace(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
      const CodePoint c = decode_utf8(text, i);
      if (is_whitespace(c.value)) {
        return true;
      }
      i += c.size;
    }
    return false;
  }
  static CodePoint before(std::string_view text, std::size_t i) {
    std::size_t start = i - 1;
    while (start > 0 && !starts_code_point(text[start])) {
      --start;
    }
    return decode_utf8(text, start);
  }
  static std::size_t space_before(std::string_view text, std::size_t i) {
    const CodePoint c = before(text, i);
    return is_whitespace(c.value) ? c.size : 0;
  }
  static bool word_ends_at(std::string_view text, std::size_t i) {
    return i > 0 && is_word_character(before(text, i).value);
  }
  static bool word_starts_at(std::string_view text, std::size_t i) {
    return i < text.size() && is_word_character(decode_utf8(text, i).value);
  }

  void rebuild() {
    raw_ = {};
    normalized_ = {};
    for (const auto& [id, entry] : tokens_) {
      matcher_of(entry).add(entry.shown, id);
    }
  }
  Matcher& matcher_of(const Entry& entry) { return entry.token.normalized ? normalized_ : raw_; }

  std::map<TokenId, Entry> tokens_;
  std::map<std::string, TokenId, std::less<>> ids_;
  Matcher raw_;
  Matcher normalized_;
};

}  // namespace ldlm::text
