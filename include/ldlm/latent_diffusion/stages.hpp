#pragma once
// Losses of LDLM's training stages: batch in, one number with a gradient out. All randomness comes
// from the generator, so that a step is repeated by its seed. The denoiser's own loss is in
// denoiser.hpp. A model with details decodes some batches with them.

#include <cmath>
#include <span>
#include <vector>

#include <ldlm/latent_diffusion/autoencoder.hpp>
#include <ldlm/latent_diffusion/denoiser.hpp>
#include <ldlm/latent_diffusion/text_batch.hpp>
#include <ldlm/train/language_modeling.hpp>

namespace ldlm {

/// What an autoencoder is trained to withstand.
struct AutoencoderNoise {
  // Input tokens hidden from the encoder, previous tokens hidden from the decoder: the share of
  // rows, and the largest share of tokens in such a row.
  double encoder_mask_rows = 0.7, encoder_mask_rate = 0.4;
  double decoder_mask_rows = 0.5, decoder_mask_rate = 0.3;
  // Standard deviation of the noise on the latent: none in a share `clean` of the rows, uniform up
  // to `mild` in most, log-uniform from `mild` up to `strong` in a share `wild`. In a share
  // `dropped` nothing of the latent is left, so that the decoder learns to write without.
  double clean = 0.25, mild = 0.8, wild = 0.15, strong = 10.0, dropped = 0.0;
  // Steps in which the strongest noise grows from `mild` to `strong`: a decoder that never sees
  // slots well enough to read them learns to do without.
  std::int64_t warmup = 0;
  // Share of the batches that are decoded with details, of a model that has them. Their noise is as
  // large as said here by default, whatever the slots get.
  double details = 0.3;

  /// Throws for shares outside [0, 1], for noise whose sizes do not rise from 0 < mild to strong
  /// and for a negative warm-up.
  void validate() const {
    const auto is_share = [](double x) { return x >= 0.0 && x <= 1.0; };
    LDLM_CHECK(is_share(details), "noise",
               "the share of batches with details must lie in [0, 1], got ", details);
    LDLM_CHECK(is_share(encoder_mask_rows) && is_share(encoder_mask_rate) &&
                   is_share(decoder_mask_rows) && is_share(decoder_mask_rate),
               "noise", "shares of masked rows and tokens must lie in [0, 1], got ",
               encoder_mask_rows, ", ", encoder_mask_rate, ", ", decoder_mask_rows, " and ",
               decoder_mask_rate);
    LDLM_CHECK(
        is_share(clean) && is_share(wild) && is_share(dropped) && clean + wild + dropped <= 1.0,
        "noise", "shares of clean, wild and dropped rows must add up to 1 at most, got ", clean,
        ", ", wild, " and ", dropped);
    LDLM_CHECK(mild > 0.0 && mild <= strong, "noise", "mild noise must lie in (0, ", strong,
               "], got ", mild);
    LDLM_CHECK(warmup >= 0, "noise", "the noise cannot grow for ", warmup, " steps");
  }

