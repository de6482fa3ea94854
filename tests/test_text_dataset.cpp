#include <doctest/doctest.h>

#include <ldlm/latent_diffusion/text_dataset.hpp>
#include <ldlm/optim/adam.hpp>
#include <ldlm/train/trainer.hpp>

#include "ldlm_support.hpp"

using namespace ldlm;
using ldlm_test::small_texts;

namespace {

Tokenizer small_wordpiece() {
  ldlm::WordPieceTrainerOptions options;
  options.vocab_size = 200;
  return train_wordpiece(small_texts(), options);
}

/// LdlmConfig::published() in the small: BERT's mean state is the latent and GPT-2's prefix.
LdlmConfig small_seed(const LdlmTokenizers& tokenizers) {
  LdlmConfig c = LdlmConfig::published();
  c.encoder.vocab_size = static_cast<std::int64_t>(tokenizers.encoder.id_bound());
  c.decoder.vocab_size = static_cast<std::int64_t>(tokenizers.decoder.id_bound());
  c.encoder.hidden_size = c.decoder.n_embd = 16;
  c.encoder.num_hidden_layers = c.decoder.n_layer = 1;
  c.encoder.num_attention_heads = c.decoder.n_head = c.denoiser.heads = 2;
  c.encoder.intermediate_size = c.denoiser.feed_forward = 32;
  c.encoder.hidden_dropout_prob = c.encoder.attention_probs_dropout_prob = 0.0;
  c.decoder.embd_pdrop = c.decoder.resid_pdrop = c.decoder.attn_pdrop = 0.0;
  c.latent_channels = c.denoiser.latent_dim = c.denoiser.width = 16;
  return c;
}

TextDataset small_data(const LdlmConfig& config, const LdlmTokenizers& tokenizers) {
  TextDataset data(config, tokenizers);
  for (const std::string& text : small_texts()) {
    REQUIRE(data.add(text));
  }
  return data;
}

}  // namespace

TEST_CASE("both sides of a sequence latent read the same rows") {
  const Tokenizer tokenizer = ldlm_test::small_tokenizer();
  const LdlmConfig config =
      ldlm_test::small_config(static_cast<std::int64_t>(tokenizer.id_bound()));
  TextDataset data(config, {tokenizer, tokenizer});
  CHECK(data.add(small_texts()[0]));
  CHECK_FALSE(data.add(""));
  CHECK_FALSE(data.add("The cat sat on the mat and the dog sat on the mat beside the cat."));
  CHECK(data.size() == 1);
  const TextBatch batch = data.rows(0, 5);
  CHECK(batch.ids.shape() == Shape{1, config.latent_length});
  CHECK(batch.ids.to_vector() == batch.targets.to_vector());
  CHECK_FALSE(batch.mask.defined());
  CHECK(data.lengths().empty());
  CHECK_THROWS_AS(TextDataset(config, {small_wordpiece(), tokenizer}), Error);
}

TEST_CASE("batches of slots are as long as their longest text") {
  const Tokenizer tokenizer = ldlm_test::small_tokenizer();
  const LdlmConfig config =
      ldlm_test::small_slots_config(static_cast<std::int64_t>(tokenizer.id_bound()));
  const TextDataset data = small_data(config, {tokenizer, tokenizer});
  const std::int64_t end = *tokenizer.token_to_id(end_token);
  REQUIRE(data.lengths().size() == 8);
  for (std::int64_t i = 0; i < data.size(); ++i) {
    const auto ids = tokenizer.encode_ids(small_texts()[static_cast<std::size_t>(i)]);
    const auto length = static_cast<std::int64_t>(ids.size());
    CHECK(data.lengths()[static_cast<std::size_t>(i)] == length);
    const TextBatch one = data.rows(i, 1);
    CHECK(one.ids.to_vector() == std::vector<std::int64_t>(ids.begin(), ids.end()));
    std::vector<std::int64_t> targets(ids.begin(), ids.end());
    targets.push_back(end);
    CHECK(one.targets.to_vector() == targets);
  }
  const TextBatch all = data.rows(0, 8);
  CHECK(all.ids.shape() == all.mask.shape());
  CHECK(all.targets.size(1) == all.ids.size(1) + 1);
  CHECK_THROWS_AS(TextDataset(config, {small_wordpiece(), tokenizer}), Error);
}

TEST_CASE("each side of a pooled latent reads its own tokens") {
  const LdlmTokenizers tokenizers{small_wordpiece(), ldlm_test::small_tokenizer()};
  const LdlmConfig config = small_seed(tokenizers);
  const TextDataset data = small_data(config, tokenizers);
  const TextBatch batch = data.rows(0, data.size());
  CHECK(batch.ids.shape() == batch.mask.shape());
  std::int64_t longest_target = 0;
  for (const std::int64_t length : data.lengths()) {
    longest_target = std::max(longest_target, length);
  }
  CHECK(batch.targets.shape() == Shape{8, longest_target + 1});
  std::int64_t longest = 0;
  for (std::int64_t b = 0; b < data.size(); ++b) {
    const auto ids = tokenizers.encoder.encode_ids(small_texts()[static_cast<std::size_t>(b)]);
    const auto size = static_cast<std::int64_t>(ids.size());
    longest = std::max(longest, size);
    for (std::int64_t i = 0; i < batch.ids.size(1); ++i) {
      CHECK(batch.mask.at({b, i}) == (i < size));
      if (i < size) {
        CHECK(batch.ids.at({b, i}) == ids[static_cast<std::size_t>(i)]);
      }
    }
  }
  CHECK(batch.ids.size(1) == longest);  // no more padding than the batch needs
  const std::vector<std::int64_t> last{7};
  CHECK(data.rows(last).targets.to_vector() == data.rows(7, 1).targets.to_vector());
}

