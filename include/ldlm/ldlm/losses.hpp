#pragma once
// Losses of LDLM's training stages: batch in, one number with a gradient out. All randomness comes
// from the generator, so that a step is repeated by its seed.

#include <span>
#include <vector>

#include <ldlm/core/random.hpp>
#include <ldlm/ldlm/autoencoder.hpp>

namespace ldlm {

/// Target that no loss counts.
inline constexpr std::int64_t ignored_target = -100;

/// Ids with a meaning of their own.
struct SpecialIds {
  std::int64_t end = 0;   // ends every text, and pads
  std::int64_t mask = 1;  // hides a token from the model
};

/// Texts as the two sides of an autoencoder read them.
struct TextBatch {
  Tensor<std::int64_t> ids;      // for the encoder: (B, T)
  Tensor<bool> mask;             // which of those are real (B, T); undefined: all
  Tensor<std::int64_t> targets;  // for the decoder: (B, U), padded with the end token

  /// Both sides read the same ids (B, T), all of them real.
  TextBatch(Tensor<std::int64_t> both)  // NOLINT(google-explicit-constructor): ids are such a batch
      : ids(both), targets(std::move(both)) {}
  TextBatch(Tensor<std::int64_t> encoder_ids, Tensor<bool> real, Tensor<std::int64_t> decoder_ids)
      : ids(std::move(encoder_ids)), mask(std::move(real)), targets(std::move(decoder_ids)) {}
};

/// Labels of texts (B, T) padded with the end token: the ids up to and including the first end
/// token, then ignored_target.
[[nodiscard]] inline Tensor<std::int64_t> labels_until_end(const Tensor<std::int64_t>& ids,
                                                           std::int64_t end) {
  Tensor<std::int64_t> labels = ids.clone();
  const std::int64_t length = ids.size(1);
  for (std::int64_t b = 0; b < ids.size(0); ++b) {
    std::int64_t* const row = labels.data() + b * length;
    bool ended = false;
    for (std::int64_t i = 0; i < length; ++i) {
      const bool is_end = row[i] == end;
      if (ended) {
        row[i] = ignored_target;
      }
      ended = ended || is_end;
    }
  }
  return labels;
}

/// Replaces tokens by the mask token: in a share `rows` of the rows, each token with a probability
/// drawn for that row from [0, rate).
[[nodiscard]] inline Tensor<std::int64_t> mask_tokens(const Tensor<std::int64_t>& ids, double rows,
                                                      double rate, std::int64_t mask,
                                                      Generator& generator) {
  Tensor<std::int64_t> out = ids.clone();
  const std::int64_t length = ids.size(1);
  const auto draws = rand<float>({ids.size(0), length + 2}, generator);
  for (std::int64_t b = 0; b < ids.size(0); ++b) {
    const float* const draw = draws.data() + b * (length + 2);
    const double row_rate = draw[0] < rows ? draw[1] * rate : 0.0;
    for (std::int64_t i = 0; i < length; ++i) {
      if (draw[i + 2] < row_rate) {
        out.data()[b * length + i] = mask;
      }
    }
  }
  return out;
}

/// What attention sees of the tokens after a text's end: them as any others, or nothing.
enum class PaddingTokens : std::uint8_t { read, masked };

/// Masked-language-model loss of an encoder on texts (B, T), padded with the end token: 15% of the
/// tokens are to be predicted, of which 80% are masked, 10% replaced and 10% kept (Devlin et al.,
/// 2019).
template <Floating T>
Variable<T> masked_lm_loss(const BertForMaskedLM<T>& model, const Tensor<std::int64_t>& ids,
                           const SpecialIds& special, PaddingTokens padding, Generator& generator) {
  Tensor<std::int64_t> inputs = ids.clone();
  Tensor<std::int64_t> labels = labels_until_end(ids, special.end);
  const Tensor<bool> mask = padding == PaddingTokens::masked
                                ? ne(labels, Tensor<std::int64_t>::scalar(ignored_target))
                                : Tensor<bool>();
  const auto draws = rand<float>({ids.numel(), 2}, generator);
  std::int64_t chosen = 0;
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    std::int64_t& label = labels.data()[i];
    if (label == ignored_target || draws.data()[2 * i] >= 0.15F) {
      label = ignored_target;
      continue;
    }
    ++chosen;
    const float kind = draws.data()[2 * i + 1];
    if (kind < 0.8F) {
      inputs.data()[i] = special.mask;
    } else if (kind < 0.9F) {
      inputs.data()[i] = generator.below(model.bert.config.vocab_size);
    }
  }
  if (chosen == 0) {  // a tiny batch: predict its first token
    labels.data()[0] = ids.data()[0];
    inputs.data()[0] = special.mask;
  }
  return model.loss({.ids = inputs, .mask = mask}, labels, ignored_target);
}

