#pragma once
// Corpora: articles, paragraphs and sentences of text files, streamed in bounded memory.
//
//   ldlm::Corpus corpus("wiki.train.raw");
//   while (auto article = corpus.next()) ...
//   ldlm::for_each_sentence("wiki.train.raw", [](std::string_view s) { ... });

#include <filesystem>
#include <optional>
#include <string_view>
#include <variant>

#include <ldlm/text/line_reader.hpp>
#include <ldlm/text/sentences.hpp>
#include <ldlm/text/shuffle.hpp>
#include <ldlm/text/wikitext.hpp>

namespace ldlm {

enum class CorpusFormat {
  automatic,  ///< wikitext if the first line that is not blank is a title, else lines
  wikitext,   ///< " = Title = " lines between articles
  lines,      ///< every line that is not blank is an article of one paragraph
};

/// The articles of a file.
class Corpus {
 public:
  /// A regular file or a pipe. Error if it cannot be read, is of another kind (compressed, a table,
  /// ...) or, from next() too, is not UTF-8.
  explicit Corpus(const std::filesystem::path& path, CorpusFormat format = CorpusFormat::automatic);
  Corpus(Corpus&& other) noexcept;
  Corpus& operator=(Corpus&& other) noexcept;
  ~Corpus();

  [[nodiscard]] CorpusFormat format() const noexcept;

  /// The next article, or nothing at the end.
  [[nodiscard]] std::optional<WikiTextArticle> next();

 private:
  std::variant<LineReader, WikiTextReader> reader_;
};

/// Calls use(std::string_view) for every paragraph of a file.
template <class Use>
void for_each_paragraph(const std::filesystem::path& path, Use&& use,
                        CorpusFormat format = CorpusFormat::automatic) {
  Corpus corpus(path, format);
  while (const auto article = corpus.next()) {
    for (const std::string_view paragraph : article->paragraphs()) {
      use(paragraph);
    }
  }
}

/// Calls use(std::string_view) for every sentence of a file.
template <class Use>
void for_each_sentence(const std::filesystem::path& path, Use&& use,
                       CorpusFormat format = CorpusFormat::automatic) {
  for_each_paragraph(
      path,
      [&](std::string_view paragraph) {
        for (const std::string_view sentence : split_sentences(paragraph)) {
          use(sentence);
        }
      },
      format);
}

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/corpus.hpp>
#endif
