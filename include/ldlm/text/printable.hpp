#pragma once
// Text that may come from anywhere, made fit for a terminal.

#include <cstddef>
#include <string>
#include <string_view>

#include <ldlm/text/utf8.hpp>

namespace ldlm::text {

/// Whether a terminal may act on a character rather than show it, or show others in another order:
/// controls (C0, DEL, C1), separators of lines, embeddings, overrides and isolates of bidirectional
/// text.
[[nodiscard]] constexpr bool acts_on_terminals(char32_t c) noexcept {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

namespace detail {

inline void append_hex(std::string& out, unsigned value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += "0123456789abcdef"[(value >> shift) & 0xFU];
  }
}

}  // namespace detail

/// The text with such characters as \uXXXX and bytes that are no UTF-8 as \xXX, but for the ASCII
/// characters in `kept`.
[[nodiscard]] inline std::string printable(std::string_view text, std::string_view kept = {}) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    const std::string_view bytes = text.substr(i, c.size);
    i += c.size;
    if (!c.valid) {
      for (const char byte : bytes) {
        out += "\\x";
        detail::append_hex(out, static_cast<unsigned char>(byte), 2);
      }
    } else if (acts_on_terminals(c.value) && kept.find(bytes) == std::string_view::npos) {
      out += "\\u";
      detail::append_hex(out, static_cast<unsigned>(c.value), 4);
    } else {
      out += bytes;
    }
  }
  return out;
}

}  // namespace ldlm::text
