#pragma once
// Models in Hugging Face folders: config.json beside model.safetensors (or shards and their index).
//
// A model names its parameters as its checkpoints do, so loading is a copy by name. What differs
// between checkpoints (a prefix, old names, buffers that hold no weights) is a function of the
// model that maps the name in the file to the parameter's.

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <ldlm/io/json_config.hpp>
#include <ldlm/io/safetensors_model.hpp>
#include <ldlm/io/safetensors_writer.hpp>
#include <ldlm/nn/quantize.hpp>

namespace ldlm {

/// Opens `folder`/config.json and checks that it describes a model of this type ("bert", "gpt2").
[[nodiscard]] inline JsonConfig open_config(const std::filesystem::path& folder,
                                            std::string_view model_type) {
  JsonConfig config = JsonConfig::open(folder / "config.json");
  const std::string found = config.get("model_type", std::string(model_type));
  config.check(found == model_type, "model_type", "must be \"", model_type, "\", got \"", found,
               '"');
  return config;
}

/// The activation under a key of config.json, by its name in Hugging Face's files.
[[nodiscard]] inline Activation activation_from(const JsonConfig& config, std::string_view key,
                                                const char* fallback) {
  const std::string name = config.get(key, fallback);
  if (name == "gelu") {
    return Activation::gelu;
  }
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") {
    return Activation::gelu_tanh;
  }
  if (name == "relu") {
    return Activation::relu;
  }
  config.check(name == "silu" || name == "swish", key,
               "must be one of gelu, gelu_new, relu and silu, got \"", name, '"');
  return Activation::silu;
}

/// The name of an activation in Hugging Face's files.
[[nodiscard]] inline std::string activation_name(Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return "gelu";
    case Activation::gelu_tanh:
      return "gelu_new";
    case Activation::relu:
      return "relu";
    case Activation::silu:
      return "silu";
    case Activation::none:
      break;
  }
  return "linear";
}

/// Copies the tensors of a checkpoint, in any dtype, into a model. `rename` maps a name of the file
/// to the parameter's, or to nothing for what the model has no use for. Throws an Error that names
/// the file and every missing, unexpected and mis-shaped tensor; the model is then unchanged.
template <class Model, class Rename>
void load_pretrained(Model& model, const SafetensorsModel& file, Rename&& rename) {
  NamedTensors<nn::scalar_t<Model>> tensors;
  for (const std::string& name : file.names()) {
    if (std::optional<std::string> renamed = rename(std::string_view(name))) {
      tensors.emplace_back(*std::move(renamed), file.load<nn::scalar_t<Model>>(name));
    }
  }
  try {
    nn::load_state_dict(model, tensors);
  } catch (const Error& error) {
    detail::fail("from_pretrained", file.shards().front().origin(), ": ", error.what());
  }
}
/// The same, under the names of the file.
template <class Model>
void load_pretrained(Model& model, const SafetensorsModel& file) {
  load_pretrained(model, file,
                  [](std::string_view name) { return std::optional<std::string>(name); });
}

/// The format of a model with quantized matrices, as config.json's "quantization_config" says.
/// Throws for one that others made.
[[nodiscard]] inline std::optional<QuantizedFormat> quantized_format(const JsonConfig& config) {
  if (!config.has("quantization_config")) {
    return std::nullopt;
  }
  const JsonConfig section = config.section("quantization_config");
  const auto method = section.get<std::string>("quant_method");
  section.check(method == "ldlm", "quant_method", "must be \"ldlm\", got \"", method, '"');
  const auto name = section.get<std::string>("format");
  for (const auto format : {QuantizedFormat::bf16, QuantizedFormat::int8, QuantizedFormat::int4}) {
    if (name == name_of(format)) {
      return format;
    }
  }
  section.check(false, "format", "must be one of bf16, int8 and int4, got \"", name, '"');
  return std::nullopt;
}

namespace detail {

/// What save_pretrained writes of a quantized model. A matrix NAME of (n, k) is NAME, U8 (n, bytes
/// of a row), and but for bf16 NAME_scales, BF16 (n, groups of a row): see core/quantized_view.hpp.
template <class Model>
void load_quantized(Model& model, const SafetensorsModel& file, QuantizedFormat format) {
  std::set<std::string> matrices;
  nn::replace_matrices(model, [&](const std::string& name, const Shape& shape) {
    QuantizedMatrix matrix{format, shape[0], shape[1], {}, {}};
    const auto check = [&](const std::string& tensor, const Shape& found, std::int64_t columns) {
      LDLM_CHECK((found == Shape{matrix.n, columns}), "from_pretrained",
                 file.shard_of(tensor).origin(), ": tensor ", quote(tensor), " must be (", matrix.n,
                 ", ", columns, "), got ", to_string(found));
      matrices.insert(tensor);
    };
    matrix.data = file.tensor<std::uint8_t>(name);
    check(name, matrix.data.shape(), bytes_per_row(format, matrix.k));
    matrix.scales = Tensor<bf16>::empty({matrix.n, 0});
    if (group_size(format) > 0) {
      matrix.scales = file.tensor<bf16>(name + "_scales");
      check(name + "_scales", matrix.scales.shape(), groups_per_row(format, matrix.k));
    }
    return matrix;
  });
  load_pretrained(model, file, [&](std::string_view name) {
    return matrices.count(std::string(name)) == 0 ? std::optional<std::string>(name) : std::nullopt;
  });
}

}  // namespace detail

