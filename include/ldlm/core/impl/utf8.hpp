#pragma once
// The bodies of core/utf8.hpp.

#include <ldlm/core/utf8.hpp>

#include <ldlm/core/linkage.hpp>

namespace ldlm {

LDLM_BODY std::size_t valid_prefix(std::string_view text) noexcept {
  std::size_t i = 0;
  while (true) {
    i += ascii_prefix(text.substr(i));
    if (i == text.size()) {
      return i;
    }
    const CodePoint c = decode_utf8(text, i);
    if (!c.valid) {
      return i;
    }
    i += c.size;
  }
}

LDLM_BODY std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const std::size_t good = valid_prefix(text);
    out.append(text.substr(0, good));
    text.remove_prefix(good);
    if (!text.empty()) {
      append_utf8(out, replacement_character);
      text.remove_prefix(decode_utf8(text, 0).size);
    }
  }
  return out;
}

LDLM_BODY std::size_t count_code_points(std::string_view text) noexcept {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++count) {
    i += decode_utf8(text, i).size;
  }
  return count;
}

LDLM_BODY std::u32string to_utf32(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    out += c.value;
    i += c.size;
  }
  return out;
}

LDLM_BODY std::string to_utf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    append_utf8(out, c);
  }
  return out;
}

}  // namespace ldlm
