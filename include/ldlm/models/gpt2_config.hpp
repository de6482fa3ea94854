#pragma once
// Gpt2Config: the shape of a GPT-2, as its config.json says.

#include <ldlm/models/pretrained.hpp>

namespace ldlm {

/// Names, defaults and meaning are those of Hugging Face's GPT2Config: the smallest GPT-2.
struct Gpt2Config {
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
  std::int64_t bos_token_id = 50256;
  std::int64_t eos_token_id = 50256;
  bool add_cross_attention = false;
  bool tie_word_embeddings = true;

  [[nodiscard]] std::int64_t inner() const { return n_inner > 0 ? n_inner : 4 * n_embd; }

  /// Throws an Error that names the file and the key for values that make no GPT-2.
  static Gpt2Config from_json(const JsonConfig& json) {
    Gpt2Config c;
    detail::read_integer(json, "vocab_size", c.vocab_size);
    detail::read_integer(json, "n_positions", c.n_positions);
    detail::read_integer(json, "n_embd", c.n_embd);
    detail::read_integer(json, "n_layer", c.n_layer);
    detail::read_integer(json, "n_head", c.n_head);
    json.check(c.n_embd % c.n_head == 0, "n_head", "is ", c.n_head,
               ", which does not divide n_embd ", c.n_embd);
    if (json.has("n_inner")) {
      detail::read_integer(json, "n_inner", c.n_inner);
    }
    c.activation_function = activation_from(json, "activation_function", "gelu_new");
    detail::read_dropout(json, "resid_pdrop", c.resid_pdrop);
    detail::read_dropout(json, "embd_pdrop", c.embd_pdrop);
    detail::read_dropout(json, "attn_pdrop", c.attn_pdrop);
    detail::read_epsilon(json, "layer_norm_epsilon", c.layer_norm_epsilon);
    detail::read_initializer_range(json, c.initializer_range);
    c.bos_token_id = json.get("bos_token_id", c.bos_token_id);
    c.eos_token_id = json.get("eos_token_id", c.eos_token_id);
    c.add_cross_attention = json.get("add_cross_attention", c.add_cross_attention);
    c.tie_word_embeddings = json.get("tie_word_embeddings", c.tie_word_embeddings);
    json.check(json.get("scale_attn_weights", true), "scale_attn_weights", "must be true");
    json.check(!json.get("scale_attn_by_inverse_layer_idx", false),
               "scale_attn_by_inverse_layer_idx", "must be false");
    return c;
  }

  /// A config.json that transformers loads as a GPT2LMHeadModel.
  [[nodiscard]] JsonValue to_json() const {
    return JsonValue::object({
        {"architectures", std::vector<std::string>{"GPT2LMHeadModel"}},
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
        {"bos_token_id", bos_token_id},
        {"eos_token_id", eos_token_id},
        {"add_cross_attention", add_cross_attention},
        {"tie_word_embeddings", tie_word_embeddings},
    });
  }
};

}  // namespace ldlm
