#pragma once
// The bodies of text/corpus.hpp.

#include <ldlm/text/corpus.hpp>

#include <string>
#include <utility>

#include <ldlm/core/linkage.hpp>

namespace ldlm {

LDLM_BODY Corpus::Corpus(const std::filesystem::path& path, CorpusFormat format)
    : reader_(std::in_place_type<LineReader>, path) {
  auto& lines = std::get<LineReader>(reader_);
  if (format == CorpusFormat::automatic) {
    const bool title = detail::parse_heading(lines.first_text()).first == 1;
    format = title ? CorpusFormat::wikitext : CorpusFormat::lines;
  }
  if (format == CorpusFormat::wikitext) {
    reader_ = WikiTextReader(std::move(lines));
  }
}

LDLM_BODY Corpus::Corpus(Corpus&& other) noexcept = default;
LDLM_BODY Corpus& Corpus::operator=(Corpus&& other) noexcept = default;
LDLM_BODY Corpus::~Corpus() = default;

LDLM_BODY CorpusFormat Corpus::format() const noexcept {
  return std::holds_alternative<WikiTextReader>(reader_) ? CorpusFormat::wikitext
                                                         : CorpusFormat::lines;
}

LDLM_BODY std::optional<WikiTextArticle> Corpus::next() {
  if (auto* wikitext = std::get_if<WikiTextReader>(&reader_)) {
    return wikitext->next();
  }
  while (const auto line = std::get<LineReader>(reader_).next_utf8()) {
    if (const std::string_view text = detail::trim(*line); !text.empty()) {
      WikiTextArticle article;
      article.blocks.push_back({0, std::string(text)});
      return article;
    }
  }
  return std::nullopt;
}

}  // namespace ldlm
