#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/tokenizer.hpp>
#include <ldlm/text/tokenizer_trainer.hpp>

#include "generated_texts.hpp"
#include "paths.hpp"
#include "text_support.hpp"

using Json = nlohmann::json;

namespace {

constexpr std::uint64_t trained_texts = 2000;  // as in tools/make_tokenizer_fixtures.py

/// The texts that the golden tokenizers were trained on.
std::vector<std::string> training_texts() {
  std::vector<std::string> texts;
  const std::string own =
      ldlm_test::read_file(ldlm_test::data_dir() + "/golden/tokenizers/text.txt");
  for (std::size_t at = 0; at < own.size();) {
    const std::size_t end = own.find('\n', at);
    texts.push_back(own.substr(at, end - at));
    at = end + 1;
  }
  for (std::uint64_t i = 0; i < trained_texts; ++i) {
    texts.push_back(ldlm_test::generated_text(i));
  }
  return texts;
}

Json golden_json(const std::string& name) {
  return Json::parse(ldlm_test::read_file(ldlm_test::data_dir() + "/golden/tokenizers/" + name));
}

ldlm::BpeTrainerOptions bpe_options(std::size_t vocab_size) {
  ldlm::BpeTrainerOptions options;
  options.vocab_size = vocab_size;
  return options;
}

}  // namespace

TEST_CASE("the BPE trainer learns what Hugging Face's learns") {
  ldlm::BpeTrainerOptions options = bpe_options(1500);
  options.special_tokens = {"<|endoftext|>", "<pad>"};
  const ldlm::Tokenizer tokenizer = ldlm::train_bpe(training_texts(), options);
  const Json trained = Json::parse(tokenizer.to_json());
  Json wanted = golden_json("bpe.json");
  for (Json& merge : wanted["model"]["merges"]) {
    merge = merge[0].get<std::string>() + ' ' + merge[1].get<std::string>();
  }
  CHECK(trained["model"]["vocab"] == wanted["model"]["vocab"]);
  CHECK(trained["model"]["merges"] == wanted["model"]["merges"]);
  CHECK(trained == wanted);
}

TEST_CASE("the WordPiece trainer learns what the book says") {
  ldlm::WordPieceTrainerOptions options;
  options.vocab_size = 1500;
  options.limit_alphabet = 300;
  options.normalizer.lowercase = false;
  const ldlm::Tokenizer tokenizer = ldlm::train_wordpiece(training_texts(), options);
  const Json trained = Json::parse(tokenizer.to_json());
  const Json wanted = golden_json("wordpiece.json");
  CHECK(trained["model"]["vocab"] == wanted["model"]["vocab"]);
  CHECK(trained == wanted);
}

TEST_CASE("training does not depend on the order of texts") {
  std::vector<std::string> texts = training_texts();
  const std::string bpe = ldlm::train_bpe(texts, bpe_options(700)).to_json();
  ldlm::WordPieceTrainerOptions options;
  options.vocab_size = 700;
  const std::string wordpiece = ldlm::train_wordpiece(texts, options).to_json();
  ldlm::shuffle(texts, 5);
  CHECK(ldlm::train_bpe(texts, bpe_options(700)).to_json() == bpe);
  CHECK(ldlm::train_wordpiece(texts, options).to_json() == wordpiece);
}

TEST_CASE("a trained BPE tokenizer gives every text back") {
  const std::vector<std::string> texts = {"low lower lowest", "new newer newest", "wide wider"};
  ldlm::BpeTrainerOptions options = bpe_options(300);
  options.special_tokens = {"<|endoftext|>"};
  const ldlm::Tokenizer tokenizer = ldlm::train_bpe(texts, options);
  CHECK(tokenizer.vocab_size() <= 300);
  CHECK(tokenizer.token_to_id("<|endoftext|>") == 0);
  for (std::uint64_t i = 0; i < 500; ++i) {
    const std::string input = ldlm::repair_utf8(ldlm_test::generated_text(i));
    if (input.find("<|endoftext|>") == std::string::npos) {
      REQUIRE(tokenizer.decode(tokenizer.encode(input).ids) == input);
    }
  }
}

