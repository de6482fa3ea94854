// The Latent Diffusion Language Model: text -> latent -> noise -> estimate -> text, and new text
// from pure noise.
//
//   08_ldlm_pipeline [FOLDER] [SENTENCE]    by default weights/ldlm-tiny of this repository; where
//                                           that is missing, a miniature trained on the spot

#include <filesystem>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

#include <ldlm/latent_diffusion.hpp>

using ldlm::Generator;
using ldlm::Ldlm;
using ldlm::LdlmConfig;
using ldlm::Tensor;

const std::vector<std::string> sentences{
    "The cat sat on the mat.",     "A dog ran over the hill.",   "The sun rose over the sea.",
    "Two birds sat in the tree.",  "The dog saw the cat.",       "A ship came over the sea.",
    "The tree stood on the hill.", "The cat ran to the ship.",   "The birds flew over the tree.",
    "A cat sat in the sun.",       "The ship stood on the sea.", "Two dogs ran to the sea.",
};

LdlmConfig miniature_config(std::int64_t vocab_size) {
  LdlmConfig c = LdlmConfig::tiny();
  c.latent_length = 12;
  c.latent_channels = 8;
  c.encoder.vocab_size = c.decoder.vocab_size = vocab_size;
  c.encoder.hidden_size = c.decoder.n_embd = c.denoiser.width = 32;
  c.encoder.num_hidden_layers = c.decoder.n_layer = 1;
  c.denoiser.encoder_layers = 2;
  c.encoder.num_attention_heads = c.decoder.n_head = c.denoiser.heads = 2;
  c.encoder.intermediate_size = c.denoiser.feed_forward = 64;
  c.encoder.max_position_embeddings = c.denoiser.length = c.max_new_tokens = c.latent_length;
  c.decoder.n_positions = 2 * c.latent_length;
  c.denoiser.latent_dim = c.latent_channels;
  return c;
}

// The stages of `ldlm train`, in the small: a tokenizer, the autoencoder, then the denoiser.
Ldlm<float> train_miniature() {
  ldlm::BpeTrainerOptions bpe;
  bpe.vocab_size = 320;
  bpe.special_tokens = {ldlm::end_token, ldlm::mask_token};
  bpe.add_prefix_space = true;
  const auto tokenizer = ldlm::train_bpe(sentences, bpe);
  const auto vocab_size = static_cast<std::int64_t>(tokenizer.id_bound());
  const LdlmConfig config = miniature_config(vocab_size);
  const ldlm::SpecialIds special{*tokenizer.token_to_id(ldlm::end_token),
                                 *tokenizer.token_to_id(ldlm::mask_token)};
  ldlm::Dataset data(config.latent_length, static_cast<std::int32_t>(special.end));
  for (const std::string& sentence : sentences) {
    data.add(tokenizer.encode_ids(sentence));
  }

  ldlm::TrainOptions options;
  options.steps = 500;
  options.batch_size = 24;
  options.warmup = 20;
  options.report_every = 250;
  const ldlm::TrainHooks hooks{.report = [](const ldlm::TrainProgress& p) {
    std::cout << "  step " << p.step << "  loss " << p.loss << "\n";
  }};
  const auto optimizer_of = [](const auto& part) {
    return ldlm::AdamW(ldlm::decay_groups(part, 0.01), {.learning_rate = 1e-2, .beta2 = 0.98});
  };

  std::cout << "training a miniature autoencoder ...\n";
  Generator generator(1);
  ldlm::Autoencoder<float> autoencoder(config, generator);
  ldlm::AutoencoderNoise noise;
  noise.encoder_mask_rows = noise.decoder_mask_rows = noise.wild = 0;
  noise.mild = 0.3;
  ldlm::Trainer(autoencoder, optimizer_of(autoencoder), options)
      .run(
          data.size(),
          [&](const Tensor<std::int64_t>& rows, Generator& g) {
            return autoencoder_loss(autoencoder, data.rows(rows), special, noise, g);
          },
          hooks);

  std::cout << "training a miniature denoiser ...\n";
  options.steps = 1500;
  ldlm::ReverseTransformer<float> denoiser(config.denoiser, generator);
  const ldlm::Diffusion diffusion{config.schedule.make(), config.prediction};
  ldlm::Trainer(denoiser, optimizer_of(denoiser), options)
      .run(
          data.size(),
          [&](const Tensor<std::int64_t>& rows, Generator& g) {
            const auto z0 = autoencoder.encode({.ids = data.rows(rows)}).value();
            return denoiser_loss(denoiser, diffusion, z0, g);
          },
          hooks);
  return {config, {tokenizer, tokenizer}, autoencoder, denoiser};
}

int main(int argc, char** argv) {
  const auto shipped =
      std::filesystem::path(__FILE__).parent_path().parent_path() / "weights" / "ldlm-tiny";
  const std::filesystem::path folder = argc > 1 ? std::filesystem::path(argv[1]) : shipped;
  const bool loading = argc > 1 || std::filesystem::exists(folder / "ldlm.json");
  try {
    const auto model = loading ? Ldlm<float>::load(folder) : train_miniature();
    const std::string sentence = argc > 2  ? argv[2]
                                 : loading ? "The river rises in the mountains of the north."
                                           : sentences.front();
    Generator generator(7);

    const Tensor<float> z = model.encode({sentence});  // (1, L, d)
    std::cout << "\n\"" << sentence << "\" is a latent of shape " << z.shape() << "\n\n"
              << "    t  cosine of the noisy latent, and of its estimate; the estimate as text\n"
              << std::fixed << std::setprecision(3);
    for (const std::int64_t t : {100, 300, 500, 700}) {
      const Tensor<float> noisy = model.add_noise(z, t, generator);
      const Tensor<float> estimate = model.denoise(noisy, t);  // in one step
      std::cout << std::setw(5) << t << std::setw(8) << ldlm::cosine_similarities(noisy, z)[0]
                << std::setw(8) << ldlm::cosine_similarities(estimate, z)[0] << "  "
                << model.decode(estimate, {.t = t}).front() << "\n";
    }

    std::cout << "\nfrom pure noise, in 50 steps:\n";
    // The shipped decoder goes on from a vague latent; the miniature's has not learned to.
    const std::int64_t last = loading ? 800 : -1;
    const std::int64_t stop_at =
        loading ? model.schedule().nearest(model.levels().alpha_bar(last)) : -1;
    const Tensor<float> samples = model.sample(4, {.steps = 50, .stop_at = stop_at}, generator);
    for (const std::string& text : model.decode(samples, {.t = last})) {
      std::cout << "  " << text << "\n";
    }

    const std::string back = model.decode(z).front();
    if (back != sentence) {
      std::cerr << "without noise the sentence came back as \"" << back << "\"\n";
      return 1;
    }
  } catch (const ldlm::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
