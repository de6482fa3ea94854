#pragma once
// Bodies of models/bert_config.hpp.

#include <ldlm/models/activation.hpp>
#include <ldlm/models/bert_config.hpp>
#include <ldlm/models/config_rules.hpp>

namespace ldlm {

LDLM_BODY void BertConfig::validate(const ConfigRules& rules) const {
  rules.at_least("vocab_size", vocab_size);
  rules.heads("num_attention_heads", num_attention_heads, "hidden_size", hidden_size);
  rules.at_least("num_hidden_layers", num_hidden_layers, 0);
  rules.at_least("intermediate_size", intermediate_size);
  rules.activation("hidden_act", hidden_act);
  rules.dropout("hidden_dropout_prob", hidden_dropout_prob);
  rules.dropout("attention_probs_dropout_prob", attention_probs_dropout_prob);
  rules.at_least("max_position_embeddings", max_position_embeddings);
  rules.at_least("type_vocab_size", type_vocab_size);
  rules.deviation("initializer_range", initializer_range);
  rules.epsilon("layer_norm_eps", layer_norm_eps);
  rules.check(pad_token_id >= 0 && pad_token_id < vocab_size, "pad_token_id",
              "must be an id below vocab_size ", vocab_size, ", got ", pad_token_id);
}

LDLM_BODY BertConfig BertConfig::from_json(const JsonReader& json) {
  BertConfig c;
  detail::read_key(json, "vocab_size", c.vocab_size);
  detail::read_key(json, "hidden_size", c.hidden_size);
  detail::read_key(json, "num_hidden_layers", c.num_hidden_layers);
  detail::read_key(json, "num_attention_heads", c.num_attention_heads);
  detail::read_key(json, "intermediate_size", c.intermediate_size);
  c.hidden_act = activation_from(json, "hidden_act", "gelu");
  detail::read_key(json, "hidden_dropout_prob", c.hidden_dropout_prob);
  detail::read_key(json, "attention_probs_dropout_prob", c.attention_probs_dropout_prob);
  detail::read_key(json, "max_position_embeddings", c.max_position_embeddings);
  detail::read_key(json, "type_vocab_size", c.type_vocab_size);
  detail::read_key(json, "initializer_range", c.initializer_range);
  detail::read_key(json, "layer_norm_eps", c.layer_norm_eps);
  detail::read_key(json, "pad_token_id", c.pad_token_id);
  detail::read_key(json, "tie_word_embeddings", c.tie_word_embeddings);
  const auto positions = json.get("position_embedding_type", "absolute");
  json.check(positions == "absolute", "position_embedding_type", "must be \"absolute\", got \"",
             positions, '"');
  for (const char* const key : {"is_decoder", "add_cross_attention"}) {
    json.check(!json.get(key, false), key, "must be false: a BERT that decodes is not supported");
  }
  detail::check_no_pruned_heads(json);
  c.validate(ConfigRules(json));
  return c;
}

LDLM_BODY JsonValue BertConfig::to_json(const std::string& architecture) const {
  return JsonValue::object({
      {"architectures", std::vector<std::string>{architecture}},
      {"model_type", "bert"},
      {"vocab_size", vocab_size},
      {"hidden_size", hidden_size},
      {"num_hidden_layers", num_hidden_layers},
      {"num_attention_heads", num_attention_heads},
      {"intermediate_size", intermediate_size},
      {"hidden_act", activation_name(hidden_act)},
      {"hidden_dropout_prob", hidden_dropout_prob},
      {"attention_probs_dropout_prob", attention_probs_dropout_prob},
      {"max_position_embeddings", max_position_embeddings},
      {"type_vocab_size", type_vocab_size},
      {"initializer_range", initializer_range},
      {"layer_norm_eps", layer_norm_eps},
      {"pad_token_id", pad_token_id},
      {"position_embedding_type", "absolute"},
      {"tie_word_embeddings", tie_word_embeddings},
  });
}

}  // namespace ldlm
