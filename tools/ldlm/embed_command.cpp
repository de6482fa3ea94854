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

void embed_latents(const Common& common, TextInput& input) {
  const NoGrad no_grad;
  const auto model = load_ldlm(common);
  input.for_each([&](const InputText& text) {
    print_vector(common, text.text, model.encode({text.text}).select(0, 0));
  });
}

/// Prints the vectors of some texts, which are read together; if that fails, one by one.
void embed_batch(const Common& common, const SentenceEncoder<float>& encoder,
                 const SentenceEncodeOptions& options, TextInput& input,
                 std::span<const InputText> batch) {
  std::vector<std::string> texts;
  for (const InputText& text : batch) {
    texts.push_back(text.text);
  }
  Tensor<float> vectors;
  try {
    vectors = encoder.encode(texts, options);
  } catch (const Error& error) {
    if (batch.size() == 1) {
      input.report(batch.front(), error);
    }
    for (std::size_t i = 0; i < batch.size() && batch.size() > 1; ++i) {
      embed_batch(common, encoder, options, input, batch.subspan(i, 1));
    }
    return;
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    try {
      print_vector(common, texts[i], vectors.select(0, static_cast<std::int64_t>(i)));
    } catch (const Error& error) {
      input.report(batch[i], error);
    }
  }
}

void embed_sentences(const Common& common, EmbedArguments& arguments) {
  PretrainedReport report;
  auto encoder = SentenceEncoder<float>::from_pretrained(common.model, &report);
  encoder.to(common.device());
  std::erase_if(report.unused, [](const std::string& name) { return name.starts_with("cls."); });
  say_report(common, report);
  if (!encoder.described()) {
    say(common, "note: " + common.model +
                    " has no modules.json: vectors are means of states, not of length 1, and other "
                    "files of sentence-transformers do not count");
  }
  if (encoder.tokenizer().info().padding_side == ldlm::TextDirection::left) {
    say(common,
        "note: " + common.model +
            ": padding_side left changes nothing: positions count from a text's first token, "
            "as when it is read alone");
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
  std::size_t read = 0;
  {
    ProgressLine progress(common);
    options.progress = [&](std::size_t done) {
      progress.show("embed " + std::to_string(read + done));
    };
    options.on_cut = [&](std::size_t, std::int64_t) { ++cut; };
    for (auto texts = arguments.input.next(part); !texts.empty();
         texts = arguments.input.next(part)) {
      embed_batch(common, encoder, options, arguments.input, texts);
      read += texts.size();
    }
  }
  if (cut > 0) {
    say(common, "note: " + std::to_string(cut) + " of " + std::to_string(read) +
                    " texts had more than " + std::to_string(encoder.max_length()) +
                    " tokens and were cut to them");
  }
  arguments.input.finish();
}

void embed(const Common& common, EmbedArguments& arguments) {
  arguments.input.open();
  if (is_ldlm(common.model)) {
    LDLM_CHECK(arguments.prompt_option->count() + arguments.prompt_name_option->count() == 0,
               "embed", common.model, ": an LDLM has no prompts");
    embed_latents(common, arguments.input);
  } else {
    embed_sentences(common, arguments);
  }
}

}  // namespace

void add_embed_command(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<EmbedArguments>();
  CLI::App* const command = add_subcommand(
      app, "embed",
      "Vectors of texts: an LDLM's latents, or those of a BERT, pooled, normalised and cut as the "
      "folder's files of sentence-transformers say (without them: the mean).",
      "ldlm embed --model all-MiniLM-L6-v2 \"a text\"",
      [&common, arguments] { embed(common, *arguments); });
  arguments->input.add_to(*command, common);
  command->add_option("--batch-size", arguments->batch_size, "Texts that a BERT reads at once")
      ->check(positive);
  arguments->prompt_option =
      command->add_option("--prompt", arguments->prompt, "Put before every text; may be empty")
          ->type_name("PROMPT");
  arguments->prompt_name_option = command->add_option(
      "--prompt-name", arguments->prompt_name,
      "The prompt of this name of config_sentence_transformers.json instead; by default its "
      "default_prompt_name");
  arguments->prompt_name_option->excludes(arguments->prompt_option);
}

}  // namespace ldlm::command
