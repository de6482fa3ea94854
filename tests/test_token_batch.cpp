// Texts as batches: one way from texts to ids and mask, whatever padding a tokenizer's file sets.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <ldlm/text/batch.hpp>
#include <ldlm/text/tokenizer.hpp>

#include "text_support.hpp"

using ldlm::Shape;
using ldlm::to_batch;
using ldlm::TokenBatch;
using ldlm::Tokenizer;
using Ids = std::vector<ldlm::TokenId>;
using Values = std::vector<std::int64_t>;
using Flags = std::vector<bool>;
using Texts = std::vector<std::string>;

namespace {

/// [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, a 4, b 5, c 6, d 7, e 8; [CLS] $A [SEP].
Tokenizer letters() {
  ldlm::Vocabulary vocabulary;
  ldlm::TokenId id = 0;
  for (const char* piece : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e"}) {
    vocabulary.add(piece, id++);
  }
  ldlm::TokenizerParts parts;
  parts.pre_tokenizer.kind = ldlm::PreTokenizer::Kind::bert;
  Tokenizer tokenizer(ldlm::WordPieceModel(std::move(vocabulary), {}), parts);
  tokenizer.set_template("[CLS]:2 $A [SEP]", "[CLS]:2 $A [SEP] $B:1 [SEP]:1");
  return tokenizer;
}

/// As sentence-transformers publishes them: cut and padded to 5 tokens by the file itself.
Tokenizer padded_letters() {
  Tokenizer tokenizer = letters();
  tokenizer.set_truncation(ldlm::Truncation{.max_length = 5});
  tokenizer.set_padding(ldlm::Padding{.length = 5});
  return Tokenizer::from_json(tokenizer.to_json());
}

std::vector<int> flags(const ldlm::Tensor<bool>& mask) {
  const auto values = mask.contiguous();
  return {values.data(), values.data() + values.numel()};
}

}  // namespace

TEST_CASE("encode obeys the file's padding and truncation, encode_ids gives the text's own ids") {
  const Tokenizer tokenizer = padded_letters();
  CHECK(tokenizer.encode("a").ids == Ids{2, 4, 3, 0, 0});
  CHECK(tokenizer.encode_ids("a") == Ids{2, 4, 3});
  CHECK(tokenizer.encode("a b c d e").ids == Ids{2, 4, 5, 6, 3});
  CHECK(tokenizer.encode_ids("a b c d e") == Ids{2, 4, 5, 6, 7, 8, 3});
  CHECK(tokenizer.encode_ids("a", {.add_special_tokens = false}) == Ids{4});
}

TEST_CASE("texts become a batch as long as the longest of them") {
  const TokenBatch batch = to_batch(padded_letters(), Texts{"a b", "a b c d e", ""});
  CHECK(batch.ids.shape() == Shape{3, 7});
  CHECK(batch.ids.to_vector() ==
        Values{2, 4, 5, 3, 0, 0, 0, 2, 4, 5, 6, 7, 8, 3, 2, 3, 0, 0, 0, 0, 0});
  CHECK(flags(batch.mask) ==
        std::vector<int>{1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0});
  CHECK(batch.type_ids.to_vector() ==
        Values{2, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0});
  CHECK(batch.lengths == Values{4, 7, 2});
  const TokenBatch bare = to_batch(letters(), Texts{"a b"}, {.add_special_tokens = false});
  CHECK(bare.ids.to_vector() == Values{4, 5});
  CHECK(bare.type_ids.to_vector() == Values{0, 0});
  CHECK(to_batch(letters(), Texts{}).ids.shape() == Shape{0, 0});
}

