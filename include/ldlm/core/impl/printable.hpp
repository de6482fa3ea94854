#pragma once
// The bodies of core/printable.hpp.

#include <ldlm/core/printable.hpp>

#include <cstddef>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>

namespace ldlm {

namespace detail {

LDLM_BODY void append_hex(std::string& out, unsigned value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += "0123456789abcdef"[(value >> shift) & 0xFU];
  }
}

}  // namespace detail

LDLM_BODY std::string printable(std::string_view text, std::string_view kept) {
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

}  // namespace ldlm
