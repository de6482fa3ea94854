#pragma once
// Bodies of models/sentence_modules.hpp.

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/io/safetensors_model.hpp>
#include <ldlm/models/pooling.hpp>
#include <ldlm/models/sentence_modules.hpp>
#include <ldlm/nn/linear.hpp>

namespace ldlm::detail {

LDLM_BODY std::optional<std::string> sentence_module_name(const std::string& type) {
  const bool theirs = type.starts_with("sentence_transformers.");
  return theirs ? std::optional(type.substr(type.rfind('.') + 1)) : std::nullopt;
}

LDLM_BODY std::optional<PoolingMode> pooling_mode(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, PoolingMode>, 6> modes{{
      {"cls", PoolingMode::cls},
      {"max", PoolingMode::max},
      {"mean", PoolingMode::mean},
      {"mean_sqrt_len_tokens", PoolingMode::mean_sqrt_len_tokens},
      {"weightedmean", PoolingMode::weightedmean},
      {"lasttoken", PoolingMode::lasttoken},
  }};
  for (const auto& [known, mode] : modes) {
    if (name == known) {
      return mode;
    }
  }
  return std::nullopt;
}

LDLM_BODY std::vector<PoolingMode> read_pooling_modes(const JsonReader& json) {
  constexpr std::string_view key = "pooling_mode";
  json.refuse_others({"embedding_dimension", "word_embedding_dimension", "include_prompt", key,
                      "pooling_mode_cls_token", "pooling_mode_max_tokens",
                      "pooling_mode_mean_tokens", "pooling_mode_mean_sqrt_len_tokens",
                      "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"});
  std::vector<PoolingMode> out;
  if (json.has(key)) {
    const JsonValue& value = *json.value().find(key);
    const auto one = value.get_if<std::string>();
    const auto names = one ? std::optional(std::vector<std::string>{*one})
                           : value.get_if<std::vector<std::string>>();
    json.check(names && !names->empty(), key, "must be a name or a list of names, got ",
               value.preview());
    for (const std::string& name : *names) {
      const auto mode = pooling_mode(name);
      json.check(mode.has_value(), key, "must be one of cls, max, mean, mean_sqrt_len_tokens, ",
                 "weightedmean and lasttoken, got \"", name, '"');
      out.push_back(*mode);
    }
    return out;
  }
  static constexpr std::array<std::pair<const char*, PoolingMode>, 6> flags{{
      {"pooling_mode_cls_token", PoolingMode::cls},
      {"pooling_mode_max_tokens", PoolingMode::max},
      {"pooling_mode_mean_tokens", PoolingMode::mean},
      {"pooling_mode_mean_sqrt_len_tokens", PoolingMode::mean_sqrt_len_tokens},
      {"pooling_mode_weightedmean_tokens", PoolingMode::weightedmean},
      {"pooling_mode_lasttoken", PoolingMode::lasttoken},
  }};
  for (const auto& [flag, mode] : flags) {
    if (json.get(flag, false)) {
      out.push_back(mode);
    }
  }
  return out.empty() ? std::vector<PoolingMode>{PoolingMode::mean} : out;
}

LDLM_BODY void check_module_names(const JsonReader& json) {
  for (const char* const key : {"module_input_name", "module_output_name"}) {
    const std::string name = json.get(key, "sentence_embedding");
    json.check(name == "sentence_embedding", key, "must be \"sentence_embedding\", got \"", name,
               '"');
  }
}

LDLM_BODY std::optional<JsonReader> open_transformer_config(const std::filesystem::path& folder) {
  for (const char* const model :
       {"bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"}) {
    const auto path = folder / ("sentence_" + std::string(model) + "_config.json");
    if (std::filesystem::exists(path)) {
      JsonReader json = open_json(path);
      if (!json.value().members().empty()) {
        return json;
      }
    }
  }
  return std::nullopt;
}

LDLM_BODY void check_modalities(const JsonReader& json) {
  constexpr std::string_view key = "modality_config";
  if (json.value().find(key) == nullptr) {
    return;  // module_output_name counts only beside it
  }
  const JsonReader modalities = json.section(key);
  json.check(modalities.value().find("text") != nullptr, key, "must have \"text\"");
  json.check(modalities.value().find("message") == nullptr, key,
             "has \"message\": texts as messages are not supported");
  const JsonReader text = modalities.section("text");
  const auto method = text.get<std::string>("method");
  text.check(method == "forward", "method", "must be \"forward\", got \"", method, '"');
  const JsonValue* const output = text.value().find("method_output_name");
  const std::vector<std::string> expected{"last_hidden_state"};
  text.check(output != nullptr && (output->get_if<std::string>() == expected.front() ||
                                   output->get_if<std::vector<std::string>>() == expected),
             "method_output_name", "must be \"last_hidden_state\", got ",
             output != nullptr ? output->preview() : "nothing");
  const auto name = json.get<std::string>("module_output_name");
  json.check(name == "token_embeddings", "module_output_name",
             "must be \"token_embeddings\", got \"", name, '"');
}

}  // namespace ldlm::detail

