#pragma once
// Which sentences of a corpus the working configuration is trained and evaluated on.

#include <cstdint>
#include <string>
#include <string_view>

#include <ldlm/core/error.hpp>
#include <ldlm/text/corpus.hpp>

#include "command.hpp"

namespace ldlm::command {

inline constexpr std::size_t max_words = 24;

/// What is_training_sentence() asks for, in words.
inline std::string sentence_rule() {
  return "4 to " + std::to_string(max_words) + " words, from a capital letter to a full stop";
}
/// The help of --corpus.
inline std::string corpus_help() {
  return "The text: WikiText's layout or a text a line. Read are sentences of " + sentence_rule();
}

/// Whole sentences, see sentence_rule().
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

/// Calls use(std::string_view) for those of a corpus, and says how many it left out; an Error for
/// one without any.
template <class Use>
void for_each_training_sentence(const Common& common, const std::string& corpus, Use&& use) {
  std::int64_t all = 0, used = 0;
  ldlm::for_each_sentence(corpus, [&](std::string_view sentence) {
    ++all;
    if (!sentence.empty() && is_training_sentence(sentence)) {
      ++used;
      use(sentence);
    }
  });
  LDLM_CHECK(used > 0, "corpus", corpus, ": no sentence has ", sentence_rule());
  if (used < all) {
    say(common, corpus + ": " + std::to_string(all - used) + " of " + std::to_string(all) +
                    " sentences are left out, which have not " + sentence_rule());
  }
}

}  // namespace ldlm::command
