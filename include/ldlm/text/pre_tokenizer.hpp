#pragma once
// Pre-tokenizers: the split of normalized text into words.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <ldlm/text/byte_level.hpp>
#include <ldlm/text/unicode.hpp>

namespace ldlm {

/// Which words a text is split into.
struct PreTokenizer {
  enum class Kind {
    none,        ///< the text is one word
    byte_level,  ///< GPT-2's pattern
    bert,        ///< at white space, which goes, and around punctuation
  };
  Kind kind = Kind::none;
  bool add_prefix_space = false;  ///< byte level: put a space before a text that has none
  bool trim_offsets = true;       ///< byte level: kept for the file; the post-processor's counts
  bool use_regex = true;          ///< byte level: false makes the text one word
};

namespace detail {

/// Calls word(begin, end) for the words of BERT's pre-tokenizer.
template <class Word>
void split_bert(std::string_view text, Word&& word) {
  static const std::array<std::uint8_t, 128> ascii = [] {
    std::array<std::uint8_t, 128> table{};
    for (char32_t c = 0; c < 128; ++c) {
      table[c] = char_classes()[c] & (whitespace | punctuation);
    }
    return table;
  }();
  const auto& classes = char_classes();
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto b = static_cast<unsigned char>(text[i]);
    std::uint32_t size = 1;
    unsigned bits = 0;
    if (b < 0x80) {
      bits = ascii[b];
    } else {
      const CodePoint c = decode_valid_utf8(text.data() + i);
      size = c.size;
      bits = classes[c.value] & (whitespace | punctuation);
    }
    if (bits != 0) {
      if (begin < i) {
        word(begin, i);
      }
      if ((bits & whitespace) == 0) {
        word(i, i + size);
      }
      begin = i + size;
    }
    i += size;
  }
  if (begin < text.size()) {
    word(begin, text.size());
  }
}

}  // namespace detail

/// Calls word(begin, end) for each word of valid UTF-8.
template <class Word>
void split_words(const PreTokenizer& how, std::string_view text, Word&& word) {
  if (how.kind == PreTokenizer::Kind::bert) {
    detail::split_bert(text, word);
  } else if (how.kind == PreTokenizer::Kind::byte_level && how.use_regex) {
    Gpt2Splitter(text).split(word);
  } else if (!text.empty()) {
    word(std::size_t{0}, text.size());
  }
}

}  // namespace ldlm
