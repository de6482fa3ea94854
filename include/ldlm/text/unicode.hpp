#pragma once
// Character properties, lower case and canonical normalization, as Hugging Face's tokenizers see
// them: the tables are probed from that library (tools/make_unicode_tables.py), because it mixes
// several Unicode versions and a byte-exact tokenizer has to mix them in the same way.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/text/hash.hpp>
#include <ldlm/text/unicode_tables.hpp>
#include <ldlm/text/utf8.hpp>

namespace ldlm::text {

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

/// Reads the tables' varints.
class VarintReader {
 public:
  template <std::size_t N>
  explicit VarintReader(const unsigned char (&data)[N]) : at_(data), end_(data + N) {}

  [[nodiscard]] bool done() const { return at_ == end_; }
  std::uint32_t byte() { return *at_++; }
  std::uint32_t next() {
    std::uint32_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const std::uint32_t b = byte();
      value |= (b & 0x7FU) << shift;
      if (b < 0x80) {
        return value;
      }
    }
  }
  std::int32_t next_signed() {
    const std::uint32_t v = next();
    return static_cast<std::int32_t>(v >> 1) ^ -static_cast<std::int32_t>(v & 1U);
  }

 private:
  const unsigned char* at_;
  const unsigned char* end_;
};

/// A two-stage table code point -> T: equal blocks are stored once.
template <class T>
class CodePointTable {
 public:
  static constexpr std::size_t block = 256;

  explicit CodePointTable(const std::vector<T>& flat) {
    for (std::size_t b = 0; b < index_.size(); ++b) {
      const T* const first = flat.data() + b * block;
      if (b > 0 && std::equal(first, first + block, first - block)) {  // most of them
        index_[b] = index_[b - 1];
        continue;
      }
      std::size_t at = 0;  // there are few different ones: looking through them is quick
      while (at < values_.size() && !std::equal(first, first + block, values_.data() + at)) {
        at += block;
      }
      if (at == values_.size()) {
        values_.insert(values_.end(), first, first + block);
      }
      index_[b] = static_cast<std::uint16_t>(at / block);
    }
  }

  [[nodiscard]] T operator[](char32_t c) const noexcept {
    return c > 0x10FFFF ? T{} : values_[index_[c / block] * block + c % block];
  }

 private:
  std::array<std::uint16_t, 0x110000 / block> index_{};
  std::vector<T> values_;
};

inline constexpr char32_t hangul_first = 0xAC00, hangul_last = 0xD7A3;

[[nodiscard]] inline CodePointTable<std::uint8_t> unpack_classes() {
  std::vector<std::uint8_t> flat;
  flat.reserve(0x110000);
  for (VarintReader in(tables::class_runs); !in.done();) {
    const std::uint32_t run = in.next();
    flat.insert(flat.end(), run, static_cast<std::uint8_t>(in.byte()));
  }
  return CodePointTable<std::uint8_t>(flat);
}

/// What normalization and lower case need, unpacked once.
struct UnicodeData {
  CodePointTable<char32_t> lower = unpack_lower();
  CodePointTable<std::uint8_t> combining = unpack_combining();
  std::u32string images;
  struct Pair {
    std::uint64_t parts = 0;
    char32_t composite = 0;
  };
  std::vector<Pair> pairs = std::vector<Pair>(4096);  // open addressing; composite 0: free
  std::u32string seconds;                             // the second parts of all pairs, sorted
  // Position and length of each decomposition in `images`, as position * 4 + length - 1.
  CodePointTable<std::uint32_t> decomposition = unpack_decompositions();

  // Zero stands for "itself".
  static CodePointTable<char32_t> unpack_lower() {
    std::vector<char32_t> flat(0x110000);
    std::uint32_t c = 0;
    for (VarintReader in(tables::lower_runs); !in.done();) {
      c += in.next();
      const std::uint32_t count = in.next();
      const std::uint32_t stride = in.byte();
      const std::int32_t distance = in.next_signed();
      for (std::uint32_t k = 0; k < count; ++k) {
        const std::uint32_t at = c + k * stride;
        flat[at] = static_cast<char32_t>(static_cast<std::int32_t>(at) + distance);
      }
      c += (count - 1) * stride;
    }
    return CodePointTable<char32_t>(flat);
  }

  static CodePointTable<std::uint8_t> unpack_combining() {
    std::vector<std::uint8_t> flat(0x110000);
    std::uint32_t c = 0;
    for (VarintReader in(tables::combining_runs); !in.done();) {
      c += in.next();
      const std::uint32_t count = in.next();
      std::fill_n(flat.begin() + c, count, static_cast<std::uint8_t>(in.byte()));
      c += count - 1;
    }
    return CodePointTable<std::uint8_t>(flat);
  }

  CodePointTable<std::uint32_t> unpack_decompositions();

  /// Where the pair of two code points is in `pairs`, or belongs.
  [[nodiscard]] std::size_t slot(std::uint64_t parts) const noexcept {
    std::size_t s = mix(parts) % pairs.size();
    while (pairs[s].composite != 0 && pairs[s].parts != parts) {
      s = (s + 1) % pairs.size();
    }
    return s;
  }
};