TEST_CASE("options shape what is learnt") {
  const std::vector<std::string> texts(3, "aaaa aaaa aaaa bbbb Cc");
  CHECK(ldlm::train_bpe(std::vector<std::string>{}, bpe_options(500)).vocab_size() == 256);
  CHECK(ldlm::train_bpe(texts, bpe_options(257)).vocab_size() == 257);
  CHECK(ldlm::train_bpe(texts, bpe_options(256)).vocab_size() == 256);

  ldlm::BpeTrainerOptions rare = bpe_options(500);
  rare.min_frequency = 4;
  CHECK_FALSE(ldlm::train_bpe(texts, rare).token_to_id("\u0120Cc"));
  CHECK(ldlm::train_bpe(texts, bpe_options(500)).token_to_id("\u0120Cc"));

  ldlm::BpeTrainerOptions brief = bpe_options(500);
  brief.max_token_length = 3;
  const ldlm::Tokenizer short_pieces = ldlm::train_bpe(texts, brief);
  CHECK(short_pieces.token_to_id("\u0120Cc"));
  for (ldlm::TokenId id = 0; id < static_cast<ldlm::TokenId>(short_pieces.id_bound()); ++id) {
    CHECK(ldlm::from_byte_characters(short_pieces.id_to_token(id)).size() <= 3);
  }

  brief.max_token_length = 1;
  CHECK(ldlm::train_bpe(texts, brief).vocab_size() == 256);

  ldlm::BpeTrainerOptions normalizing = bpe_options(500);
  normalizing.normalizer = {ldlm::UnicodeNormalizer::lowercase};
  normalizing.add_prefix_space = true;
  const ldlm::Tokenizer lower = ldlm::train_bpe(texts, normalizing);
  CHECK(lower.token_to_id("\u0120cc"));
  CHECK(lower.encode("CC").tokens == std::vector<std::string>{"\u0120cc"});

  std::size_t calls = 0;
  ldlm::BpeTrainerOptions watched = bpe_options(500);
  watched.progress = [&](std::size_t done, std::size_t wanted) {
    ++calls;
    CHECK(done <= wanted);
  };
  (void)ldlm::train_bpe(texts, watched);
  CHECK(calls > 0);
}

TEST_CASE("WordPiece leaves rare characters and merges out") {
  const std::vector<std::string> texts(2, "abc abc abd xyz");
  ldlm::WordPieceTrainerOptions options;
  options.vocab_size = 40;
  options.limit_alphabet = 4;  // a, b, c and the first of d, x, y, z
  const ldlm::Tokenizer tokenizer = ldlm::train_wordpiece(texts, options);
  CHECK(tokenizer.token_to_id("d"));
  CHECK_FALSE(tokenizer.token_to_id("x"));
  CHECK(tokenizer.encode("abc xyz").tokens ==
        std::vector<std::string>{"[CLS]", "abc", "[UNK]", "[SEP]"});
  CHECK(tokenizer.decode(tokenizer.encode_ids("abd ABC")) == "abd abc");
}

TEST_CASE("options that cannot work are refused") {
  ldlm::BpeTrainerOptions options = bpe_options(256);
  options.special_tokens = {"<s>"};
  CHECK_THROWS_AS(ldlm::BpeTrainer{options}, ldlm::Error);
  options = bpe_options(300);
  options.special_tokens = {"<s>", "<s>"};
  CHECK_THROWS_AS(ldlm::train_bpe(std::vector<std::string>{}, options), ldlm::Error);
  CHECK_THROWS_AS(ldlm::BpeTrainer{bpe_options(std::size_t{1} << 40)}, ldlm::Error);
  ldlm::WordPieceTrainerOptions unknown;
  unknown.special_tokens = {"[CLS]"};
  CHECK_THROWS_AS(ldlm::train_wordpiece(std::vector<std::string>{"a"}, unknown), ldlm::Error);
}
