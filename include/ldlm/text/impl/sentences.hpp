#pragma once
// The bodies of text/sentences.hpp.

#include <ldlm/text/sentences.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/unicode.hpp>

namespace ldlm {

namespace detail {

/// Abbreviations before a name or number: their period never ends a sentence.
LDLM_BODY bool is_title_abbreviation(std::string_view word) noexcept {
  static constexpr std::array<std::string_view, 64> list{
      "Adm",    "Arch", "Bp",   "Brig", "Capt", "Cdr", "Cmdr",   "Col",  "Comdr", "Cpl", "Dr",
      "Drs",    "Fig",  "Figs", "Fr",   "Ft",   "Gen", "Gov",    "Hon",  "Lieut", "Lt",  "Maj",
      "Messrs", "Mgr",  "Mlle", "Mme",  "Mr",   "Mrs", "Ms",     "Msgr", "Mt",    "Mts", "No",
      "Nos",    "Op",   "Pres", "Prof", "Pvt",  "Rep", "Reps",   "Rev",  "Rt",    "Sen", "Sens",
      "Sgt",    "St",   "Ste",  "Sts",  "Supt", "Vol", "Vols",   "cf",   "e.g",   "i.e", "pp",
      "p",      "r",    "v",    "no",   "vs",   "viz", "approx", "ca",   "c"};
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// Abbreviations that may end a sentence: their period does only before a word that often starts
/// one.
LDLM_BODY bool is_abbreviation(std::string_view word) noexcept {
  static constexpr std::array<std::string_view, 61> list{
      "Apr",  "Assn", "Aug", "Ave",  "B.A",  "B.C",  "B.C.E", "B.S", "Blvd", "Bros", "C.E",
      "Co",   "Corp", "D.C", "Dec",  "Dept", "Ed",   "Esq",   "Est", "Feb",  "Inc",  "Jan",
      "Jr",   "Jul",  "Jun", "L.A",  "Ltd",  "M.A",  "M.D",   "Mar", "N.Y",  "Nov",  "Oct",
      "Ph.D", "Plc",  "Rd",  "Sept", "Sep",  "Sr",   "U.K",   "U.N", "U.S",  "Univ", "a.m",
      "al",   "b",    "d",   "ed",   "eds",  "est",  "etc",   "fl",  "ft",   "in",   "incl",
      "lb",   "m",    "min", "p.m",  "sq",   "trans"};
  // "in." is an inch only before a capital that does not start a sentence; same rule as the others.
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// Words that start sentences far more often than they follow an abbreviation or initial.
LDLM_BODY bool is_sentence_starter(std::string_view word) noexcept {
  static constexpr std::array<std::string_view, 77> list{
      "A",         "About",    "According", "After",   "Although",  "Among",        "An",
      "And",       "Another",  "As",        "At",      "Because",   "Before",       "Between",
      "Both",      "But",      "By",        "Despite", "Due",       "During",       "Each",
      "Early",     "Even",     "Every",     "First",   "Following", "For",          "From",
      "Further",   "He",       "Her",       "Here",    "His",       "How",          "However",
      "If",        "In",       "Instead",   "It",      "Its",       "Later",        "Many",
      "Meanwhile", "Moreover", "Most",      "No",      "Not",       "Nevertheless", "On",
      "Once",      "One",      "Only",      "Or",      "Other",     "Our",          "Over",
      "Several",   "She",      "Since",     "So",      "Some",      "Subsequently", "Such",
      "That",      "The",      "Their",     "Then",    "There",     "These",        "They",
      "This",      "Those",    "Though",    "Thus",    "To",        "Two",          "Under"};
  static constexpr std::array<std::string_view, 10> more{
      "Until", "Upon", "We", "What", "When", "Where", "While", "With", "You", "Within"};
  return std::find(list.begin(), list.end(), word) != list.end() ||
         std::find(more.begin(), more.end(), word) != more.end();
}

class SentenceSplitter {
 public:
  explicit SentenceSplitter(std::string_view text) : text_(text) {}

  [[nodiscard]] std::vector<std::string_view> split() {
    std::vector<std::string_view> sentences;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < text_.size();) {
      const CodePoint c = decode_utf8(text_, i);
      track(c.value);
      const std::size_t at = i;
      i += c.size;
      if (!is_terminator(c.value)) {
        continue;
      }
      i = skip_terminators(i);
      const std::size_t end = skip_closers(i);
      if (ends_sentence(begin, at, i, end)) {
        add(sentences, begin, end);
        begin = end;
        i = end;
        depth_ = 0;
        quote_open_ = false;
      }
    }
    add(sentences, begin, text_.size());
    return sentences;
  }

 private:
  static bool is_terminator(char32_t c) noexcept {
    return c == U'.' || c == U'!' || c == U'?' || c == U'\u2026';
  }
  static bool is_closer(char32_t c) noexcept {
    return c == U')' || c == U']' || c == U'\u201D' || c == U'\u2019' || c == U'\'' ||
           c == U'\u00BB';
  }
  static bool is_opener(char32_t c) noexcept {
    return c == U'(' || c == U'[' || c == U'"' || c == U'\u201C' || c == U'\u2018' || c == U'\'' ||
           c == U'\u00AB';
  }

  /// Follows brackets and straight quotes.
  void track(char32_t c) noexcept {
    if (c == U'(' || c == U'[') {
      ++depth_;
    } else if (c == U')' || c == U']') {
      depth_ -= depth_ > 0 ? 1 : 0;
    } else if (c == U'"') {
      quote_open_ = !quote_open_;
    }
  }

  [[nodiscard]] char32_t at(std::size_t i) const noexcept {
    return i < text_.size() ? decode_utf8(text_, i).value : U'\0';
  }
  [[nodiscard]] std::size_t after(std::size_t i) const noexcept {
    return i + decode_utf8(text_, i).size;
  }
  [[nodiscard]] std::size_t skip_spaces(std::size_t i) const {
    while (i < text_.size() && is_whitespace(at(i))) {
      i = after(i);
    }
    return i;
  }
  [[nodiscard]] std::size_t skip_terminators(std::size_t i) const noexcept {
    while (i < text_.size() && is_terminator(at(i))) {
      i = after(i);
    }
    return i;
  }

  /// Quotes and brackets that close after a terminator, also where white space stands between.
  [[nodiscard]] std::size_t skip_closers(std::size_t i) const {
    int depth = depth_;
    bool open = quote_open_;
    std::size_t end = i;
    while (true) {
      const std::size_t next = skip_spaces(end);
      const char32_t c = at(next);
      const bool bracket = c == U')' || c == U']';
      const bool closes = c == U'"' ? open : bracket ? depth > 0 : is_closer(c) && next == end;
      if (next >= text_.size() || !closes) {
        return end;
      }
      depth -= bracket ? 1 : 0;
      open = open && c != U'"';
      end = after(next);
    }
  }

  /// Whether the terminators at [at, after_marks), closed at `end`, end the sentence from `begin`.
  [[nodiscard]] bool ends_sentence(std::size_t begin, std::size_t at_mark, std::size_t after_marks,
                                   std::size_t end) const {
    const std::size_t next = skip_spaces(end);
    if (next >= text_.size()) {
      return true;
    }
    if (next == end || !can_start(next) || in_brackets(end)) {
      return false;
    }
    if (at(at_mark) != U'.' || after_marks != at_mark + 1) {
      return true;  // "!", "?", "..."
    }
    const std::string_view word = word_before(begin, at_mark);
    if (word.empty()) {
      return true;
    }
    if (is_title_abbreviation(word)) {
      return false;
    }
    if (is_abbreviation(word) || (is_initial(word) && !is_numeral(begin, at_mark, word))) {
      const std::string_view following = word_at(next);
      const std::size_t past = static_cast<std::size_t>(following.data() - text_.data()) + 1;
      const bool initial = following == "A" && at(past) == U'.';  // as in "A. A. Milne"
      return is_sentence_starter(following) && !initial;
    }
    return true;
  }

  /// Whether a sentence can start at `i`: at a capital, a digit, a script without case, or those
  /// after opening quotes and brackets.
  [[nodiscard]] bool can_start(std::size_t i) const {
    while (is_opener(at(i))) {
      i = skip_spaces(after(i));
    }
    const char32_t c = at(i);
    return is_number(c) || (is_letter(c) && (lower_case(c) != c || !has_case(c)));
  }
  static bool has_case(char32_t c) noexcept {  // Latin, Greek and Cyrillic small letters
    return (c < 0x530 && c != 0xAA && c != 0xBA) || (c >= 0x1E00 && c < 0x2000);
  }

  /// Whether brackets are open at `end` and close before long.
  [[nodiscard]] bool in_brackets(std::size_t end) const noexcept {
    constexpr std::size_t far = 2000;  // so that no text takes quadratic time
    const std::size_t stop = std::min(text_.size(), end + far);
    int depth = depth_;
    for (std::size_t i = end; depth > 0 && i < stop; ++i) {
      depth += text_[i] == '(' || text_[i] == '[' ? 1 : 0;
      if ((text_[i] == ')' || text_[i] == ']') && --depth < depth_) {
        return true;
      }
    }
    return false;
  }

  /// The word that ends at `end`: letters and inner periods.
  [[nodiscard]] std::string_view word_before(std::size_t begin, std::size_t end) const noexcept {
    std::size_t first = end;
    while (first > begin) {
      const char c = text_[first - 1];
      const bool ascii_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      if (!ascii_letter && c != '.' && static_cast<unsigned char>(c) < 0x80) {
        break;
      }
      --first;
    }
    return text_.substr(first, end - first);
  }
  [[nodiscard]] std::string_view word_at(std::size_t i) const {
    while (is_opener(at(i))) {
      i = skip_spaces(after(i));
    }
    std::size_t end = i;
    while (end < text_.size() && is_letter(at(end))) {
      end = after(end);
    }
    return text_.substr(i, end - i);
  }

  /// Whether a word before `end` is the numeral of "World War I" or "Francis I".
  [[nodiscard]] bool is_numeral(std::size_t begin, std::size_t end,
                                std::string_view word) const noexcept {
    if (word != "I" || end < begin + 3) {
      return false;
    }
    const std::string_view name = word_before(begin, end - 2);
    return name.size() > 1 && name[0] >= 'A' && name[0] <= 'Z' && !name.ends_with('.');
  }

  /// "J", "J.R.R".
  static bool is_initial(std::string_view word) noexcept {
    for (std::size_t i = 0; i < word.size(); ++i) {
      const bool capital = word[i] >= 'A' && word[i] <= 'Z';
      if (i % 2 == 0 ? !capital : word[i] != '.') {
        return false;
      }
    }
    return word.size() % 2 == 1;
  }

  void add(std::vector<std::string_view>& out, std::size_t begin, std::size_t end) const {
    begin = skip_spaces(begin);
    while (end > begin) {
      std::size_t last = end - 1;
      while (last > begin && !starts_code_point(text_[last])) {
        --last;
      }
      const CodePoint c = decode_utf8(text_, last);
      if (!is_whitespace(c.value) || last + c.size != end) {
        break;
      }
      end = last;
    }
    if (begin < end) {
      out.push_back(text_.substr(begin, end - begin));
    }
  }

  std::string_view text_;
  int depth_ = 0;
  bool quote_open_ = false;
};

}  // namespace detail

LDLM_BODY std::vector<std::string_view> split_sentences(std::string_view paragraph) {
  return detail::SentenceSplitter(paragraph).split();
}

}  // namespace ldlm
