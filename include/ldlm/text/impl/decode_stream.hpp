#pragma once
// The bodies of text/decode_stream.hpp.

#include <ldlm/text/decode_stream.hpp>

#include <string_view>
#include <utility>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/byte_level.hpp>
#include <ldlm/text/decoder.hpp>

namespace ldlm {

LDLM_BODY DecodeStream::DecodeStream(Tokenizer tokenizer, bool skip_special_tokens)
    : tokenizer_(std::move(tokenizer)), skip_special_tokens_(skip_special_tokens) {}

LDLM_BODY std::string DecodeStream::push(TokenId id) {
  const std::string& piece = tokenizer_.id_to_token(id);
  if (skip_special_tokens_ && tokenizer_.added_tokens().is_special(id)) {
    return {};
  }
  if (tokenizer_.decoder().kind == TokenDecoder::Kind::byte_level) {
    pending_ += from_byte_characters(piece);
    const std::size_t complete = complete_prefix(pending_);
    std::string out = repair_utf8(std::string_view(pending_).substr(0, complete));
    pending_.erase(0, complete);
    return out;
  }
  // The other decoders look at one piece at a time, and at whether it is the first.
  const std::string_view empty;
  std::string out = started_ ? decode_pieces(tokenizer_.decoder(), {empty, piece})
                             : decode_pieces(tokenizer_.decoder(), {piece});
  started_ = true;
  if (tokenizer_.cleans_up()) {  // which looks at the whole text
    pending_ += out;
    out.clear();
  }
  return out;
}

LDLM_BODY std::string DecodeStream::finish() {
  started_ = false;
  if (tokenizer_.cleans_up()) {
    detail::clean_up_spaces(pending_, false);
  }
  return repair_utf8(std::exchange(pending_, {}));
}

LDLM_BODY std::size_t DecodeStream::complete_prefix(std::string_view bytes) noexcept {
  for (std::size_t tail = 1; tail <= 3 && tail <= bytes.size(); ++tail) {
    const std::size_t start = bytes.size() - tail;
    const auto first = static_cast<unsigned char>(bytes[start]);
    if (starts_code_point(bytes[start])) {
      const CodePoint c = decode_utf8(bytes, start);
      const bool may_go_on = !c.valid && c.size == tail && first >= 0xC2 && first <= 0xF4;
      return may_go_on ? start : bytes.size();
    }
  }
  return bytes.size();
}

}  // namespace ldlm
