#pragma once
// WikiText's layout: " = Title = " lines between articles, " = = Section = = " lines within them,
// one paragraph a line. Both the raw files and those with <unk> are read as published.
//
// Source: Merity et al. 2016 (arXiv 1609.07843).

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/text/line_reader.hpp>

namespace ldlm {

/// A paragraph, or a heading of a section.
struct CorpusBlock {
  std::size_t level = 0;  ///< 0: paragraph; 2: section; 3: its subsection; ...
  std::string text;
};

struct WikiTextArticle {
  std::string title;  ///< empty for text that stands before the first title
  std::vector<CorpusBlock> blocks;

  /// The paragraphs alone.
  [[nodiscard]] std::vector<std::string_view> paragraphs() const;
};

namespace detail {

[[nodiscard]] std::string_view trim(std::string_view line) noexcept;

/// The level and text of "= = Section = =" (level 2), or level 0.
[[nodiscard]] std::pair<std::size_t, std::string_view> parse_heading(
    std::string_view line) noexcept;

}  // namespace detail

/// Streams the articles of a WikiText file; memory is bounded by the longest article.
class WikiTextReader {
 public:
  /// Error if the file cannot be read, is no plain text, or (from next, too) not UTF-8.
  explicit WikiTextReader(const std::filesystem::path& path);
  /// From lines of which none has been read yet.
  explicit WikiTextReader(LineReader lines);

  /// The next article, or nothing at the end.
  [[nodiscard]] std::optional<WikiTextArticle> next();

 private:
  /// Formulas, too, leave lines such as " = 1 henry and capacitance C = ". Published files have a
  /// blank line before a title. In copies without blank lines a formula shows by the unfinished
  /// sentence before it and the next line, which does not start like one.
  [[nodiscard]] bool is_title() const;

  void advance();

  std::optional<std::string> read();

  LineReader lines_;
  std::string previous_;
  std::optional<std::string> current_;
  std::optional<std::string> following_;
  bool started_ = false;
  bool blank_lines_ = false;
};

/// Undoes WikiText's spacing: "guest @-@ starring ( at 3 : 04 )" -> "guest-starring (at 3:04)".
/// Straight quotes open and close in turn; a lone "'" stays spaced where it may open a quote.
[[nodiscard]] std::string detokenize_wikitext(std::string_view text);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/wikitext.hpp>
#endif
