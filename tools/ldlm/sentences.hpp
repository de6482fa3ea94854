#pragma once
// Which sentences of a corpus the working configuration is trained and evaluated on.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/corpus.hpp>

namespace ldlm::command {

inline constexpr std::size_t max_words = 24;

/// Whole sentences of 4 to 24 words: from a capital letter to a full stop.
inline bool is_training_sentence(std::string_view sentence) {
  std::size_t words = 0;
  bool in_word = false;
  for (const char c : sentence) {
    words += !in_word && c != ' ' ? 1U : 0U;
    in_word = c != ' ';
  }
  const auto is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  return words >= 4 && words <= max_words && is_capital(sentence.front()) &&
         std::string_view(".!?\"").find(sentence.back()) != std::string_view::npos;
}

/// Calls use(std::string_view) for those of a corpus; an Error for one without any.
template <class Use>
void for_each_training_sentence(const std::string& corpus, Use&& use) {
  bool any = false;
  text::for_each_sentence(corpus, [&](std::string_view sentence) {
    if (!sentence.empty() && is_training_sentence(sentence)) {
      any = true;
      use(sentence);
    }
  });
  LDLM_CHECK(any, "corpus", corpus, ": no sentence has 4 to ", max_words,
             " words, from a capital letter to a full stop");
}

/// The first `count` of them (0: all).
inline std::vector<std::string> training_sentences(const std::string& corpus,
                                                   std::size_t count = 0) {
  std::vector<std::string> out;
  for_each_training_sentence(corpus, [&](std::string_view sentence) {
    if (count == 0 || out.size() < count) {
      out.emplace_back(sentence);
    }
  });
  return out;
}

}  // namespace ldlm::command
