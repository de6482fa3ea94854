#pragma once
// Bodies of models/gpt2_config.hpp.

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include <ldlm/models/activation.hpp>
#include <ldlm/models/config_rules.hpp>
#include <ldlm/models/gpt2_config.hpp>
#include <ldlm/models/token_ids.hpp>

namespace ldlm {

LDLM_BODY std::optional<std::int64_t> Gpt2Config::start_token() const {
  return bos_token_id && *bos_token_id < vocab_size ? bos_token_id : std::nullopt;
}

LDLM_BODY std::vector<std::int64_t> Gpt2Config::end_tokens() const {
  std::vector<std::int64_t> out = eos_token_id;
  std::erase_if(out, [this](std::int64_t id) { return id >= vocab_size; });
  return out;
}

LDLM_BODY void Gpt2Config::validate(const ConfigRules& rules) const {
  rules.at_least("vocab_size", vocab_size);
  rules.at_least("n_positions", n_positions);
  rules.heads("n_head", n_head, "n_embd", n_embd);
  rules.check(n_embd <= std::numeric_limits<std::int64_t>::max() / 4, "n_embd",
              "is too large: ", n_embd);
  rules.at_least("n_layer", n_layer);
  rules.at_least("n_inner", n_inner, 0);
  rules.activation("activation_function", activation_function);
  rules.dropout("resid_pdrop", resid_pdrop);
  rules.dropout("embd_pdrop", embd_pdrop);
  rules.dropout("attn_pdrop", attn_pdrop);
  rules.epsilon("layer_norm_epsilon", layer_norm_epsilon);
  rules.deviation("initializer_range", initializer_range);
  if (bos_token_id) {
    check_id(rules, "bos_token_id", *bos_token_id);
  }
  for (const std::int64_t id : eos_token_id) {
    check_id(rules, "eos_token_id", id);
  }
}

LDLM_BODY void Gpt2Config::check_id(const ConfigRules& rules, std::string_view key,
                                    std::int64_t id) const {
  rules.check(id >= 0 && (id < vocab_size || id == default_token_id), key,
              "must be an id below vocab_size ", vocab_size, ", got ", id);
}

LDLM_BODY Gpt2Config Gpt2Config::from_json(const JsonReader& json) {
  Gpt2Config c;
  detail::read_key(json, "vocab_size", c.vocab_size);
  read_either(json, "n_positions", "max_position_embeddings", c.n_positions);
  read_either(json, "n_embd", "hidden_size", c.n_embd);
  read_either(json, "n_layer", "num_hidden_layers", c.n_layer);
  read_either(json, "n_head", "num_attention_heads", c.n_head);
  if (json.has("n_inner")) {
    c.n_inner = json.get<std::int64_t>("n_inner");
    ConfigRules(json).at_least("n_inner", c.n_inner);
  }
  c.activation_function = activation_from(json, "activation_function", "gelu_new");
  detail::read_key(json, "resid_pdrop", c.resid_pdrop);
  detail::read_key(json, "embd_pdrop", c.embd_pdrop);
  detail::read_key(json, "attn_pdrop", c.attn_pdrop);
  detail::read_key(json, "layer_norm_epsilon", c.layer_norm_epsilon);
  detail::read_key(json, "initializer_range", c.initializer_range);
  c.bos_token_id = token_id_from(json, "bos_token_id", c.bos_token_id);
  c.eos_token_id = token_ids_from(json, "eos_token_id").value_or(c.eos_token_id);
  detail::read_key(json, "add_cross_attention", c.add_cross_attention);
  detail::read_key(json, "tie_word_embeddings", c.tie_word_embeddings);
  json.check(json.get("scale_attn_weights", true), "scale_attn_weights", "must be true");
  json.check(!json.get("scale_attn_by_inverse_layer_idx", false), "scale_attn_by_inverse_layer_idx",
             "must be false");
  detail::check_no_pruned_heads(json);
  c.validate(ConfigRules(json));
  return c;
}

LDLM_BODY JsonValue Gpt2Config::to_json(const std::string& architecture) const {
  return JsonValue::object({
      {"architectures", std::vector<std::string>{architecture}},
      {"model_type", "gpt2"},
      {"vocab_size", vocab_size},
      {"n_positions", n_positions},
      {"n_embd", n_embd},
      {"n_layer", n_layer},
      {"n_head", n_head},
      {"n_inner", n_inner > 0 ? JsonValue(n_inner) : JsonValue()},
      {"activation_function", activation_name(activation_function)},
      {"resid_pdrop", resid_pdrop},
      {"embd_pdrop", embd_pdrop},
      {"attn_pdrop", attn_pdrop},
      {"layer_norm_epsilon", layer_norm_epsilon},
      {"initializer_range", initializer_range},
      {"bos_token_id", bos_token_id ? JsonValue(*bos_token_id) : JsonValue()},
      {"eos_token_id", token_ids_to_json(eos_token_id)},
      {"add_cross_attention", add_cross_attention},
      {"tie_word_embeddings", tie_word_embeddings},
  });
}

LDLM_BODY void Gpt2Config::read_either(const JsonReader& json, std::string_view name,
                                       std::string_view alias, std::int64_t& value) {
  detail::read_key(json, alias, value);
  const std::int64_t by_alias = value;
  detail::read_key(json, name, value);
  json.check(!json.has(alias) || value == by_alias, alias, "is ", by_alias, ", but ", name, " is ",
             value);
  if (json.has(alias) && !json.has(name)) {
    ConfigRules(json).at_least(alias, value);
  }
}

}  // namespace ldlm
