#pragma once
// The bodies of text/unicode.hpp.

#include <ldlm/text/unicode.hpp>

#include <algorithm>

#include <ldlm/core/linkage.hpp>
#include <ldlm/text/impl/unicode_data.hpp>

namespace ldlm {

namespace detail {

LDLM_BODY const CodePointTable<std::uint8_t>& make_char_classes() {
  std::vector<std::uint8_t> flat;
  flat.reserve(0x110000);
  for (VarintReader in(unicode_tables::class_runs); !in.done();) {
    const std::uint32_t run = in.next();
    flat.insert(flat.end(), run, static_cast<std::uint8_t>(in.byte()));
  }
  return *new CodePointTable<std::uint8_t>(flat);  // for destructors of static objects, too
}

}  // namespace detail

LDLM_BODY char32_t lower_case(char32_t c) {
  return detail::lower_case_of(c);
}

LDLM_BODY std::uint8_t combining_class(char32_t c) {
  return detail::combining_class_of(c);
}

LDLM_BODY std::u32string_view decomposition(char32_t c, std::array<char32_t, 3>& room) {
  return detail::decomposition_of(c, room);
}

LDLM_BODY char32_t compose(char32_t first, char32_t second) {
  return detail::compose_pair(first, second);
}

LDLM_BODY bool joins_text_before(char32_t c) {
  const auto& seconds = detail::unicode_data().seconds;
  const auto is_second = [&seconds](char32_t part) {
    return std::binary_search(seconds.begin(), seconds.end(), part);
  };
  // The first two ranges are those of Hangul.
  if ((c >= 0x1161 && c < 0x1176) || (c >= 0x11A8 && c < 0x11C3) || is_second(c)) {
    return true;
  }
  std::array<char32_t, 3> room;
  const char32_t first = detail::decomposition_of(c, room)[0];
  return detail::combining_class_of(first) != 0 || is_second(first);
}

LDLM_BODY std::string lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    append_utf8(out, detail::lower_case_of(c.value));
    if (c.value == dotted_i) {
      append_utf8(out, combining_dot_above);
    }
    i += c.size;
  }
  return out;
}

}  // namespace ldlm