/// Causal-language-model loss of a decoder on texts (B, T): every text follows an end token.
template <Floating T>
Variable<T> causal_lm_loss(const Gpt2<T>& model, const Tensor<std::int64_t>& ids,
                           std::int64_t end) {
  const auto start = Tensor<std::int64_t>::full({ids.size(0), 1}, end);
  const auto ignored = Tensor<std::int64_t>::full({ids.size(0), 1}, ignored_target);
  return model.loss({.ids = concat({start, ids}, 1)},
                    concat({ignored, labels_until_end(ids, end)}, 1));
}

/// What an autoencoder is trained to withstand.
struct AutoencoderNoise {
  // Input tokens hidden from the encoder, previous tokens hidden from the decoder: the share of
  // rows, and the largest share of tokens in such a row.
  double encoder_mask_rows = 0.7, encoder_mask_rate = 0.4;
  double decoder_mask_rows = 0.5, decoder_mask_rate = 0.3;
  // Standard deviation of the noise on the latent: none in a share `clean` of the rows, uniform up
  // to `mild` in most, log-uniform from `mild` up to `strong` in a share `wild`.
  double clean = 0.25, mild = 0.8, wild = 0.15, strong = 10.0;

  /// Throws for shares outside [0, 1] and for noise whose sizes do not rise from 0 < mild to
  /// strong.
  void validate() const {
    const auto is_share = [](double x) { return x >= 0.0 && x <= 1.0; };
    LDLM_CHECK(is_share(encoder_mask_rows) && is_share(encoder_mask_rate) &&
                   is_share(decoder_mask_rows) && is_share(decoder_mask_rate),
               "noise", "shares of masked rows and tokens must lie in [0, 1], got ",
               encoder_mask_rows, ", ", encoder_mask_rate, ", ", decoder_mask_rows, " and ",
               decoder_mask_rate);
    LDLM_CHECK(is_share(clean) && is_share(wild) && clean + wild <= 1.0, "noise",
               "the shares of rows without noise and with strong noise must add up to 1 at most, "
               "got ",
               clean, " and ", wild);
    LDLM_CHECK(mild > 0.0 && mild <= strong, "noise", "mild noise must lie in (0, ", strong,
               "], got ", mild);
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
    if (kind < noise.clean) {
      sigma = 0.0;
    } else if (kind < noise.clean + noise.wild) {
      sigma = noise.mild * std::pow(noise.strong / noise.mild, size);
    }
    alpha_bars.push_back(1.0 / (1.0 + sigma * sigma));
  }
  return alpha_bars;
}

template <Floating T>
Tensor<T> log_snrs(std::span<const double> alpha_bars) {
  Tensor<T> out = Tensor<T>::empty({static_cast<std::int64_t>(alpha_bars.size())});
  for (std::size_t i = 0; i < alpha_bars.size(); ++i) {
    out.data()[i] = static_cast<T>(bounded_log_snr(alpha_bars[i]));
  }
  return out;
}

}  // namespace detail

/// Latents (B, L, d) of texts, without a graph.
template <Floating T>
[[nodiscard]] Tensor<T> encode_without_graph(const Autoencoder<T>& model, const TextBatch& texts) {
  const NoGrad no_grad;
  return model.encode({.ids = texts.ids, .mask = texts.mask}).value();
}

/// Cross-entropy of texts decoded from estimates of their latents (B, L, d) made at the given noise
/// levels; of sequence latents, the decoder's previous tokens are masked as `noise` says.
template <Floating T>
Variable<T> decoder_loss(const Autoencoder<T>& model, const Variable<T>& latents,
                         std::span<const double> alpha_bars, const Tensor<std::int64_t>& targets,
                         const SpecialIds& special, const AutoencoderNoise& noise,
                         Generator& generator) {
  const Tensor<std::int64_t> previous =
      model.kind == LatentKind::pooled  // a published GPT-2 has no mask token
          ? targets
          : mask_tokens(targets, noise.decoder_mask_rows, noise.decoder_mask_rate, special.mask,
                        generator);
  return model.decoder.loss(
      {.ids = previous, .prefix = model.prefix(latents, detail::log_snrs<T>(alpha_bars))},
      labels_until_end(targets, special.end), {.ignore_index = ignored_target});
}

