#pragma once
// Bodies of json/quote.hpp.

#include <ldlm/core/error.hpp>
#include <ldlm/core/printable.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/json/quote.hpp>

namespace ldlm::detail {

/// Appends one byte as it stands inside a JSON string.
inline void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\b':
      out += "\\b";
      break;
    case '\f':
      out += "\\f";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      if (static_cast<unsigned char>(c) < 0x20) {
        out += "\\u";
        detail::append_hex(out, static_cast<unsigned char>(c), 4);
      } else {
        out += c;
      }
  }
}

LDLM_BODY std::string quote(std::string_view text, std::size_t limit) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    if (i >= limit) {
      return out + concat("...\" (", text.size(), " bytes)");
    }
    const CodePoint c = decode_utf8(text, i);
    if (c.valid && c.value < 0x7F) {
      append_escaped(out, text[i]);
    } else {
      out += printable(text.substr(i, c.size));
    }
    i += c.size;
  }
  return out + '"';
}

LDLM_BODY void append_json_string(std::string& out, std::string_view text) {
  const std::size_t valid = valid_prefix(text);
  LDLM_CHECK(valid == text.size(), "json", quote(text), " is not UTF-8 (at byte ", valid, ')');
  out += '"';
  for (const char c : text) {
    append_escaped(out, c);
  }
  out += '"';
}

}  // namespace ldlm::detail
