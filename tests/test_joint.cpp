// Encoder, denoiser and decoder trained together.

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include <ldlm/latent_diffusion/stages.hpp>
#include <ldlm/optim/adam.hpp>
#include <ldlm/train/trainer.hpp>

#include "ldlm_support.hpp"

using namespace ldlm;

namespace {

/// A small model with its texts; without dropout and self-conditioning its loss is a function of
/// its weights and the seed alone.
template <class T>
struct Whole {
  Tokenizer tokenizer = ldlm_test::small_tokenizer();
  LdlmConfig config = ldlm_test::small_config(static_cast<std::int64_t>(tokenizer.id_bound()));
  Generator generator{1};
  Autoencoder<T> autoencoder{config, generator};
  ReverseTransformer<T> denoiser{denoiser_config(), generator};
  Diffusion diffusion{config.schedule.make(), config.prediction};
  Dataset data = ldlm_test::small_dataset(tokenizer, config.latent_length);
  SpecialIds special{*tokenizer.token_to_id(end_token), *tokenizer.token_to_id(mask_token)};

  ReverseTransformerConfig denoiser_config() const {
    ReverseTransformerConfig c = config.denoiser;
    c.self_conditioning = false;
    return c;
  }
  Variable<ComputeType<T>> loss() {
    Generator g(7);
    return joint_loss(autoencoder, denoiser, diffusion, data.rows(0, data.size()), special, {}, g);
  }
};

/// The losses of the two stages that train the parts one after the other.
template <class T>
ComputeType<T> losses_apart(Whole<T>& w) {
  Generator g(7);
  const TextBatch texts = w.data.rows(0, w.data.size());
  const Variable<ComputeType<T>> reconstruction =
      autoencoder_loss(w.autoencoder, texts, w.special, {}, g);
  const Variable<ComputeType<T>> denoising =
      denoiser_loss(w.denoiser, w.diffusion, encode_without_graph(w.autoencoder, texts), g);
  return (reconstruction + denoising).item();
}

/// The largest difference between a parameter's gradient and central differences of `loss`, in five
/// of its elements, relative to the gradient's largest element or 0.01, as some are 0.
template <class Loss>
double gradient_error(const Variable<double>& parameter, Loss&& loss) {
  const Tensor<double> gradient = parameter.grad().contiguous();
  double* const values = parameter.value().data();
  double error = 0.0;
  for (std::int64_t k = 0; k < 5; ++k) {
    const std::int64_t i = k * (parameter.value().numel() - 1) / 4;
    const double before = values[i];
    constexpr double step = 1e-6;
    values[i] = before + step;
    const double above = loss();
    values[i] = before - step;
    const double below = loss();
    values[i] = before;
    error = std::max(error, std::abs((above - below) / (2.0 * step) - gradient.data()[i]));
  }
  return error / std::max(0.01, max(abs(gradient)).item());
}

}  // namespace

TEST_CASE(
    "a batch's latents have mean 0 and deviation 1 in every channel, and the map keeps both") {
  Whole<double> w;
  const Variable<double> hidden =
      w.autoencoder.encoder({.ids = w.data.rows(0, w.data.size())}).hidden;
  const Tensor<double> z = w.autoencoder.map.to_latent_of_batch(hidden).value();
  CHECK(max(abs(mean(z, {0, 1}))).item() < 1e-12);
  CHECK(max(abs(sub(var(z, {0, 1}, 0), Tensor<double>::ones({8})))).item() < 1e-4);
  CHECK(max(abs(sub(w.autoencoder.map.to_latent(hidden).value(), z))).item() < 1e-12);

  // Larger hidden states do not make larger latents.
  const Tensor<double> larger = w.autoencoder.map.to_latent_of_batch(hidden * 3.0).value();
  CHECK(mean(square(larger)).item() == doctest::Approx(1.0).epsilon(1e-4));
}

