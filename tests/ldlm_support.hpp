#pragma once
// Small models and texts for the tests of LDLM.

#include <string>
#include <vector>

#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/text/tokenizer_trainer.hpp>
#include <ldlm/train/dataset.hpp>

namespace ldlm_test {

inline const std::vector<std::string>& small_texts() {
  static const std::vector<std::string> texts{
      "The cat sat on the mat.",     "A dog ran over the hill.", "The sun rose over the sea.",
      "Two birds sat in the tree.",  "The dog saw the cat.",     "A ship came over the sea.",
      "The tree stood on the hill.", "The cat ran to the ship.",
  };
  return texts;
}

/// LdlmConfig::tiny() in the small: 14 positions of 8 channels.
inline ldlm::LdlmConfig small_config(std::int64_t vocab_size) {
  ldlm::LdlmConfig c = ldlm::LdlmConfig::tiny();
  c.latent_length = 14;
  c.latent_channels = 8;
  c.encoder.vocab_size = vocab_size;
  c.encoder.hidden_size = 16;
  c.encoder.num_hidden_layers = 1;
  c.encoder.num_attention_heads = 2;
  c.encoder.intermediate_size = 32;
  c.encoder.max_position_embeddings = c.latent_length;
  c.decoder.vocab_size = vocab_size;
  c.decoder.n_positions = 2 * c.latent_length;
  c.decoder.n_embd = 16;
  c.decoder.n_layer = 1;
  c.decoder.n_head = 2;
  c.denoiser.latent_dim = c.latent_channels;
  c.denoiser.width = 16;
  c.denoiser.heads = 2;
  c.denoiser.feed_forward = 32;
  c.denoiser.encoder_layers = 1;
  c.denoiser.length = c.latent_length;
  c.max_new_tokens = c.latent_length;
  return c;
}

/// The same with three slots for texts of up to 13 tokens.
inline ldlm::LdlmConfig small_slots_config(std::int64_t vocab_size, bool details = false) {
  ldlm::LdlmConfig c = small_config(vocab_size);
  c.latent = ldlm::LatentKind::slots;
  c.max_new_tokens = 14;
  c.latent_length = c.denoiser.length = 3;
  c.details = details;
  c.encoder.max_position_embeddings = c.latent_length + c.max_new_tokens;
  c.decoder.n_positions = c.latent_length + c.max_new_tokens + c.detail_length();
  return c;
}

inline ldlm::Tokenizer small_tokenizer() {
  ldlm::BpeTrainerOptions options;
  options.vocab_size = 400;
  options.min_frequency = 1;
  options.special_tokens = {ldlm::end_token, ldlm::mask_token};
  options.add_prefix_space = true;
  ldlm::BpeTrainer trainer(options);
  for (const std::string& text : small_texts()) {
    trainer.add(text);
  }
  return trainer.train();
}

inline ldlm::Dataset small_dataset(const ldlm::Tokenizer& tokenizer, std::int64_t length) {
  ldlm::Dataset data(length, *tokenizer.token_to_id(ldlm::end_token));
  for (const std::string& text : small_texts()) {
    if (!data.add(tokenizer.encode_ids(text))) {
      throw ldlm::Error("a text of the tests does not fit");
    }
  }
  return data;
}

/// A model with new weights.
inline ldlm::Ldlm<float> small_model(std::uint64_t seed = 1) {
  const ldlm::Tokenizer tokenizer = small_tokenizer();
  const ldlm::LdlmConfig config = small_config(static_cast<std::int64_t>(tokenizer.id_bound()));
  ldlm::Generator generator(seed);
  return {config,
          {tokenizer, tokenizer},
          ldlm::Autoencoder<float>(config, generator),
          ldlm::ReverseTransformer<float>(config.denoiser, generator)};
}

}  // namespace ldlm_test
