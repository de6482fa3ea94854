// Slots with details: texts come back from both, and are drawn from slots alone.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <ldlm/latent_diffusion/evaluation.hpp>
#include <ldlm/latent_diffusion/text_dataset.hpp>
#include <ldlm/optim/adam.hpp>
#include <ldlm/train/trainer.hpp>

#include "io_support.hpp"
#include "ldlm_support.hpp"

using namespace ldlm;
using ldlm_test::small_texts;

namespace {

struct Detailed {
  Tokenizer tokenizer = ldlm_test::small_tokenizer();
  LdlmConfig config = ldlm_test::small_slots_config(static_cast<std::int64_t>(tokenizer.id_bound()),
                                                    /*details=*/true);
  SpecialIds special{*tokenizer.token_to_id(end_token), *tokenizer.token_to_id(mask_token)};
  TextDataset data{config, {tokenizer, tokenizer}};

  Detailed() {
    for (const std::string& text : small_texts()) {
      REQUIRE(data.add(text));
    }
  }
};

/// A model whose slots are noise to its decoder, so that only details tell it the text.
Ldlm<float> train_on_details() {
  const Detailed w;
  Generator generator(1);
  Autoencoder<float> autoencoder(w.config, generator);
  AutoencoderNoise noise;
  noise.encoder_mask_rows = noise.decoder_mask_rows = noise.clean = noise.wild = 0.0;
  noise.dropped = 1.0;
  noise.details = 0.7;
  TrainOptions options;
  options.steps = 500;
  options.batch_size = w.data.size();
  options.warmup = 20;
  Trainer(autoencoder,
          ldlm::AdamW(ldlm::trainable_parameters(autoencoder),
                      {.learning_rate = 1e-2, .beta2 = 0.98, .weight_decay = 0}),
          options)
      .run(w.data.lengths(), [&](const Tensor<std::int64_t>& rows, Generator& g) {
        return autoencoder_loss(autoencoder, w.data.rows(rows), w.special, noise, g);
      });
  return Ldlm<float>(w.config, {w.tokenizer, w.tokenizer}, autoencoder,
                     ReverseTransformer<float>(w.config.denoiser, generator));
}

const Ldlm<float>& trained_model() {
  static const Ldlm<float> model = train_on_details();
  return model;
}

}  // namespace

TEST_CASE("texts come back from details, and not without") {
  const Ldlm<float>& model = trained_model();
  const Tensor<float> slots = model.encode(small_texts());
  const Tensor<float> both = model.encode(small_texts(), {.details = true});
  CHECK(slots.shape() == Shape{8, 3, 8});
  CHECK(both.shape() == Shape{8, 3 + 14, 8});
  // What a text's slots are has nothing to do with how far it is padded.
  CHECK(max(abs(sub(both.slice(1, 0, 3), slots))).item() < 1e-4F);
  CHECK(model.decode(both, {.num_beams = 1}) == small_texts());
  CHECK(model.decode(both, {.num_beams = 3}) == small_texts());
  CHECK(model.decode(slots, {.num_beams = 1}) != small_texts());
  const auto restored =
      evaluate_decoding(model, both, small_texts(), 1, EvaluationOptions{.levels = {10}});
  REQUIRE(restored.size() == 2);
  CHECK(restored[0].numbers == (3 + 14) * 8);
  CHECK(estimate(restored[0].token_accuracies).mean == 1.0);
  CHECK(estimate(restored[1].token_accuracies).mean > 0.9);
  Generator generator(2);
  CHECK(model.sample(2, {.steps = 4}, generator).shape() == Shape{2, 3, 8});
}