/// Cross-entropy of texts after encoding, noise and decoding. The decoder sees the linear estimate
/// sqrt(abar) z_t of a unit-variance latent, and is told the noise level. Pooled latents are the
/// encoder's own, of any scale: there the decoder alone learns, and without noise.
template <Floating T>
Variable<T> autoencoder_loss(const Autoencoder<T>& model, const TextBatch& texts,
                             const SpecialIds& special, const AutoencoderNoise& noise,
                             Generator& generator) {
  if (model.kind == LatentKind::pooled) {
    const Tensor<T> z = encode_without_graph(model, texts);
    const std::vector<double> clean(static_cast<std::size_t>(z.size(0)), 1.0);
    return decoder_loss(model, Variable<T>(z), clean, texts.targets, special, noise, generator);
  }
  const Tensor<std::int64_t> masked = mask_tokens(texts.ids, noise.encoder_mask_rows,
                                                  noise.encoder_mask_rate, special.mask, generator);
  const Variable<T> z = model.encode({.ids = masked, .mask = texts.mask});
  const std::vector<double> alpha_bars = detail::draw_noise_levels(z.size(0), noise, generator);
  const Tensor<T> eps = randn<T>(z.shape(), generator);
  const auto row = [&](auto f) { return Variable<T>(detail::per_row(alpha_bars, z.value(), f)); };
  const Tensor<T> added =
      mul(eps, detail::per_row(alpha_bars, eps, [](double a) { return std::sqrt(a * (1.0 - a)); }));
  const Variable<T> estimate = z * row([](double a) { return a; }) + Variable<T>(added);
  return decoder_loss(model, estimate, alpha_bars, texts.targets, special, noise, generator);
}

/// A denoiser with what it needs to know of the diffusion.
template <Floating T>
struct DenoiserSetup {
  const ReverseTransformer<T>& model;
  const NoiseSchedule& schedule;
  Prediction prediction = Prediction::x0;

  /// What the model takes as time: log-SNRs, or the nearest timesteps of the schedule; (B).
  [[nodiscard]] Tensor<T> times(std::span<const double> alpha_bars) const {
    Tensor<T> out = Tensor<T>::empty({static_cast<std::int64_t>(alpha_bars.size())});
    for (std::size_t i = 0; i < alpha_bars.size(); ++i) {
      out.data()[i] = model.config.time_conditioning == TimeConditioning::log_snr
                          ? static_cast<T>(NoiseSchedule::log_snr_of(alpha_bars[i]))
                          : static_cast<T>(schedule.nearest(alpha_bars[i]));
    }
    return out;
  }
  /// The model's raw output for noisy latents (B, L, d) and, if self-conditioned, an estimate.
  Variable<T> operator()(const Variable<T>& zt, std::span<const double> alpha_bars,
                         const Tensor<T>& estimate = {}) const {
    return model({.z = zt,
                  .times = times(alpha_bars),
                  .estimate = estimate.defined() ? Variable<T>(estimate) : Variable<T>()});
  }
  /// Its estimate of z_0, without a graph.
  Tensor<T> estimate(const Tensor<T>& zt, std::span<const double> alpha_bars,
                     const Tensor<T>& previous = {}) const {
    const NoGrad no_grad;
    const bool conditioned = model.config.self_conditioning && previous.defined();
    const Variable<T> output =
        (*this)(Variable<T>(zt), alpha_bars, conditioned ? previous : Tensor<T>());
    return to_x0(prediction, output.value(), zt, alpha_bars);
  }
};

namespace detail {

/// abar (B) at random levels of a schedule, one from each of B equal parts of it.
inline std::vector<double> stratified_levels(const NoiseSchedule& schedule, std::int64_t rows,
                                             Generator& generator) {
  std::vector<double> alpha_bars;
  const double shift = generator.uniform();
  for (std::int64_t b = 0; b < rows; ++b) {
    const double u = (static_cast<double>(b) + shift) / static_cast<double>(rows);
    const auto t = static_cast<std::int64_t>(u * static_cast<double>(schedule.steps()));
    alpha_bars.push_back(schedule.alpha_bar(t));
  }
  return alpha_bars;
}

/// What a self-conditioned denoiser is given in training: its own first estimate in every second
/// row, zeros in the others. Undefined for one that is not self-conditioned.
template <Floating T>
Tensor<T> estimate_of_every_second(const DenoiserSetup<T>& denoiser, const Tensor<T>& zt,
                                   std::span<const double> alpha_bars) {
  if (!denoiser.model.config.self_conditioning) {
    return {};
  }
  Tensor<T> estimate = Tensor<T>::zeros(zt.shape());
  std::vector<double> even;
  for (std::size_t b = 0; b < alpha_bars.size(); b += 2) {
    even.push_back(alpha_bars[b]);
  }
  estimate.slice(0, 0, to_end, 2)
      .copy_(denoiser.estimate(zt.slice(0, 0, to_end, 2).contiguous(), even));
  return estimate;
}

}  // namespace detail

