#pragma once
// Autoencoder: text ids -> latent -> text ids, the frame in which diffusion takes place.
//
//   ids (B, T) --Bert--> hidden (B, T or L, H) --pool or compress--> latent z (B, L, d)
//   z (B, L, d) --expand, plus its noise level--> prefix (B, L, C) --Gpt2--> the text
//
// With details, slots are followed by a vector for each of D tokens: z (B, L + D, d), each of the
// two parts with maps and a noise level of its own.
//
// Pooled latents are taken as they are (d = H = C). Those of a sequence and of slots pass a linear
// map to few channels, are normalised to unit variance at every position, then by each channel's
// mean and deviation over the training texts, so that noise of one size means the same everywhere.

#include <ldlm/latent_diffusion/config.hpp>
#include <ldlm/models/bert.hpp>
#include <ldlm/models/gpt2.hpp>
#include <ldlm/models/pooling.hpp>
#include <ldlm/models/reverse_transformer.hpp>

namespace ldlm {

/// The two linear maps around a latent that is not pooled, and what tells the decoder how far to
/// trust it.
template <Floating T>
struct LatentMap {
  using value_type = T;

  Linear<T> compress;                                   // H -> d
  Linear<T> expand;                                     // d -> C
  typename ReverseTransformer<T>::TimeEmbedding noise;  // log-SNR -> C
  Tensor<T> mean, deviation;                            // (d), over the training texts

  LatentMap() = default;
  LatentMap(std::int64_t hidden, std::int64_t channels, std::int64_t width, Generator& generator)
      : compress(hidden, channels, generator),
        expand(channels, width, generator),
        noise{Linear<T>(noise_features, width, generator), Linear<T>(width, width, generator)},
        mean(Tensor<T>::zeros({channels})),
        deviation(Tensor<T>::ones({channels})) {}

  /// Hidden states (B, L, H) -> latents (B, L, d).
  Variable<T> to_latent(const Variable<T>& hidden) const {
    const Variable<T> z = layer_norm(compress(hidden), Variable<T>(), Variable<T>());
    return (z - Variable<T>(mean)) / Variable<T>(deviation);
  }
  /// The same, normalised by the mean and deviation of this batch, which become the map's: an
  /// encoder that trains against noise of a given size can't drown it by making its latents larger.
  Variable<T> to_latent_of_batch(const Variable<T>& hidden) {
    const Variable<T> z = layer_norm(compress(hidden), Variable<T>(), Variable<T>());
    const Variable<T> centre = ldlm::mean(z, {0, 1});
    const Variable<T> spread = sqrt(var(z, {0, 1}, 0) + 1e-6);
    mean.copy_(centre.value());
    deviation.copy_(spread.value());
    return (z - centre) / spread;
  }
  /// Latents (B, L, d), or estimates of them made at log-SNRs (B), -> embeddings (B, L, C).
  Variable<T> to_prefix(const Variable<T>& z, const Tensor<ComputeType<T>>& log_snr) const {
    const Tensor<T> features =
        cast<T>(timestep_embedding(log_snr * 25, noise_features)).to(z.device());
    const Variable<T> level = noise.second(noise.first(Variable<T>(features), Activation::silu));
    return expand(z * Variable<T>(deviation) + Variable<T>(mean)) + level.unsqueeze(1);
  }

  template <class V>
  void visit(V&& v) {
    v("compress", compress);
    v("expand", expand);
    v("noise", noise);
    v.buffer("mean", mean);
    v.buffer("deviation", deviation);
  }

 private:
  static constexpr std::int64_t noise_features = 64;
};

/// Log-SNR of a latent without noise; larger ones say no more. Its negative is that of noise alone.
inline constexpr double clean_log_snr = 10.0;

/// abar of which as good as nothing of a latent is left.
inline constexpr double lost_alpha_bar = 1e-9;

/// log(abar / (1 - abar)), bounded by clean_log_snr and its negative.
[[nodiscard]] inline double bounded_log_snr(double alpha_bar) {
  return alpha_bar < 1.0
             ? std::clamp(NoiseSchedule::log_snr_of(alpha_bar), -clean_log_snr, clean_log_snr)
             : clean_log_snr;
}

template <Floating T = float>
struct Autoencoder {
  using value_type = T;

  LatentKind kind = LatentKind::pooled;
  std::int64_t length = 1;         // L, of slots
  std::int64_t detail_length = 0;  // D; 0: without details
  Bert<T> encoder;
  LatentMap<T> map;         // not of pooled latents
  LatentMap<T> detail_map;  // of details
  Gpt2<T> decoder;

