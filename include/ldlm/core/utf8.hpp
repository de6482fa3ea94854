#pragma once
// UTF-8: decoding, validation, repair. Text comes in as bytes; invalid bytes never throw.
//
// An invalid sequence counts as one U+FFFD for each maximal prefix of a well-formed sequence, or
// else for each byte: Python's `bytes.decode('utf-8', errors='replace')`, which is what Hugging
// Face's tokenizers see of such a text (Unicode 15.0, section 3.9, "U+FFFD substitution").

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace ldlm {

inline constexpr char32_t replacement_character = 0xFFFD;

/// One decoded code point, and how many bytes it took.
struct CodePoint {
  char32_t value = 0;
  std::uint32_t size = 1;
  bool valid = true;
};

/// Decodes the code point that starts at byte `i` of `text` (i < text.size()).
[[nodiscard]] inline CodePoint decode_utf8(std::string_view text, std::size_t i) noexcept {
  const auto byte = [&](std::size_t k) -> std::uint32_t {
    return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0U;
  };
  const std::uint32_t b0 = byte(0);
  if (b0 < 0x80) {
    return {b0, 1, true};
  }
  const auto continues = [](std::uint32_t b) { return (b & 0xC0U) == 0x80U; };
  if (b0 < 0xC2 || b0 > 0xF4) {
    return {replacement_character, 1, false};
  }
  const std::uint32_t b1 = byte(1);
  if (b0 < 0xE0) {
    if (!continues(b1)) {
      return {replacement_character, 1, false};
    }
    return {(b0 & 0x1FU) << 6 | (b1 & 0x3FU), 2, true};
  }
  // The second byte's range excludes overlong forms, surrogates and values above U+10FFFF.
  const std::uint32_t low = b0 == 0xE0 ? 0xA0 : b0 == 0xF0 ? 0x90 : 0x80;
  const std::uint32_t high = b0 == 0xED ? 0x9F : b0 == 0xF4 ? 0x8F : 0xBF;
  if (b1 < low || b1 > high) {
    return {replacement_character, 1, false};
  }
  const std::uint32_t b2 = byte(2);
  if (!continues(b2)) {
    return {replacement_character, 2, false};
  }
  if (b0 < 0xF0) {
    return {(b0 & 0x0FU) << 12 | (b1 & 0x3FU) << 6 | (b2 & 0x3FU), 3, true};
  }
  const std::uint32_t b3 = byte(3);
  if (!continues(b3)) {
    return {replacement_character, 3, false};
  }
  return {(b0 & 0x07U) << 18 | (b1 & 0x3FU) << 12 | (b2 & 0x3FU) << 6 | (b3 & 0x3FU), 4, true};
}

/// Decodes at byte `i` of text that is known to be valid UTF-8, without any checks.
[[nodiscard]] inline CodePoint decode_valid_utf8(const char* text) noexcept {
  const auto byte = [&](int k) -> std::uint32_t { return static_cast<unsigned char>(text[k]); };
  const std::uint32_t b0 = byte(0);
  if (b0 < 0x80) {
    return {b0, 1, true};
  }
  if (b0 < 0xE0) {
    return {(b0 & 0x1FU) << 6 | (byte(1) & 0x3FU), 2, true};
  }
  if (b0 < 0xF0) {
    return {(b0 & 0x0FU) << 12 | (byte(1) & 0x3FU) << 6 | (byte(2) & 0x3FU), 3, true};
  }
  return {(b0 & 0x07U) << 18 | (byte(1) & 0x3FU) << 12 | (byte(2) & 0x3FU) << 6 | (byte(3) & 0x3FU),
          4, true};
}

/// Whether a byte of valid UTF-8 starts a code point.
[[nodiscard]] inline bool starts_code_point(char byte) noexcept {
  return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
}

/// Appends a code point; surrogates and values above U+10FFFF become U+FFFD.
inline void append_utf8(std::string& out, char32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) {
    c = replacement_character;
  }
  const auto tail = [](char32_t bits) { return static_cast<char>(0x80U | (bits & 0x3FU)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += {static_cast<char>(0xC0U | c >> 6), tail(c)};
  } else if (c < 0x10000) {
    out += {static_cast<char>(0xE0U | c >> 12), tail(c >> 6), tail(c)};
  } else {
    out += {static_cast<char>(0xF0U | c >> 18), tail(c >> 12), tail(c >> 6), tail(c)};
  }
}

/// The number of leading ASCII bytes.
[[nodiscard]] inline std::size_t ascii_prefix(std::string_view text) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    if ((word & 0x8080808080808080U) != 0) {
      break;
    }
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) {
    ++i;
  }
  return i;
}

/// The number of leading bytes that are valid UTF-8; text.size() for valid text.
[[nodiscard]] std::size_t valid_prefix(std::string_view text) noexcept;

[[nodiscard]] inline bool is_utf8(std::string_view text) noexcept {
  return valid_prefix(text) == text.size();
}

/// The text with every invalid sequence replaced by U+FFFD.
[[nodiscard]] std::string repair_utf8(std::string_view text);

/// The number of code points, an invalid sequence counting as one U+FFFD.
[[nodiscard]] std::size_t count_code_points(std::string_view text) noexcept;

/// Text as code points, and back.
[[nodiscard]] std::u32string to_utf32(std::string_view text);

[[nodiscard]] std::string to_utf8(std::u32string_view text);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/core/impl/utf8.hpp>
#endif