TEST_CASE("a pooled latent's mask counts a pad token that the text itself ends with") {
  const LdlmTokenizers tokenizers{ldlm_test::small_tokenizer(), ldlm_test::small_tokenizer()};
  LdlmConfig config = small_seed(tokenizers);
  const auto ids = tokenizers.encoder.encode_ids(small_texts()[0]);
  config.encoder.pad_token_id = ids.back();
  TextDataset data(config, tokenizers);
  REQUIRE(data.add(small_texts()[0]));
  const TextBatch batch = data.rows(0, 1);
  CHECK(batch.ids.size(1) == static_cast<std::int64_t>(ids.size()));
  CHECK(batch.mask.at({0, -1}));
}

TEST_CASE("the end token is the one that the folder or the configuration names") {
  Tokenizer tokenizer = ldlm_test::small_tokenizer();
  Gpt2Config config;
  config.vocab_size = static_cast<std::int64_t>(tokenizer.id_bound());
  CHECK(find_end_id(tokenizer, config, "test") == *tokenizer.token_to_id(end_token));
  config.eos_token_id = {7, 9};
  CHECK(find_end_id(tokenizer, config, "test") == 7);
  ldlm::TokenizerInfo info;
  info.special_tokens.eos = 5;
  tokenizer.set_info(info);
  CHECK(find_end_id(tokenizer, config, "test") == 5);
  // The default of a configuration that sets none is no token of a tokenizer that has ours.
  tokenizer.set_info({});
  config = Gpt2Config();
  CHECK(find_end_id(tokenizer, config, "test") == *tokenizer.token_to_id(end_token));
  config.vocab_size = 100;
  CHECK_THROWS_WITH_AS((void)find_end_id(small_wordpiece(), config, "test"),
                       doctest::Contains("the decoder's tokenizer has no end token"), Error);
}

TEST_CASE("padding and truncation of a tokenizer's file change no latent and no training text") {
  const LdlmTokenizers plain{small_wordpiece(), ldlm_test::small_tokenizer()};
  LdlmTokenizers padded = plain;
  for (Tokenizer* tokenizer : {&padded.encoder, &padded.decoder}) {
    tokenizer->set_truncation(ldlm::Truncation{.max_length = 4});
    tokenizer->set_padding(ldlm::Padding{.length = 12, .pad_id = 1});
  }
  const LdlmConfig config = small_seed(plain);
  const TextDataset wanted = small_data(config, plain);
  const TextDataset data = small_data(config, padded);
  CHECK(data.rows(0, 8).ids.to_vector() == wanted.rows(0, 8).ids.to_vector());
  CHECK(equal(data.rows(0, 8).mask, wanted.rows(0, 8).mask));
  CHECK(data.rows(0, 8).targets.to_vector() == wanted.rows(0, 8).targets.to_vector());
  Generator generator(1);
  const Autoencoder<float> parts(config, generator);
  const ReverseTransformer<float> denoiser(config.denoiser, generator);
  CHECK(equal(Ldlm<float>(config, padded, parts, denoiser).encode(small_texts()),
              Ldlm<float>(config, plain, parts, denoiser).encode(small_texts())));
}

TEST_CASE(
    "the published model's decoder learns to read pooled latents, then the denoiser's estimates") {
  const LdlmTokenizers tokenizers{small_wordpiece(), ldlm_test::small_tokenizer()};
  const LdlmConfig config = small_seed(tokenizers);
  const TextDataset data = small_data(config, tokenizers);
  const SpecialIds special{*tokenizers.decoder.token_to_id(end_token), 0};
  Generator generator(1);
  Autoencoder<float> model(config, generator);
  ldlm::set_requires_grad(model.encoder, false);
  const Tensor<float> before = encode_without_graph(model, data.rows(0, 8));

  TrainOptions options;
  options.steps = 300;
  options.batch_size = 8;
  options.warmup = 10;
  double loss = 0.0;
  const TrainHooks keep_loss{.report = [&](const TrainProgress& p) { loss = p.loss; }};
  Trainer(model, ldlm::AdamW(ldlm::trainable_parameters(model), {.learning_rate = 1e-2}), options)
      .run([&](std::int64_t,
               Generator& g) { return autoencoder_loss(model, data.rows(0, 8), special, {}, g); },
           keep_loss);
  CHECK(loss < 0.5);
  CHECK(encode_without_graph(model, data.rows(0, 8)).to_vector() == before.to_vector());

  ReverseTransformer<float> denoiser(config.denoiser, generator);
  const Diffusion diffusion{config.schedule.make(), config.prediction};
  Trainer(denoiser, ldlm::AdamW(ldlm::trainable_parameters(denoiser)), options)
      .run(
          [&](std::int64_t, Generator& g) {
            return denoiser_loss(denoiser, diffusion, encode_without_graph(model, data.rows(0, 8)),
                                 g);
          },
          keep_loss);
  CHECK(loss < 0.5 * mean(square(before)).item());  // it knows at least where latents lie

  const auto denoised = denoise_at_random_levels(
      denoiser, diffusion, encode_without_graph(model, data.rows(0, 8)), generator);
  CHECK(denoised.estimates.shape() == before.shape());
  CHECK(denoised.alpha_bars[0] == 1.0);  // every fourth row is clean
  const Variable<float> tuned =
      decoder_loss(model, Variable<float>(denoised.estimates), denoised.alpha_bars,
                   data.rows(0, 8).targets, special, {}, generator);
  CHECK(std::isfinite(tuned.value().item()));

  const Ldlm<float> whole(config, tokenizers, model, denoiser);
  CHECK(whole.decode(whole.encode(small_texts()), {.num_beams = 1}) == small_texts());
}
