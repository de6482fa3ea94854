// Real weights: all-MiniLM-L6-v2 from the folder that LDLM_MINILM_DIR names (tools/setup_minilm.py
// makes one) against the sentence embeddings that transformers computes.

#include <cstdlib>

#include <doctest/doctest.h>
#include <ldlm/io/json.hpp>
#include <ldlm/models/sentence_encoder.hpp>

#include "model_support.hpp"

using ldlm::Tensor;
using model_support::Golden;
using model_support::golden_folder;

namespace {

/// Ids or masks of a padded batch as a tensor (B, T).
Tensor<std::int64_t> batch_of(const std::vector<ldlm::Encoding>& encodings, bool masks) {
  const auto length = static_cast<std::int64_t>(encodings.front().size());
  auto out = Tensor<std::int64_t>::empty({static_cast<std::int64_t>(encodings.size()), length});
  for (std::int64_t b = 0; b < out.size(0); ++b) {
    const auto& encoding = encodings[static_cast<std::size_t>(b)];
    for (std::int64_t t = 0; t < length; ++t) {
      const auto i = static_cast<std::size_t>(t);
      out.at({b, t}) = masks ? encoding.attention_mask[i] : encoding.ids[i];
    }
  }
  return out;
}

}  // namespace

TEST_CASE("all-MiniLM-L6-v2 gives the sentence embeddings of transformers") {
  const char* const named = std::getenv("LDLM_MINILM_DIR");
  if (named == nullptr) {
    MESSAGE("skipped: LDLM_MINILM_DIR names no folder; see tools/setup_minilm.py");
    return;
  }
  const std::filesystem::path folder = named;
  const Golden golden("minilm");
  const auto expected = golden.get<float>("embeddings");
  const auto texts =
      ldlm::read_json(golden_folder("minilm") / "sentences.json").as<std::vector<std::string>>();

  auto tokenizer = ldlm::Tokenizer::from_folder(folder);
  tokenizer.set_truncation(std::nullopt);
  tokenizer.set_padding(ldlm::Padding{});
  const auto encodings = tokenizer.encode_batch(texts);
  const auto ids = batch_of(encodings, false);
  const auto mask = batch_of(encodings, true);
  CHECK(equal(ids, golden.ids("input_ids")));
  CHECK(equal(mask, golden.ids("attention_mask")));

  const auto bert = ldlm::Bert<float>::from_pretrained(folder);
  const ldlm::NoGrad scope;
  const auto real = ldlm::cast<bool>(mask);
  const auto embeddings =
      normalize_rows(mean_pool(bert({.ids = ids, .mask = real}).hidden, real)).value();
  REQUIRE(embeddings.shape() == expected.shape());
  const auto cosines = sum(embeddings * expected, 1).to_vector();
  for (std::size_t i = 0; i < cosines.size(); ++i) {
    CAPTURE(texts[i]);
    CHECK(cosines[i] >= 0.99999F);
  }
  float largest = 0;
  for (const float d : (embeddings - expected).to_vector()) {
    largest = std::max(largest, std::abs(d));
  }
  MESSAGE(cosines.size(), " sentences: smallest cosine ",
          *std::min_element(cosines.begin(), cosines.end()), ", largest difference ", largest);

  // What they are for: the fox sentences are nearer to each other than to the stock market.
  const auto similarity = matmul(embeddings, embeddings.transpose(0, 1));
  CHECK(similarity.at({0, 1}) > similarity.at({0, 3}) + 0.3F);
  CHECK(similarity.at({3, 4}) > similarity.at({1, 4}) + 0.3F);
}

TEST_CASE("all-MiniLM-L6-v2, untouched, gives the vectors of sentence-transformers") {
  const char* const named = std::getenv("LDLM_MINILM_DIR");
  if (named == nullptr) {
    MESSAGE("skipped: LDLM_MINILM_DIR names no folder; see tools/setup_minilm.py");
    return;
  }
  // Its tokenizer.json pads to 128 and cuts to 128 tokens; sentence_bert_config.json says 256.
  const auto encoder = ldlm::SentenceEncoder<float>::from_pretrained(named);
  CHECK(encoder.max_length() == 256);
  CHECK(encoder.described());
  const auto texts =
      ldlm::read_json(golden_folder("minilm") / "texts.json").as<std::vector<std::string>>();
  const auto expected = Golden("minilm", "sentence_transformers.safetensors").get<float>("vectors");
  const Tensor<float> vectors = encoder.encode(texts, {.batch_size = 5});
  REQUIRE(vectors.shape() == expected.shape());
  const float largest = max(abs(vectors - expected)).item();
  CHECK(largest < 1e-5F);
  MESSAGE(texts.size(), " texts: largest difference ", largest);
}