/// The same for the model of a config.json, whose matrices may be quantized.
template <class Model, class Rename>
void load_pretrained(Model& model, const SafetensorsModel& file, const JsonConfig& config,
                     Rename&& rename) {
  if (const auto format = quantized_format(config)) {
    if constexpr (std::is_same_v<nn::scalar_t<Model>, float>) {
      detail::load_quantized(model, file, *format);
    } else {
      config.check(false, "quantization_config", "is only for models of float");
    }
  } else {
    load_pretrained(model, file, rename);
  }
}

/// The same, under the names of the file.
template <class Model>
void load_pretrained(Model& model, const SafetensorsModel& file, const JsonConfig& config) {
  load_pretrained(model, file, config,
                  [](std::string_view name) { return std::optional<std::string>(name); });
}

/// Writes `config` and the model's state dict, quantized matrices included, into a folder, which is
/// made if need be. Checkpoints of more than `max_shard_bytes` are split.
template <class Model>
void save_pretrained(const Model& model, JsonValue config, const std::filesystem::path& folder,
                     std::size_t max_shard_bytes = 5'000'000'000) {
  SafetensorsWriter writer;
  writer.add(nn::state_dict(model)).metadata("format", "pt");
  if constexpr (std::is_same_v<nn::scalar_t<Model>, float>) {
    std::optional<QuantizedFormat> format;
    for (const auto& [name, matrix] : nn::quantized_matrices(model)) {
      LDLM_CHECK(matrix.format != QuantizedFormat::f32, "save_pretrained",
                 "the matrices are laid out for products (f32); save the model before that");
      LDLM_CHECK(!format || *format == matrix.format, "save_pretrained",
                 "the model's matrices are in two formats, ", name_of(*format), " and ",
                 name_of(matrix.format));
      format = matrix.format;
      writer.add(name, matrix.data);
      if (matrix.scales.numel() > 0) {
        writer.add(name + "_scales", matrix.scales);
      }
    }
    if (format) {
      config.set(
          "quantization_config",
          JsonValue::object({{"quant_method", "ldlm"}, {"format", std::string(name_of(*format))}}));
    }
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  LDLM_CHECK(!error, "save_pretrained", folder.native(), ": ", error.message());
  writer.write_model(folder, max_shard_bytes);
  AtomicFile file(folder / "config.json");
  file.write(to_pretty_string(config));
  file.commit();
}

namespace detail {

/// Sets `value` to the integer under a key, if there is one; throws unless it is at least `least`.
inline void read_integer(const JsonConfig& config, std::string_view key, std::int64_t& value,
                         std::int64_t least = 1) {
  value = config.get(key, value);
  config.check(value >= least, key, "must be at least ", least, ", got ", value);
}
/// The same for a probability of dropout.
inline void read_dropout(const JsonConfig& config, std::string_view key, double& value) {
  value = config.get(key, value);
  config.check(value >= 0 && value < 1, key, "must lie in [0, 1), got ", value);
}
/// The same for what is added to a variance before its root is taken.
inline void read_epsilon(const JsonConfig& config, std::string_view key, double& value) {
  value = config.get(key, value);
  config.check(value > 0 && value <= 1, key, "must lie in (0, 1], got ", value);
}
/// The same for the standard deviation of new weights.
inline void read_initializer_range(const JsonConfig& config, double& value) {
  constexpr std::string_view key = "initializer_range";
  value = config.get(key, value);
  config.check(value >= 0 && value <= 1, key, "must lie in [0, 1], got ", value);
}

/// Throws unless there may be so many layers: each has tensors in the file.
inline void check_layers(const SafetensorsModel& file, std::int64_t layers) {
  const auto tensors = static_cast<std::int64_t>(file.names().size());
  LDLM_CHECK(layers <= tensors, "from_pretrained", file.shards().front().origin(), ": holds ",
             tensors, " tensors, too few for the ", layers, " layers of config.json");
}

/// `name` without `prefix`, or nothing.
[[nodiscard]] inline std::optional<std::string_view> without_prefix(std::string_view name,
                                                                    std::string_view prefix) {
  return name.starts_with(prefix) ? std::optional(name.substr(prefix.size())) : std::nullopt;
}

}  // namespace detail
}  // namespace ldlm
