#pragma once
// LdlmConfig: everything that defines a Latent Diffusion Language Model but its weights.

#include <algorithm>

#include <ldlm/core/linkage.hpp>
#include <ldlm/diffusion/process.hpp>
#include <ldlm/diffusion/schedule.hpp>
#include <ldlm/models/bert_config.hpp>
#include <ldlm/models/gpt2_config.hpp>
#include <ldlm/models/reverse_transformer_config.hpp>

namespace ldlm {

/// What a text's latent is.
enum class LatentKind : std::uint8_t {
  /// One vector: the mean of the encoder's last hidden states over real tokens, (B, 1, H).
  pooled,
  /// One vector a position, compressed to few channels and normalised, (B, L, d). Texts are padded
  /// to L tokens with the end token, which is as real to the model as any other.
  sequence,
  /// A few vectors that the encoder reads out of the text: the last hidden states of L tokens
  /// before it, compressed and normalised likewise, (B, L, d). Far fewer numbers than a sequence
  /// has, so that texts can be invented as well as restored. They may carry details.
  slots,
};

/// A noise schedule by name.
struct ScheduleConfig {
  std::string kind = "scaled_linear";  // scaled_linear, linear, cosine or tan_d
  std::int64_t steps = 1000;
  double d = 9.0;      // of tan_d
  double shift = 1.0;  // factor on the ratio of noise to signal

  [[nodiscard]] NoiseSchedule make() const;

  /// Throws an Error that names the member for values that make no schedule.
  void validate(const ConfigRules& rules = ConfigRules("ScheduleConfig")) const;

  static ScheduleConfig from_json(const JsonReader& json);
  [[nodiscard]] JsonValue to_json() const;
};

/// How texts are drawn from pure noise, where nobody says otherwise: "sampling" of ldlm.json.
struct SamplingConfig {
  std::int64_t steps = 100;         // of the sampler; 0: all of the schedule
  double guidance = 1.0;            // see Ldlm::sample
  std::int64_t decode_level = 800;  // t of the published schedule at which the decoder takes over;
                                    // -1: denoised to the end; 1000: it writes without a latent
  double temperature = 0.0;         // of the decoder's tokens; 0: beams
  double top_p = 0.95;              // with a temperature

  /// Throws an Error that names the member for values out of range.
  void validate(const ConfigRules& rules = ConfigRules("SamplingConfig")) const;

  static SamplingConfig from_json(const JsonReader& json);
  [[nodiscard]] JsonValue to_json() const;
};

struct LdlmConfig {
  BertConfig encoder;
  Gpt2Config decoder;
  ReverseTransformerConfig denoiser;

  LatentKind latent = LatentKind::pooled;
  std::int64_t latent_length = 1;      // L
  std::int64_t latent_channels = 768;  // d
  // Of slots: a text can also be encoded with details, one vector for each of D = max_new_tokens
  // tokens, (B, L + D, d), from which it comes back almost without loss. The denoiser knows nothing
  // of them, and sampled latents have none.
  bool details = false;

  ScheduleConfig schedule;  // of training and sampling
  Prediction prediction = Prediction::x0;

  std::int64_t num_beams = 5;
  std::int64_t max_new_tokens = 50;
  SamplingConfig sampling;

  /// Tokens of the longest text that is trained on, its end included.
  [[nodiscard]] std::int64_t text_length() const {
    return latent == LatentKind::sequence ? latent_length : max_new_tokens;
  }

  /// The published model: BERT-base, one 768-wide latent a text, T = 1000, 4 + 6 layers, GPT-2.
  static LdlmConfig published() { return {}; }

  /// What `weights/ldlm-tiny` is: trained from scratch on two CPU cores in hours.
  static LdlmConfig tiny();
  /// The same size with twelve slots and details, for texts of up to 39 tokens: what
  /// `tools/train_slots.sh` makes.
  static LdlmConfig tiny_slots();

  /// D, 0 without details.
  [[nodiscard]] std::int64_t detail_length() const { return details ? max_new_tokens : 0; }

  /// Throws an Error that names the member for values that make no model, and both sides of what
  /// does not fit together.
  void validate() const;

  /// The rules of ldlm.json's own values, each by itself.
  void validate_own(const ConfigRules& rules) const;

  /// The keys of ldlm.json. The parts' own configurations are in their folders' config.json.
  static LdlmConfig from_json(const JsonReader& json);
  [[nodiscard]] JsonValue to_json() const;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/latent_diffusion/impl/config.hpp>
#endif
