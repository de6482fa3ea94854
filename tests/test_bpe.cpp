#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/bpe.hpp>
#include <ldlm/text/tokenizer.hpp>

#include "text_support.hpp"
using Words = std::vector<std::string>;

namespace {

Words split(std::string_view input) {
  Words words;
  ldlm::Gpt2Splitter(input).split([&](std::size_t begin, std::size_t end) {
    words.emplace_back(input.substr(begin, end - begin));
  });
  return words;
}

/// A vocabulary of the 256 bytes and of what the merges make.
ldlm::BpeModel model_of(const std::vector<std::pair<std::string, std::string>>& rules,
                        ldlm::BpeModel::Options options = {}) {
  ldlm::Vocabulary vocabulary;
  const auto add = [&](const std::string& token) {
    if (vocabulary.find(token) < 0) {
      vocabulary.add(token, static_cast<ldlm::TokenId>(vocabulary.id_bound()));
    }
  };
  for (int b = 0; b < 256; ++b) {
    add(ldlm::to_byte_characters(std::string(1, static_cast<char>(b))));
  }
  if (options.unk_token) {
    add(*options.unk_token);
  }
  std::vector<ldlm::BpeMerge> merges;
  for (const auto& [left, right] : rules) {
    add(left);
    add(right);
    add(left + right);
    merges.emplace_back(vocabulary.find(left), vocabulary.find(right));
  }
  return ldlm::BpeModel(std::move(vocabulary), std::move(merges), std::move(options));
}

Words pieces(const ldlm::BpeModel& model, std::string_view word) {
  ldlm::BpeModel::Pieces out;
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

/// Applies merges by the book: the lowest rank first, then the leftmost.
Words slow_pieces(const std::vector<std::pair<std::string, std::string>>& rules,
                  std::string_view word) {
  Words symbols;
  for (const char c : word) {
    symbols.push_back(ldlm::to_byte_characters(std::string(1, c)));
  }
  while (true) {
    std::size_t best_rank = rules.size();
    std::size_t best = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      for (std::size_t rank = 0; rank < best_rank; ++rank) {
        if (rules[rank].first == symbols[i] && rules[rank].second == symbols[i + 1]) {
          best_rank = rank;
          best = i;
        }
      }
    }
    if (best_rank == rules.size()) {
      return symbols;
    }
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

}  // namespace

TEST_CASE("the byte-level alphabet is a bijection of printable characters") {
  CHECK(ldlm::to_byte_characters(" ") == "\u0120");
  CHECK(ldlm::to_byte_characters("\n") == "\u010A");
  CHECK(ldlm::to_byte_characters("aZ~") == "aZ~");
  CHECK(ldlm::to_byte_characters("\u00e9") == "\u00c3\u00a9");
  for (int b = 0; b < 256; ++b) {
    const std::string byte(1, static_cast<char>(b));
    CHECK(ldlm::from_byte_characters(ldlm::to_byte_characters(byte)) == byte);
  }
  // A piece with a character outside of the alphabet stands for itself.
  CHECK(ldlm::from_byte_characters("a b") == "a b");
  CHECK(ldlm::from_byte_characters("\u6771") == "\u6771");
}

TEST_CASE("GPT-2's pattern is scanned as its regex says") {
  CHECK(split("").empty());
  CHECK(split("Hello world") == Words{"Hello", " world"});
  CHECK(split("don't we'll I'M 'tis") ==
        Words{"don", "'t", " we", "'ll", " I", "'", "M", " '", "tis"});
  CHECK(split("a1b22 33") == Words{"a", "1", "b", "22", " 33"});
  CHECK(split("  a") == Words{" ", " a"});
  CHECK(split("a  ") == Words{"a", "  "});
  CHECK(split("a \n b") == Words{"a", " \n", " b"});
  CHECK(split("a\n\nb") == Words{"a", "\n", "\n", "b"});
  CHECK(split("\t\tx") == Words{"\t", "\t", "x"});
  CHECK(split("wait...!? ok") == Words{"wait", "...!?", " ok"});
  CHECK(split("'") == Words{"'"});
  CHECK(split("'r're") == Words{"'", "r", "'re"});
  CHECK(split("\u6771\u4eac2024\u5e74") == Words{"\u6771\u4eac", "2024", "\u5e74"});
  CHECK(split("\u3000\u3000x") == Words{"\u3000", "\u3000", "x"});
  CHECK(split("e\u0301") == Words{"e", "\u0301"});
}

TEST_CASE("merges apply by rank, then from the left") {
  const ldlm::BpeModel model = model_of({{"a", "b"}, {"b", "c"}, {"ab", "c"}, {"a", "a"}});
  CHECK(pieces(model, "abc") == Words{"abc"});
  CHECK(pieces(model, "bcab") == Words{"bc", "ab"});
  CHECK(pieces(model, "aaa") == Words{"aa", "a"});
  CHECK(pieces(model, "aaab") == Words{"aa", "ab"});
  CHECK(pieces(model, "x") == Words{"x"});
}

TEST_CASE("short and long words merge by the book") {
  const std::vector<std::pair<std::string, std::string>> rules{
      {"a", "b"},    {"b", "a"}, {"ab", "ab"}, {"c", "a"}, {"a", "a"},
      {"abab", "c"}, {"b", "c"}, {"aa", "aa"}, {"c", "c"}, {"ba", "cc"}};
  const ldlm::BpeModel model = model_of(rules);
  std::uint64_t counter = 0;
  for (std::size_t length = 1; length < 200; ++length) {  // both sides of the scanning limit
    std::string word;
    while (word.size() < length) {
      word += "abc"[ldlm::detail::mix(++counter) % 3];
    }
    REQUIRE(pieces(model, word) == slow_pieces(rules, word));
  }
}

TEST_CASE("a word of a million bytes takes no quadratic time") {
  const ldlm::BpeModel model = model_of({{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}});
  ldlm::BpeModel::Pieces out;
  model.tokenize(std::string(1'000'000, 'a'), out);
  CHECK(out.ids.size() == 125'000);
}

TEST_CASE("unknown bytes become the unknown token, and go where there is none") {
  ldlm::Vocabulary small;
  small.add("a", 0);
  small.add("?", 1);
  const ldlm::BpeModel dropping(small, {}, {});
  ldlm::BpeModel::Pieces out;
  dropping.tokenize("axa", out);
  CHECK(out.ids == std::vector<ldlm::PieceId>{0, 0});
  dropping.tokenize("x", out);
  CHECK(out.ids.empty());
  ldlm::BpeModel::Options options;
  options.unk_token = "?";
  const ldlm::BpeModel each(small, {}, options);
  CHECK(pieces(each, "axya") == Words{"a", "?", "?", "a"});
  options.fuse_unk = true;
  const ldlm::BpeModel fused(small, {}, options);
  CHECK(pieces(fused, "axya") == Words{"a", "?", "a"});
  // In a long word a fused token has as many places as bytes.
  ldlm::Vocabulary pairs = small;
  pairs.add("aa", 2);
  const ldlm::BpeModel merging(pairs, {{0, 0}}, options);
  std::string word;
  Words wanted;
  for (int i = 0; i < 50; ++i) {
    word += "aaaxyzax";
    wanted.insert(wanted.end(), {"aa", "a", "?", "a", "?"});
  }
  CHECK(pieces(merging, word) == wanted);
  merging.tokenize(word, out);
  CHECK(std::vector<std::uint32_t>(out.sizes.end() - 5, out.sizes.end()) ==
        std::vector<std::uint32_t>{2, 1, 3, 1, 1});
  options.unk_token = "none";
  const ldlm::BpeModel absent(small, {}, options);
  CHECK(pieces(absent, "aa") == Words{"a", "a"});
  CHECK_THROWS_WITH_AS(absent.tokenize("ax", out),
                       "[bpe] no piece for byte 120, and the unknown token \"none\" is no piece",
                       ldlm::Error);
}

TEST_CASE("ignore_merges takes a whole word that is a piece") {
  ldlm::BpeModel::Options options;
  options.ignore_merges = true;
  const ldlm::BpeModel model = model_of({{"x", "yz"}, {"a", "b"}}, options);
  CHECK(pieces(model, "xyz") == Words{"xyz"});  // no merge makes "yz" first
  CHECK(pieces(model, "xyzab") == Words{"x", "y", "z", "ab"});
}

TEST_CASE("merges whose result is no piece are refused") {
  ldlm::Vocabulary vocabulary;
  vocabulary.add("a", 0);
  vocabulary.add("b", 1);
  CHECK_THROWS_WITH_AS(ldlm::BpeModel(vocabulary, {{0, 1}}, {}),
                       "[bpe] merge 1 (\"a\" \"b\") makes \"ab\", which is no piece", ldlm::Error);
  CHECK_THROWS_AS(ldlm::BpeModel(vocabulary, {{0, 7}}, {}), ldlm::Error);
  CHECK_THROWS_AS(ldlm::BpeModel(vocabulary, {{-1, 0}}, {}), ldlm::Error);
}

TEST_CASE("a vocabulary has each piece and id once, holes allowed") {
  ldlm::Vocabulary vocabulary;
  vocabulary.add("zero", 0);
  vocabulary.add("seven", 7);
  CHECK(vocabulary.size() == 2);
  CHECK(vocabulary.id_bound() == 8);
  CHECK(vocabulary.find("seven") == 7);
  CHECK(vocabulary.find("three") == -1);
  CHECK(vocabulary.token(7) == "seven");
  CHECK_FALSE(vocabulary.contains(3));
  CHECK_FALSE(vocabulary.contains(-1));
  CHECK_FALSE(vocabulary.contains(8));
  CHECK_THROWS_AS(vocabulary.token(3), ldlm::Error);
  CHECK_THROWS_AS(vocabulary.add("zero", 1), ldlm::Error);
  CHECK_THROWS_AS(vocabulary.add("one", 0), ldlm::Error);
  CHECK_THROWS_AS(vocabulary.add("one", -1), ldlm::Error);
  CHECK_THROWS_AS(vocabulary.add("one", 1 << 30), ldlm::Error);
  vocabulary.set("zero", 3);  // the later id counts
  CHECK(vocabulary.find("zero") == 3);
  CHECK_FALSE(vocabulary.contains(0));
  CHECK(vocabulary.size() == 2);
  CHECK_THROWS_AS(vocabulary.set("zero", 7), ldlm::Error);
  for (int i = 100; i < 5000; ++i) {
    vocabulary.add("piece " + std::to_string(i), i);
  }
  CHECK(vocabulary.find("zero") == 3);
  CHECK(vocabulary.find("piece 4321") == 4321);
}
