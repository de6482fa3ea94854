// tokenize, inspect and export: the parts of a model, one by one.

#include <algorithm>
#include <filesystem>
#include <optional>

#include <ldlm/files/folder_lock.hpp>
#include <ldlm/io/safetensors_model.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>

#include "command.hpp"
#include "model_folder.hpp"
#include "option_values.hpp"

namespace ldlm::command {

namespace {

namespace fs = std::filesystem;

/// One text's tokens as a JSON document.
void print_tokens_json(const Tokenizer& tokenizer, const std::string& text) {
  const auto print_array = [&](std::string_view key, const auto& to_json) {
    print_json_part(key);
    std::string_view separator = "[";
    tokenizer.for_each_token(text, [&](TokenId id, ldlm::TextSpan) {
      print_json_part(separator);
      print_json_part(to_string(JsonValue(to_json(id))));
      separator = ",";
    });
    print_json_part(separator == "[" ? "[]" : "]");
  };
  print_json_part("{\"text\":" + to_string(JsonValue(ldlm::repair_utf8(text))));
  print_array(",\"ids\":", [](TokenId id) { return id; });
  print_array(",\"tokens\":", [&](TokenId id) { return tokenizer.id_to_token(id); });
  print_json_part("}\n");
}

/// A text's own tokens, never padded or cut. A text may have millions, which are not kept.
void tokenize(const Common& common, const std::string& file, TextInput& input) {
  input.keep_invalid();
  input.open();
  const Tokenizer tokenizer =
      file.empty() ? decoder_tokenizer(common.model) : Tokenizer::from_file(file);
  input.for_each([&](const InputText& text) {
    if (common.json) {
      return print_tokens_json(tokenizer, text.text);
    }
    print_table([&](const TakeRow& take) {
      take({"id", "token", "bytes"});
      tokenizer.for_each_token(text.text, [&](TokenId id, ldlm::TextSpan bytes) {
        take({std::to_string(id), tokenizer.id_to_token(id),
              std::to_string(bytes.begin) + ".." + std::to_string(bytes.end)});
      });
    });
    print("");
  });
}

/// The tensors of a safetensors file or of every model in a folder.
void inspect(const Common& common, const fs::path& path) {
  std::vector<fs::path> files;
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (entry.path().extension() == ".safetensors") {
        files.push_back(entry.path());
      }
    }
    std::sort(files.begin(), files.end());
    LDLM_CHECK_FILE(!files.empty(), "inspect", path.native(), ": holds no safetensors file");
  } else {
    files.push_back(path);
  }
  for (const fs::path& name : files) {
    const SafetensorsFile file = SafetensorsFile::open(name);
    std::vector<std::vector<std::string>> rows{{"tensor", "dtype", "shape", "bytes"}};
    JsonValue::Array json;
    std::uint64_t total = 0;
    for (const TensorInfo& tensor : file.tensors()) {
      std::string shape;
      for (const std::int64_t dim : tensor.shape) {
        shape += (shape.empty() ? "" : " x ") + std::to_string(dim);
      }
      const std::uint64_t bytes = tensor.end - tensor.begin;
      total += bytes;
      rows.push_back({tensor.name, std::string(name_of(tensor.dtype)),
                      shape.empty() ? "scalar" : shape, std::to_string(bytes)});
      json.push_back(JsonValue::object({{"name", tensor.name},
                                        {"dtype", std::string(name_of(tensor.dtype))},
                                        {"shape", tensor.shape},
                                        {"bytes", bytes}}));
    }
    if (common.json) {
      print_json(JsonValue::object({{"file", name.native()}, {"bytes", total}, {"tensors", json}}));
    } else {
      print(name.native() + ": " + std::to_string(file.tensors().size()) + " tensors, " +
            std::to_string(total) + " bytes");
      print(format_table(rows));
    }
  }
}

/// A model's folder for distribution, with half-precision weights.
void export_model(const Common& common, const fs::path& out, const std::string& judge) {
  std::error_code none;
  LDLM_CHECK(!fs::equivalent(out, common.model, none), "export",
             "--out is the folder of --model: its weights would be lost");
  const auto model = Ldlm<float>::load(common.model);
  const FolderLock lock(out);
  FolderUpdate update(out);
  model.save(update, DType::f16);
  if (!judge.empty()) {
    const auto gpt2 = Gpt2<float>::from_pretrained(judge);
    ldlm::detail::save_part(gpt2, gpt2.config.to_json(), update, "judge", DType::f16);
  }
  update.commit();
}

}  // namespace

void add_model_commands(CLI::App& app, Common& common) {
  {
    struct Arguments {
      TextInput input;
      std::string tokenizer;
    };
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* const command =
        add_subcommand(app, "tokenize", "The tokens of texts.", "ldlm tokenize \"a text\"",
                       [&app, &common, arguments] {
                         refuse_without_effect(app, "--device", "on this command");
                         if (!arguments->tokenizer.empty()) {
                           refuse_without_effect(app, "--model", "with --tokenizer");
                         }
                         tokenize(common, arguments->tokenizer, arguments->input);
                       });
    arguments->input.add_to(*command, common);
    command->add_option("--tokenizer", arguments->tokenizer,
                        "A tokenizer.json; by default the model's");
  }
  {
    const auto path = std::make_shared<std::string>();
    CLI::App* const command =
        add_subcommand(app, "inspect", "The tensors of a safetensors file or a model's folder.",
                       "ldlm inspect weights/ldlm-tiny", [&app, &common, path] {
                         refuse_without_effect(app, "--device", "on this command");
                         if (!path->empty()) {
                           refuse_without_effect(app, "--model", "with a path");
                         }
                         inspect(common, path->empty() ? common.model : *path);
                       });
    command->add_option("path", *path, "The file or folder; by default the model")
        ->check(not_empty);
  }
  {
    struct Arguments {
      std::string out, judge;
    };
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* const command = add_subcommand(
        app, "export", "Write a model with half-precision weights, for distribution.",
        "ldlm export --model runs/tiny --out weights/ldlm-tiny", [&app, &common, arguments] {
          refuse_without_effect(app, "--device", "on this command");
          export_model(common, arguments->out, arguments->judge);
        });
    command->add_option("--out", arguments->out, "The folder to write")->required();
    command->add_option("--judge", arguments->judge,
                        "A GPT-2 folder to add as the language model of perplexities");
  }
}

}  // namespace ldlm::command
