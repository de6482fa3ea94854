#pragma once
// GPT-2's byte-level alphabet and its pre-tokenizer, scanned by hand instead of by a regex engine.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ldlm/core/utf8.hpp>
#include <ldlm/text/unicode.hpp>

namespace ldlm {

/// The printable character that stands for each byte in GPT-2's vocabulary: the byte itself where
/// Latin-1 prints it, else the next free one from U+0100 on ("Ġ" for a space).
[[nodiscard]] const std::array<char32_t, 256>& byte_characters();

/// Bytes in the byte-level alphabet.
[[nodiscard]] std::string to_byte_characters(std::string_view bytes);

/// The bytes that a piece stands for: itself if it has a character outside of the alphabet.
[[nodiscard]] std::string from_byte_characters(std::string_view piece);

/// Splits valid UTF-8 into the matches of GPT-2's pattern
///   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// and calls word(begin, end) for each; together they cover the text.
class Gpt2Splitter {
 public:
  explicit Gpt2Splitter(std::string_view text)
      : text_(text), classes_(&char_classes()), ascii_(ascii_classes()) {}

  template <class Word>
  void split(Word&& word) {
    std::size_t i = 0;
    while (i < text_.size()) {
      const std::size_t end = match(i);
      word(i, end);
      i = end;
    }
  }

 private:
  enum Kind : std::uint8_t { other, letters, numbers, space };

  struct Step {
    Kind kind;
    std::uint32_t size;
  };

  static Kind kind_of(std::uint8_t bits) noexcept {
    return (bits & letter) != 0       ? letters
           : (bits & number) != 0     ? numbers
           : (bits & whitespace) != 0 ? space
                                      : other;
  }

  static const std::array<Kind, 128>& ascii_classes();

  [[nodiscard]] Step step(std::size_t i) const noexcept {
    const auto b = static_cast<unsigned char>(text_[i]);
    if (b < 0x80) {
      return {ascii_[b], 1};
    }
    const CodePoint c = decode_valid_utf8(text_.data() + i);
    return {kind_of((*classes_)[c.value]), c.size};
  }

  /// The end of the run of one kind that goes on at `i`.
  [[nodiscard]] std::size_t run(std::size_t i, Kind kind) const noexcept {
    while (i < text_.size()) {
      const Step s = step(i);
      if (s.kind != kind) {
        break;
      }
      i += s.size;
    }
    return i;
  }

  [[nodiscard]] std::size_t match(std::size_t i) const noexcept {
    if (text_[i] == '\'') {
      if (const std::size_t size = contraction(i); size != 0) {
        return i + size;
      }
    }
    Step s = step(i);
    if (s.kind != space) {
      return run(i + s.size, s.kind);
    }
    if (text_[i] == ' ' && i + 1 < text_.size()) {
      const Step after = step(i + 1);
      if (after.kind != space) {
        return run(i + 1 + after.size, after.kind);
      }
    }
    // White space up to the end, or else all but its last character, or else that character.
    std::size_t last = i;
    std::size_t end = i + s.size;
    while (end < text_.size()) {
      s = step(end);
      if (s.kind != space) {
        return last == i ? end : last;
      }
      last = end;
      end += s.size;
    }
    return end;
  }

  [[nodiscard]] std::size_t contraction(std::size_t i) const noexcept {
    const auto at = [&](std::size_t k) { return k < text_.size() ? text_[k] : '\0'; };
    const char a = at(i + 1);
    const char b = at(i + 2);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') {
      return 2;
    }
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
  }

  std::string_view text_;
  const detail::CodePointTable<std::uint8_t>* classes_;
  const std::array<Kind, 128>& ascii_;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/byte_level.hpp>
#endif
