#pragma once
// Post-processing: the template that puts special tokens around texts, as in "[CLS] $A [SEP]".

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/text/encoding.hpp>
#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm {

/// One part of a template: a text ("$A", "$B") or a special token.
struct TokenTemplatePiece {
  enum class Kind { first, second, special };
  Kind kind = Kind::first;
  std::string token;  ///< the special token's name
  std::int32_t type_id = 0;
};

/// Where special tokens go, for one text and for a pair.
struct TokenTemplate {
  /// A name in the template may stand for several tokens.
  struct Special {
    std::vector<TokenId> ids;
    std::vector<std::string> tokens;
  };
  std::vector<TokenTemplatePiece> single;
  std::vector<TokenTemplatePiece> pair;
  std::map<std::string, Special, std::less<>> specials;

  /// The number of special tokens that it adds.
  [[nodiscard]] std::size_t added(bool is_pair) const;

  /// Above what any template needs: a few bytes of a file must not make much of every text.
  static constexpr std::size_t max_added = 1024, max_name_bytes = std::size_t{1} << 16;

  /// An Error unless every piece can be filled in, each text once at most, with few tokens more.
  void check() const;
};

/// Parses "[CLS] $A [SEP] $B:1 [SEP]:1": parts by spaces, each with an optional type id.
[[nodiscard]] std::vector<TokenTemplatePiece> parse_template(std::string_view text);

/// Offsets of byte-level pieces without their leading and trailing spaces.
struct OffsetTrimming {
  bool add_prefix_space = true;  ///< the first piece's one leading space was put in: leave it
  bool trim_offsets = true;
  bool use_regex = true;  ///< unused here; kept for the file
};

/// What happens to encodings after the model: trim offsets, then put them into the template.
struct PostProcessor {
  std::optional<OffsetTrimming> byte_level;
  std::optional<TokenTemplate> special_tokens;

  [[nodiscard]] std::size_t added(bool is_pair) const;
};

namespace detail {

/// The spaces at both ends of a byte-level piece, which do not count as its source.
class PieceSpaces {
 public:
  /// `keeps_one`: a leading space that was put in before the text has no source.
  PieceSpaces(std::string_view token, bool keeps_one);
  [[nodiscard]] TextSpan without(TextSpan span) const;

 private:
  std::uint32_t leading_ = 0, trailing_ = 0;
};

/// Takes the spaces at both ends of each byte-level piece out of its offsets.
void trim_offsets(Encoding& encoding, bool add_prefix_space);

/// What a template puts in for a special token.
[[nodiscard]] Encoding special_encoding(const TokenTemplate::Special& special,
                                        std::int32_t type_id);

/// Joins one or two encodings by a template. The first text's memory is used for the result.
[[nodiscard]] Encoding fill_template(const TokenTemplate& from, Encoding first, Encoding* pair,
                                     bool add_special_tokens);

}  // namespace detail
}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/post_processor.hpp>
#endif
