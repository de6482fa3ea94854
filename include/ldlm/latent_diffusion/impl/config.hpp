#pragma once
// Bodies of latent_diffusion/config.hpp.

#include <algorithm>

#include <ldlm/diffusion/process.hpp>
#include <ldlm/diffusion/schedule.hpp>
#include <ldlm/generate/beam_search.hpp>
#include <ldlm/latent_diffusion/config.hpp>
#include <ldlm/models/bert_config.hpp>
#include <ldlm/models/gpt2_config.hpp>
#include <ldlm/models/reverse_transformer_config.hpp>

namespace ldlm {

LDLM_BODY NoiseSchedule ScheduleConfig::make() const {
  validate();
  const NoiseSchedule base = kind == "scaled_linear" ? NoiseSchedule::scaled_linear(steps)
                             : kind == "linear"      ? NoiseSchedule::linear(steps)
                             : kind == "cosine"      ? NoiseSchedule::cosine(steps)
                                                     : NoiseSchedule::tan_d(steps, d);
  return shift == 1.0 ? base : base.shifted(shift);
}

LDLM_BODY void ScheduleConfig::validate(const ConfigRules& rules) const {
  const std::string_view kinds[] = {"scaled_linear", "linear", "cosine", "tan_d"};
  rules.check(std::find(std::begin(kinds), std::end(kinds), kind) != std::end(kinds), "kind",
              "must be one of scaled_linear, linear, cosine and tan_d, got \"", kind, '"');
  rules.check(steps >= 1 && steps <= NoiseSchedule::max_steps, "steps", "must lie in [1, ",
              NoiseSchedule::max_steps, "] steps, got ", steps);
  const auto check_factor = [&](std::string_view key, double value) {
    rules.check(value >= 1e-4 && value <= 1e4, key, "must lie in [1e-4, 1e4], got ", value);
  };
  check_factor("d", d);
  check_factor("shift", shift);
}

LDLM_BODY ScheduleConfig ScheduleConfig::from_json(const JsonReader& json) {
  json.refuse_others({"kind", "steps", "d", "shift"});
  ScheduleConfig c;
  c.kind = json.get<std::string>("kind");
  detail::read_key(json, "steps", c.steps);
  detail::read_key(json, "d", c.d);
  detail::read_key(json, "shift", c.shift);
  c.validate(ConfigRules(json));
  return c;
}

LDLM_BODY JsonValue ScheduleConfig::to_json() const {
  return JsonValue::object({{"kind", kind}, {"steps", steps}, {"d", d}, {"shift", shift}});
}

LDLM_BODY void SamplingConfig::validate(const ConfigRules& rules) const {
  rules.check(steps >= 0 && steps <= NoiseSchedule::max_steps, "steps", "must lie in [0, ",
              NoiseSchedule::max_steps, "] steps, got ", steps);
  rules.check(guidance >= 0.0 && guidance <= 100.0, "guidance", "must lie in [0, 100], got ",
              guidance);
  rules.check(decode_level >= -1 && decode_level <= 1000, "decode_level",
              "must lie in [-1, 1000], got ", decode_level);
  rules.check(temperature >= 0.0 && temperature <= 1e6, "temperature", "must lie in [0, 1e6], got ",
              temperature);
  rules.check(top_p >= 1e-6 && top_p <= 1.0, "top_p", "must lie in [1e-6, 1], got ", top_p);
}

LDLM_BODY SamplingConfig SamplingConfig::from_json(const JsonReader& json) {
  json.refuse_others({"steps", "guidance", "decode_level", "temperature", "top_p"});
  SamplingConfig c;
  detail::read_key(json, "steps", c.steps);
  detail::read_key(json, "guidance", c.guidance);
  detail::read_key(json, "decode_level", c.decode_level);
  detail::read_key(json, "temperature", c.temperature);
  detail::read_key(json, "top_p", c.top_p);
  c.validate(ConfigRules(json));
  return c;
}

LDLM_BODY JsonValue SamplingConfig::to_json() const {
  return JsonValue::object({{"steps", steps},
                            {"guidance", guidance},
                            {"decode_level", decode_level},
                            {"temperature", temperature},
                            {"top_p", top_p}});
}

LDLM_BODY LdlmConfig LdlmConfig::tiny() {
  LdlmConfig c;
  c.latent = LatentKind::sequence;
  c.latent_length = 40;
  c.latent_channels = 64;

  c.encoder.vocab_size = 8192;
  c.encoder.hidden_size = 192;
  c.encoder.num_hidden_layers = 4;
  c.encoder.num_attention_heads = 6;
  c.encoder.intermediate_size = 768;
  c.encoder.hidden_act = Activation::gelu_tanh;
  c.encoder.hidden_dropout_prob = 0.0;
  c.encoder.attention_probs_dropout_prob = 0.0;
  c.encoder.max_position_embeddings = c.latent_length;
  c.encoder.type_vocab_size = 1;

  c.decoder.vocab_size = 8192;
  c.decoder.n_positions = 2 * c.latent_length + 1;
  c.decoder.n_embd = 256;
  c.decoder.n_layer = 4;
  c.decoder.n_head = 8;
  c.decoder.embd_pdrop = 0.0;
  c.decoder.resid_pdrop = 0.0;
  c.decoder.attn_pdrop = 0.0;

  c.denoiser.latent_dim = c.latent_channels;
  c.denoiser.width = 320;
  c.denoiser.heads = 8;
  c.denoiser.feed_forward = 1280;
  c.denoiser.encoder_layers = 6;
  c.denoiser.decoder_layers = 0;
  c.denoiser.length = c.latent_length;
  c.denoiser.norm_first = true;
  c.denoiser.activation = Activation::gelu_tanh;
  c.denoiser.dropout = 0.0;
  c.denoiser.self_conditioning = true;
  c.denoiser.time_conditioning = TimeConditioning::log_snr;

  c.schedule.kind = "tan_d";
  c.max_new_tokens = c.latent_length;
  return c;
}

LDLM_BODY LdlmConfig LdlmConfig::tiny_slots() {
  LdlmConfig c = tiny();
  c.latent = LatentKind::slots;
  c.max_new_tokens = c.latent_length;
  c.latent_length = c.denoiser.length = 12;
  c.details = true;
  c.encoder.max_position_embeddings = c.latent_length + c.max_new_tokens;
  c.decoder.n_positions = c.latent_length + 2 * c.max_new_tokens;
  c.decoder.n_layer = 6;
  c.sampling.temperature = 0.9;  // beams would make its texts alike
  return c;
}

LDLM_BODY void LdlmConfig::validate() const {
  encoder.validate();
  decoder.validate();
  denoiser.validate();
  schedule.validate();
  sampling.validate();
  validate_own(ConfigRules("ldlm config"));
  const auto agree = [](std::string_view what, std::int64_t a, std::int64_t b) {
    LDLM_CHECK(a == b, "ldlm config", what, " differ: ", a, " and ", b);
  };
  agree("latent_channels and the denoiser's latent_dim", latent_channels, denoiser.latent_dim);
  if (latent == LatentKind::pooled) {
    agree("latent_length and 1, as for a pooled latent,", latent_length, 1);
    agree("latent_channels and the encoder's hidden_size", latent_channels, encoder.hidden_size);
    agree("latent_channels and the decoder's n_embd", latent_channels, decoder.n_embd);
  } else if (latent == LatentKind::sequence) {
    LDLM_CHECK(latent_length > 1, "ldlm config", "latent_length must be more than 1, got ",
               latent_length);
    LDLM_CHECK(encoder.max_position_embeddings >= latent_length, "ldlm config", "the encoder has ",
               encoder.max_position_embeddings, " positions, the latent ", latent_length);
    LDLM_CHECK(decoder.n_positions >= 2 * latent_length, "ldlm config", "the decoder has ",
               decoder.n_positions, " positions, the latent and the text need ", 2 * latent_length);
  } else {
    LDLM_CHECK(max_new_tokens > 1, "ldlm config", "max_new_tokens must be more than 1, got ",
               max_new_tokens);
    const auto check_room = [&](std::string_view part, std::int64_t positions, bool with_details) {
      const std::int64_t left = positions - latent_length;
      LDLM_CHECK(latent_length <= positions && max_new_tokens <= (with_details ? left / 2 : left),
                 "ldlm config", "the ", part, " has ", positions, " positions, ", latent_length,
                 " slots", with_details ? ", as many details as tokens," : "", " and a text of ",
                 max_new_tokens, " tokens need more");
    };
    check_room("encoder", encoder.max_position_embeddings, false);
    check_room("decoder", decoder.n_positions, details);
  }
  LDLM_CHECK(!details || latent == LatentKind::slots, "ldlm config",
             "details go with slots only, and latent is another");
  const std::int64_t room = decoder.n_positions - latent_length + 1;
  LDLM_CHECK(max_new_tokens <= room, "ldlm config", "max_new_tokens must be at most ", room,
             ", as the decoder has ", decoder.n_positions, " positions, got ", max_new_tokens);
}

LDLM_BODY void LdlmConfig::validate_own(const ConfigRules& rules) const {
  rules.at_least("latent_length", latent_length);
  rules.at_least("latent_channels", latent_channels);
  rules.at_least("num_beams", num_beams);
  rules.check(num_beams <= max_beams, "num_beams", "must be at most ", max_beams, ", got ",
              num_beams);
  rules.at_least("max_new_tokens", max_new_tokens);
}

LDLM_BODY LdlmConfig LdlmConfig::from_json(const JsonReader& json) {
  json.refuse_others({"model_type", "latent", "latent_length", "latent_channels", "details",
                      "schedule", "prediction", "num_beams", "max_new_tokens", "sampling"});
  LdlmConfig c;
  const std::string type = json.get("model_type", "ldlm");
  json.check(type == "ldlm", "model_type", "must be \"ldlm\", got \"", type, '"');
  const std::string latent = json.get<std::string>("latent");
  json.check(latent == "pooled" || latent == "sequence" || latent == "slots", "latent",
             "must be \"pooled\", \"sequence\" or \"slots\", got \"", latent, '"');
  c.latent = latent == "pooled"     ? LatentKind::pooled
             : latent == "sequence" ? LatentKind::sequence
                                    : LatentKind::slots;
  c.latent_length = json.get<std::int64_t>("latent_length");
  c.latent_channels = json.get<std::int64_t>("latent_channels");
  detail::read_key(json, "details", c.details);
  c.schedule = ScheduleConfig::from_json(json.section("schedule"));
  const std::string prediction = json.get("prediction", "x0");
  json.check(prediction == "x0" || prediction == "epsilon" || prediction == "v", "prediction",
             "must be \"x0\", \"epsilon\" or \"v\", got \"", prediction, '"');
  c.prediction = prediction == "x0"        ? Prediction::x0
                 : prediction == "epsilon" ? Prediction::epsilon
                                           : Prediction::v;
  detail::read_key(json, "num_beams", c.num_beams);
  detail::read_key(json, "max_new_tokens", c.max_new_tokens);
  if (json.has("sampling")) {
    c.sampling = SamplingConfig::from_json(json.section("sampling"));
  }
  c.validate_own(ConfigRules(json));
  return c;
}

LDLM_BODY JsonValue LdlmConfig::to_json() const {
  constexpr std::string_view predictions[] = {"x0", "epsilon", "v"};
  constexpr std::string_view latents[] = {"pooled", "sequence", "slots"};
  JsonValue json = JsonValue::object({
      {"model_type", "ldlm"},
      {"latent", std::string(detail::name_in(latents, latent))},
      {"latent_length", latent_length},
      {"latent_channels", latent_channels},
  });
  if (latent == LatentKind::slots) {
    json.set("details", details);
  }
  return json.set("schedule", schedule.to_json())
      .set("prediction", std::string(detail::name_in(predictions, prediction)))
      .set("num_beams", num_beams)
      .set("max_new_tokens", max_new_tokens)
      .set("sampling", sampling.to_json());
}

}  // namespace ldlm
