// Latents of a few slots that the encoder reads out of the text.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ldlm/latent_diffusion/latent_worth.hpp>
#include <ldlm/latent_diffusion/text_dataset.hpp>
#include <ldlm/optim/adam.hpp>
#include <ldlm/train/trainer.hpp>

#include "io_support.hpp"
#include "ldlm_support.hpp"

using namespace ldlm;
using ldlm_test::small_texts;

namespace {

struct Slots {
  Tokenizer tokenizer = ldlm_test::small_tokenizer();
  LdlmConfig config =
      ldlm_test::small_slots_config(static_cast<std::int64_t>(tokenizer.id_bound()));
  SpecialIds special{*tokenizer.token_to_id(end_token), *tokenizer.token_to_id(mask_token)};
  TextDataset data{config, {tokenizer, tokenizer}};

  Slots() {
    for (const std::string& text : small_texts()) {
      REQUIRE(data.add(text));
    }
  }
};

TrainOptions steps(std::int64_t count, std::int64_t rows) {
  TrainOptions options;
  options.steps = count;
  options.batch_size = rows;
  options.warmup = 20;
  return options;
}

template <class Part>
auto optimizer_of(const Part& part) {
  return ldlm::AdamW(ldlm::trainable_parameters(part),
                     {.learning_rate = 1e-2, .beta2 = 0.98, .weight_decay = 0});
}

/// A model that knows the eight small texts by heart, and how often to expect what without one.
const Ldlm<float>& trained_model() {
  static const Ldlm<float> model = [] {
    const Slots w;
    Generator generator(1);
    Autoencoder<float> autoencoder(w.config, generator);
    AutoencoderNoise noise;
    noise.encoder_mask_rows = noise.decoder_mask_rows = noise.wild = 0.0;
    noise.mild = 0.2;
    noise.dropped = 0.25;
    Trainer(autoencoder, optimizer_of(autoencoder), steps(600, w.data.size()))
        .run(w.data.lengths(), [&](const Tensor<std::int64_t>& rows, Generator& g) {
          return autoencoder_loss(autoencoder, w.data.rows(rows), w.special, noise, g);
        });
    ReverseTransformer<float> denoiser(w.config.denoiser, generator);
    const Diffusion diffusion{w.config.schedule.make(), w.config.prediction};
    const Tensor<float> latents = encode_without_graph(autoencoder, w.data.rows(0, w.data.size()));
    Trainer(denoiser, optimizer_of(denoiser), steps(600, w.data.size()))
        .run([&](std::int64_t, Generator& g) {
          return denoiser_loss(denoiser, diffusion, latents, g, 0.9);
        });
    return Ldlm<float>(w.config, {w.tokenizer, w.tokenizer}, autoencoder, denoiser);
  }();
  return model;
}

}  // namespace

TEST_CASE("texts go through slots and come back, and are drawn from noise") {
  const Ldlm<float>& model = trained_model();
  const Tensor<float> z = model.encode(small_texts());
  CHECK(z.shape() == Shape{8, 3, 8});
  CHECK(model.decode(z, {.num_beams = 1}) == small_texts());
  Generator generator(3);
  int known = 0;
  for (const std::string& text :
       model.decode(model.sample(6, {.steps = 30}, generator), {.num_beams = 1})) {
    known += std::count(small_texts().begin(), small_texts().end(), text) > 0 ? 1 : 0;
  }
  CHECK(known >= 4);
  CHECK_THROWS_WITH_AS(
      (void)model.encode({"The cat sat on the mat and the dog sat on the mat beside the cat."}),
      doctest::Contains("the model takes 13 at most"), Error);
}

