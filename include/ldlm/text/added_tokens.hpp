#pragma once
// Added tokens: strings that are found in the text before the model sees it.

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/trie.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm {

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
[[nodiscard]] AddedToken special_token(std::string content);

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
  void add(AddedToken token, TokenId id, const NormalizerRunner& normalizer);

  struct Entry {
    AddedToken token;
    std::string shown;  // as it appears in the text that is searched, and in decoded text
  };

  /// All tokens by ascending id.
  [[nodiscard]] const std::map<TokenId, Entry>& tokens() const noexcept { return tokens_; }

  [[nodiscard]] TokenId find(std::string_view content) const;

  /// Whether any token is searched for in normalized text.
  [[nodiscard]] bool any_normalized() const noexcept { return !normalized_.empty; }
  /// Whether that search may begin anew at a space that follows no white space: whether no such
  /// token has white space in it or takes that on its right.
  [[nodiscard]] bool separable_at_spaces() const;

  /// Whether decode(ids, skip_special_tokens) leaves an id out: whether what it would show is a
  /// special token's content.
  [[nodiscard]] bool is_special(TokenId id) const;

  /// The bytes up to the last space that follows no white space; 0 if there is none.
  [[nodiscard]] static std::size_t last_space(std::string_view text);

  /// Calls part(Match) for the stretches of raw text, or of normalized text: together they cover
  /// it. The leftmost match wins, then the longest.
  template <class Part>
  void split(std::string_view text, bool normalized, Part&& part) const {
    std::size_t from = 0;
    std::size_t at = 0;
    for (Match match; (match = next(text, normalized, from, at)).id >= 0; from = match.end) {
      if (from < match.begin) {
        part(Match{from, match.begin, -1});
      }
      part(match);
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
    void add(std::string_view key, TokenId id);

    /// Size and id of the longest token that starts at byte i, or size 0.
    [[nodiscard]] std::pair<std::size_t, TokenId> match(std::string_view text,
                                                        std::size_t i) const noexcept;
  };

  /// The first token that is found at byte `at` or later, or id -1; `at` moves behind it. White
  /// space before byte `from` belongs to the token before.
  [[nodiscard]] Match next(std::string_view text, bool normalized, std::size_t from,
                           std::size_t& at) const;

  void rebuild();
  Matcher& matcher_of(const Entry& entry) { return entry.token.normalized ? normalized_ : raw_; }

  std::map<TokenId, Entry> tokens_;
  std::map<std::string, TokenId, std::less<>> ids_;
  Matcher raw_;
  Matcher normalized_;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/added_tokens.hpp>
#endif
