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

#include <ldlm/core/linkage.hpp>
#include <ldlm/io/safetensors_model.hpp>
#include <ldlm/models/pooling.hpp>
#include <ldlm/nn/linear.hpp>

namespace ldlm {

/// A linear map of the pooled vector, and what follows it.
template <Floating T = float>
struct SentenceDense {
  enum class Kind : std::uint8_t { identity, tanh, relu, gelu };

  Linear<T> linear;
  Kind activation = Kind::identity;

  /// (B, K) -> (B, N)
  Variable<T> operator()(const Operand<T> auto& x) const {
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
template <Floating T = float>
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
[[nodiscard]] std::optional<std::string> sentence_module_name(const std::string& type);

[[nodiscard]] std::optional<PoolingMode> pooling_mode(std::string_view name);

/// The modes of a Pooling module: "pooling_mode", a name or a list of them, or today's older
/// "pooling_mode_*" flags; in their order the vectors are concatenated.
[[nodiscard]] std::vector<PoolingMode> read_pooling_modes(const JsonReader& json);

/// Throws unless a module reads the pooled vector and puts another in its place.
void check_module_names(const JsonReader& json);

/// A Dense module's folder: config.json and model.safetensors.
template <Floating T>
[[nodiscard]] SentenceDense<T> read_dense(const std::filesystem::path& folder) {
  using Kind = typename SentenceDense<T>::Kind;
  const JsonReader json = open_json(folder / "config.json");
  check_module_names(json);
  json.check(!json.get("use_residual", false), "use_residual", "must be false");
  SentenceDense<T> dense;
  const JsonValue* const named = json.value().find("activation_function");
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
  LDLM_CHECK_FILE(weight.rank() == 2, "from_pretrained", file.origin(), ": linear.weight is ",
                  to_string(weight.shape()), ", not a matrix");
  dense.linear.weight = Weight<T>(Variable<T>(weight.clone()));
  const bool with_bias = json.get("bias", true);
  json.check(with_bias || !file.contains("linear.bias"), "bias", "is false, but ", file.origin(),
             " holds linear.bias");
  if (with_bias) {
    const Tensor<T> bias = file.load<T>("linear.bias");
    LDLM_CHECK_FILE((bias.shape() == Shape{weight.size(0)}), "from_pretrained", file.origin(),
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
  std::size_t number = 0;
  std::set<std::string> names;
  for (const JsonReader& json : open_json(path).items()) {
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
      const JsonReader pooling = open_json(module / "config.json");
      out.pooling = read_pooling_modes(pooling);
      out.include_prompt = pooling.get("include_prompt", true);
    } else if (name == "Normalize") {
      if (!place.empty() && std::filesystem::exists(module / "config.json")) {
        check_module_names(open_json(module / "config.json"));
      }
      out.steps.emplace_back();
    } else {
      out.steps.push_back({read_dense<T>(module)});
    }
    ++number;
  }
  LDLM_CHECK_FILE(number >= 2, "config", path.native(),
                  ": needs a Transformer and a Pooling module");
  return out;
}

}  // namespace detail

namespace detail {

/// The configuration of a Transformer module: the first file that is there and not empty, as
/// sentence-transformers looks for it. Nothing if there is none.
[[nodiscard]] std::optional<JsonReader> open_transformer_config(
    const std::filesystem::path& folder);

/// Throws unless texts become the encoder's last states, as they do by default.
void check_modalities(const JsonReader& json);

}  // namespace detail

/// How texts become tokens, as sentence_bert_config.json and config_sentence_transformers.json say.
struct SentenceInputs {
  std::optional<std::int64_t> max_length = std::nullopt;  // unset: the tokenizer's
  std::string config_name{};                              // of the file that set it, for messages
  bool do_lower_case = false;
  std::map<std::string, std::string> prompts{{"query", ""}, {"document", ""}};
  std::optional<std::string> default_prompt_name = std::nullopt;

  static SentenceInputs from_folder(const std::filesystem::path& folder,
                                    const std::filesystem::path& encoder);
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/models/impl/sentence_modules.hpp>
#endif
