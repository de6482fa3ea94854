#pragma once
// BertConfig: the shape of a BERT, as its config.json says.

#include <ldlm/models/pretrained.hpp>

namespace ldlm {

/// Names, defaults and meaning are those of Hugging Face's BertConfig: BERT-base, uncased.
struct BertConfig {
  std::int64_t vocab_size = 30522;
  std::int64_t hidden_size = 768;
  std::int64_t num_hidden_layers = 12;
  std::int64_t num_attention_heads = 12;
  std::int64_t intermediate_size = 3072;
  Activation hidden_act = Activation::gelu;
  double hidden_dropout_prob = 0.1;
  double attention_probs_dropout_prob = 0.1;
  std::int64_t max_position_embeddings = 512;
  std::int64_t type_vocab_size = 2;
  double initializer_range = 0.02;
  double layer_norm_eps = 1e-12;
  std::int64_t pad_token_id = 0;

  /// Throws an Error that names the file and the key for values that make no BERT.
  static BertConfig from_json(const JsonConfig& json) {
    BertConfig c;
    detail::read_integer(json, "vocab_size", c.vocab_size);
    detail::read_integer(json, "hidden_size", c.hidden_size);
    detail::read_integer(json, "num_hidden_layers", c.num_hidden_layers, 0);  // 0: embeddings
    detail::read_integer(json, "num_attention_heads", c.num_attention_heads);
    json.check(c.hidden_size % c.num_attention_heads == 0, "num_attention_heads", "is ",
               c.num_attention_heads, ", which does not divide hidden_size ", c.hidden_size);
    detail::read_integer(json, "intermediate_size", c.intermediate_size);
    c.hidden_act = activation_from(json, "hidden_act", "gelu");
    detail::read_dropout(json, "hidden_dropout_prob", c.hidden_dropout_prob);
    detail::read_dropout(json, "attention_probs_dropout_prob", c.attention_probs_dropout_prob);
    detail::read_integer(json, "max_position_embeddings", c.max_position_embeddings);
    detail::read_integer(json, "type_vocab_size", c.type_vocab_size);
    detail::read_initializer_range(json, c.initializer_range);
    detail::read_epsilon(json, "layer_norm_eps", c.layer_norm_eps);
    c.pad_token_id = json.get("pad_token_id", c.pad_token_id);
    const auto positions = json.get("position_embedding_type", "absolute");
    json.check(positions == "absolute", "position_embedding_type", "must be \"absolute\", got \"",
               positions, '"');
    json.check(!json.get("is_decoder", false), "is_decoder", "must be false");
    return c;
  }

  /// A config.json that transformers loads as the class `architecture`, e.g. "BertModel".
  [[nodiscard]] JsonValue to_json(const std::string& architecture) const {
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
    });
  }
};

}  // namespace ldlm