inline CodePointTable<std::uint32_t> UnicodeData::unpack_decompositions() {
  std::vector<std::uint32_t> flat(0x110000);
  std::vector<char32_t> composites;
  images.assign(4, U'\0');  // so that no entry is zero
  char32_t c = 0;
  for (VarintReader in(tables::decompositions); !in.done();) {
    c += in.next();
    const std::uint32_t length_and_flag = in.next();
    const std::uint32_t length = length_and_flag >> 1;
    flat[c] = static_cast<std::uint32_t>(images.size()) * 4 + length - 1;
    images += static_cast<char32_t>(static_cast<std::int32_t>(c) + in.next_signed());
    for (std::uint32_t k = 1; k < length; ++k) {
      images += static_cast<char32_t>(in.next());
    }
    if ((length_and_flag & 1U) != 0) {
      composites.push_back(c);
    }
  }
  // A composite is (all but its last part composed, last part): shorter ones come first.
  for (std::uint32_t last = 0; last < 4; ++last) {
    for (const char32_t composite : composites) {
      if (flat[composite] % 4 != last) {
        continue;
      }
      const char32_t* const part = images.data() + flat[composite] / 4;
      std::uint64_t head = *part;
      for (std::uint32_t k = 1; k < last; ++k) {
        head = pairs[slot(head << 32 | part[k])].composite;
      }
      const std::uint64_t parts = head << 32 | part[last];
      pairs[slot(parts)] = {parts, composite};
      seconds += part[last];
    }
  }
  std::sort(seconds.begin(), seconds.end());
  return CodePointTable<std::uint32_t>(flat);
}

[[nodiscard]] inline const UnicodeData& unicode_data() {
  static const UnicodeData& data = *new UnicodeData;  // for destructors of static objects, too
  return data;
}

}  // namespace detail

/// The property bits (CharClass) of a code point; fetch the table once outside a loop.
[[nodiscard]] inline const detail::CodePointTable<std::uint8_t>& char_classes() {
  static const auto& classes = *new detail::CodePointTable<std::uint8_t>(detail::unpack_classes());
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
[[nodiscard]] inline char32_t lower_case(char32_t c) {
  if (c < 0x80) {
    return c >= U'A' && c <= U'Z' ? c + 32 : c;
  }
  if (c == 0x130) {
    return U'i';
  }
  const char32_t image = detail::unicode_data().lower[c];
  return image == 0 ? c : image;
}
inline constexpr char32_t dotted_i = 0x130, combining_dot_above = 0x307;

/// The canonical combining class.
[[nodiscard]] inline std::uint8_t combining_class(char32_t c) {
  return detail::unicode_data().combining[c];
}

/// Calls emit(part, index) for the code points of c's full canonical decomposition.
template <class Emit>
void decompose(char32_t c, Emit&& emit) {
  if (c < 0xC0) {
    emit(c, 0U);
    return;
  }
  if (c >= detail::hangul_first && c <= detail::hangul_last) {  // Unicode 15.0, section 3.12
    const char32_t index = c - detail::hangul_first;
    emit(0x1100 + index / 588, 0U);
    emit(0x1161 + index % 588 / 28, 1U);
    if (index % 28 != 0) {
      emit(0x11A7 + index % 28, 2U);
    }
    return;
  }
  const detail::UnicodeData& data = detail::unicode_data();
  const std::uint32_t entry = data.decomposition[c];
  if (entry == 0) {
    emit(c, 0U);
    return;
  }
  for (std::uint32_t k = 0; k <= entry % 4; ++k) {
    emit(data.images[entry / 4 + k], k);
  }
}

/// The composite of two code points, or 0.
[[nodiscard]] inline char32_t compose(char32_t first, char32_t second) {
  if (first - 0x1100 < 19 && second - 0x1161 < 21) {
    return detail::hangul_first + ((first - 0x1100) * 21 + (second - 0x1161)) * 28;
  }
  if (first >= detail::hangul_first && first <= detail::hangul_last &&
      (first - detail::hangul_first) % 28 == 0 && second - 0x11A8 < 27) {
    return first + (second - 0x11A7);
  }
  const detail::UnicodeData& data = detail::unicode_data();
  return data.pairs[data.slot(std::uint64_t{first} << 32 | second)].composite;
}

/// Whether composition or the order of marks may join a code point to the text before it. Up to any
/// other code point, a text is decomposed and composed without regard to the rest.
[[nodiscard]] inline bool joins_text_before(char32_t c) {
  const auto& seconds = detail::unicode_data().seconds;
  bool joins = (c >= 0x1161 && c < 0x1176) || (c >= 0x11A8 && c < 0x11C3) ||  // Hangul
               std::binary_search(seconds.begin(), seconds.end(), c);
  decompose(c, [&](char32_t part, std::uint32_t index) {
    joins = joins || (index == 0 && (combining_class(part) != 0 ||
                                     std::binary_search(seconds.begin(), seconds.end(), part)));
  });
  return joins;
}

/// Lower case of a text, one code point at a time (no context rules, as in Hugging Face).
[[nodiscard]] inline std::string lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    append_utf8(out, lower_case(c.value));
    if (c.value == dotted_i) {
      append_utf8(out, combining_dot_above);
    }
    i += c.size;
  }
  return out;
}

}  // namespace ldlm::text
