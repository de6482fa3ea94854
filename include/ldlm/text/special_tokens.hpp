#pragma once
// What a folder's files say about the use of a tokenizer: its special tokens, limits and sides.

#include <cstdint>
#include <optional>

#include <ldlm/text/encoding.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm {

/// The ids of the special tokens that a tokenizer has, by the names of `transformers`.
struct SpecialTokens {
  std::optional<TokenId> bos, eos, unk, sep, pad, cls, mask;
  friend bool operator==(const SpecialTokens&, const SpecialTokens&) = default;
};

/// From special_tokens_map.json and tokenizer_config.json, or else the defaults of the tokenizer's
/// class.
struct TokenizerInfo {
  SpecialTokens special_tokens;
  std::optional<std::int64_t> model_max_length;  ///< tokens that the model takes; unset: not said
  std::optional<TextDirection> padding_side;     ///< unset: not said
  std::optional<TextDirection> truncation_side;  ///< unset: not said
  bool clean_up_spaces = false;  ///< WordPiece: clean_up_tokenization_spaces of decoded text
};

}  // namespace ldlm
