#pragma once
// Decoders: pieces back into text.

#include <string>
#include <string_view>
#include <vector>

namespace ldlm {

/// How pieces become text.
struct TokenDecoder {
  enum class Kind {
    join,        ///< pieces with a space between
    byte_level,  ///< the bytes that they spell; invalid UTF-8 becomes U+FFFD
    wordpiece,   ///< a space before each piece that has no `prefix`
  };
  Kind kind = Kind::join;
  std::string prefix = "##";
  bool cleanup = true;  ///< wordpiece: no space before punctuation and English contractions
};

namespace detail {

/// Hugging Face's list of spaces that tokenization put into English text; `tokenizers` has one
/// more pair than transformers.
void clean_up_spaces(std::string& text, bool do_not);

}  // namespace detail

/// The text that a sequence of pieces spells.
[[nodiscard]] std::string decode_pieces(const TokenDecoder& decoder,
                                        const std::vector<std::string_view>& pieces);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/decoder.hpp>
#endif
