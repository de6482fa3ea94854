#pragma once
// Decoding id by id, for text that is shown while it is generated.

#include <cstddef>
#include <string>

#include <ldlm/text/tokenizer.hpp>

namespace ldlm {

/// Gives the text of ids as they come. All parts together are tokenizer.decode(all ids).
class DecodeStream {
 public:
  explicit DecodeStream(Tokenizer tokenizer, bool skip_special_tokens = true);

  /// The text that an id adds; empty while the bytes of a character are incomplete.
  [[nodiscard]] std::string push(TokenId id);

  /// The rest: U+FFFD for a character that stayed incomplete; all, where decoding cleans text up.
  [[nodiscard]] std::string finish();

 private:
  /// The bytes before a character that may still be completed.
  static std::size_t complete_prefix(std::string_view bytes) noexcept;

  Tokenizer tokenizer_;
  bool skip_special_tokens_;
  bool started_ = false;
  std::string pending_;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/decode_stream.hpp>
#endif