TEST_CASE("guidance of 1 changes nothing, and 0 leaves the previous estimates out") {
  const Ldlm<float>& model = trained_model();
  const auto sampled = [&](double guidance) {
    Generator generator(5);
    return model.sample(3, {.steps = 8}, generator, guidance);
  };
  Generator generator(5);
  CHECK(equal(sampled(1.0), model.sample(3, {.steps = 8}, generator)));
  CHECK_FALSE(equal(sampled(1.0), sampled(2.0)));
  Generator again(5);
  const Diffusion diffusion{model.config().schedule.make(), model.config().prediction};
  const auto without = [&](const Tensor<float>& zt, double alpha_bar) {
    return estimate_x0(model.denoiser(), diffusion, zt, std::vector<double>(3, alpha_bar));
  };
  const Tensor<float> expected =
      sample_diffusion<float>({3, 3, 8}, model.schedule(), without, {.steps = 8}, again);
  CHECK(max(abs(sub(sampled(0.0), expected))).item() < 1e-5F);
  CHECK_THROWS_WITH_AS((void)sampled(-1.0), doctest::Contains("guidance must not be negative"),
                       Error);
}

TEST_CASE("a text's slots depend on it alone, and not on what it is padded beside") {
  const Ldlm<float>& model = trained_model();
  const Tensor<float> all = model.encode(small_texts());
  for (std::int64_t i = 0; i < 8; ++i) {
    const Tensor<float> alone = model.encode({small_texts()[static_cast<std::size_t>(i)]});
    CHECK(max(abs(sub(alone.select(0, 0), all.select(0, i)))).item() < 1e-5F);
  }
  // The training's rows are the same texts.
  const Slots w;
  CHECK(max(abs(sub(encode_without_graph(model.autoencoder(), w.data.rows(0, 8)), all))).item() <
        1e-5F);
}

TEST_CASE("the strongest noise grows from the mild one while it warms up") {
  AutoencoderNoise noise;
  noise.mild = 0.5;
  noise.strong = 8.0;
  CHECK(noise.at(0).strong == 8.0);
  noise.warmup = 100;
  CHECK(noise.at(0).strong == 0.5);
  CHECK(noise.at(50).strong == doctest::Approx(2.0));
  CHECK(noise.at(75).strong == doctest::Approx(4.0));
  CHECK(noise.at(100).strong == 8.0);
  CHECK(noise.at(1000).strong == 8.0);
  noise.at(0).validate();
  const auto largest = [&](std::int64_t step) {
    Generator generator(1);
    double sigma = 0.0;
    for (const double a : ldlm::detail::draw_noise_levels(2000, noise.at(step), generator)) {
      sigma = std::max(sigma, std::sqrt(1.0 / a - 1.0));
    }
    return sigma;
  };
  CHECK(largest(50) == doctest::Approx(2.0).epsilon(0.05));
  CHECK(largest(200) == doctest::Approx(8.0).epsilon(0.05));
  noise.warmup = -1;
  CHECK_THROWS_AS(noise.validate(), ldlm::Error);
}

TEST_CASE("the decoder tells a latent from none, and from another text's") {
  const Ldlm<float>& model = trained_model();
  const Slots w;
  const Tensor<float> z = model.encode(small_texts());
  const auto loss = [&](const Tensor<float>& latents, double alpha_bar) {
    const NoGrad no_grad;
    AutoencoderNoise noise;
    noise.decoder_mask_rows = 0.0;
    Generator generator(1);
    return decoder_loss(model.autoencoder(), Variable<float>(latents),
                        std::vector<double>(8, alpha_bar), w.data.rows(0, 8).targets, w.special,
                        noise, generator)
        .item();
  };
  const float with = loss(z, 1.0);
  const float without = loss(Tensor<float>::zeros(z.shape()), lost_alpha_bar);
  const float shuffled = loss(
      index_select(z, 0, Tensor<std::int64_t>::from_values({8}, {1, 2, 3, 4, 5, 6, 7, 0})), 1.0);
  CHECK(with < 0.1F);
  CHECK(without > with + 0.2F);
  CHECK(without < 1.5F);  // it has learnt to write without
  CHECK(shuffled > without);

  // The same, text by text: the decoder's loss is the mean over all tokens.
  const auto worth = evaluate_latent_worth(model, z, small_texts(), {0.0, 0.5, 2.0}, {});
  REQUIRE(worth.size() == 4);
  const auto mean_of = [](const std::vector<double>& nats) { return estimate(nats).mean; };
  double tokens = 0.0;
  for (const std::int64_t length : w.data.lengths()) {
    tokens += static_cast<double>(length + 1);
  }
  CHECK(mean_of(worth[0].nats) * 8 / tokens == doctest::Approx(with).epsilon(1e-4));
  CHECK(mean_of(worth[0].nats_of_other) * 8 / tokens == doctest::Approx(shuffled).epsilon(1e-4));
  CHECK(mean_of(worth[3].nats) * 8 / tokens == doctest::Approx(without).epsilon(1e-3));
  for (std::size_t i = 0; i < worth[3].nats.size(); ++i) {  // as good as nothing is left of either
    CHECK(worth[3].nats[i] == doctest::Approx(worth[3].nats_of_other[i]).epsilon(1e-5));
  }
  CHECK(mean_of(worth[1].nats) < mean_of(worth[2].nats));
  CHECK(channel_bits(10, 1.0) == doctest::Approx(5.0));
  CHECK(channel_bits(768, 2.0) == doctest::Approx(123.62).epsilon(1e-4));
  CHECK_THROWS_AS((void)evaluate_latent_worth(model, z, {"One."}, {0.0}, {}), Error);
}

