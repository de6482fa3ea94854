// generate: a GPT-2, or an LDLM's decoder, goes on with prompts.

#include <algorithm>
#include <memory>

#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/generation_config.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>

#include "command.hpp"
#include "model_folder.hpp"

namespace ldlm::command {

namespace {

namespace fs = std::filesystem;

struct GenerateArguments {
  TextInput prompts;
  std::int64_t max_new_tokens = 40;
  double temperature = 0.8;
  std::int64_t top_k = 0;
  double top_p = 0.95;
  std::int64_t beams = 1;
  bool bos = false;
  bool no_generation_config = false;
  // What was given on the command line counts more than the folder.
  CLI::Option *max_new_tokens_option = nullptr, *temperature_option = nullptr,
              *top_k_option = nullptr, *top_p_option = nullptr, *beams_option = nullptr;
};

/// How the next tokens are chosen.
struct Decoding {
  enum class Kind : std::uint8_t { greedy, sample, beams };

  Kind kind = Kind::sample;
  SamplingOptions sampling{};
  BeamSearchOptions beams{};

  [[nodiscard]] std::string describe() const {
    return kind == Kind::greedy ? "greedily"
           : kind == Kind::beams
               ? "with " + std::to_string(beams.num_beams) + " beams"
               : "by sampling with temperature " + fixed(sampling.temperature, 2) + ", top-k " +
                     std::to_string(sampling.top_k) + ", top-p " + fixed(sampling.top_p, 2);
  }
};

bool given(const CLI::Option* option) {
  return option->count() > 0;
}

/// The command line first, then the folder, then the command's defaults.
Decoding decoding_of(const GenerateArguments& arguments, const GenerationConfig& config) {
  Decoding out;
  const bool by_folder = config.says_how;
  const auto choose = [by_folder](const CLI::Option* option, auto value, auto of_folder) {
    return given(option) || !by_folder ? value : of_folder;
  };
  out.sampling.temperature =
      choose(arguments.temperature_option, arguments.temperature, config.temperature);
  out.sampling.top_k = choose(arguments.top_k_option, arguments.top_k, config.top_k);
  out.sampling.top_p = choose(arguments.top_p_option, arguments.top_p, config.top_p);
  out.beams.num_beams = choose(arguments.beams_option, arguments.beams, config.num_beams);
  out.beams.length_penalty = config.length_penalty;
  out.beams.early_stopping = config.early_stopping;
  const bool asks_to_sample =
      (given(arguments.temperature_option) && arguments.temperature > 0.0) ||
      given(arguments.top_k_option) || given(arguments.top_p_option);
  LDLM_CHECK(!asks_to_sample || !given(arguments.beams_option) || arguments.beams == 1, "generate",
             "--beams above 1 does not go with --temperature, --top-k or --top-p");
  if (out.beams.num_beams > 1 && !asks_to_sample) {
    out.kind = Decoding::Kind::beams;
  } else if (given(arguments.temperature_option) && arguments.temperature <= 0.0) {
    out.kind = Decoding::Kind::greedy;
  } else {
    const bool samples = asks_to_sample || !by_folder || config.do_sample;
    out.kind = samples ? Decoding::Kind::sample : Decoding::Kind::greedy;
  }
  if (given(arguments.beams_option) && arguments.beams == 1 && by_folder && !config.do_sample &&
      !asks_to_sample) {
    out.kind = Decoding::Kind::greedy;
  }
  return out;
}

std::vector<std::int64_t> continue_text(const Gpt2<float>& gpt2,
                                        const std::vector<std::int64_t>& start, Decoding decoding,
                                        const StopOptions& stop, Generator& generator) {
  const auto prompt =
      Tensor<std::int64_t>::from_values({1, static_cast<std::int64_t>(start.size())}, start);
  Gpt2Session<float> session(gpt2);
  switch (decoding.kind) {
    case Decoding::Kind::greedy:
      return greedy(session, prompt, stop).front();
    case Decoding::Kind::beams: {
      decoding.beams.stop = stop;
      auto hypotheses = beam_search(session, prompt, decoding.beams).front();
      return hypotheses.empty() ? std::vector<std::int64_t>()
                                : std::move(hypotheses.front().tokens);
    }
    case Decoding::Kind::sample:
      break;
  }
  decoding.sampling.stop = stop;
  return sample(session, prompt, decoding.sampling, generator).front();
}

void generate(const Common& common, GenerateArguments& arguments) {
  arguments.prompts.open();
  const fs::path folder = part_of(common.model, "decoder");
  PretrainedReport report;
  auto gpt2 = Gpt2<float>::from_pretrained(folder, &report);
  ldlm::to(gpt2, common.device());
  say_report(common, report);
  const Tokenizer tokenizer = decoder_tokenizer(common.model);
  check_tokenizer_fits(common.model + ": decoder", tokenizer, gpt2.config.vocab_size);
  auto config = arguments.no_generation_config
                    ? GenerationConfig::tokens_of_folder(folder, gpt2.config)
                    : GenerationConfig::from_folder(folder, gpt2.config);
  if (const auto end = tokenizer.special_tokens().eos;
      end && config.eos_token_id.empty() && !gpt2.config.eos_token_id.empty() &&
      !fs::exists(folder / "generation_config.json")) {
    config.eos_token_id = {*end};  // nobody has set the model's, which is beyond its vocabulary
  }
  const Decoding decoding = decoding_of(arguments, config);
  if (config.says_how) {
    say(common,
        "note: decoding " + decoding.describe() + ", as the folder and the " + "options say");
  }
  // An LDLM's decoder has learned texts behind its first token, a GPT-2 has them as they are.
  const bool with_bos = arguments.bos || is_ldlm(common.model);
  LDLM_CHECK_FILE(!with_bos || config.bos_token_id, "generate", folder.native(),
                  ": config.json has no bos_token_id");
  Generator generator = common.generator();
  bool noted = false;
  arguments.prompts.for_each([&](const InputText& prompt) {
    const auto ids = tokenizer.encode_ids(prompt.text);
    std::vector<std::int64_t> start;
    if (with_bos || ids.empty()) {
      LDLM_CHECK(config.bos_token_id, "generate", "the prompt is empty, and ", folder.native(),
                 " has no bos_token_id to begin with");
      start.push_back(*config.bos_token_id);
    }
    start.insert(start.end(), ids.begin(), ids.end());
    const auto length = static_cast<std::int64_t>(start.size());
    LDLM_CHECK(length <= gpt2.config.n_positions, "generate", "the prompt has ", length,
               " tokens, the model takes 1 to ", gpt2.config.n_positions);
    StopOptions stop{.end_tokens = config.eos_token_id};
    const std::int64_t wanted = given(arguments.max_new_tokens_option)
                                    ? arguments.max_new_tokens
                                    : config.new_tokens(length).value_or(arguments.max_new_tokens);
    // The last token needs no position: nothing is predicted from it.
    stop.max_new_tokens = std::min(wanted, gpt2.config.n_positions - length + 1);
    const auto made = continue_text(gpt2, start, decoding, stop, generator);
    if (stop.max_new_tokens < wanted && !noted && !made.empty() && !stop.is_end(made.back())) {
      say(common, "note: the model has " + std::to_string(gpt2.config.n_positions) +
                      " positions; texts end there, before --max-new-tokens");
      noted = true;
    }
    std::vector<TokenId> all(ids.begin(), ids.end());
    for (const std::int64_t id : made) {
      // Rows of an embedding that is larger than the vocabulary have no text.
      if (!stop.is_end(id) && id < static_cast<std::int64_t>(tokenizer.id_bound())) {
        all.push_back(id);
      }
    }
    const std::string text = tokenizer.decode(all);
    if (common.json) {
      print_json(JsonValue::object({{"prompt", prompt.text}, {"text", text}}));
    } else {
      print(text);
    }
  });
}

}  // namespace

void add_generate_command(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<GenerateArguments>();
  CLI::App* const command = add_subcommand(
      app, "generate", "Go on with a prompt: a GPT-2 folder, or the model's decoder.",
      "ldlm generate --model gpt2 \"Once upon a time\"", [&app, &common, arguments] {
        if (given(arguments->temperature_option) && arguments->temperature <= 0.0) {
          for (const char* const option : {"--top-k", "--top-p"}) {
            refuse_without_effect(*app.get_subcommand("generate"), option,
                                  "with --temperature 0, which takes the likeliest token");
          }
        }
        generate(common, *arguments);
      });
  arguments->prompts.add_to(*command, common);
  arguments->max_new_tokens_option =
      command
          ->add_option("--max-new-tokens", arguments->max_new_tokens,
                       "Most tokens to add; by default those of generation_config.json")
          ->check(positive);
  arguments->temperature_option =
      command
          ->add_option("--temperature", arguments->temperature,
                       "Divides the logits; 0: greedy. Where generation_config.json says how to "
                       "decode, it and transformers' defaults hold instead of these")
          ->check(temperature_range);
  arguments->top_k_option =
      command->add_option("--top-k", arguments->top_k, "Draw from the k likeliest; 0: all")
          ->check(non_negative);
  arguments->top_p_option = command
                                ->add_option("--top-p", arguments->top_p,
                                             "Draw from the likeliest tokens of this probability")
                                ->check(probability);
  arguments->beams_option =
      command->add_option("--beams", arguments->beams, "Beams of a search instead; 1: none")
          ->check(CLI::Range(std::int64_t{1}, max_beams));
  command->add_flag("--bos", arguments->bos,
                    "Begin every prompt with the folder's bos_token_id. A model of `ldlm pretrain "
                    "decoder` has learned texts so; an LDLM's decoder always gets it, and so does "
                    "an empty prompt");
  command->add_flag("--no-generation-config", arguments->no_generation_config,
                    "Take only the tokens that begin and end texts from generation_config.json");
}

}  // namespace ldlm::command
