#pragma once
// Encoding: what a text becomes; truncation and padding of encodings.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm {

/// An encoded text or pair of texts. All vectors but `overflowing` have one entry a token.
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<std::int32_t> type_ids;             ///< 0: first text, 1: second
  std::vector<std::int32_t> attention_mask;       ///< 0: padding
  std::vector<std::int32_t> special_tokens_mask;  ///< 1: put in by the template, or padding
  std::vector<std::string> tokens;
  std::vector<TextSpan> offsets;       ///< code points of the text that the token stands for
  std::vector<TextSpan> byte_offsets;  ///< the same in bytes
  std::vector<std::int32_t> word_ids;  ///< index of the word before splitting into pieces, or -1
  std::vector<Encoding> overflowing;   ///< what truncation cut off; these hold no further ones

  [[nodiscard]] std::size_t size() const noexcept { return ids.size(); }
};

enum class TextDirection { left, right };

struct Truncation {
  enum class Strategy { longest_first, only_first, only_second };
  std::size_t max_length = 512;  ///< tokens, those of the template included
  Strategy strategy = Strategy::longest_first;
  std::size_t stride = 0;  ///< tokens that an overflowing part shares with the one before it
  TextDirection direction = TextDirection::right;  ///< the side that is cut off
  /// Keeps what is cut off in Encoding::overflowing. A pair has one for each two parts.
  bool keep_overflow = false;
};

struct Padding {
  std::optional<std::size_t> length = std::nullopt;  ///< unset: the longest of the batch
  TextDirection direction = TextDirection::right;
  std::size_t multiple_of = 0;  ///< rounds the length up
  TokenId pad_id = 0;
  std::int32_t pad_type_id = 0;
  std::string pad_token = "[PAD]";
};

namespace detail {

/// Appends the tokens of `more`, and pairs every overflowing part of one with those of the other.
void append(Encoding& to, const Encoding& more);

/// Puts the tokens of `head`, which has no overflowing parts, in front of an encoding and of each
/// of its overflowing parts.
void prepend(const Encoding& head, Encoding& to);

/// Cuts an encoding to `max_length` tokens; the rest may become `overflowing`.
void truncate(Encoding& encoding, std::size_t max_length, const Truncation& how);

/// Cuts one or two encodings to `max_length` tokens together (`pair` may be null).
void truncate(Encoding& first, Encoding* pair, std::size_t max_length, const Truncation& how);

/// Fills an encoding up to `length` tokens.
void pad(Encoding& encoding, std::size_t length, const Padding& how);

}  // namespace detail

/// Pads all encodings to one length.
void pad(std::vector<Encoding>& encodings, const Padding& how);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/encoding.hpp>
#endif
