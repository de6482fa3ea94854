#pragma once
// The tables behind text/unicode.hpp and the functions that look into them, inline, for the bodies
// that do so for every character.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/text/hash.hpp>
#include <ldlm/text/unicode.hpp>
#include <ldlm/text/unicode_tables.hpp>

namespace ldlm::detail {

template <class T>
CodePointTable<T>::CodePointTable(const std::vector<T>& flat) {
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

inline constexpr char32_t hangul_first = 0xAC00, hangul_last = 0xD7A3;

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
    for (VarintReader in(unicode_tables::lower_runs); !in.done();) {
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
    for (VarintReader in(unicode_tables::combining_runs); !in.done();) {
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
  for (VarintReader in(unicode_tables::decompositions); !in.done();) {
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

inline const UnicodeData& unicode_data() {
  static const UnicodeData& data = *new UnicodeData;  // for destructors of static objects, too
  return data;
}

[[nodiscard]] inline char32_t lower_case_of(char32_t c) {
  if (c < 0x80) {
    return c >= U'A' && c <= U'Z' ? c + 32 : c;
  }
  if (c == 0x130) {
    return U'i';
  }
  const char32_t image = unicode_data().lower[c];
  return image == 0 ? c : image;
}

[[nodiscard]] inline std::uint8_t combining_class_of(char32_t c) {
  return unicode_data().combining[c];
}

[[nodiscard]] inline std::u32string_view decomposition_of(char32_t c,
                                                          std::array<char32_t, 3>& room) {
  if (c >= hangul_first && c <= hangul_last) {  // Unicode 15.0, section 3.12
    const char32_t index = c - hangul_first;
    room = {0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + index % 28};
    return {room.data(), index % 28 == 0 ? 2U : 3U};
  }
  const UnicodeData& data = unicode_data();
  const std::uint32_t entry = c < 0xC0 ? 0 : data.decomposition[c];
  if (entry == 0) {
    room[0] = c;
    return {room.data(), 1};
  }
  return std::u32string_view(data.images).substr(entry / 4, entry % 4 + 1);
}

[[nodiscard]] inline char32_t compose_pair(char32_t first, char32_t second) {
  if (first - 0x1100 < 19 && second - 0x1161 < 21) {
    return hangul_first + ((first - 0x1100) * 21 + (second - 0x1161)) * 28;
  }
  if (first >= hangul_first && first <= hangul_last && (first - hangul_first) % 28 == 0 &&
      second - 0x11A8 < 27) {
    return first + (second - 0x11A7);
  }
  const UnicodeData& data = unicode_data();
  return data.pairs[data.slot(std::uint64_t{first} << 32 | second)].composite;
}

}  // namespace ldlm::detail
