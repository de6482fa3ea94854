// embed: one vector a text, an LDLM's latent or what a folder of sentence-transformers says.

#include <algorithm>
#include <cmath>
#include <memory>

#include <ldlm/models/sentence_encoder.hpp>

#include "command.hpp"
#include "model_folder.hpp"

namespace ldlm::command {

namespace {

struct EmbedArguments {
  TextInput input;
  std::int64_t batch_size = 32;
  std::string prompt, prompt_name;
  CLI::Option *prompt_option = nullptr, *prompt_name_option = nullptr;
};

void print_vector(const Common& common, const std::string& text, const Tensor<float>& vector) {
  const std::vector<float> values = vector.to_vector();
  LDLM_CHECK(std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }),
             "embed", common.model, ": the model's weights lead to values that are no numbers");
  print_json(JsonValue::object(
      {{"text", text}, {"shape", vector.shape().to_vector()}, {"values", values}}));
}

void embed_latents(const Common& common, const std::vector<std::string>& texts) {
  const NoGrad no_grad;
  const auto model = Ldlm<float>::load(common.model);
  for (const std::string& text : texts) {
    print_vector(common, text, model.encode({text}).select(0, 0));
  }
}

void embed_sentences(const Common& common, const EmbedArguments& arguments,
                     const std::vector<std::string>& texts) {
  PretrainedReport report;
  const auto encoder = SentenceEncoder<float>::from_pretrained(common.model, &report);
  std::erase_if(report.unused, [](const std::string& name) { return name.starts_with("cls."); });
  say_report(common, report);
  if (!encoder.described()) {
    say(common, "note: " + common.model +
                    " has no modules.json: vectors are means of states, normalised to length 1");
  }
  SentenceEncodeOptions options{.batch_size = arguments.batch_size};
  if (arguments.prompt_option->count() > 0) {
    options.prompt = arguments.prompt;
  }
  if (arguments.prompt_name_option->count() > 0) {
    options.prompt_name = arguments.prompt_name;
  }
  // Texts of one length are read together, within a part of them that is printed at once.
  const std::size_t part = 64 * static_cast<std::size_t>(arguments.batch_size);
  std::size_t cut = 0;
  {
    ProgressLine progress(common);
    for (std::size_t first = 0; first < texts.size(); first += part) {
      const std::span<const std::string> some =
          std::span(texts).subspan(first, std::min(part, texts.size() - first));
      options.progress = [&](std::size_t done) {
        progress.show("embed " + std::to_string(first + done) + " / " +
                      std::to_string(texts.size()));
      };
      options.on_cut = [&](std::size_t, std::int64_t) { ++cut; };
      const Tensor<float> vectors = encoder.encode(some, options);
      for (std::size_t i = 0; i < some.size(); ++i) {
        print_vector(common, some[i], vectors.select(0, static_cast<std::int64_t>(i)));
      }
    }
  }
  if (cut > 0) {
    say(common, "note: " + std::to_string(cut) + " of " + std::to_string(texts.size()) +
                    " texts had more than " + std::to_string(encoder.max_length()) +
                    " tokens and were cut to them");
  }
}

void embed(const Common& common, const EmbedArguments& arguments) {
  const std::vector<std::string> texts = arguments.input.read();
  if (is_ldlm(common.model)) {
    LDLM_CHECK(arguments.prompt_option->count() + arguments.prompt_name_option->count() == 0,
               "embed", common.model, ": an LDLM has no prompts");
    embed_latents(common, texts);
  } else {
    embed_sentences(common, arguments, texts);
  }
}

}  // namespace

void add_embed_command(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<EmbedArguments>();
  CLI::App* const command = add_subcommand(
      app, "embed",
      "Vectors of texts: an LDLM's latents, or those of a BERT, pooled, normalised and cut as the "
      "folder's files of sentence-transformers say (without them: the mean, normalised).",
      "ldlm embed --model all-MiniLM-L6-v2 \"a text\"",
      [&common, arguments] { embed(common, *arguments); });
  arguments->input.add_to(*command);
  command->add_option("--batch-size", arguments->batch_size, "Texts that a BERT reads at once")
      ->check(positive);
  arguments->prompt_option =
      command->add_option("--prompt", arguments->prompt, "Put before every text");
  arguments->prompt_name_option = command->add_option(
      "--prompt-name", arguments->prompt_name,
      "The prompt of this name of config_sentence_transformers.json instead; by default its "
      "default_prompt_name");
  arguments->prompt_name_option->excludes(arguments->prompt_option);
}

}  // namespace ldlm::command
