#pragma once
// Gpt2Config: the shape of a GPT-2, as its config.json says.

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include <ldlm/models/activation.hpp>
#include <ldlm/models/config_rules.hpp>
#include <ldlm/models/token_ids.hpp>

namespace ldlm {

/// Names, defaults and meaning are those of Hugging Face's GPT2Config: the smallest GPT-2.
struct Gpt2Config {
  /// The id that bos_token_id and eos_token_id have where nobody set them; in a smaller vocabulary
  /// it stands for none.
  static constexpr std::int64_t default_token_id = 50256;

  std::int64_t vocab_size = 50257;
  std::int64_t n_positions = 1024;
  std::int64_t n_embd = 768;
  std::int64_t n_layer = 12;
  std::int64_t n_head = 12;
  std::int64_t n_inner = 0;  // 0: 4 n_embd
  Activation activation_function = Activation::gelu_tanh;
  double resid_pdrop = 0.1;
  double embd_pdrop = 0.1;
  double attn_pdrop = 0.1;
  double layer_norm_epsilon = 1e-5;
  double initializer_range = 0.02;
  std::optional<std::int64_t> bos_token_id = default_token_id;
  std::vector<std::int64_t> eos_token_id{default_token_id};  // any of these ends a text
  bool add_cross_attention = false;
  bool tie_word_embeddings = true;

  [[nodiscard]] std::int64_t inner() const { return n_inner > 0 ? n_inner : 4 * n_embd; }
  /// The token that a text without a prompt begins with, if there is one.
  [[nodiscard]] std::optional<std::int64_t> start_token() const {
    return bos_token_id && *bos_token_id < vocab_size ? bos_token_id : std::nullopt;
  }
  /// The tokens of which any ends a text.
  [[nodiscard]] std::vector<std::int64_t> end_tokens() const {
    std::vector<std::int64_t> out = eos_token_id;
    std::erase_if(out, [this](std::int64_t id) { return id >= vocab_size; });
    return out;
  }

  /// Throws an Error that names the member for values that make no GPT-2.
  void validate(const ConfigRules& rules = ConfigRules("Gpt2Config")) const {
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
  /// Throws for what is no id of the vocabulary.
  void check_id(const ConfigRules& rules, std::string_view key, std::int64_t id) const {
    rules.check(id >= 0 && (id < vocab_size || id == default_token_id), key,
                "must be an id below vocab_size ", vocab_size, ", got ", id);
  }

  /// Throws an Error that names the file and the key for values that make no GPT-2, and for keys
  /// that would make it compute something else than this library does. Keys that change nothing
  /// (use_cache, n_ctx, summaries of heads, and reorder_and_upcast_attn, which is about half
  /// precision) are not read.
  static Gpt2Config from_json(const JsonReader& json) {
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
    json.check(!json.get("scale_attn_by_inverse_layer_idx", false),
               "scale_attn_by_inverse_layer_idx", "must be false");
    detail::check_no_pruned_heads(json);
    c.validate(ConfigRules(json));
    return c;
  }

  /// A config.json that transformers loads as the class `architecture`.
  [[nodiscard]] JsonValue to_json(const std::string& architecture = "GPT2LMHeadModel") const {
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

 private:
  // A size under GPT-2's name or under the one that all models have.
  static void read_either(const JsonReader& json, std::string_view name, std::string_view alias,
                          std::int64_t& value) {
    detail::read_key(json, alias, value);
    const std::int64_t by_alias = value;
    detail::read_key(json, name, value);
    json.check(!json.has(alias) || value == by_alias, alias, "is ", by_alias, ", but ", name,
               " is ", value);
    if (json.has(alias) && !json.has(name)) {
      ConfigRules(json).at_least(alias, value);
    }
  }
};

}  // namespace ldlm
