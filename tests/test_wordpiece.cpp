#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/pre_tokenizer.hpp>
#include <ldlm/text/wordpiece.hpp>
using Words = std::vector<std::string>;

namespace {

ldlm::Vocabulary vocabulary_of(const Words& tokens) {
  ldlm::Vocabulary vocabulary;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    vocabulary.add(tokens[i], static_cast<ldlm::TokenId>(i));
  }
  return vocabulary;
}

Words pieces(const ldlm::WordPieceModel& model, std::string_view word) {
  ldlm::WordPieceModel::Pieces out;
  model.tokenize(word, out);
  Words tokens;
  std::size_t total = 0;
  for (std::size_t i = 0; i < out.ids.size(); ++i) {
    tokens.push_back(model.vocabulary().token(out.ids[i]));
    total += out.sizes[i];
  }
  CHECK(total == word.size());
  return tokens;
}

std::string normalized(const ldlm::BertNormalizer& step, std::string_view input) {
  return ldlm::NormalizerRunner({step})(input);
}

}  // namespace

TEST_CASE("words split into the longest pieces from the left") {
  const ldlm::WordPieceModel model(vocabulary_of({"[UNK]", "un", "##aff", "##able", "##a", "##b",
                                                  "a", "unaff", "##\u00e9", "\u00e9"}),
                                   {});
  CHECK(pieces(model, "unaffable") == Words{"unaff", "##able"});
  CHECK(pieces(model, "unable") == Words{"un", "##able"});
  CHECK(pieces(model, "a") == Words{"a"});
  CHECK(pieces(model, "aab") == Words{"a", "##a", "##b"});
  CHECK(pieces(model, "\u00e9\u00e9") == Words{"\u00e9", "##\u00e9"});
  CHECK(pieces(model, "axe") == Words{"[UNK]"});  // what follows does not fit: all is unknown
  CHECK(pieces(model, "xa") == Words{"[UNK]"});
}

TEST_CASE("words longer than the limit, in characters, are unknown") {
  ldlm::WordPieceModel::Options options;
  options.max_input_chars_per_word = 4;
  const ldlm::WordPieceModel model(vocabulary_of({"[UNK]", "\u00e9", "##\u00e9"}), options);
  CHECK(pieces(model, "\u00e9\u00e9\u00e9\u00e9").size() == 4);
  CHECK(pieces(model, "\u00e9\u00e9\u00e9\u00e9\u00e9") == Words{"[UNK]"});
}

TEST_CASE("a vocabulary needs its unknown token where a word cannot be split") {
  const ldlm::WordPieceModel without(vocabulary_of({"a"}), {});
  CHECK(pieces(without, "a") == Words{"a"});
  CHECK_THROWS_WITH_AS((void)pieces(without, "b"),
                       "[wordpiece] no pieces for \"b\", and the unknown token \"[UNK]\" is not in "
                       "the vocabulary",
                       ldlm::Error);
  // No piece continues a word: every longer word is unknown.
  const ldlm::WordPieceModel model(vocabulary_of({"[UNK]", "a"}), {});
  CHECK(pieces(model, "aa") == Words{"[UNK]"});
}

TEST_CASE("BERT's normalization") {
  const ldlm::BertNormalizer uncased;
  CHECK(normalized(uncased, "H\u00c9LLO W\u00f6rld") == "hello world");
  CHECK(normalized(uncased, "a\u0301\u0323") == "a");
  CHECK(normalized(uncased, "a\tb\nc\u00a0d\u3000e") == "a b c d e");
  CHECK(normalized(uncased, std::string_view("a\0b\x07\u200b\ufffd"
                                             "c",
                                             12)) == "abc");
  CHECK(normalized(uncased, "x\u6771y") == "x \u6771 y");
  CHECK(normalized(uncased, "\u0130") == "i");  // the dot above goes as an accent
  ldlm::BertNormalizer cased;
  cased.lowercase = false;
  CHECK(normalized(cased, "H\u00c9LLO") == "H\u00c9LLO");
  ldlm::BertNormalizer keep;
  keep.strip_accents = false;
  CHECK(normalized(keep, "\u00c9 \u0130") == "\u00e9 i\u0307");
  ldlm::BertNormalizer nothing{false, false, false, false};
  CHECK(normalized(nothing, "A\t\u6771\u0301") == "A\t\u6771\u0301");
  CHECK(normalized(uncased, "") == "");
}

TEST_CASE("normalized bytes know where they come from") {
  const ldlm::NormalizerRunner runner({ldlm::BertNormalizer()});
  ldlm::NormalizedText out;
  runner.normalize("A\x01\u00c9\u6771", 10, true, out);
  CHECK(out.text == "ae \u6771 ");
  REQUIRE(out.sources.size() == out.text.size());
  CHECK(out.sources == std::vector<std::uint32_t>{10, 12, 14, 14, 14, 14, 14});
}

TEST_CASE("marks reorder across what the normalizer removes") {
  // U+302E (class 224) stays; a removed control character between must not keep the marks apart.
  const ldlm::BertNormalizer step;
  CHECK(normalized(step, "a\u302e\x01\u1cf7") == normalized(step, "a\u302e\u1cf7"));
}

TEST_CASE("BERT's pre-tokenizer drops white space and isolates punctuation") {
  const auto split = [](std::string_view input) {
    Words words;
    ldlm::detail::split_bert(input, [&](std::size_t begin, std::size_t end) {
      words.emplace_back(input.substr(begin, end - begin));
    });
    return words;
  };
  CHECK(split("").empty());
  CHECK(split("   ").empty());
  CHECK(split("Hey friend!     How are you?!?") ==
        Words{"Hey", "friend", "!", "How", "are", "you", "?", "!", "?"});
  CHECK(split("a-b_c$d") == Words{"a", "-", "b", "_", "c", "$", "d"});
  CHECK(split("\u00a1hola\u2026\u3000ok") == Words{"\u00a1", "hola", "\u2026", "ok"});
}
