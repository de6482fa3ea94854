#pragma once
// Bodies of models/reverse_transformer_config.hpp.

#include <ldlm/models/activation.hpp>
#include <ldlm/models/config_rules.hpp>
#include <ldlm/models/reverse_transformer_config.hpp>
#include <ldlm/nn/transformer_layer.hpp>

namespace ldlm {

LDLM_BODY std::int64_t ReverseTransformerConfig::input_dim() const {
  return self_conditioning ? 2 * latent_dim : latent_dim;
}

LDLM_BODY bool ReverseTransformerConfig::has_output_projection() const {
  return latent_dim != width || time_conditioning == TimeConditioning::log_snr;
}

LDLM_BODY TransformerOptions ReverseTransformerConfig::transformer() const {
  TransformerOptions options;
  options.d_model = width;
  options.nhead = heads;
  options.num_encoder_layers = encoder_layers;
  options.num_decoder_layers = decoder_layers;
  options.dim_feedforward = feed_forward;
  options.dropout = dropout;
  options.activation = activation;
  options.layer_norm_eps = layer_norm_eps;
  options.norm_first = norm_first;
  return options;
}

LDLM_BODY void ReverseTransformerConfig::validate(const ConfigRules& rules) const {
  rules.at_least("latent_dim", latent_dim);
  rules.at_least("width", width, 2);
  rules.check(width % 2 == 0, "width", "must be even, got ", width);
  rules.heads("heads", heads, "width", width);
  rules.at_least("feed_forward", feed_forward);
  rules.at_least("encoder_layers", encoder_layers);
  rules.at_least("decoder_layers", decoder_layers, 0);
  rules.at_least("length", length, 0);
  rules.activation("activation", activation);
  rules.check(time_conditioning == TimeConditioning::concat ||
                  time_conditioning == TimeConditioning::log_snr,
              "time_conditioning", "is ", static_cast<int>(time_conditioning),
              ", which is no TimeConditioning");
  rules.dropout("dropout", dropout);
  rules.epsilon("layer_norm_eps", layer_norm_eps);
}

LDLM_BODY ReverseTransformerConfig ReverseTransformerConfig::from_json(const JsonReader& json) {
  ReverseTransformerConfig c;
  detail::read_key(json, "latent_dim", c.latent_dim);
  detail::read_key(json, "width", c.width);
  detail::read_key(json, "heads", c.heads);
  detail::read_key(json, "feed_forward", c.feed_forward);
  detail::read_key(json, "encoder_layers", c.encoder_layers);
  detail::read_key(json, "decoder_layers", c.decoder_layers);
  detail::read_key(json, "length", c.length);
  detail::read_key(json, "norm_first", c.norm_first);
  c.activation = activation_from(json, "activation", "relu");
  detail::read_key(json, "dropout", c.dropout);
  detail::read_key(json, "layer_norm_eps", c.layer_norm_eps);
  detail::read_key(json, "self_conditioning", c.self_conditioning);
  const std::string time = json.get("time_conditioning", "concat");
  json.check(time == "concat" || time == "log_snr", "time_conditioning",
             "must be \"concat\" or \"log_snr\", got \"", time, '"');
  c.time_conditioning = time == "concat" ? TimeConditioning::concat : TimeConditioning::log_snr;
  c.validate(ConfigRules(json));
  return c;
}

LDLM_BODY JsonValue ReverseTransformerConfig::to_json() const {
  return JsonValue::object({
      {"model_type", "reverse_transformer"},
      {"latent_dim", latent_dim},
      {"width", width},
      {"heads", heads},
      {"feed_forward", feed_forward},
      {"encoder_layers", encoder_layers},
      {"decoder_layers", decoder_layers},
      {"length", length},
      {"norm_first", norm_first},
      {"activation", activation_name(activation)},
      {"dropout", dropout},
      {"layer_norm_eps", layer_norm_eps},
      {"self_conditioning", self_conditioning},
      {"time_conditioning", time_conditioning == TimeConditioning::concat ? "concat" : "log_snr"},
  });
}

}  // namespace ldlm