namespace ldlm {

LDLM_BODY SentenceInputs SentenceInputs::from_folder(const std::filesystem::path& folder,
                                                     const std::filesystem::path& encoder) {
  SentenceInputs out;
  if (const auto config = detail::open_transformer_config(encoder)) {
    const JsonReader& json = *config;
    out.config_name = json.origin();
    json.refuse_others({"max_seq_length", "do_lower_case", "transformer_task", "modality_config",
                        "module_output_name", "unpad_inputs", "model_args", "model_kwargs",
                        "config_args", "config_kwargs", "tokenizer_args", "processor_kwargs",
                        "processing_kwargs", "query_length", "document_length", "query_expansion",
                        "tokenizer_name_or_path"});
    if (json.has("max_seq_length")) {
      out.max_length = json.get<std::int64_t>("max_seq_length");
      json.check(*out.max_length > 0, "max_seq_length", "must be positive, got ", *out.max_length);
    }
    out.do_lower_case = json.get("do_lower_case", false);
    const std::string task = json.get("transformer_task", "feature-extraction");
    json.check(task == "feature-extraction", "transformer_task",
               "must be \"feature-extraction\", got \"", task, '"');
    for (const char* const key : {"model_args", "model_kwargs", "config_args", "config_kwargs",
                                  "tokenizer_args", "processor_kwargs", "processing_kwargs"}) {
      const JsonValue* const value = json.value().find(key);
      json.check(
          value == nullptr || value->is_null() || (value->is_object() && value->members().empty()),
          key, "must be empty: such options are not supported");
    }
    for (const char* const key :
         {"query_length", "document_length", "query_expansion", "tokenizer_name_or_path"}) {
      json.check(!json.has(key), key, "is not supported");
    }
    detail::check_modalities(json);
  }
  const auto path = folder / "config_sentence_transformers.json";
  if (std::filesystem::exists(path)) {
    const JsonReader json = open_json(path);
    const std::string kind = json.get("model_type", "SentenceTransformer");
    json.check(kind == "SentenceTransformer", "model_type",
               "must be \"SentenceTransformer\", got \"", kind, '"');
    if (json.value().find("prompts") != nullptr) {
      const JsonReader section = json.section("prompts");
      for (const auto& [name, value] : section.value().members()) {
        json.check(value.is_null() || value.get_if<std::string>(), "prompts",
                   "must hold texts, got ", value.preview());
        out.prompts[name] = value.get_if<std::string>().value_or("");
      }
    }
    if (json.has("default_prompt_name")) {
      out.default_prompt_name = json.get<std::string>("default_prompt_name");
      json.check(out.prompts.count(*out.default_prompt_name) > 0, "default_prompt_name", "is \"",
                 *out.default_prompt_name, "\", which is not among the prompts");
    }
    const JsonValue* const cut = json.value().find("truncate_dim");
    json.check(cut == nullptr || cut->is_null(), "truncate_dim", "is not supported");
  }
  return out;
}

}  // namespace ldlm
