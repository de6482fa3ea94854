// quantize: a GPT-2 in few bits, and what that costs.

#include <filesystem>
#include <memory>

#include <ldlm/files/folder_lock.hpp>
#include <ldlm/generate/generation_config.hpp>
#include <ldlm/latent_diffusion/evaluation.hpp>

#include "command.hpp"
#include "model_folder.hpp"

namespace ldlm::command {

namespace {

namespace fs = std::filesystem;

struct QuantizeArguments {
  std::string out, format = "int8";
  TextInput texts;
};

/// Bytes of all parameters and packed weights.
std::int64_t bytes_of(const Gpt2<float>& model) {
  std::int64_t bytes = 4 * ldlm::num_parameters(model);
  for (const auto& [name, matrix] : ldlm::packed_weights(model)) {
    bytes += matrix.bytes();
  }
  return bytes;
}

void quantize(const Common& common, QuantizeArguments& arguments) {
  std::error_code none;
  LDLM_CHECK(!fs::equivalent(arguments.out, common.model, none), "quantize",
             "--out is the folder of --model: its weights would be lost");
  arguments.texts.open();
  PretrainedReport report;
  auto plain = Gpt2<float>::from_pretrained(common.model, &report);
  say_report(common, report);
  LDLM_CHECK(ldlm::packed_weights(plain).empty(), "quantize", common.model,
             ": the model is quantized already");
  Gpt2<float> model = plain;
  ldlm::pack(model, *weight_format_named(arguments.format));
  ldlm::to(plain, common.device());
  Gpt2<float> measured = model;
  ldlm::to(measured, common.device());
  const NoGrad scope;
  const Tokenizer tokenizer = Tokenizer::from_folder(common.model);
  check_tokenizer_fits(common.model + ": model", tokenizer, plain.config.vocab_size);
  auto ends = GenerationConfig::tokens_of_folder(common.model, plain.config).eos_token_id;
  if (ends.empty()) {
    ends = plain.config.end_tokens();  // where generation_config.json names none
  }
  LDLM_CHECK(!ends.empty(), "quantize", common.model,
             ": config.json has no eos_token_id for texts to begin and end with");
  const std::int64_t end = ends.front();
  PerplexityMeter before, after;
  arguments.texts.for_each([&](const InputText& text) {
    before.add(plain, tokenizer, end, text.text);
    after.add(measured, tokenizer, end, text.text);
  });
  const double perplexity_before = before.value();  // throws for weights that are no numbers
  const double perplexity = after.value();
  const FolderLock lock(arguments.out);
  FolderUpdate update(arguments.out);
  const char* const architecture = model.has_head() ? "GPT2LMHeadModel" : "GPT2Model";
  save_pretrained(model, config_over(common.model, model.config.to_json(architecture)), update);
  for (const char* const file :
       {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "vocab.json", "merges.txt", "generation_config.json"}) {
    take_over(update, common.model, file);
  }
  update.commit();
  if (common.json) {
    print_json(JsonValue::object({{"format", arguments.format},
                                  {"bytes_before", bytes_of(plain)},
                                  {"bytes", bytes_of(model)},
                                  {"perplexity_before", perplexity_before},
                                  {"perplexity", perplexity}}));
    return;
  }
  const auto megabytes = [](std::int64_t bytes) {
    return fixed(1e-6 * static_cast<double>(bytes), 1) + " MB";
  };
  print(format_table({{"", "before", arguments.format},
                      {"size", megabytes(bytes_of(plain)), megabytes(bytes_of(model))},
                      {"perplexity", fixed(perplexity_before, 4), fixed(perplexity, 4)}}));
}

}  // namespace

void add_quantize_command(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<QuantizeArguments>();
  CLI::App* const command = add_subcommand(
      app, "quantize",
      "Write a GPT-2 with weights of few bits, and say what it loses on texts: their perplexity, "
      "each text between two end tokens.",
      "ldlm quantize --model gpt2 --format int4 --out gpt2-int4 --file wiki.valid.txt",
      [&common, arguments] { quantize(common, *arguments); });
  arguments->texts.add_to(*command, common);
  command->add_option("--format", arguments->format, list_names_in_files("or"))
      ->check(CLI::IsMember(names_in_files()));
  command->add_option("--out", arguments->out, "The folder to write")->required();
}

}  // namespace ldlm::command
