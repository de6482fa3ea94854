#pragma once
// The bodies of text/byte_level.hpp.

#include <ldlm/text/byte_level.hpp>

#include <ldlm/core/linkage.hpp>

namespace ldlm {

LDLM_BODY const std::array<char32_t, 256>& byte_characters() {
  static const std::array<char32_t, 256> characters = [] {
    std::array<char32_t, 256> table{};
    char32_t next = 0x100;
    for (char32_t b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
      table[b] = printable ? b : next++;
    }
    return table;
  }();
  return characters;
}

LDLM_BODY std::string to_byte_characters(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char b : bytes) {
    append_utf8(out, byte_characters()[static_cast<unsigned char>(b)]);
  }
  return out;
}

LDLM_BODY std::string from_byte_characters(std::string_view piece) {
  static const std::array<std::int16_t, 0x144> bytes = [] {
    std::array<std::int16_t, 0x144> table{};
    table.fill(-1);
    for (std::size_t b = 0; b < 256; ++b) {
      table[byte_characters()[b]] = static_cast<std::int16_t>(b);
    }
    return table;
  }();
  std::string out;
  for (std::size_t i = 0; i < piece.size();) {
    const CodePoint c = decode_utf8(piece, i);
    if (c.value >= bytes.size() || bytes[c.value] < 0) {
      return std::string(piece);
    }
    out += static_cast<char>(bytes[c.value]);
    i += c.size;
  }
  return out;
}

LDLM_BODY const std::array<Gpt2Splitter::Kind, 128>& Gpt2Splitter::ascii_classes() {
  static const std::array<Kind, 128> table = [] {
    std::array<Kind, 128> kinds{};
    for (char32_t c = 0; c < 128; ++c) {
      kinds[c] = kind_of(char_classes()[c]);
    }
    return kinds;
  }();
  return table;
}

}  // namespace ldlm
