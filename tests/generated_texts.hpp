#pragma once
// Texts chosen to hurt a tokenizer, the same here and in tools/generated_texts.py.
//
// A counter-based generator makes text i from i alone, as bytes: some are not valid UTF-8.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/utf8.hpp>
#include <ldlm/text/shuffle.hpp>

namespace ldlm_test {

using Range = std::pair<char32_t, char32_t>;
using Pool = std::vector<Range>;

inline const std::vector<Pool>& text_pools() {
  static const std::vector<Pool> pools = [] {
    std::vector<Pool> list{
        {{0x20, 0x7E}},
        {{0x61, 0x7A}},
        {{0x00, 0x1F}, {0x7F, 0x9F}},
        {{0xA0, 0x24F}},
        {{0x300, 0x36F}},
        {{0x370, 0x52F}},
        {{0x590, 0x6FF}},
        {{0x900, 0xDFF}},
        {{0xE00, 0xFFF}},
        {{0x1100, 0x11FF}},
        {{0x1E00, 0x206F}},
        {{0x20A0, 0x27BF}},
        {{0x2E80, 0x30FF}, {0x3400, 0x3420}, {0x4E00, 0x4F00}},
        {{0xAC00, 0xAD00}},
        {{0xF900, 0xFAFF}, {0xFB00, 0xFFFF}},
        {{0x1F300, 0x1F64F},
         {0x200D, 0x200D},
         {0xFE0F, 0xFE0F},
         {0x1F3FB, 0x1F3FF},
         {0x1F1E6, 0x1F1FF}},
        {{0x20000, 0x20040}, {0x2B920, 0x2B940}, {0x2F800, 0x2FA1F}, {0x30000, 0x30010}},
        {{0x00, 0x10FFFF}},
        {{0x20, 0x20},
         {0x09, 0x0D},
         {0xA0, 0xA0},
         {0x2000, 0x200A},
         {0x3000, 0x3000},
         {0x85, 0x85},
         {0x2028, 0x2029}},
        {{0x30, 0x39}, {0xB2, 0xB3}, {0x660, 0x669}, {0x2160, 0x2170}, {0x1D7CE, 0x1D7FF}},
        {{0x21, 0x2F}, {0x3A, 0x40}, {0x5B, 0x60}, {0x7B, 0x7E}},
    };
    // Cases, marks that reorder or expand, and what normalizers remove.
    Pool nasty;
    for (const char32_t c : std::initializer_list<char32_t>{
             0x130, 0x131,  0xDF,   0x1E9E,  0x3A3,   0x3C2,  0x344,  0x340, 0x341, 0xF73,
             0xF81, 0x1FEE, 0x302E, 0x1D15E, 0x11938, 0x212B, 0x958,  0x327, 0x301, 0x323,
             0x338, 0x3C,   0x345,  0xFFFD,  0xFEFF,  0xAD,   0x200B, 0x41,  0x65,  0x61}) {
      nasty.emplace_back(c, c);
    }
    list.push_back(std::move(nasty));
    return list;
  }();
  return pools;
}

inline const std::vector<std::string_view>& text_phrases() {
  static const std::vector<std::string_view> phrases{"'s",
                                                     "'t",
                                                     "'re",
                                                     "'ve",
                                                     "'m",
                                                     "'ll",
                                                     "'d",
                                                     "'S",
                                                     " don't",
                                                     "I'll've",
                                                     "[MASK]",
                                                     "[CLS]",
                                                     "[UNK]",
                                                     "<|endoftext|>",
                                                     "##ing",
                                                     "the ",
                                                     " and",
                                                     "1234",
                                                     "3.14",
                                                     "http://a.b/c?d=e",
                                                     "e\u0301",
                                                     "\U0001F469\u200D\U0001F469\u200D\U0001F467",
                                                     "\U0001F1E9\U0001F1EA",
                                                     "\r\n",
                                                     " \n\n ",
                                                     "[SEP]  ",
                                                     "can't",
                                                     "U.S.",
                                                     "harbour",
                                                     " machine learning",
                                                     "\ufeff",
                                                     "<pad>",
                                                     "  <mask> ",
                                                     "\u00e4\u0308"};
  return phrases;
}

/// The bytes of text `index`.
inline std::string generated_text(std::uint64_t index) {
  std::uint64_t counter = 0;
  const auto below = [&](std::uint64_t n) {
    return static_cast<std::size_t>(ldlm::counter_hash(index, counter++) % n);
  };
  const auto character = [&](const Pool& pool) {
    const auto [first, last] = pool[below(pool.size())];
    return first + static_cast<char32_t>(below(last - first + 1));  // append_utf8 maps surrogates
  };
  const std::vector<Pool>& pools = text_pools();
  std::string out;
  for (std::size_t parts = below(9); parts > 0; --parts) {
    const std::size_t kind = below(20);
    if (kind < 14) {
      const Pool& pool = pools[below(pools.size())];
      const std::size_t longest[] = {2, 4, 12, 40};
      for (std::size_t n = 1 + below(longest[below(4)]); n > 0; --n) {
        ldlm::append_utf8(out, character(pool));
      }
    } else if (kind == 14 || kind == 15) {
      out += text_phrases()[below(text_phrases().size())];
    } else if (kind == 16) {
      out.append(1 + below(12), ' ');
    } else if (kind == 17) {
      const char32_t c = character(pools[below(pools.size())]);
      for (std::size_t n = 1 + below(60); n > 0; --n) {
        ldlm::append_utf8(out, c);
      }
    } else if (kind == 18) {
      for (std::size_t n = 1 + below(4); n > 0; --n) {
        out += static_cast<char>(0x80 + below(0x80));
      }
    } else if (below(20) == 0) {
      const std::size_t choices[] = {1, 3, 12};
      const Pool& pool = pools[choices[below(3)]];
      for (std::size_t n = 90 + below(3000); n > 0; --n) {
        ldlm::append_utf8(out, character(pool));
      }
    }
    if (below(2) == 0) {
      out += ' ';
    }
  }
  return out;
}

}  // namespace ldlm_test
