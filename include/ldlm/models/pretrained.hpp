#pragma once
// Models in Hugging Face folders: config.json beside model.safetensors (or shards and their index).
//
// A model names its parameters as its checkpoints do, so loading is a copy by name. What differs
// between checkpoints (a prefix, old names, buffers that hold no weights) is a function of the
// model that maps the name in the file to the parameter's.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <ldlm/io/foreign_files.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors_model.hpp>
#include <ldlm/io/safetensors_writer.hpp>
#include <ldlm/models/checkpoint_names.hpp>
#include <ldlm/nn/pack.hpp>

namespace ldlm {

/// Opens `folder`/config.json and checks that it describes a model of this type ("bert", "gpt2").
[[nodiscard]] inline JsonReader open_config(const std::filesystem::path& folder,
                                            std::string_view model_type) {
  finish_update(folder);
  finish_update(detail::folder_of(folder));  // of the model whose part it may be
  std::error_code ignored;  // what can't be looked at fails below, when it is opened
  LDLM_CHECK_FILE(!std::filesystem::is_regular_file(folder, ignored), "from_pretrained",
                  folder.native(), ": is a file; a model is a folder with config.json and ",
                  "model.safetensors");
  const std::filesystem::path path = folder / "config.json";
  LDLM_CHECK_FILE(
      std::filesystem::exists(path, ignored) || !std::filesystem::is_directory(folder, ignored),
      "from_pretrained", path.native(), ": no such file", detail::describe_foreign_weights(folder));
  JsonReader config = open_json(path);
  const std::string found = config.get("model_type", std::string(model_type));
  config.check(found == model_type, "model_type", "must be \"", model_type, "\", got \"", found,
               '"');
  return config;
}

/// What a folder holds beside the model that from_pretrained made of it.
struct PretrainedReport {
  /// Tensors that the model has no use for, such as those of a classifier, under the names of the
  /// file: SafetensorsModel::open(folder).load<float>(unused) has them.
  std::vector<std::string> unused;
  /// What is unlike what config.json says, and was taken as the weights are.
  std::vector<std::string> warnings;
};

/// Copies the tensors of a checkpoint, in any dtype, into a model. `rename` maps a name of the file
/// to the parameter's, or to nothing for what the model has no use for. Throws an Error that names
/// the file and every missing, unexpected and mis-shaped tensor; the model is then unchanged.
template <class Model, class Rename>
void load_pretrained(Model& model, const SafetensorsModel& file, Rename&& rename) {
  NamedTensors<scalar_t<Model>> tensors;
  for (const std::string& name : file.names()) {
    if (std::optional<std::string> renamed = rename(std::string_view(name))) {
      tensors.emplace_back(*std::move(renamed), file.load<scalar_t<Model>>(name));
    }
  }
  try {
    load_state_dict(model, tensors);
  } catch (const Error& error) {
    detail::fail_at(ErrorCode::file, "from_pretrained", file.origin(), ": ", error.what());
  }
}
/// The same, under the names of the file.
template <class Model>
void load_pretrained(Model& model, const SafetensorsModel& file) {
  load_pretrained(model, file,
                  [](std::string_view name) { return std::optional<std::string>(name); });
}

/// The format of a model with packed weights, as config.json's "quantization_config" says. Throws
/// for one that others made.
[[nodiscard]] inline std::optional<WeightFormat> packed_format(const JsonReader& config) {
  if (!config.has("quantization_config")) {
    return std::nullopt;
  }
  const JsonReader section = config.section("quantization_config");
  const auto method = section.get<std::string>("quant_method");
  section.check(method == "ldlm", "quant_method", "must be \"ldlm\", got \"", method, '"');
  const auto name = section.get<std::string>("format");
  const auto format = weight_format_named(name);
  section.check(format && is_in_files(*format), "format", "must be one of ",
                list_names_in_files("and"), ", got \"", name, '"');
  return format;
}

namespace detail {

/// What save_pretrained writes of a model with packed weights. NAME of (N, K) is NAME, U8 (N, bytes
/// of a row), and, if the format has scales, NAME_scales, BF16 (N, groups of a row): see
/// core/weight_format.hpp.
template <class Model>
void load_packed(Model& model, const SafetensorsModel& file, WeightFormat format) {
  std::set<std::string> read;
  replace_packed(model, [&](const std::string& name, std::int64_t n, std::int64_t k) {
    PackedMatrix matrix{format, n, k, {}, {}};
    const auto check = [&](const std::string& tensor, const Shape& found, std::int64_t columns) {
      LDLM_CHECK_FILE((found == Shape{n, columns}), "from_pretrained",
                      file.shard_of(tensor).origin(), ": tensor ", quote(tensor), " must be (", n,
                      ", ", columns, "), got ", to_string(found));
      read.insert(tensor);
    };
    matrix.data = file.tensor<std::uint8_t>(name);
    check(name, matrix.data.shape(), bytes_per_row(format, k));
    matrix.scales = Tensor<bf16>::empty({n, 0});
    if (group_size(format) > 0) {
      matrix.scales = file.tensor<bf16>(name + "_scales");
      check(name + "_scales", matrix.scales.shape(), groups_per_row(format, k));
    }
    return matrix;
  });
  load_pretrained(model, file, [&](std::string_view name) {
    return read.count(std::string(name)) == 0 ? std::optional<std::string>(name) : std::nullopt;
  });
}

}  // namespace detail

/// The same for the model of a config.json, whose weights may be packed.
template <class Model, class Rename>
void load_pretrained(Model& model, const SafetensorsModel& file, const JsonReader& config,
                     Rename&& rename) {
  if (const auto format = packed_format(config)) {
    config.check(std::same_as<scalar_t<Model>, float>, "quantization_config",
                 "is only for models of float");
    detail::load_packed(model, file, *format);
  } else {
    load_pretrained(model, file, rename);
  }
}

/// The same, under the names of the file.
template <class Model>
void load_pretrained(Model& model, const SafetensorsModel& file, const JsonReader& config) {
  load_pretrained(model, file, config,
                  [](std::string_view name) { return std::optional<std::string>(name); });
}

namespace detail {

/// The same for models whose folders differ in their names: see CheckpointNames. rename(name) is
/// applied first, and gives nothing for buffers that hold no weights. Returns the tensors that
/// belong to other heads. Messages have the names of the file.
template <class Model, class Rename>
std::vector<std::string> load_pretrained(Model& model, const SafetensorsModel& file,
                                         const JsonReader& config, CheckpointNames names,
                                         Rename&& rename) {
  using T = scalar_t<Model>;
  std::vector<std::string> unused;
  if (packed_format(config)) {  // a folder of this library's
    ldlm::load_pretrained(model, file, config, rename);
    return unused;
  }
  const std::vector<std::string> file_names = file.names();
  names.look_at(file_names);
  NamedTensors<T> tensors;
  for (const std::string& name : file_names) {
    if (const std::optional<std::string> renamed = rename(std::string_view(name))) {
      if (const auto parameter = names.parameter(*renamed)) {
        tensors.emplace_back(names.in_file(*parameter), file.load<T>(name));
      } else {
        unused.push_back(name);
      }
    }
  }
  NamedTensors<T> target = state_dict(model);
  bool all_there = true;
  std::set<std::string_view> given;
  for (const auto& [name, tensor] : tensors) {
    given.insert(name);
  }
  for (auto& [name, tensor] : target) {
    name = names.in_file(name);
    all_there = all_there && given.count(name) > 0;
  }
  if (!all_there) {  // what the file has in their place may say why
    for (const std::string& name : unused) {
      tensors.emplace_back(name, Tensor<T>());
    }
  }
  try {
    copy_tensors(tensors, target, true, "load_state_dict");
  } catch (const Error& error) {
    fail_at(ErrorCode::file, "from_pretrained", file.origin(), ": ", error.what());
  }
  return unused;
}

/// How a file holds an output matrix that may be tied to an embedding.
enum class OutputMatrix : std::uint8_t {
  tied,          // not at all, or like the embedding
  own,           // beside it, with values of its own
  as_embedding,  // in its place: the embedding is tied to it
  absent,        // not at all, though it is not tied
};

/// Finds the output matrix (or bias) `name` of a file and what it is tied to, one of `embeddings`,
/// by the rules of transformers: a matrix that differs from the embedding is used, with a warning.
template <Floating T>
[[nodiscard]] OutputMatrix find_output_matrix(const SafetensorsModel& file, const std::string& name,
                                              const std::vector<std::string>& embeddings, bool tied,
                                              std::vector<std::string>& warnings) {
  if (!file.contains(name)) {
    return tied ? OutputMatrix::tied : OutputMatrix::absent;
  }
  if (!tied) {
    return OutputMatrix::own;
  }
  for (const std::string& embedding : embeddings) {
    if (file.contains(embedding)) {
      if (file.info(name).shape == file.info(embedding).shape &&
          equal(file.load<T>(name), file.load<T>(embedding))) {
        return OutputMatrix::tied;
      }
      warnings.push_back(
          detail::concat(file.origin(), ": ", name, " differs from ", embedding,
                         ", to which tie_word_embeddings ties it, and is used as it is"));
      return OutputMatrix::own;
    }
  }
  return OutputMatrix::as_embedding;
}

/// A tensor of a file as a parameter of this shape.
template <Floating T>
[[nodiscard]] Variable<T> load_parameter(const SafetensorsModel& file, const std::string& name,
                                         const Shape& shape) {
  const Tensor<T> tensor = file.load<T>(name);
  LDLM_CHECK_FILE(tensor.shape() == shape, "from_pretrained", file.origin(),
                  ": of another shape: ", name, " is ", to_string(shape), ", given ",
                  to_string(tensor.shape()));
  return Variable<T>(tensor.clone(), true);
}

}  // namespace detail

/// Writes `config` and the model's state dict, packed weights included, into the folder `part` of
/// an update's folder. Checkpoints of more than `max_shard_bytes` are split.
template <class Model>
void save_pretrained(const Model& model, JsonValue config, FolderUpdate& update,
                     const std::filesystem::path& part = {},
                     std::size_t max_shard_bytes = 5'000'000'000) {
  SafetensorsWriter writer;
  writer.add(state_dict(model)).metadata("format", "pt");
  std::optional<WeightFormat> format;
  for (const auto& [name, matrix] : packed_weights(model)) {
    LDLM_CHECK(is_in_files(matrix.format), "save_pretrained",
               "the matrices are laid out for products (", name_of(matrix.format),
               "); save the model before that");
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
  writer.write_model(update, part, max_shard_bytes);
  update.add(part / "config.json",
             [&](const std::filesystem::path& path) { write_json(path, config); });
}

/// The same into a folder, which is made if need be. All its files are replaced together.
template <class Model>
void save_pretrained(const Model& model, JsonValue config, const std::filesystem::path& folder,
                     std::size_t max_shard_bytes = 5'000'000'000) {
  FolderUpdate update(folder);
  save_pretrained(model, std::move(config), update, {}, max_shard_bytes);
  update.commit();
}

namespace detail {

/// A size of a model, under its key in config.json.
struct ModelSize {
  std::string_view key;
  std::int64_t value;
};

/// Throws unless a model of these sizes may lie in the file, before memory is taken for it: layers
/// have tensors there, and no size is larger than every extent.
inline void check_sizes(const SafetensorsModel& file, const JsonReader& config, std::int64_t layers,
                        std::initializer_list<ModelSize> sizes) {
  const std::vector<std::string> names = file.names();
  LDLM_CHECK_FILE(layers <= static_cast<std::int64_t>(names.size()), "from_pretrained",
                  file.origin(), ": holds ", names.size(), " tensors, too few for the ", layers,
                  " layers of config.json");
  std::int64_t largest = 0;
  for (const std::string& name : names) {
    for (const std::int64_t extent : file.info(name).shape) {
      largest = std::max(largest, extent);
    }
  }
  for (const ModelSize& size : sizes) {
    config.check(size.value <= largest, size.key, "is ", size.value, ", but no tensor of ",
                 file.origin(), " has an extent above ", largest);
  }
}

}  // namespace detail
}  // namespace ldlm
