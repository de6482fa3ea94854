// vary, interpolate and infill: texts from latents beside, between and of parts of given ones.

#include <ldlm/diffusion/interpolation.hpp>
#include <ldlm/latent_diffusion/infilling.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>

#include "command.hpp"
#include "model_folder.hpp"
#include "sampling_options.hpp"

namespace ldlm::command {

namespace {

/// How far a latent is taken into noise, and how it comes back.
struct ThroughNoise {
  std::int64_t t = 600;
  SampleArguments sampling;

  void add_to(CLI::App& command) {
    command
        .add_option(
            "--t", t,
            "Noise level, 0 to 999: the higher, the less is kept; -1: no noise, the latents "
            "as they are")
        ->check(noise_level);
    sampling.add_to(command);
  }
  /// The model's own values of what was not given, but that texts are decoded as reconstructions.
  void take_defaults(const Common& common, double temperature = 0.0) {
    sampling.check();
    SamplingConfig own = load_config(common.model).sampling;
    own.decode_level = -1;
    own.temperature = temperature;
    sampling.take_defaults(own);
    if (sampling.without_latent()) {
      throw CLI::ValidationError("--decode-level", "1000 would leave nothing of the texts");
    }
    if (t < 0) {
      for (const char* const option : {"--steps", "--sampler", "--eta", "--guidance"}) {
        sampling.refuse(option, "with --t -1");
      }
    }
  }
  /// Texts of latents z0 (B, L, d).
  [[nodiscard]] std::vector<std::string> texts(const Ldlm<float>& model, const Tensor<float>& z0,
                                               Generator& generator) const {
    const Tensor<float> latents =
        t < 0 ? z0 : model.vary(z0, t, sampling.sampler_of(model), generator, sampling.guidance);
    return decode_as_samples(model, latents, sampling, generator);
  }
};

void print_variations(const Common& common, const std::string& text,
                      const std::vector<std::string>& variations) {
  if (common.json) {
    return print_json(JsonValue::object({{"text", text}, {"variations", variations}}));
  }
  print(text);
  for (const std::string& variation : variations) {
    print("  " + variation);
  }
}

void vary(const Common& common, const ThroughNoise& through, TextInput& input) {
  const auto model = load_ldlm(common);
  Generator generator = common.generator();
  input.for_each([&](const InputText& text) {
    const std::vector<std::string> same(static_cast<std::size_t>(through.sampling.count),
                                        text.text);
    print_variations(common, text.text, through.texts(model, model.encode(same), generator));
  });
}

void interpolate(const Common& common, const ThroughNoise& through, const std::string& first,
                 const std::string& second) {
  const auto model = load_ldlm(common);
  const Tensor<float> a = model.encode({ldlm::repair_utf8(first)});
  const Tensor<float> b = model.encode({ldlm::repair_utf8(second)});
  const std::int64_t last = through.sampling.count - 1;
  for (std::int64_t i = 0; i <= last; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(last);
    Generator generator = common.generator();  // the same noise at each place
    const auto text = through.texts(model, slerp(a, b, share), generator).front();
    if (common.json) {
      print_json(JsonValue::object({{"share", share}, {"text", text}}));
    } else {
      print(fixed(share, 2) + "  " + text);
    }
    flush_output();
  }
}

constexpr std::string_view gap = "___";

void infill(const Common& common, const ThroughNoise& through, InfillOptions options,
            TextInput& input) {
  const auto model = load_ldlm(common);
  Generator generator = common.generator();
  options.t = through.t;
  options.guidance = through.sampling.guidance;
  options.decode_level = through.sampling.decode_level;
  options.temperature = through.sampling.temperature;
  options.top_p = through.sampling.top_p;
  options.sampler = through.sampling.sampler_of(model);
  input.for_each([&](const InputText& text) {
    const std::size_t place = text.text.find(gap);
    LDLM_CHECK(place != std::string::npos && text.text.find(gap, place + 1) == std::string::npos,
               "infill", "the text needs one gap, ", gap, ": ", ldlm::detail::quote(text.text, 60));
    const std::string_view whole = text.text;
    std::vector<std::string> texts;
    for (std::int64_t i = 0; i < through.sampling.count; ++i) {
      texts.push_back(ldlm::infill(model, whole.substr(0, place), whole.substr(place + gap.size()),
                                   options, generator));
    }
    print_variations(common, text.text, texts);
  });
}

}  // namespace

void add_latent_commands(CLI::App& app, Common& common) {
  {
    struct Arguments {
      TextInput input;
      ThroughNoise through;
    };
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* const command =
        add_subcommand(app, "vary", "Other texts like the given ones, through noise and back.",
                       "ldlm vary --t 700 \"The river rises in the north.\"", [&common, arguments] {
                         arguments->through.take_defaults(common);
                         arguments->input.open();
                         vary(common, arguments->through, arguments->input);
                       });
    arguments->input.add_to(*command, common);
    command->add_option("--count", arguments->through.sampling.count, "Variations of each text")
        ->check(positive);
    arguments->through.add_to(*command);
  }
  {
    struct Arguments {
      std::string first, second;
      ThroughNoise through;
    };
    const auto arguments = std::make_shared<Arguments>();
    arguments->through.t = -1;
    arguments->through.sampling.count = 7;
    CLI::App* const command = add_subcommand(
        app, "interpolate", "Texts on the way from one to another.",
        "ldlm interpolate \"The river rises in the north.\" \"He was born in London.\"",
        [&common, arguments] {
          arguments->through.take_defaults(common);
          interpolate(common, arguments->through, arguments->first, arguments->second);
        });
    command->add_option("first", arguments->first, "The text to begin with")->required();
    command->add_option("second", arguments->second, "The text to end with")->required();
    command
        ->add_option("--count", arguments->through.sampling.count,
                     "Texts to print, the two ends among them")
        ->check(CLI::Range(2, 1'000'000));
    arguments->through.add_to(*command);
  }
  {
    struct Arguments {
      TextInput input;
      ThroughNoise through;
      InfillOptions infill;
    };
    const auto arguments = std::make_shared<Arguments>();
    arguments->through.t = arguments->infill.t;
    CLI::App* const command = add_subcommand(
        app, "infill", "What may have stood in the gap ___ of a text.",
        "ldlm infill \"The river ___ in the north.\"", [&common, arguments] {
          arguments->through.sampling.refuse("--beams", "where fillings are drawn");
          arguments->through.take_defaults(common, arguments->infill.temperature);
          if (arguments->through.sampling.temperature == 0.0) {
            throw CLI::ValidationError("--temperature", "must be above 0, as fillings are drawn");
          }
          arguments->input.open();
          infill(common, arguments->through, arguments->infill, arguments->input);
        });
    arguments->input.add_to(*command, common);
    command->add_option("--count", arguments->through.sampling.count, "Fillings of each text")
        ->check(positive);
    command->add_option("--masks", arguments->infill.masks, "Tokens that the gap is taken for")
        ->check(positive);
    command
        ->add_option("--candidates", arguments->infill.candidates,
                     "Fillings that are drawn, of which the likeliest is taken")
        ->check(positive);
    command
        ->add_option("--max-tokens", arguments->infill.max_tokens, "Tokens of the longest filling")
        ->check(positive);
    arguments->through.add_to(*command);
  }
}

}  // namespace ldlm::command