TEST_CASE("a model with slots is saved, loaded and refused where its parts do not fit") {
  const Ldlm<float>& model = trained_model();
  const io_support::TempFolder folder;
  model.save(folder / "slots");
  const auto loaded = Ldlm<float>::load(folder / "slots");
  CHECK(loaded.config().latent == LatentKind::slots);
  CHECK(equal(loaded.encode(small_texts()), model.encode(small_texts())));
}

TEST_CASE("the share of rows that are given an estimate is spread evenly over them") {
  const Slots w;
  Generator generator(1);
  const ReverseTransformer<float> model(w.config.denoiser, generator);
  const Diffusion diffusion{w.config.schedule.make(), w.config.prediction};
  const Tensor<float> zt = randn<float>({10, 3, 8}, generator);
  std::vector<double> levels;
  for (int i = 0; i < 10; ++i) {
    levels.push_back(0.05 + 0.09 * i);
  }
  const auto given = [&](double share) {
    const Tensor<float> estimate =
        ldlm::detail::estimate_in_rows(share, model, diffusion, zt, levels);
    std::vector<std::int64_t> rows;
    for (std::int64_t b = 0; b < 10; ++b) {
      if (max(abs(estimate.select(0, b))).item() > 0.0F) {
        rows.push_back(b);
        const Tensor<float> alone = estimate_x0(model, diffusion, zt.slice(0, b, b + 1),
                                                {{levels[static_cast<std::size_t>(b)]}});
        CHECK(max(abs(sub(alone.select(0, 0), estimate.select(0, b)))).item() < 1e-5F);
      }
    }
    return rows;
  };
  CHECK(given(0.5) == std::vector<std::int64_t>{0, 2, 4, 6, 8});
  CHECK(given(0.9) == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(given(0.0).empty());
  CHECK(given(1.0).size() == 10);
}

TEST_CASE("nothing is left of the latent in the dropped rows") {
  Generator generator(1);
  AutoencoderNoise noise;
  noise.clean = 0.2;
  noise.wild = 0.3;
  noise.dropped = 0.4;
  int dropped = 0, clean = 0;
  const auto levels = ldlm::detail::draw_noise_levels(2000, noise, generator);
  for (const double alpha_bar : levels) {
    dropped += alpha_bar == lost_alpha_bar ? 1 : 0;
    clean += alpha_bar == 1.0 ? 1 : 0;
  }
  CHECK(std::abs(dropped - 800) < 100);
  CHECK(std::abs(clean - 400) < 80);
  CHECK(bounded_log_snr(lost_alpha_bar) == -clean_log_snr);
  CHECK(bounded_log_snr(1.0) == clean_log_snr);
  CHECK(bounded_log_snr(0.5) == doctest::Approx(0.0));
  noise.clean = 0.31;
  CHECK_THROWS_WITH_AS(noise.validate(), doctest::Contains("0.31, 0.3 and 0.4"), Error);
}
