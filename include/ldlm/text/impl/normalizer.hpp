#pragma once
// The bodies of text/normalizer.hpp.

#include <ldlm/core/stable_sort.hpp>
#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/unicode.hpp>  // before its tables, which end it

#include <algorithm>
#include <utility>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/impl/unicode_data.hpp>

namespace ldlm {

LDLM_BODY void NormalizedText::drop(std::size_t bytes) {
  text.erase(0, bytes);
  if (!sources.empty()) {
    sources.erase(sources.begin(), sources.begin() + static_cast<std::ptrdiff_t>(bytes));
  }
}

namespace detail {

/// A code point of a changed text. `change` says whose place it takes: 1 nobody's (it is new),
/// 0 that of the next old code point, -n that of the next one and of n more.
struct Replacement {
  char32_t value = 0;
  int change = 0;
};

/// Gives each code point its source: that of the first old one whose place it takes; a new one
/// shares the source of the old one before it. This is the rule of Hugging Face's
/// NormalizedString, and decides the offsets of accents.
inline void replace(std::vector<SourcedChar>& chars, const std::vector<Replacement>& by) {
  std::vector<SourcedChar> out;
  out.reserve(by.size());
  std::size_t at = 0;
  for (const Replacement& r : by) {
    if (r.change > 0) {
      out.push_back({r.value, at == 0 ? 0 : chars[at - 1].source});
    } else {
      out.push_back({r.value, chars[at].source});
      at += 1 + static_cast<std::size_t>(-r.change);
    }
  }
  chars.swap(out);
}

/// The canonical decomposition.
inline std::vector<Replacement> decompose_all(const std::vector<SourcedChar>& chars) {
  std::vector<Replacement> out;
  out.reserve(chars.size());
  bool marks = false;
  std::array<char32_t, 3> room;
  for (const SourcedChar& c : chars) {
    if (c.value < 0xC0) {  // the usual case
      out.push_back({c.value, 0});
      continue;
    }
    int change = 0;
    for (const char32_t part : decomposition_of(c.value, room)) {
      out.push_back({part, change});
      marks = marks || combining_class_of(part) != 0;
      change = 1;
    }
  }
  if (marks) {
    const auto starter = [](const Replacement& r) { return combining_class_of(r.value) == 0; };
    for (auto at = out.begin(); at != out.end();) {
      at = std::find_if_not(at, out.end(), starter);
      const auto last = std::find_if(at, out.end(), starter);
      detail::stable_sort(at, last, [](const Replacement& a, const Replacement& b) {
        return combining_class_of(a.value) < combining_class_of(b.value);
      });
      at = last;
    }
  }
  return out;
}

inline void apply_nfd(std::vector<SourcedChar>& chars) {
  replace(chars, decompose_all(chars));
}

LDLM_BODY void apply_nfc(std::vector<SourcedChar>& chars) {
  std::vector<Replacement> out = decompose_all(chars);
  std::size_t kept = 0;
  std::size_t starter = out.size();
  int last_class = -1;
  for (const Replacement& r : std::vector<Replacement>(out)) {
    const int current = combining_class_of(r.value);
    if (starter < kept && last_class < current) {
      if (const char32_t both = compose_pair(out[starter].value, r.value); both != 0) {
        out[starter] = {both, out[starter].change + r.change - 1};
        continue;
      }
    }
    last_class = current == 0 ? -1 : current;
    if (current == 0) {
      starter = kept;
    }
    out[kept++] = r;
  }
  out.resize(kept);
  replace(chars, out);
}

inline void apply_lowercase(std::vector<SourcedChar>& chars) {
  std::vector<SourcedChar> out;
  out.reserve(chars.size());
  for (const SourcedChar& c : chars) {
    out.push_back({lower_case_of(c.value), c.source});
    if (c.value == dotted_i) {
      out.push_back({combining_dot_above, c.source});
    }
  }
  chars.swap(out);
}

LDLM_BODY void apply_bert(const BertNormalizer& step, std::vector<SourcedChar>& chars) {
  const auto& classes = char_classes();
  if (step.clean_text) {
    std::erase_if(chars, [&](const SourcedChar& c) { return (classes[c.value] & control) != 0; });
    for (SourcedChar& c : chars) {
      if ((classes[c.value] & whitespace) != 0) {
        c.value = U' ';
      }
    }
  }
  if (step.handle_chinese_chars &&
      std::any_of(chars.begin(), chars.end(), [](const auto& c) { return is_cjk(c.value); })) {
    std::vector<SourcedChar> spaced;
    for (const SourcedChar& c : chars) {
      if (is_cjk(c.value)) {
        spaced.insert(spaced.end(), {{U' ', c.source}, c, {U' ', c.source}});
      } else {
        spaced.push_back(c);
      }
    }
    chars.swap(spaced);
  }
  if (step.strip_accents.value_or(step.lowercase)) {
    apply_nfd(chars);
    std::erase_if(chars,
                  [&](const SourcedChar& c) { return (classes[c.value] & nonspacing) != 0; });
  }
  if (step.lowercase) {
    apply_lowercase(chars);
  }
}

LDLM_BODY void apply_unicode(UnicodeNormalizer step, std::vector<SourcedChar>& chars) {
  switch (step) {
    case UnicodeNormalizer::nfd:
      return apply_nfd(chars);
    case UnicodeNormalizer::nfc:
      return apply_nfc(chars);
    case UnicodeNormalizer::lowercase:
      return apply_lowercase(chars);
  }
}

LDLM_BODY void apply(const NormalizerStep& step, std::vector<SourcedChar>& chars) {
  if (const auto* bert = std::get_if<BertNormalizer>(&step)) {
    apply_bert(*bert, chars);
  } else {
    apply_unicode(std::get<UnicodeNormalizer>(step), chars);
  }
}

/// Whether a code point begins at byte `i` whose normalization and that of the text before do not
/// depend on each other. One that a step may remove brings its neighbours together.
inline bool separable_before(std::string_view text, std::size_t i) {
  if (!starts_code_point(text[i])) {
    return false;
  }
  const char32_t c = decode_valid_utf8(text.data() + i).value;
  return (char_classes()[c] & (control | nonspacing)) == 0 && !joins_text_before(c) &&
         !joins_text_before(lower_case_of(c));
}

/// A text changed by a function of its characters.
template <class Change>
[[nodiscard]] std::u32string change_text(std::u32string_view text, const Change& change) {
  std::vector<SourcedChar> chars;
  chars.reserve(text.size());
  for (const char32_t c : text) {
    chars.push_back({c, 0});
  }
  change(chars);
  std::u32string out;
  out.reserve(chars.size());
  for (const SourcedChar& c : chars) {
    out += c.value;
  }
  return out;
}

}  // namespace detail

LDLM_BODY std::u32string nfd(std::u32string_view text) {
  return detail::change_text(text, detail::apply_nfd);
}

LDLM_BODY std::u32string nfc(std::u32string_view text) {
  return detail::change_text(text, detail::apply_nfc);
}

LDLM_BODY std::string nfd(std::string_view text) {
  return to_utf8(nfd(to_utf32(text)));
}

LDLM_BODY std::string nfc(std::string_view text) {
  return to_utf8(nfc(to_utf32(text)));
}

LDLM_BODY NormalizerRunner::NormalizerRunner(Normalizer steps) : steps_(std::move(steps)) {
  for (char32_t c = 0; c < 128; ++c) {
    std::vector<detail::SourcedChar> one{{c, 0}};
    run(one);
    ascii_[c] = one.empty() ? removed : static_cast<std::uint8_t>(one[0].value);
  }
}

LDLM_BODY void NormalizerRunner::normalize(std::string_view text, std::uint32_t base,
                                           bool with_sources, NormalizedText& out) const {
  std::vector<detail::SourcedChar> chars;
  for (std::size_t i = 0; i < text.size();) {
    // ASCII never composes with the ASCII before it. The slow way begins with the last kept
    // character before a foreign one, which may compose with that, and ends at the next kept one.
    std::size_t run_end = i + ascii_prefix(text.substr(i));
    if (run_end < text.size() && run_end > i) {
      do {
        --run_end;
      } while (run_end > i && !kept(text[run_end]));
    }
    for (; i < run_end; ++i) {
      if (kept(text[i])) {
        out.text += static_cast<char>(ascii_[static_cast<unsigned char>(text[i])]);
        if (with_sources) {
          out.sources.push_back(base + static_cast<std::uint32_t>(i));
        }
      }
    }
    constexpr std::size_t turn = 4096;
    chars.clear();
    for (bool first = true; i < text.size() && (first || !kept(text[i])); first = false) {
      if (chars.size() >= turn && detail::separable_before(text, i)) {
        break;
      }
      const CodePoint c = decode_valid_utf8(text.data() + i);
      chars.push_back({c.value, base + static_cast<std::uint32_t>(i)});
      i += c.size;
    }
    run(chars);
    for (const detail::SourcedChar& c : chars) {
      append_utf8(out.text, c.value);
      if (with_sources) {
        out.sources.resize(out.text.size(), c.source);
      }
    }
  }
}

LDLM_BODY std::size_t NormalizerRunner::separable_prefix(std::string_view text,
                                                         std::size_t wanted) const {
  while (wanted < text.size() && !detail::separable_before(text, wanted)) {
    ++wanted;
  }
  return std::min(wanted, text.size());
}

LDLM_BODY std::string NormalizerRunner::operator()(std::string_view text) const {
  NormalizedText out;
  normalize(text, 0, false, out);
  return std::move(out.text);
}

LDLM_BODY void NormalizerRunner::run(std::vector<detail::SourcedChar>& chars) const {
  for (const NormalizerStep& step : steps_) {
    detail::apply(step, chars);
  }
}

}  // namespace ldlm
