#pragma once
// The bodies of text/wikitext.hpp.

#include <ldlm/text/wikitext.hpp>

#include <initializer_list>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/unicode.hpp>

namespace ldlm {

LDLM_BODY std::vector<std::string_view> WikiTextArticle::paragraphs() const {
  std::vector<std::string_view> out;
  for (const CorpusBlock& block : blocks) {
    if (block.level == 0) {
      out.emplace_back(block.text);
    }
  }
  return out;
}

namespace detail {

LDLM_BODY std::string_view trim(std::string_view line) noexcept {
  const std::size_t first = line.find_first_not_of(" \t");
  return first == std::string_view::npos
             ? std::string_view()
             : line.substr(first, line.find_last_not_of(" \t") + 1 - first);
}

LDLM_BODY std::pair<std::size_t, std::string_view> parse_heading(std::string_view line) noexcept {
  std::string_view text = trim(line);
  std::size_t level = 0;
  while (text.starts_with("= ") && text.ends_with(" =") && text.size() > 3) {
    text = text.substr(2, text.size() - 4);
    ++level;
  }
  text = trim(text);
  // "= = Title =" is no heading, nor is a lone "= =".
  const bool balanced = !text.empty() && !text.starts_with("= ") && !text.ends_with(" =");
  return {balanced ? level : 0, text};
}

}  // namespace detail

LDLM_BODY WikiTextReader::WikiTextReader(const std::filesystem::path& path)
    : WikiTextReader(LineReader(path)) {}

LDLM_BODY WikiTextReader::WikiTextReader(LineReader lines) : lines_(std::move(lines)) {
  advance();
}

LDLM_BODY std::optional<WikiTextArticle> WikiTextReader::next() {
  WikiTextArticle article;
  bool any = false;
  for (; current_; advance()) {
    const auto [level, text] = detail::parse_heading(*current_);
    if (level == 1 && is_title()) {
      if (any) {
        return article;
      }
      article.title = text;
      any = true;
      continue;
    }
    if (const std::string_view body = detail::trim(*current_); !body.empty()) {
      const bool heading = level > 1;
      article.blocks.push_back({heading ? level : 0, std::string(heading ? text : body)});
      any = true;
    }
  }
  return any ? std::optional<WikiTextArticle>(std::move(article)) : std::nullopt;
}

LDLM_BODY bool WikiTextReader::is_title() const {
  const std::string_view before = detail::trim(previous_);
  if (before.empty() || blank_lines_) {
    return before.empty();
  }
  for (const std::string_view end : {".", "!", "?", ":", ";", "\"", ")", "]", "=", "\u201D"}) {
    if (before.ends_with(end)) {
      return true;
    }
  }
  const std::string_view after = following_ ? detail::trim(*following_) : std::string_view();
  if (after.empty()) {
    return true;
  }
  const char32_t first = decode_utf8(after, 0).value;
  return lower_case(first) != first || first == U'"' || first == U'=';
}

LDLM_BODY void WikiTextReader::advance() {
  if (!started_) {
    started_ = true;
    following_ = read();
  }
  previous_ = current_.value_or("");
  blank_lines_ = blank_lines_ || (current_ && detail::trim(*current_).empty());
  current_ = std::move(following_);
  following_ = current_ ? read() : std::nullopt;
}

LDLM_BODY std::optional<std::string> WikiTextReader::read() {
  const auto line = lines_.next_utf8();
  return line ? std::optional<std::string>(*line) : std::nullopt;
}

LDLM_BODY std::string detokenize_wikitext(std::string_view text) {
  const auto any_of = [](std::string_view token, std::initializer_list<std::string_view> list) {
    for (const std::string_view item : list) {
      if (token == item) {
        return true;
      }
    }
    return false;
  };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto ends_with_digit = [&](std::string_view t) { return !t.empty() && is_digit(t.back()); };
  std::string out;
  out.reserve(text.size());
  bool glue = true;         // the next token joins what is there
  bool quote_open = false;  // inside "..."
  std::string_view before;  // the token before
  while (!text.empty()) {
    const std::size_t end = text.find(' ');
    const std::string_view token = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (token.empty()) {
      continue;
    }
    const bool joiner = token.size() == 3 && token[0] == '@' && token[2] == '@';
    const bool time = token == ":" && ends_with_digit(before) && !text.empty() && is_digit(text[0]);
    const bool straight = token == "\"";
    const bool closes =
        any_of(token, {",",   ".",   ";",   ":",      "!",      "?",      ")",  "]",
                       "}",   "%",   "...", "\u2026", "\u2019", "\u201D", "'s", "'t",
                       "'re", "'ve", "'ll", "'d",     "'m",     "'S",     "'T"}) ||
        (straight && quote_open) ||
        (token == "'" && (before.ends_with('s') || before.ends_with('S'))) || token == "/";
    if (!glue && !joiner && !closes) {
      out += ' ';
    }
    out += joiner ? token.substr(1, 1) : token;
    const bool opens = any_of(token, {"(", "[", "{", "$", "\u00A3", "\u00A5", "\u20AC", "\u20B1",
                                      "\u201C", "\u2018", "#", "/"}) ||
                       (straight && !quote_open);
    if (straight) {
      quote_open = !quote_open;
    }
    glue = joiner || opens || time;
    before = token;
  }
  return out;
}

}  // namespace ldlm