  /// This noise as it is before step `step` (0, 1, ...): its strongest grows evenly in its
  /// logarithm while it warms up.
  [[nodiscard]] AutoencoderNoise at(std::int64_t step) const {
    AutoencoderNoise now = *this;
    if (step < warmup) {
      now.strong =
          mild * std::pow(strong / mild, static_cast<double>(step) / static_cast<double>(warmup));
    }
    return now;
  }
};

namespace detail {

/// abar (B) of noise of random size, see AutoencoderNoise: sigma = sqrt((1 - abar) / abar).
inline std::vector<double> draw_noise_levels(std::int64_t rows, const AutoencoderNoise& noise,
                                             Generator& generator) {
  std::vector<double> alpha_bars;
  for (std::int64_t b = 0; b < rows; ++b) {
    const double kind = generator.uniform();
    const double size = generator.uniform();
    double sigma = size * noise.mild;
    const double given = noise.clean + noise.wild;
    if (kind >= given && kind < given + noise.dropped) {
      alpha_bars.push_back(lost_alpha_bar);
      continue;
    }
    if (kind < noise.clean) {
      sigma = 0.0;
    } else if (kind < given) {
      sigma = noise.mild * std::pow(noise.strong / noise.mild, size);
    }
    alpha_bars.push_back(1.0 / (1.0 + sigma * sigma));
  }
  return alpha_bars;
}

template <Floating T>
Tensor<ComputeType<T>> log_snrs(std::span<const double> alpha_bars) {
  auto out = Tensor<ComputeType<T>>::empty({static_cast<std::int64_t>(alpha_bars.size())});
  for (std::size_t i = 0; i < alpha_bars.size(); ++i) {
    out.data()[i] = static_cast<ComputeType<T>>(bounded_log_snr(alpha_bars[i]));
  }
  return out;
}

/// Linear estimates sqrt(abar) z_t of latents z of unit variance under new noise.
template <Floating T>
Variable<T> noisy_estimates(const Variable<T>& z, std::span<const double> alpha_bars,
                            Generator& generator) {
  const Tensor<T> eps = randn_like(z.value(), generator);
  const auto row = [&](auto f) { return per_row(alpha_bars, z.value(), f); };
  const Tensor<T> added = mul(eps, row([](double a) { return std::sqrt(a * (1.0 - a)); }));
  return z * Variable<T>(row([](double a) { return a; })) + Variable<T>(added);
}

}  // namespace detail

/// Latents (B, L, d) of texts, without a graph; (B, L + D, d) with details.
template <Floating T>
[[nodiscard]] Tensor<T> encode_without_graph(const Autoencoder<T>& model, const TextBatch& texts,
                                             bool details = false) {
  const NoGrad no_grad;
  const EvaluationMode evaluation;
  const BertInputs inputs{.ids = texts.ids, .mask = texts.mask};
  return (details ? model.encode_with_details(inputs) : model.encode(inputs)).value();
}

/// Cross-entropy of texts decoded from estimates of their latents, (B, L, d) or (B, L + D, d), made
/// at the given noise levels, and details at theirs; but for pooled latents the decoder's previous
/// tokens are masked as `noise` says.
template <Floating T>
Variable<ComputeType<T>> decoder_loss(const Autoencoder<T>& model, const Variable<T>& latents,
                                      std::span<const double> alpha_bars,
                                      const Tensor<std::int64_t>& targets,
                                      const SpecialIds& special, const AutoencoderNoise& noise,
                                      Generator& generator,
                                      std::span<const double> detail_alpha_bars = {}) {
  const Tensor<std::int64_t> previous =
      model.kind == LatentKind::pooled  // a published GPT-2 has no mask token
          ? targets
          : mask_tokens(targets, noise.decoder_mask_rows, noise.decoder_mask_rate, special.mask,
                        generator);
  const Tensor<ComputeType<T>> detail_log_snrs =
      detail_alpha_bars.empty() ? Tensor<ComputeType<T>>() : detail::log_snrs<T>(detail_alpha_bars);
  return model.decoder.loss(
      {.ids = previous,
       .prefix = model.prefix(latents, detail::log_snrs<T>(alpha_bars), detail_log_snrs)},
      labels_until_end(targets, special.end), {.ignore_index = ignored_target});
}

/// Whether the next batch is one with details.
template <Floating T>
[[nodiscard]] bool draw_details(const Autoencoder<T>& model, const AutoencoderNoise& noise,
                                Generator& generator) {
  return model.detail_length > 0 && generator.uniform() < noise.details;
}

/// autoencoder_loss() of a batch with details: slots get the given noise, details that of
/// AutoencoderNoise's defaults.
template <Floating T>
Variable<ComputeType<T>> detailed_loss(const Autoencoder<T>& model, const TextBatch& texts,
                                       const SpecialIds& special, const AutoencoderNoise& noise,
                                       Generator& generator) {
  const Tensor<std::int64_t> masked = mask_tokens(texts.ids, noise.encoder_mask_rows,
                                                  noise.encoder_mask_rate, special.mask, generator);
  const Variable<T> z = model.encode_with_details({.ids = masked, .mask = texts.mask});
  const auto levels = [&](const AutoencoderNoise& of) {
    return detail::draw_noise_levels(z.size(0), of, generator);
  };
  const std::vector<double> alpha_bars = levels(noise);
  const std::vector<double> detail_alpha_bars = levels({});
  const Variable<T> slots =
      detail::noisy_estimates(z.slice(1, 0, model.length), alpha_bars, generator);
  const Variable<T> details =
      detail::noisy_estimates(z.slice(1, model.length, z.size(1)), detail_alpha_bars, generator);
  return decoder_loss(model, concat({slots, details}, 1), alpha_bars, texts.targets, special, noise,
                      generator, detail_alpha_bars);
}

/// Cross-entropy of texts after encoding, noise and decoding. The decoder sees the linear estimate
/// sqrt(abar) z_t of a unit-variance latent, and is told the noise level. Pooled latents are the
/// encoder's own, of any scale: there the decoder alone learns, and without noise.
template <Floating T>
Variable<ComputeType<T>> autoencoder_loss(const Autoencoder<T>& model, const TextBatch& texts,
                                          const SpecialIds& special, const AutoencoderNoise& noise,
                                          Generator& generator) {
  if (model.kind == LatentKind::pooled) {
    const Tensor<T> z = encode_without_graph(model, texts);
    const std::vector<double> clean(static_cast<std::size_t>(z.size(0)), 1.0);
    return decoder_loss(model, Variable<T>(z), clean, texts.targets, special, noise, generator);
  }
  if (draw_details(model, noise, generator)) {
    return detailed_loss(model, texts, special, noise, generator);
  }
  const Tensor<std::int64_t> masked = mask_tokens(texts.ids, noise.encoder_mask_rows,
                                                  noise.encoder_mask_rate, special.mask, generator);
  const Variable<T> z = model.encode({.ids = masked, .mask = texts.mask});
  const std::vector<double> alpha_bars = detail::draw_noise_levels(z.size(0), noise, generator);
  return decoder_loss(model, detail::noisy_estimates(z, alpha_bars, generator), alpha_bars,
                      texts.targets, special, noise, generator);
}

/// Encoder, latent maps, decoder and denoiser as one module, so that one Trainer trains them
/// together.
template <Floating T>
struct JointModel {
  using value_type = T;

