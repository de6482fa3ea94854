#pragma once
// ReverseTransformerConfig: the shape of a denoiser.

#include <ldlm/core/linkage.hpp>
#include <ldlm/models/activation.hpp>
#include <ldlm/models/config_rules.hpp>
#include <ldlm/nn/transformer_layer.hpp>

namespace ldlm {

/// How the denoiser learns how noisy its input is.
enum class TimeConditioning : std::uint8_t {
  /// The sinusoidal embedding of the timestep lies beside the latent in the input projection.
  concat,
  /// A small network embeds the log signal-to-noise ratio; its result is added to every position.
  log_snr,
};

/// The defaults are the published configuration: one latent of 768 channels, no positions,
/// post-norm.
struct ReverseTransformerConfig {
  std::int64_t latent_dim = 768;  // channels of the latents
  std::int64_t width = 768;       // channels of the Transformer
  std::int64_t heads = 8;
  std::int64_t feed_forward = 2048;
  std::int64_t encoder_layers = 4;
  std::int64_t decoder_layers = 6;  // 0: the encoder alone
  std::int64_t length = 0;          // learned positions for at most so many latents; 0: none
  bool norm_first = false;
  Activation activation = Activation::relu;
  double dropout = 0.1;
  double layer_norm_eps = 1e-5;
  bool self_conditioning = false;  // reads the previous estimate beside the noisy latent
  TimeConditioning time_conditioning = TimeConditioning::concat;

  /// Channels of what the input projection reads besides the time: the latent and, if
  /// self-conditioned, the estimate.
  [[nodiscard]] std::int64_t input_dim() const;
  /// Whether a linear map follows the Transformer; the published configuration has none.
  [[nodiscard]] bool has_output_projection() const;
  [[nodiscard]] TransformerOptions transformer() const;

  /// Throws an Error that names the member for values that make no denoiser.
  void validate(const ConfigRules& rules = ConfigRules("ReverseTransformerConfig")) const;

  /// Throws an Error that names the file and the key for values that make no denoiser.
  static ReverseTransformerConfig from_json(const JsonReader& json);

  [[nodiscard]] JsonValue to_json() const;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/models/impl/reverse_transformer_config.hpp>
#endif
