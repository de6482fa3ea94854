// Long texts are normalized and split in turns: the size of a turn changes nothing.

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <ldlm/text/token_splitter.hpp>
#include <ldlm/text/tokenizer.hpp>
#include <ldlm/text/tokenizer_trainer.hpp>

#include "paths.hpp"

namespace {

using Tokens = std::vector<std::tuple<ldlm::TokenId, std::uint32_t, std::uint32_t, std::string>>;

Tokens tokens_of(const ldlm::Tokenizer& tokenizer, std::string_view input, std::size_t turn) {
  Tokens tokens;
  const auto keep = [&](ldlm::TokenId id, ldlm::TextSpan span, std::string_view matched) {
    tokens.emplace_back(id, span.begin, span.end, matched);
  };
  const ldlm::detail::EachToken<decltype(keep)> sink{keep};
  ldlm::detail::Workspace work;
  std::visit(
      [&](const auto& model) {
        ldlm::detail::TokenSplitter<std::decay_t<decltype(model)>, decltype(sink)>{
            model,
            tokenizer.normalizer(),
            tokenizer.pre_tokenizer(),
            tokenizer.added_tokens(),
            work,
            sink,
            turn}(input);
      },
      tokenizer.model());
  return tokens;
}

/// Texts of what is hard to cut: contractions, white space, marks, what composes with the text
/// before it, what normalizers remove or surround with spaces, added tokens.
std::vector<std::string> hard_texts(int count) {
  // clang-format off
  const std::vector<std::string> parts = {
      "a", "The", "isn't", "we're", "'", "'re", "'l", "l", "e", "!", "...", "1", "23", " ", "  ",
      "\n", "\t \n", "\u00a0", "\u3000", "\u00e9", "\u00c9", "e\u0301", "\u0301", "\u0316\u0301",
      "a\u0315", "\u0344", "\u0f75", "\u0f73", "\u1100", "\u1161", "\u11a8", "\uac00", "\uac01",
      "\u09c7", "\u09be", "\u4e2d", "\u6587\u5b57", "\uff0c", "\U0001F600", "\u200d", "\x01",
      "\u00ad", "\u0130", "\u03a3", "\u1e9e", "\u212b", "\uf900", "=\u0338", "[MASK]", "<|word|>",
      "\ufffd", "\u02b0", "x", "\u0915\u093c"};
  // clang-format on
  std::mt19937 random(5);
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) {
    std::string made;
    for (std::size_t k = random() % 40; k > 0; --k) {
      made += parts[random() % parts.size()];
    }
    texts.push_back(std::move(made));
  }
  return texts;
}

}  // namespace

TEST_CASE("the size of the turns changes no token and no source") {
  const std::string golden = ldlm_test::data_dir() + "/golden/tokenizers/";
  const auto bpe = ldlm::Tokenizer::from_file(golden + "bpe.json");
  const auto wordpiece = ldlm::Tokenizer::from_file(golden + "wordpiece.json");
  const auto& pieces = std::get<ldlm::BpeModel>(bpe.model());
  const auto& words = std::get<ldlm::WordPieceModel>(wordpiece.model());
  const auto byte_level = [&](ldlm::Normalizer normalizer, bool space, bool regex = true) {
    ldlm::TokenizerParts parts;
    parts.normalizer = std::move(normalizer);
    parts.pre_tokenizer.kind = ldlm::PreTokenizer::Kind::byte_level;
    parts.pre_tokenizer.add_prefix_space = space;
    parts.pre_tokenizer.use_regex = regex;
    return ldlm::Tokenizer(pieces, parts);
  };
  const auto bert = [&](ldlm::Normalizer normalizer) {
    ldlm::TokenizerParts parts;
    parts.normalizer = std::move(normalizer);
    parts.pre_tokenizer.kind = ldlm::PreTokenizer::Kind::bert;
    return ldlm::Tokenizer(words, parts);
  };
  using ldlm::UnicodeNormalizer;
  std::vector<ldlm::Tokenizer> tokenizers = {
      wordpiece,
      bert({ldlm::BertNormalizer()}),
      bert({ldlm::BertNormalizer{true, true, false, false}}),
      bert({ldlm::BertNormalizer{true, false, true, false}, UnicodeNormalizer::nfc}),
      bert({UnicodeNormalizer::nfd, UnicodeNormalizer::lowercase}),
      byte_level({}, true),
      byte_level({UnicodeNormalizer::nfc}, true),
      byte_level({UnicodeNormalizer::nfc}, false),
      byte_level({UnicodeNormalizer::nfd}, true),
      byte_level({UnicodeNormalizer::lowercase, UnicodeNormalizer::nfc}, true, false),
      byte_level({ldlm::BertNormalizer()}, true),
  };
  for (std::size_t i = tokenizers.size(); i-- > 0;) {
    ldlm::Tokenizer with_added = tokenizers[i];
    with_added.add_special_token("<|word|>");
    tokenizers.push_back(with_added);
    ldlm::Tokenizer searched = with_added;  // in normalized text, with turns that end at spaces
    searched.add_token({"The", true, true, false, true, false});
    searched.add_token({"e", false, true, false, true, false});
    tokenizers.push_back(searched);
    with_added.add_token({"The", true, true, true, true, false});  // all at once: it takes spaces
    tokenizers.push_back(with_added);
  }
  for (const std::string& input : hard_texts(600)) {
    for (std::size_t i = 0; i < tokenizers.size(); ++i) {
      const Tokens whole = tokens_of(tokenizers[i], input, std::size_t{1} << 30);
      for (const std::size_t turn : {1U, 2U, 3U, 5U, 16U}) {
        const bool same = tokens_of(tokenizers[i], input, turn) == whole;
        CHECK_MESSAGE(same, "tokenizer " << i << ", turns of " << turn << ": " << input);
      }
    }
  }
}

TEST_CASE("text may be normalized apart up to what does not join it") {
  // Parts behind the first one of whatever composes, and marks, join the text before them.
  for (char32_t c = 0; c < 0x110000; ++c) {
    const std::u32string one(1, c);
    const std::u32string parts = ldlm::nfd(one);
    if (ldlm::nfc(parts) == one) {
      for (std::size_t i = 1; i < parts.size(); ++i) {
        REQUIRE_MESSAGE(ldlm::joins_text_before(parts[i]), static_cast<std::uint32_t>(c));
      }
    }
    if (ldlm::combining_class(c) != 0) {
      REQUIRE_MESSAGE(ldlm::joins_text_before(c), static_cast<std::uint32_t>(c));
    }
  }
  CHECK_FALSE(ldlm::joins_text_before(U'a'));
  CHECK_FALSE(ldlm::joins_text_before(0xE9));
  CHECK_FALSE(ldlm::joins_text_before(0x4E2D));
  CHECK_FALSE(ldlm::joins_text_before(0xAC01));
  CHECK(ldlm::joins_text_before(0xF73));  // of class 0 itself, its parts are marks
}
