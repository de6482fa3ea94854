#pragma once
// BertConfig: the shape of a BERT, as its config.json says.

#include <ldlm/core/linkage.hpp>
#include <ldlm/models/activation.hpp>
#include <ldlm/models/config_rules.hpp>

namespace ldlm {

/// Names, defaults and meaning are those of Hugging Face's BertConfig: BERT-base, uncased.
struct BertConfig {
  std::int64_t vocab_size = 30522;
  std::int64_t hidden_size = 768;
  std::int64_t num_hidden_layers = 12;  // 0: embeddings alone
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
  bool tie_word_embeddings = true;  // of BertForMaskedLM's output matrix

  /// Throws an Error that names the member for values that make no BERT.
  void validate(const ConfigRules& rules = ConfigRules("BertConfig")) const;

  /// Throws an Error that names the file and the key for values that make no BERT, and for keys
  /// that would make it compute something else than this library does. Keys that change nothing
  /// for an encoder's values (use_cache, chunk_size_feed_forward, labels of heads) are not read.
  static BertConfig from_json(const JsonReader& json);

  /// A config.json that transformers loads as the class `architecture`, e.g. "BertModel".
  [[nodiscard]] JsonValue to_json(const std::string& architecture) const;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/models/impl/bert_config.hpp>
#endif