TEST_CASE("the gradient of the latents passes through the batch's mean and deviation") {
  Whole<double> w;
  const Tensor<std::int64_t> ids = w.data.rows(0, w.data.size());
  const Tensor<double> weights = randn<double>({8, 14, 8}, w.generator);
  const auto loss = [&] {
    return sum(w.autoencoder.map.to_latent_of_batch(w.autoencoder.encoder({.ids = ids}).hidden) *
               Variable<double>(weights));
  };
  loss().backward();
  for (const auto& [key, parameter] : ldlm::named_parameters(w.autoencoder)) {
    if (parameter.grad().defined()) {
      const std::string& name = key;  // clang 14 captures no structured binding in a lambda
      CAPTURE(name);
      CHECK(gradient_error(parameter, [&] { return loss().item(); }) < 1e-5);
    }
  }
}

TEST_CASE("the joint loss has the gradients of its denoiser and decoder, and reaches the encoder") {
  Whole<double> w;
  w.loss().backward();
  const auto value = [&] { return w.loss().item(); };
  for (const auto& [key, parameter] : ldlm::named_parameters(w.denoiser)) {
    const std::string& name = key;
    CAPTURE(name);
    REQUIRE(parameter.grad().defined());
    CHECK(gradient_error(parameter, value) < 1e-5);
  }
  for (const auto& [key, parameter] : ldlm::named_parameters(w.autoencoder.decoder)) {
    const std::string& name = key;
    CAPTURE(name);
    REQUIRE(parameter.grad().defined());
    CHECK(gradient_error(parameter, value) < 1e-5);
  }
  // The encoder's own is not the loss's derivative: the denoiser's target is a constant.
  for (const auto& [key, parameter] : ldlm::named_parameters(w.autoencoder.encoder)) {
    const std::string& name = key;
    CAPTURE(name);
    CHECK(parameter.grad().defined());
  }
}

TEST_CASE("a masked language model reads what follows a text's end only where it is to") {
  Generator generator(1);
  BertConfig config = ldlm_test::small_config(40).encoder;
  config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0;
  const BertForMaskedLM<double> model(config, generator);
  const SpecialIds special{3, 4};
  const auto loss = [&](std::int64_t padding_id, PaddingTokens padding) {
    const auto ids =
        Tensor<std::int64_t>::from_values({1, 8}, {7, 8, 9, 10, 11, 3, padding_id, padding_id});
    Generator draws(5);
    return masked_lm_loss(model, ids, special, padding, draws).item();
  };
  CHECK(loss(3, PaddingTokens::masked) ==
        doctest::Approx(loss(20, PaddingTokens::masked)).epsilon(1e-12));
  CHECK(std::abs(loss(3, PaddingTokens::read) - loss(20, PaddingTokens::read)) > 1e-6);
  CHECK(std::abs(loss(3, PaddingTokens::read) - loss(3, PaddingTokens::masked)) > 1e-6);
}

TEST_CASE_TEMPLATE("training all parts together lowers the loss", T, float, bf16) {
  Whole<T> w;
  JointModel<T> all{w.autoencoder, w.denoiser};
  const double before = w.loss().item();
  const double apart = static_cast<double>(losses_apart(w));
  Trainer(all, ldlm::AdamW(ldlm::trainable_parameters(all), {.learning_rate = 1e-2}),
          {.steps = 60, .batch_size = 8, .warmup = 5})
      .run([&](std::int64_t, Generator& g) {
        return joint_loss(w.autoencoder, w.denoiser, w.diffusion, w.data.rows(0, w.data.size()),
                          w.special, {}, g);
      });
  CHECK(w.loss().item() < 0.7 * before);
  CHECK(losses_apart(w) < 0.9 * apart);
}

TEST_CASE("what can't be trained together is refused") {
  Whole<float> w;
  Generator g(1);
  const Diffusion v{w.diffusion.schedule, Prediction::v};
  CHECK_THROWS_WITH_AS(
      (void)joint_loss(w.autoencoder, w.denoiser, v, w.data.rows(0, 2), w.special, {}, g),
      doctest::Contains("must predict x0"), Error);
  w.autoencoder.kind = LatentKind::pooled;
  CHECK_THROWS_WITH_AS(
      (void)joint_loss(w.autoencoder, w.denoiser, w.diffusion, w.data.rows(0, 2), w.special, {}, g),
      doctest::Contains("pooled"), Error);
}
