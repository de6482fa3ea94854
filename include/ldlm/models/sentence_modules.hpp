#pragma once
// What the files of a sentence-transformers folder say: how texts are cut and prompted, how states
// become one vector, and what is done to that. What would change the vectors and is not supported
// is an Error with the file and the key.

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
#include <ldlm/nn/linear.hpp>

namespace ldlm {

/// A linear map of the pooled vector, and what follows it.
template <Floating T>
struct SentenceDense {
  enum class Kind : std::uint8_t { identity, tanh, relu, gelu };

  nn::Linear<T> linear;
  Kind activation = Kind::identity;

  /// (B, K) -> (B, N)
  Variable<T> operator()(const Variable<T>& x) const {
    const Variable<T> y = linear(x);
    switch (activation) {
      case Kind::tanh:
        return tanh(y);
      case Kind::relu:
        return relu(y);
      case Kind::gelu:
        return gelu(y);
      case Kind::identity:
        break;
    }
    return y;
  }
};

/// The steps after the encoder.
template <Floating T>
struct SentenceModules {
  std::vector<PoolingMode> pooling{PoolingMode::mean};  // their vectors lie side by side
  bool include_prompt = true;                           // whether the prompt's tokens are pooled
  struct Step {
    std::optional<SentenceDense<T>> dense = std::nullopt;  // nothing: normalise to length 1
  };
  std::vector<Step> steps{};
  std::filesystem::path encoder{};  // the folder of the BERT
  bool described = false;           // whether the folder has a modules.json
};

namespace detail {

/// "sentence_transformers.models.Pooling" -> "Pooling"; nothing for classes of others.
[[nodiscard]] inline std::optional<std::string> sentence_module_name(const std::string& type) {
  const bool theirs = type.starts_with("sentence_transformers.");
  return theirs ? std::optional(type.substr(type.rfind('.') + 1)) : std::nullopt;
}

[[nodiscard]] inline std::optional<PoolingMode> pooling_mode(std::string_view name) {
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

/// The modes of a Pooling module: "pooling_mode", a name or a list of them, or today's older
/// "pooling_mode_*" flags; in their order the vectors are concatenated.
[[nodiscard]] inline std::vector<PoolingMode> read_pooling_modes(const JsonConfig& json) {
  constexpr std::string_view key = "pooling_mode";
  json.refuse_others({"embedding_dimension", "word_embedding_dimension", "include_prompt", key,
                      "pooling_mode_cls_token", "pooling_mode_max_tokens",
                      "pooling_mode_mean_tokens", "pooling_mode_mean_sqrt_len_tokens",
                      "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"});
  std::vector<PoolingMode> out;
  if (json.has(key)) {
    const JsonValue& value = *json.root().find(key);
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

/// Throws unless a module reads the pooled vector and puts another in its place.
inline void check_module_names(const JsonConfig& json) {
  for (const char* const key : {"module_input_name", "module_output_name"}) {
    const std::string name = json.get(key, "sentence_embedding");
    json.check(name == "sentence_embedding", key, "must be \"sentence_embedding\", got \"", name,
               '"');
  }
}

/// A Dense module's folder: config.json and model.safetensors.
template <Floating T>
[[nodiscard]] SentenceDense<T> read_dense(const std::filesystem::path& folder) {
  using Kind = typename SentenceDense<T>::Kind;
  const JsonConfig json = JsonConfig::open(folder / "config.json");
  check_module_names(json);
  json.check(!json.get("use_residual", false), "use_residual", "must be false");
  SentenceDense<T> dense;
  const JsonValue* const named = json.root().find("activation_function");
  json.check(named == nullptr || !named->is_null(), "activation_function", "must be a name");
  const std::string function = json.get("activation_function", "torch.nn.modules.activation.Tanh");
  const std::string name =
      function.starts_with("torch.nn.") ? function.substr(function.rfind('.') + 1) : "";
  json.check(name == "Identity" || name == "Tanh" || name == "ReLU" || name == "GELU",
             "activation_function", "must be torch.nn's Identity, Tanh, ReLU or GELU, got \"",
             function, '"');
  dense.activation = name == "Tanh"   ? Kind::tanh
                     : name == "ReLU" ? Kind::relu
                     : name == "GELU" ? Kind::gelu
                                      : Kind::identity;
  const SafetensorsModel file = SafetensorsModel::open(folder);
  const Tensor<T> weight = file.load<T>("linear.weight");
  LDLM_CHECK(weight.rank() == 2, "from_pretrained", file.origin(), ": linear.weight is ",
             to_string(weight.shape()), ", not a matrix");
  dense.linear.weight = nn::Weight<T>(Variable<T>(weight.clone()));
  const bool with_bias = json.get("bias", true);
  json.check(with_bias || !file.contains("linear.bias"), "bias", "is false, but ", file.origin(),
             " holds linear.bias");
  if (with_bias) {
    const Tensor<T> bias = file.load<T>("linear.bias");
    LDLM_CHECK((bias.shape() == Shape{weight.size(0)}), "from_pretrained", file.origin(),
               ": linear.bias ", to_string(bias.shape()), " does not fit linear.weight ",
               to_string(weight.shape()));
    dense.linear.bias = Variable<T>(bias.clone());
  }
  return dense;
}

/// Reads modules.json and the folders that it names. Without it: the mean.
template <Floating T>
[[nodiscard]] SentenceModules<T> read_sentence_modules(const std::filesystem::path& folder) {
  SentenceModules<T> out;
  out.encoder = folder;
  const std::filesystem::path path = folder / "modules.json";
  if (!std::filesystem::exists(path)) {
    return out;
  }
  out.described = true;
  const JsonValue list = read_json(path);
  LDLM_CHECK(list.is_array(), "config", path.native(), ": must be a list of modules, got ",
             list.preview());
  std::size_t number = 0;
  std::set<std::string> names;
  for (const JsonValue& entry : list.items()) {
    const JsonConfig json(entry, path.native());
    const auto key = json.get<std::string>("name");  // torch's key of the module
    json.check(!key.empty() && key.find('.') == std::string::npos, "name",
               "must be a name without dots, got \"", key, '"');
    json.check(names.insert(key).second, "name", "is \"", key, "\", as an earlier module's");
    const auto type = json.get<std::string>("type");
    const std::string place = json.get("path", "");
    const std::filesystem::path at = std::filesystem::path(place).lexically_normal();
    json.check(!at.is_absolute() && (at.empty() || *at.begin() != ".."), "path",
               "must lie within the folder, got \"", place, '"');
    const auto name = sentence_module_name(type);
    const char* const expected = number == 0 ? "Transformer" : number == 1 ? "Pooling" : nullptr;
    const bool known =
        expected != nullptr ? name == expected : name == "Normalize" || name == "Dense";
    json.check(known, "type", "is \"", type, "\", which is not supported as module ", number,
               "; Transformer, then Pooling, then any of Dense and Normalize are");
    const std::filesystem::path module = place.empty() ? folder : folder / at;
    if (number == 0) {
      out.encoder = module;
    } else if (number == 1) {
      const JsonConfig pooling = JsonConfig::open(module / "config.json");
      out.pooling = read_pooling_modes(pooling);
      out.include_prompt = pooling.get("include_prompt", true);
    } else if (name == "Normalize") {
      if (!place.empty() && std::filesystem::exists(module / "config.json")) {
        check_module_names(JsonConfig::open(module / "config.json"));
      }
      out.steps.emplace_back();
    } else {
      out.steps.push_back({read_dense<T>(module)});
    }
    ++number;
  }
  LDLM_CHECK(number >= 2, "config", path.native(), ": needs a Transformer and a Pooling module");
  return out;
}

}  // namespace detail

namespace detail {

/// The configuration of a Transformer module: the first file that is there and not empty, as
/// sentence-transformers looks for it. Nothing if there is none.
[[nodiscard]] inline std::optional<JsonConfig> open_transformer_config(
    const std::filesystem::path& folder) {
  for (const char* const model :
       {"bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"}) {
    const auto path = folder / ("sentence_" + std::string(model) + "_config.json");
    if (std::filesystem::exists(path)) {
      JsonConfig json = JsonConfig::open(path);
      if (!json.root().members().empty()) {
        return json;
      }
    }
  }
  return std::nullopt;
}

/// Throws unless texts become the encoder's last states, as they do by default.
inline void check_modalities(const JsonConfig& json) {
  constexpr std::string_view key = "modality_config";
  if (json.root().find(key) == nullptr) {
    return;  // module_output_name counts only beside it
  }
  const JsonConfig modalities = json.section(key);
  json.check(modalities.root().find("text") != nullptr, key, "must have \"text\"");
  json.check(modalities.root().find("message") == nullptr, key,
             "has \"message\": texts as messages are not supported");
  const JsonConfig text = modalities.section("text");
  const auto method = text.get<std::string>("method");
  text.check(method == "forward", "method", "must be \"forward\", got \"", method, '"');
  const JsonValue* const output = text.root().find("method_output_name");
  const std::vector<std::string> expected{"last_hidden_state"};
  text.check(output != nullptr && (output->get_if<std::string>() == expected.front() ||
                                   output->get_if<std::vector<std::string>>() == expected),
             "method_output_name", "must be \"last_hidden_state\", got ",
             output != nullptr ? output->preview() : "nothing");
  const auto name = json.get<std::string>("module_output_name");
  json.check(name == "token_embeddings", "module_output_name",
             "must be \"token_embeddings\", got \"", name, '"');
}

}  // namespace detail

/// How texts become tokens, as sentence_bert_config.json and config_sentence_transformers.json say.
struct SentenceInputs {
  std::optional<std::int64_t> max_length = std::nullopt;  // unset: the tokenizer's
  std::string config_name{};                              // of the file that set it, for messages
  bool do_lower_case = false;
  std::map<std::string, std::string> prompts{{"query", ""}, {"document", ""}};
  std::optional<std::string> default_prompt_name = std::nullopt;

  static SentenceInputs from_folder(const std::filesystem::path& folder,
                                    const std::filesystem::path& encoder) {
    SentenceInputs out;
    if (const auto config = detail::open_transformer_config(encoder)) {
      const JsonConfig& json = *config;
      out.config_name = json.origin();
      json.refuse_others({"max_seq_length", "do_lower_case", "transformer_task", "modality_config",
                          "module_output_name", "unpad_inputs", "model_args", "model_kwargs",
                          "config_args", "config_kwargs", "tokenizer_args", "processor_kwargs",
                          "processing_kwargs", "query_length", "document_length", "query_expansion",
                          "tokenizer_name_or_path"});
      if (json.has("max_seq_length")) {
        out.max_length = json.get<std::int64_t>("max_seq_length");
        json.check(*out.max_length > 0, "max_seq_length", "must be positive, got ",
                   *out.max_length);
      }
      out.do_lower_case = json.get("do_lower_case", false);
      const std::string task = json.get("transformer_task", "feature-extraction");
      json.check(task == "feature-extraction", "transformer_task",
                 "must be \"feature-extraction\", got \"", task, '"');
      for (const char* const key : {"model_args", "model_kwargs", "config_args", "config_kwargs",
                                    "tokenizer_args", "processor_kwargs", "processing_kwargs"}) {
        const JsonValue* const value = json.root().find(key);
        json.check(value == nullptr || value->is_null() ||
                       (value->is_object() && value->members().empty()),
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
      const JsonConfig json = JsonConfig::open(path);
      const std::string kind = json.get("model_type", "SentenceTransformer");
      json.check(kind == "SentenceTransformer", "model_type",
                 "must be \"SentenceTransformer\", got \"", kind, '"');
      if (json.root().find("prompts") != nullptr) {
        const JsonConfig section = json.section("prompts");
        for (const auto& [name, value] : section.root().members()) {
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
      const JsonValue* const cut = json.root().find("truncate_dim");
      json.check(cut == nullptr || cut->is_null(), "truncate_dim", "is not supported");
    }
    return out;
  }
};

}  // namespace ldlm
