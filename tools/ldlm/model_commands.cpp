// generate, embed, tokenize, inspect and export: the parts of a model, one by one.

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <ldlm/files/folder_lock.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors_model.hpp>
#include <ldlm/ldlm/pipeline.hpp>
#include <ldlm/models/pooling.hpp>

#include "command.hpp"

namespace ldlm::command {

namespace {

namespace fs = std::filesystem;

/// The part of a folder that is a model of this type: the folder itself, or a part of an LDLM.
fs::path part_of(const fs::path& model, const std::string& part) {
  return fs::exists(model / "ldlm.json") ? model / part : model;
}

/// The tokenizer beside a decoder: the LDLM's own, or the folder's.
Tokenizer decoder_tokenizer(const fs::path& model) {
  return fs::exists(model / "ldlm.json") ? LdlmTokenizers::load(model).decoder
                                         : Tokenizer::from_folder(model);
}

struct GenerateArguments {
  TextInput prompts;
  std::int64_t max_new_tokens = 40;
  SamplingOptions sampling{.temperature = 0.8, .top_p = 0.95};
};

void generate(const Common& common, const GenerateArguments& arguments) {
  const auto gpt2 = Gpt2<float>::from_pretrained(part_of(common.model, "decoder"));
  const Tokenizer tokenizer = decoder_tokenizer(common.model);
  const auto end = tokenizer.token_to_id(end_token);
  Generator generator = common.generator();
  for (const std::string& prompt : arguments.prompts.read()) {
    const auto ids = tokenizer.encode_ids(prompt);
    std::vector<std::int64_t> start;
    if (end) {
      start.push_back(*end);  // texts begin after an end token
    }
    start.insert(start.end(), ids.begin(), ids.end());
    const auto length = static_cast<std::int64_t>(start.size());
    LDLM_CHECK(length > 0 && length < gpt2.config.n_positions, "generate", "the prompt has ",
               length, " tokens, the model takes 1 to ", gpt2.config.n_positions - 1);
    SamplingOptions options = arguments.sampling;
    options.stop.max_new_tokens =
        std::min(arguments.max_new_tokens, gpt2.config.n_positions - length);
    if (end) {
      options.stop.end_tokens = {*end};
    }
    const auto prompt_ids = Tensor<std::int64_t>::from_values({1, length}, start);
    Gpt2Session<float> session(gpt2);
    const TokenSequences tokens = options.temperature > 0.0
                                      ? sample(session, prompt_ids, options, generator)
                                      : greedy(session, prompt_ids, options.stop);
    std::vector<std::int32_t> all(ids.begin(), ids.end());
    for (const std::int64_t id : tokens.front()) {
      if (!end || id != *end) {
        all.push_back(static_cast<std::int32_t>(id));
      }
    }
    const std::string text = tokenizer.decode(all);
    if (common.json) {
      print_json(JsonValue::object({{"prompt", prompt}, {"text", text}}));
    } else {
      print(text);
    }
  }
}

/// One vector a text: an LDLM's latent, or the normalised mean state of a BERT.
void embed(const Common& common, const std::vector<std::string>& texts) {
  const NoGrad no_grad;
  const auto print_vector = [&](const std::string& text, const Tensor<float>& vector) {
    const std::vector<float> values = vector.to_vector();
    LDLM_CHECK(std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }),
               "embed", common.model, ": the model's weights lead to values that are no numbers");
    print_json(JsonValue::object(
        {{"text", text}, {"shape", vector.shape().to_vector()}, {"values", values}}));
  };
  if (fs::exists(fs::path(common.model) / "ldlm.json")) {
    const auto model = Ldlm<float>::load(common.model);
    for (const std::string& text : texts) {
      print_vector(text, model.encode({text}).select(0, 0));
    }
    return;
  }
  const auto bert = Bert<float>::from_pretrained(common.model);
  const Tokenizer tokenizer = Tokenizer::from_folder(common.model);
  for (const std::string& text : texts) {
    const auto ids = tokenizer.encode_ids(text);
    LDLM_CHECK(static_cast<std::int64_t>(ids.size()) <= bert.config.max_position_embeddings,
               "embed", "a text has ", ids.size(), " tokens, the model takes ",
               bert.config.max_position_embeddings);
    const std::vector<std::int64_t> wide(ids.begin(), ids.end());
    const auto input =
        Tensor<std::int64_t>::from_values({1, static_cast<std::int64_t>(wide.size())}, wide);
    const auto pooled = normalize_rows(mean_pool(bert({.ids = input}).hidden));
    print_vector(text, pooled.value().select(0, 0));
  }
}

