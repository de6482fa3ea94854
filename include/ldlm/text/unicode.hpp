#pragma once
// Character properties, lower case and canonical normalization, as Hugging Face's tokenizers see
// them: the tables are probed from that library (tools/make_unicode_tables.py), because it mixes
// several Unicode versions and a byte-exact tokenizer has to mix them in the same way.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/utf8.hpp>

namespace ldlm {

/// Property bits of a code point.
enum CharClass : std::uint8_t {
  letter = 1,       ///< \p{L} of GPT-2's pattern
  number = 2,       ///< \p{N} of GPT-2's pattern
  whitespace = 4,   ///< \s everywhere: Unicode's White_Space
  punctuation = 8,  ///< what BERT's pre-tokenizer isolates
  control = 16,     ///< what BERT's normalizer removes: Cc, Cf, some Cn and Co, U+0000, U+FFFD
  nonspacing = 32,  ///< Mn: what "strip accents" removes
  word = 64,        ///< \w: decides where a "single word" added token ends
};

namespace detail {

/// A two-stage table code point -> T: equal blocks are stored once.
template <class T>
class CodePointTable {
 public:
  static constexpr std::size_t block = 256;

  explicit CodePointTable(const std::vector<T>& flat);

  [[nodiscard]] T operator[](char32_t c) const noexcept {
    return c > 0x10FFFF ? T{} : values_[index_[c / block] * block + c % block];
  }

 private:
  std::array<std::uint16_t, 0x110000 / block> index_{};
  std::vector<T> values_;
};

[[nodiscard]] const CodePointTable<std::uint8_t>& make_char_classes();

}  // namespace detail

/// The property bits (CharClass) of a code point; fetch the table once outside a loop.
[[nodiscard]] inline const detail::CodePointTable<std::uint8_t>& char_classes() {
  static const auto& classes = detail::make_char_classes();
  return classes;
}
[[nodiscard]] inline bool is_letter(char32_t c) {
  return (char_classes()[c] & letter) != 0;
}
[[nodiscard]] inline bool is_number(char32_t c) {
  return (char_classes()[c] & number) != 0;
}
[[nodiscard]] inline bool is_whitespace(char32_t c) {
  return (char_classes()[c] & whitespace) != 0;
}
[[nodiscard]] inline bool is_punctuation(char32_t c) {
  return (char_classes()[c] & punctuation) != 0;
}
[[nodiscard]] inline bool is_control(char32_t c) {
  return (char_classes()[c] & control) != 0;
}
[[nodiscard]] inline bool is_nonspacing_mark(char32_t c) {
  return (char_classes()[c] & nonspacing) != 0;
}
[[nodiscard]] inline bool is_word_character(char32_t c) {
  return (char_classes()[c] & word) != 0;
}

/// The ideographs that BERT surrounds with spaces.
[[nodiscard]] inline bool is_cjk(char32_t c) noexcept {
  return c >= 0x3400 &&
         (c <= 0x4DBF || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
          (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) ||
          (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0x2F800 && c <= 0x2FA1F));
}

/// Lower case of one code point; U+0130 alone becomes two, of which this is the first.
[[nodiscard]] char32_t lower_case(char32_t c);
inline constexpr char32_t dotted_i = 0x130, combining_dot_above = 0x307;

/// The canonical combining class.
[[nodiscard]] std::uint8_t combining_class(char32_t c);

/// A code point's full canonical decomposition: itself if it has none. `room` has what stands in no
/// table.
[[nodiscard]] std::u32string_view decomposition(char32_t c, std::array<char32_t, 3>& room);

/// The composite of two code points, or 0.
[[nodiscard]] char32_t compose(char32_t first, char32_t second);

/// Whether composition or the order of marks may join a code point to the text before it. Up to any
/// other code point, a text is decomposed and composed without regard to the rest.
[[nodiscard]] bool joins_text_before(char32_t c);

/// Lower case of a text, one code point at a time (no context rules, as in Hugging Face).
[[nodiscard]] std::string lower_case(std::string_view text);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/unicode.hpp>
#endif
