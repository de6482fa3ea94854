#pragma once
// Figures of a set of texts by their words, beside the text that a model learned from: how rich
// they are, how many of their words are none, and how much of them is copied.
//
//   TrainingText training;
//   for (...) training.add(sentence);
//   training.finish();
//   const auto figures = word_figures(samples, training);    // each with its interval
//   print(figures.at("entropy of words").mean);

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/train/metrics.hpp>

namespace ldlm {

/// The words and numbers of a text in lower case: runs of letters, digits and marks, with
/// apostrophes between them. What is between words is no part of any.
[[nodiscard]] std::vector<std::string> words_of(std::string_view text);

/// What texts are compared with: the words of a training text, and its runs of four words within a
/// text. A run is known by 64 bits of its hash.
class TrainingText {
 public:
  static constexpr std::size_t run_length = 4;

  void add(std::string_view text);
  /// After the last text, and before the first question.
  void finish();

  [[nodiscard]] bool has_word(std::string_view word) const;
  /// Whether words[first, first + 4) follow each other in some text.
  [[nodiscard]] bool has_run(std::span<const std::string> words, std::size_t first) const;

 private:
  void check_finished() const;

  std::vector<std::uint64_t> words_, runs_;  // hashes: sorted, each once
  std::size_t words_in_set_ = 0;
  bool finished_ = false;
};

/// A figure of a set with its name.
using NamedEstimates = std::vector<std::pair<std::string, Estimate>>;

/// Figures of a set of `count` things with 95% intervals, by the jackknife that leaves out one of
/// `groups` groups after the other (Shao and Wu, 1989): where different things are counted, a
/// bootstrap would find too few in a set that has some of them twice. `figures` of the chosen ones
/// gives as many numbers as there are names. Throws ValueError for fewer than two things.
[[nodiscard]] NamedEstimates jackknife(
    std::size_t count, const std::vector<std::string>& names,
    const std::function<std::vector<double>(std::span<const std::size_t> chosen)>& figures,
    std::size_t groups = 50);

/// Of texts, by their words (see words_of):
///   words a text        their mean number
///   entropy of words    of the words' frequencies in nats; it grows with the number of texts
///   entropy of pairs    the same of two words in a row
///   non-words           share of the words that are not numbers which the training text lacks
///   runs in training    share of the runs of four words that the training text has
/// Sets are comparable if they have as many texts of about the same length.
[[nodiscard]] NamedEstimates word_figures(const std::vector<std::string>& texts,
                                          const TrainingText& training);

/// distinct-1, distinct-2 and distinct-3 of texts: see distinct_n.
[[nodiscard]] NamedEstimates distinct_figures(std::span<const TokenIds> texts);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/train/impl/text_metrics.hpp>
#endif