TEST_CASE("a batch cuts texts, never their special tokens") {
  const Texts texts{"a b c d e", "c"};
  const auto cut = [&](const ldlm::BatchOptions& options) {
    return to_batch(padded_letters(), texts, options).ids.to_vector();
  };
  CHECK(cut({.max_length = 4}) == Values{2, 4, 5, 3, 2, 6, 3, 0});
  CHECK(cut({.max_length = 4, .truncation_side = ldlm::TextDirection::left}) ==
        Values{2, 7, 8, 3, 2, 6, 3, 0});
  CHECK(cut({.max_length = 4, .padding_side = ldlm::TextDirection::left}) ==
        Values{2, 4, 5, 3, 0, 2, 6, 3});
  CHECK(cut({.max_length = 2}) == Values{2, 3, 2, 3});
  CHECK(cut({.max_length = 3, .length = 4, .pad_id = 8}) == Values{2, 4, 3, 8, 2, 6, 3, 8});
  CHECK(ldlm_test::message_of([&] { (void)cut({.max_length = 1}); }) ==
        "[to_batch] max_length 1 leaves no room for 2 special tokens");
  CHECK(ldlm_test::message_of([&] { (void)cut({.length = 6}); }) ==
        "[to_batch] row 0 has 7 tokens, the batch takes 6");
  // The sides of the file hold where the caller names none.
  Tokenizer left = letters();
  left.set_truncation(ldlm::Truncation{.direction = ldlm::TextDirection::left});
  left.set_padding(ldlm::Padding{.direction = ldlm::TextDirection::left, .pad_id = 1});
  const TokenBatch batch = to_batch(left, texts, {.max_length = 4});
  CHECK(batch.ids.to_vector() == Values{2, 7, 8, 3, 1, 2, 6, 3});
  CHECK(flags(batch.mask) == std::vector<int>{1, 1, 1, 1, 0, 1, 1, 1});
  CHECK(batch.type_ids.to_vector() == Values{2, 0, 0, 0, 0, 2, 0, 0});
}

TEST_CASE("a pad token is needed only where rows differ in length") {
  const Tokenizer tokenizer = letters();
  CHECK(to_batch(tokenizer, Texts{"a", "b"}).ids.to_vector() == Values{2, 4, 3, 2, 5, 3});
  CHECK(ldlm_test::message_of([&] {
          (void)to_batch(tokenizer, Texts{"a", "a b"});
        }) ==
        "[to_batch] the rows differ in length, and no token to pad them with is known: set "
        "pad_id");
  CHECK_THROWS_AS((void)to_batch(tokenizer, Texts{"a"}, {.length = 9}), ldlm::Error);
}

TEST_CASE("encodings become a batch, and what is padding in them stays padding") {
  const auto tokenizer = padded_letters();
  const Texts texts{"a b", "a b c d e", ""};
  const auto encodings = tokenizer.encode_batch(texts);
  const TokenBatch batch = ldlm::to_batch(encodings);
  const TokenBatch expected = to_batch(tokenizer, texts, {.max_length = 5, .length = 5});
  CHECK(batch.ids.to_vector() == expected.ids.to_vector());
  CHECK(batch.mask.to_vector() == expected.mask.to_vector());
  CHECK(batch.type_ids.to_vector() == expected.type_ids.to_vector());
  CHECK(batch.lengths == expected.lengths);
  const TokenBatch bare =
      ldlm::to_batch(std::vector{letters().encode("a b c")}, {.length = 6, .pad_id = 9});
  CHECK(bare.lengths.front() == static_cast<std::int64_t>(letters().encode("a b c").size()));
  CHECK(bare.ids.at({0, 5}) == 9);
  CHECK_FALSE(bare.mask.at({0, 5}));
  CHECK_THROWS_AS((void)ldlm::to_batch(encodings, {.max_length = 2}), ldlm::Error);
}

TEST_CASE("rows of ids become a batch whose mask knows a real pad id from padding") {
  const TokenBatch batch = to_batch(std::vector<Ids>{{7, 0}, {5}}, {.pad_id = 0});
  CHECK(batch.ids.to_vector() == Values{7, 0, 5, 0});
  CHECK(flags(batch.mask) == std::vector<int>{1, 1, 1, 0});
  CHECK(to_batch(std::vector<Values>{{1, 2}, {3}}, {.length = 3, .pad_id = 9}).ids.to_vector() ==
        Values{1, 2, 9, 3, 9, 9});
  CHECK_THROWS_AS((void)to_batch(std::vector<Ids>{{7, 0}}, {.max_length = 1}), ldlm::Error);
}
