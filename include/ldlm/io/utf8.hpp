#pragma once
// UTF-8 checking, JSON strings, and hostile strings made fit for error messages.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ldlm/core/error.hpp>

namespace ldlm::detail {

/// Length of the well-formed UTF-8 sequence at `at` (Unicode standard, table 3-7), 0 if ill-formed.
inline std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0), second = byte(1);
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xC2 && lead <= 0xDF) {
    return follows(1) ? 2 : 0;
  }
  if (lead >= 0xE0 && lead <= 0xEF) {  // neither overlong nor a surrogate
    const bool ok = (lead != 0xE0 || second >= 0xA0) && (lead != 0xED || second <= 0x9F);
    return ok && follows(1) && follows(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {  // neither overlong nor above U+10FFFF
    const bool ok = (lead != 0xF0 || second >= 0x90) && (lead != 0xF4 || second <= 0x8F);
    return ok && follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

inline bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text, i);
    if (length == 0) {
      return false;
    }
    i += length;
  }
  return true;
}

inline void append_hex(std::string& out, unsigned value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += "0123456789abcdef"[(value >> shift) & 0xFU];
  }
}

/// Appends one ASCII character as it stands inside a JSON string.
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
        append_hex(out, static_cast<unsigned char>(c), 4);
      } else {
        out += c;
      }
  }
}

/// `text` for an error message: in quotes, control characters escaped, ill-formed bytes as \xNN,
/// cut after `limit` bytes.
inline std::string quote(std::string_view text, std::size_t limit = 100) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    if (i >= limit) {
      return out + concat("...\" (", text.size(), " bytes)");
    }
    const std::size_t length = utf8_length(text, i);
    if (length == 0) {
      out += "\\x";
      append_hex(out, static_cast<unsigned char>(text[i]), 2);
    } else if (length == 1) {
      append_escaped(out, text[i]);
    } else {
      out += text.substr(i, length);
    }
    i += length == 0 ? 1 : length;
  }
  return out + '"';
}

/// Appends `text` as a JSON string. Throws for ill-formed UTF-8.
inline void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text, i);
    LDLM_CHECK(length > 0, "json", quote(text), " is not UTF-8 (at byte ", i, ')');
    if (length == 1) {
      append_escaped(out, text[i]);
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  out += '"';
}

}  // namespace ldlm::detail
