#pragma once
// Autoencoder: text ids -> latent -> text ids, the frame in which diffusion takes place.
//
//   ids (B, T) --Bert--> hidden (B, T, H) --pool or compress--> latent z (B, L, d)
//   z (B, L, d) --expand, plus its noise level--> prefix (B, L, C) --Gpt2--> the text
//
// Pooled latents are taken as they are (d = H = C). Sequence latents pass a linear map to few
// channels, are normalised to unit variance at every position, then by each channel's mean and
// deviation over the training texts, so that noise of one size means the same everywhere.

#include <ldlm/latent_diffusion/config.hpp>
#include <ldlm/models/bert.hpp>
#include <ldlm/models/gpt2.hpp>
#include <ldlm/models/pooling.hpp>
#include <ldlm/models/reverse_transformer.hpp>

namespace ldlm {

/// The two linear maps around a sequence latent, and what tells the decoder how far to trust it.
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

/// Log-SNR of a latent without noise; larger ones say no more.
inline constexpr double clean_log_snr = 10.0;

/// log(abar / (1 - abar)), at most clean_log_snr.
[[nodiscard]] inline double bounded_log_snr(double alpha_bar) {
  return alpha_bar < 1.0 ? std::min(clean_log_snr, NoiseSchedule::log_snr_of(alpha_bar))
                         : clean_log_snr;
}

template <Floating T = float>
struct Autoencoder {
  using value_type = T;

  LatentKind kind = LatentKind::pooled;
  Bert<T> encoder;
  LatentMap<T> map;  // sequence latents only
  Gpt2<T> decoder;

  /// New weights.
  Autoencoder(const LdlmConfig& config, Generator& generator)
      : Autoencoder(config, Bert<T>(config.encoder, generator, false),
                    Gpt2<T>(config.decoder, generator), generator) {}
  /// Around models that are there already.
  Autoencoder(const LdlmConfig& config, Bert<T> bert, Gpt2<T> gpt2, Generator& generator)
      : kind(config.latent), encoder(std::move(bert)), decoder(std::move(gpt2)) {
    if (kind == LatentKind::sequence) {
      map = LatentMap<T>(config.encoder.hidden_size, config.latent_channels, config.decoder.n_embd,
                         generator);
    }
  }

  /// Latents (B, L, d) of encoder inputs (B, T); for sequence latents T = L.
  Variable<T> encode(const BertInputs& inputs) const {
    const Variable<T> hidden = encoder(inputs).hidden;
    return kind == LatentKind::pooled ? mean_pool(hidden, inputs.mask).unsqueeze(1)
                                      : map.to_latent(hidden);
  }

  /// What the decoder reads before the text: (B, L, C). `log_snr` (B) is the noise level that the
  /// latents are an estimate from.
  Variable<T> prefix(const Variable<T>& z, const Tensor<ComputeType<T>>& log_snr) const {
    return kind == LatentKind::pooled ? z : map.to_prefix(z, log_snr);
  }

  template <class V>
  void visit(V&& v) {
    v("encoder", encoder);
    v("latent", map);
    v("decoder", decoder);
  }
};

}  // namespace ldlm
