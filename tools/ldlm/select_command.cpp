// select-sentences: a narrower text out of a corpus.

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <ldlm/files/atomic_file.hpp>
#include <ldlm/text/unicode.hpp>
#include <ldlm/train/text_metrics.hpp>

#include "command.hpp"
#include "sentences.hpp"

namespace ldlm::command {

namespace {

namespace fs = std::filesystem;

struct SelectArguments {
  std::string corpus, out, words_of;
  std::size_t common_words = 10'000;
};

[[nodiscard]] bool is_numeral(const std::string& word) {
  return is_number(decode_utf8(word, 0).value);
}

/// The commonest words, in lower case, that are no numerals; of equally common ones the first in
/// the alphabet.
std::unordered_set<std::string> common_words(const Common& common, const std::string& corpus,
                                             std::size_t count) {
  std::unordered_map<std::string, std::int64_t> counts;
  for_each_training_sentence(common, corpus, [&](std::string_view sentence) {
    for (std::string& word : words_of(sentence)) {
      if (!is_numeral(word)) {
        ++counts[std::move(word)];
      }
    }
  });
  std::vector<std::pair<std::int64_t, std::string>> words;
  words.reserve(counts.size());
  for (const auto& [word, times] : counts) {
    words.emplace_back(-times, word);
  }
  const std::size_t most = std::min(count, words.size());
  std::nth_element(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(most), words.end());
  std::unordered_set<std::string> out;
  for (std::size_t i = 0; i < most; ++i) {
    out.insert(std::move(words[i].second));
  }
  return out;
}

void select_sentences(const Common& common, const SelectArguments& arguments) {
  const std::string& source = arguments.words_of.empty() ? arguments.corpus : arguments.words_of;
  std::error_code none;
  for (const std::string& read : {arguments.corpus, source}) {
    LDLM_CHECK(!fs::equivalent(read, arguments.out, none), "select-sentences",
               "--out is a file that is read: the text would be lost");
  }
  AtomicFile file(arguments.out);  // first, so that a mistake shows before the work
  const auto words = common_words(common, source, arguments.common_words);
  std::int64_t all = 0, kept = 0;
  for_each_training_sentence(common, arguments.corpus, [&](std::string_view sentence) {
    ++all;
    const auto known = [&words](const std::string& word) {
      return is_numeral(word) || words.count(word) > 0;
    };
    const auto own = words_of(sentence);
    if (!own.empty() && std::all_of(own.begin(), own.end(), known)) {
      file.write(sentence);
      file.write("\n");
      ++kept;
    }
  });
  LDLM_CHECK(kept > 0, "select-sentences", arguments.corpus, ": no sentence has only the ",
             words.size(), " commonest words");
  file.commit();
  say(common, arguments.out + ": " + std::to_string(kept) + " of " + std::to_string(all) +
                  " sentences have only the " + std::to_string(words.size()) + " commonest words");
}

}  // namespace

void add_select_command(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<SelectArguments>();
  CLI::App* const command = add_subcommand(
      app, "select-sentences", "Write those sentences of a corpus that have only common words.",
      "ldlm select-sentences --corpus wiki.train.txt --common-words 10000 --out common.train.txt",
      [&app, &common, arguments] {
        for (const char* const option : {"--model", "--json", "--device"}) {
          refuse_without_effect(app, option, "on this command");
        }
        select_sentences(common, *arguments);
      });
  command->add_option("--corpus", arguments->corpus, corpus_help())->required();
  command->add_option("--out", arguments->out, "The text to write, a sentence a line")->required();
  command
      ->add_option("--common-words", arguments->common_words,
                   "How many words are common; numerals are, all of them")
      ->check(positive);
  command->add_option("--words-of", arguments->words_of,
                      "The corpus whose commonest words they are; by default --corpus");
}

}  // namespace ldlm::command