  Autoencoder<T> autoencoder;
  ReverseTransformer<T> denoiser;

  template <class V>
  void visit(V&& v) {
    v("autoencoder", autoencoder);
    v("denoiser", denoiser);
  }
};

/// Loss of encoder, denoiser and decoder trained together (after arXiv 2605.07933): the denoiser's
/// mean squared error against the latents of the moment, which are a constant to it, plus the
/// cross-entropy of the text decoded from its estimate, whose gradient reaches the encoder through
/// the denoiser. In a quarter of the rows the decoder is given the latent itself. Sets the map's
/// mean and deviation to the batch's. Throws for pooled latents and for a denoiser that does not
/// predict z_0.
template <Floating T>
Variable<ComputeType<T>> joint_loss(Autoencoder<T>& model, const ReverseTransformer<T>& denoiser,
                                    const Diffusion& diffusion, const TextBatch& texts,
                                    const SpecialIds& special, const AutoencoderNoise& noise,
                                    Generator& generator) {
  LDLM_CHECK(diffusion.prediction == Prediction::x0, "joint_loss",
             "the denoiser must predict x0, as its output is decoded");
  LDLM_CHECK(model.kind != LatentKind::pooled, "joint_loss",
             "pooled latents are the encoder's own and can't be trained with the denoiser");
  LDLM_CHECK(model.detail_length == 0, "joint_loss",
             "a model with details would lose them, as it trains without");
  const Tensor<std::int64_t> masked = mask_tokens(texts.ids, noise.encoder_mask_rows,
                                                  noise.encoder_mask_rate, special.mask, generator);
  const Variable<T> z =
      model.map.to_latent_of_batch(model.read({.ids = masked, .mask = texts.mask}));
  std::vector<double> alpha_bars = detail::levels_of(
      diffusion.schedule, detail::stratified_steps(diffusion.schedule, z.size(0), generator));
  const auto row = [&](auto f) { return detail::per_row(alpha_bars, z.value(), f); };
  const Tensor<T> eps = randn_like(z.value(), generator);
  const Variable<T> zt =
      z * Variable<T>(row(detail::signal)) + Variable<T>(mul(eps, row(detail::noise)));
  const Variable<T> x0 = predict(denoiser, diffusion, zt, alpha_bars,
                                 detail::estimate_in_rows(usual_self_conditioning, denoiser,
                                                          diffusion, zt.value(), alpha_bars));
  const Variable<ComputeType<T>> error = mse_loss(x0, z.detach());

  auto denoised = Tensor<T>::ones({z.size(0), 1, 1});
  for (std::int64_t b = 0; b < z.size(0); b += 4) {
    alpha_bars[static_cast<std::size_t>(b)] = 1.0;
    denoised.data()[b] = T{0};
  }
  const Variable<T> latents = z + (x0 - z) * Variable<T>(denoised.to(z.device()));
  return error + decoder_loss(model, latents, alpha_bars, texts.targets, special, noise, generator);
}

}  // namespace ldlm