  /// New weights.
  Autoencoder(const LdlmConfig& config, Generator& generator)
      : Autoencoder(config, Bert<T>(config.encoder, generator, false),
                    Gpt2<T>(config.decoder, generator), generator) {}
  /// Around models that are there already.
  Autoencoder(const LdlmConfig& config, Bert<T> bert, Gpt2<T> gpt2, Generator& generator)
      : kind(config.latent),
        length(config.latent_length),
        detail_length(config.detail_length()),
        encoder(std::move(bert)),
        decoder(std::move(gpt2)) {
    if (kind != LatentKind::pooled) {
      map = LatentMap<T>(config.encoder.hidden_size, config.latent_channels, config.decoder.n_embd,
                         generator);
    }
    if (detail_length > 0) {
      detail_map = LatentMap<T>(config.encoder.hidden_size, config.latent_channels,
                                config.decoder.n_embd, generator);
    }
  }

  /// The encoder's states that a latent is made of: (B, T, H), of slots (B, L, H).
  Variable<T> read(const BertInputs& inputs) const {
    return kind == LatentKind::slots ? encoder(with_slots(inputs)).hidden.slice(1, 0, length)
                                     : encoder(inputs).hidden;
  }

  /// Latents (B, L, d) of encoder inputs (B, T); for sequence latents T = L.
  Variable<T> encode(const BertInputs& inputs) const {
    const Variable<T> hidden = read(inputs);
    return kind == LatentKind::pooled ? mean_pool(hidden, inputs.mask).unsqueeze(1)
                                      : map.to_latent(hidden);
  }

  /// Latents with details (B, L + D, d) of encoder inputs (B, T), T <= D. Throws for a model
  /// without.
  Variable<T> encode_with_details(const BertInputs& inputs) const {
    LDLM_CHECK(detail_length > 0, "autoencoder", "the model has no details");
    const Variable<T> hidden = encoder(with_slots(padded(inputs))).hidden;
    return concat({map.to_latent(hidden.slice(1, 0, length)),
                   detail_map.to_latent(hidden.slice(1, length, length + detail_length))},
                  1);
  }

  /// What the decoder reads before the text: (B, L, C) for latents (B, L, d), (B, L + D, C) for
  /// those with details. `log_snr` (B) is the noise level that the latents are an estimate from,
  /// `detail_log_snr` that of the details, if it is another.
  Variable<T> prefix(const Variable<T>& z, const Tensor<ComputeType<T>>& log_snr,
                     const Tensor<ComputeType<T>>& detail_log_snr = {}) const {
    if (!has_details(z)) {
      return kind == LatentKind::pooled ? z : map.to_prefix(z, log_snr);
    }
    return concat({map.to_prefix(z.slice(1, 0, length), log_snr),
                   detail_map.to_prefix(z.slice(1, length, length + detail_length),
                                        detail_log_snr.defined() ? detail_log_snr : log_snr)},
                  1);
  }

  /// Whether latents (B, L or L + D, d) have details.
  [[nodiscard]] bool has_details(const Operand<T> auto& z) const {
    return detail_length > 0 && z.rank() == 3 && z.size(1) == length + detail_length;
  }

  template <class V>
  void visit(V&& v) {
    v("encoder", encoder);
    v("latent", map);
    v("details", detail_map);
    v("decoder", decoder);
  }

 private:
  /// Texts of D tokens: masked padding follows them.
  BertInputs padded(const BertInputs& inputs) const {
    const std::int64_t rows = inputs.ids.size(0);
    const std::int64_t more = detail_length - inputs.ids.size(1);
    LDLM_CHECK_SHAPE(more >= 0, "autoencoder", "details are of ", detail_length,
                     " tokens at most, got ids ", to_string(inputs.ids.shape()));
    if (more == 0) {
      return inputs;
    }
    const Tensor<bool> mask =
        inputs.mask.defined() ? inputs.mask : Tensor<bool>::full(inputs.ids.shape(), true);
    return {
        .ids = concat(
            {inputs.ids, Tensor<std::int64_t>::full({rows, more}, encoder.config.pad_token_id)}, 1),
        .mask = concat({mask, Tensor<bool>::full({rows, more}, false)}, 1)};
  }
  /// Padding that is not masked before the text: its states ask, and hold what was read. What tells
  /// the slots apart is their position.
  BertInputs with_slots(const BertInputs& inputs) const {
    LDLM_CHECK_SHAPE(inputs.ids.rank() == 2, "autoencoder", "needs ids (B, T), got ",
                     to_string(inputs.ids.shape()));
    const Shape shape{inputs.ids.size(0), length};
    BertInputs out{
        .ids = concat({Tensor<std::int64_t>::full(shape, encoder.config.pad_token_id), inputs.ids},
                      1)};
    if (inputs.mask.defined()) {
      out.mask = concat({Tensor<bool>::full(shape, true), inputs.mask}, 1);
    }
    return out;
  }
};

}  // namespace ldlm