void tokenize(const Common& common, const std::string& file,
              const std::vector<std::string>& texts) {
  const Tokenizer tokenizer =
      file.empty() ? decoder_tokenizer(common.model) : Tokenizer::from_file(file);
  for (const std::string& text : texts) {
    const Encoding encoding = tokenizer.encode(text);
    if (common.json) {
      print_json(
          JsonValue::object({{"text", text}, {"ids", encoding.ids}, {"tokens", encoding.tokens}}));
      continue;
    }
    std::vector<std::vector<std::string>> rows{{"id", "token", "bytes"}};
    for (std::size_t i = 0; i < encoding.size(); ++i) {
      rows.push_back({std::to_string(encoding.ids[i]), encoding.tokens[i],
                      std::to_string(encoding.byte_offsets[i].begin) + ".." +
                          std::to_string(encoding.byte_offsets[i].end)});
    }
    print(format_table(rows));
  }
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
    LDLM_CHECK(!files.empty(), "inspect", path.native(), ": holds no safetensors file");
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
    const auto arguments = std::make_shared<GenerateArguments>();
    CLI::App* const command = add_subcommand(
        app, "generate", "Go on with a prompt: a GPT-2 folder, or the model's decoder.",
        "ldlm generate --model gpt2 \"Once upon a time\"",
        [&common, arguments] { generate(common, *arguments); });
    arguments->prompts.add_to(*command);
    command->add_option("--max-new-tokens", arguments->max_new_tokens, "Most tokens to add")
        ->check(positive);
    command
        ->add_option("--temperature", arguments->sampling.temperature,
                     "Divides the logits; 0: greedy")
        ->check(temperature_range);
    command->add_option("--top-k", arguments->sampling.top_k, "Draw from the k likeliest; 0: all")
        ->check(non_negative);
    command
        ->add_option("--top-p", arguments->sampling.top_p,
                     "Draw from the likeliest tokens of this probability")
        ->check(probability);
  }
  {
    const auto input = std::make_shared<TextInput>();
    CLI::App* const command =
        add_subcommand(app, "embed", "Vectors of texts: latents, or a BERT's mean states.",
                       "ldlm embed --model all-MiniLM-L6-v2 \"a text\"",
                       [&common, input] { embed(common, input->read()); });
    input->add_to(*command);
  }
  {
    struct Arguments {
      TextInput input;
      std::string tokenizer;
    };
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* const command = add_subcommand(
        app, "tokenize", "The tokens of texts.", "ldlm tokenize \"a text\"",
        [&common, arguments] { tokenize(common, arguments->tokenizer, arguments->input.read()); });
    arguments->input.add_to(*command);
    command->add_option("--tokenizer", arguments->tokenizer,
                        "A tokenizer.json; by default the model's");
  }
  {
    const auto path = std::make_shared<std::string>();
    CLI::App* const command =
        add_subcommand(app, "inspect", "The tensors of a safetensors file or a model's folder.",
                       "ldlm inspect weights/ldlm-tiny",
                       [&common, path] { inspect(common, path->empty() ? common.model : *path); });
    command->add_option("path", *path, "The file or folder; by default the model");
  }
  {
    struct Arguments {
      std::string out, judge;
    };
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* const command = add_subcommand(
        app, "export", "Write a model with half-precision weights, for distribution.",
        "ldlm export --model runs/tiny --out weights/ldlm-tiny",
        [&common, arguments] { export_model(common, arguments->out, arguments->judge); });
    command->add_option("--out", arguments->out, "The folder to write")->required();
    command->add_option("--judge", arguments->judge,
                        "A GPT-2 folder to add as the language model of perplexities");
  }
}

}  // namespace ldlm::command