/// Mean squared error of a denoiser's prediction on latents z_0 (B, L, d) at stratified random
/// levels of the schedule. With self-conditioning, every second row is given the model's own first
/// estimate (Chen et al., 2023, "Analog bits").
template <Floating T>
Variable<T> denoiser_loss(const DenoiserSetup<T>& denoiser, const Tensor<T>& z0,
                          Generator& generator) {
  const std::vector<double> alpha_bars =
      detail::stratified_levels(denoiser.schedule, z0.size(0), generator);
  const Tensor<T> eps = randn<T>(z0.shape(), generator);
  const Tensor<T> zt = add_noise(z0, eps, alpha_bars);
  const Tensor<T> estimate = detail::estimate_of_every_second(denoiser, zt, alpha_bars);
  const Tensor<T> target = prediction_target(denoiser.prediction, z0, eps, alpha_bars);
  return mse_loss(denoiser(Variable<T>(zt), alpha_bars, estimate), Variable<T>(target));
}

/// One-step estimates of the latents of texts at random noise levels, which are returned in
/// `alpha_bars`: a quarter of the rows clean, the others at levels of the denoiser's schedule. Half
/// of the estimates are refined by self-conditioning, as in use. No gradient.
template <Floating T>
Tensor<T> denoised_latents(const Autoencoder<T>& model, const DenoiserSetup<T>& denoiser,
                           const TextBatch& texts, std::vector<double>& alpha_bars,
                           Generator& generator) {
  const NoGrad no_grad;
  const Tensor<T> z0 = encode_without_graph(model, texts);
  const std::int64_t rows = z0.size(0);
  alpha_bars.clear();
  for (std::int64_t b = 0; b < rows; ++b) {
    alpha_bars.push_back(denoiser.schedule.alpha_bar(generator.below(denoiser.schedule.steps())));
  }
  const Tensor<T> zt = add_noise(z0, randn<T>(z0.shape(), generator), alpha_bars);
  Tensor<T> estimate = denoiser.estimate(zt, alpha_bars);
  if (denoiser.model.config.self_conditioning && generator.uniform() < 0.5) {
    estimate = denoiser.estimate(zt, alpha_bars, estimate);
  }
  for (std::int64_t b = 0; b < rows; b += 4) {
    alpha_bars[static_cast<std::size_t>(b)] = 1.0;
    estimate.select(0, b).copy_(z0.select(0, b));
  }
  return estimate;
}

/// All parts of a model as one module, so that one Trainer trains them together.
template <Floating T>
struct JointModel {
  using value_type = T;
  Autoencoder<T>& autoencoder;
  ReverseTransformer<T>& denoiser;

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
Variable<T> joint_loss(Autoencoder<T>& model, const DenoiserSetup<T>& denoiser,
                       const TextBatch& texts, const SpecialIds& special,
                       const AutoencoderNoise& noise, Generator& generator) {
  LDLM_CHECK(denoiser.prediction == Prediction::x0, "joint_loss",
             "the denoiser must predict x0, as its output is decoded");
  LDLM_CHECK(model.kind == LatentKind::sequence, "joint_loss",
             "pooled latents are the encoder's own and can't be trained with the denoiser");
  const Tensor<std::int64_t> masked = mask_tokens(texts.ids, noise.encoder_mask_rows,
                                                  noise.encoder_mask_rate, special.mask, generator);
  const Variable<T> z =
      model.map.to_latent_of_batch(model.encoder({.ids = masked, .mask = texts.mask}).hidden);
  std::vector<double> alpha_bars =
      detail::stratified_levels(denoiser.schedule, z.size(0), generator);
  const auto row = [&](auto f) { return detail::per_row(alpha_bars, z.value(), f); };
  const Tensor<T> eps = randn<T>(z.shape(), generator);
  const Variable<T> zt =
      z * Variable<T>(row(detail::signal)) + Variable<T>(mul(eps, row(detail::noise)));
  const Variable<T> x0 =
      denoiser(zt, alpha_bars, detail::estimate_of_every_second(denoiser, zt.value(), alpha_bars));
  const Variable<T> error = mse_loss(x0, z.detach());

  auto denoised = Tensor<T>::ones({z.size(0), 1, 1});
  for (std::int64_t b = 0; b < z.size(0); b += 4) {
    alpha_bars[static_cast<std::size_t>(b)] = 1.0;
    denoised.data()[b] = T{0};
  }
  const Variable<T> latents = z + (x0 - z) * Variable<T>(denoised);
  return error + decoder_loss(model, latents, alpha_bars, texts.targets, special, noise, generator);
}

}  // namespace ldlm