TEST_CASE("each part of a latent has noise and a level of its own") {
  const Ldlm<float>& model = trained_model();
  const Autoencoder<float>& autoencoder = model.autoencoder();
  const Variable<float> z(model.encode(small_texts(), {.details = true}));
  const auto level = [](double alpha_bar) {
    return ldlm::detail::log_snrs<float>(std::vector<double>(8, alpha_bar));
  };
  const NoGrad no_grad;
  const Tensor<float> same = autoencoder.prefix(z, level(0.5)).value();
  const Tensor<float> other = autoencoder.prefix(z, level(0.5), level(0.1)).value();
  CHECK(equal(same, autoencoder.prefix(z, level(0.5), level(0.5)).value()));
  CHECK(equal(same.slice(1, 0, 3), other.slice(1, 0, 3)));
  CHECK_FALSE(equal(same.slice(1, 3, 17), other.slice(1, 3, 17)));
  CHECK(equal(same.slice(1, 0, 3), autoencoder.prefix(z.slice(1, 0, 3), level(0.5)).value()));
  // Slots are restored by the denoiser, details by a factor.
  const Tensor<float> restored = model.denoise(z.value(), 300);
  const Tensor<float> slots = z.value().slice(1, 0, 3).contiguous();
  CHECK(equal(restored.slice(1, 0, 3), model.denoise(slots, 300)));
  CHECK(max(abs(sub(restored.slice(1, 3, 17),
                    mul(z.value().slice(1, 3, 17), std::sqrt(model.levels().alpha_bar(300))))))
            .item() < 1e-6F);
}

TEST_CASE("a model with details is saved whole, and its folder forgets them with it") {
  const Ldlm<float>& model = trained_model();
  const io_support::TempFolder temporary;
  const std::filesystem::path folder = temporary / "model";
  model.save(folder);
  const auto loaded = Ldlm<float>::load(folder);
  CHECK(loaded.config().details);
  CHECK(equal(loaded.encode(small_texts(), {.details = true}),
              model.encode(small_texts(), {.details = true})));
  const Tokenizer tokenizer = ldlm_test::small_tokenizer();
  const LdlmConfig without =
      ldlm_test::small_slots_config(static_cast<std::int64_t>(tokenizer.id_bound()));
  Generator generator(4);
  const Ldlm<float> plain(without, {tokenizer, tokenizer}, Autoencoder<float>(without, generator),
                          ReverseTransformer<float>(without.denoiser, generator));
  CHECK(plain.encode(small_texts(), {.details = true}).shape() == Shape{8, 3, 8});
  plain.save(folder);
  CHECK_FALSE(std::filesystem::exists(folder / "details" / "model.safetensors"));
  CHECK_FALSE(Ldlm<float>::load(folder).config().details);
  // Details that ldlm.json promises must be there.
  model.save(folder);
  std::filesystem::remove(folder / "details" / "model.safetensors");
  CHECK_THROWS_WITH_AS((void)Ldlm<float>::load(folder), doctest::Contains("details"), Error);
}

TEST_CASE("what does not go with details is refused") {
  const Detailed w;
  LdlmConfig config = w.config;
  config.decoder.n_positions -= 1;
  CHECK_THROWS_WITH_AS(config.validate(), doctest::Contains("as many details as tokens"), Error);
  config = ldlm_test::small_config(400);
  config.details = true;
  CHECK_THROWS_WITH_AS(config.validate(), doctest::Contains("details go with slots only"), Error);

  Generator generator(1);
  Autoencoder<float> autoencoder(w.config, generator);
  const ReverseTransformer<float> denoiser(w.config.denoiser, generator);
  const Diffusion diffusion{w.config.schedule.make(), w.config.prediction};
  CHECK_THROWS_WITH_AS((void)joint_loss(autoencoder, denoiser, diffusion, w.data.rows(0, 2),
                                        w.special, {}, generator),
                       doctest::Contains("would lose them"), Error);
  CHECK_THROWS_WITH_AS(
      (void)autoencoder.encode_with_details({.ids = Tensor<std::int64_t>::zeros({1, 15})}),
      doctest::Contains("14 tokens at most"), Error);
  const LdlmConfig plain = ldlm_test::small_slots_config(400);
  CHECK_THROWS_WITH_AS((void)Autoencoder<float>(plain, generator)
                           .encode_with_details({.ids = Tensor<std::int64_t>::zeros({1, 4})}),
                       doctest::Contains("the model has no details"), Error);
  AutoencoderNoise noise;
  noise.details = 1.5;
  CHECK_THROWS_WITH_AS(noise.validate(), doctest::Contains("batches with details"), Error);
}
