#pragma once
// Gpt2Config: the shape of a GPT-2, as its config.json says.

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include <ldlm/core/linkage.hpp>
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
  [[nodiscard]] std::optional<std::int64_t> start_token() const;
  /// The tokens of which any ends a text.
  [[nodiscard]] std::vector<std::int64_t> end_tokens() const;

  /// Throws an Error that names the member for values that make no GPT-2.
  void validate(const ConfigRules& rules = ConfigRules("Gpt2Config")) const;
  /// Throws for what is no id of the vocabulary.
  void check_id(const ConfigRules& rules, std::string_view key, std::int64_t id) const;

  /// Throws an Error that names the file and the key for values that make no GPT-2, and for keys
  /// that would make it compute something else than this library does. Keys that change nothing
  /// (use_cache, n_ctx, summaries of heads, and reorder_and_upcast_attn, which is about half
  /// precision) are not read.
  static Gpt2Config from_json(const JsonReader& json);

  /// A config.json that transformers loads as the class `architecture`.
  [[nodiscard]] JsonValue to_json(const std::string& architecture = "GPT2LMHeadModel") const;

 private:
  // A size under GPT-2's name or under the one that all models have.
  static void read_either(const JsonReader& json, std::string_view name, std::string_view alias,
                          std::int64_t& value);
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/models/impl/gpt2_config.hpp>
#endif
