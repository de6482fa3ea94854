// vary, interpolate and infill: texts from latents beside, between and of parts of given ones.

#include <utility>

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

/// Prints a text and `count` others, as next(how many) makes them, `batch` at a time; in JSON they
/// are called `name`.
template <class Next>
void print_others(const Common& common, const std::string& text, const char* name,
                  std::int64_t count, std::int64_t batch, Next&& next) {
  JsonValue::Array json;
  for (std::int64_t left = count; left > 0; left -= batch) {
    const std::vector<std::string> others = next(std::min(left, batch));
    if (!common.json && left == count) {
      print(text);
    }
    for (const std::string& other : others) {
      if (common.json) {
        json.emplace_back(other);
      } else {
        print("  " + other);
      }
    }
    flush_output();
  }
  if (common.json) {
    print_json(JsonValue::object({{"text", text}, {name, json}}));
  }
}

void vary(const Common& common, const ThroughNoise& through, TextInput& input) {
  const auto model = load_ldlm(common);
  Generator generator = common.generator();
  input.for_each([&](const InputText& text) {
    print_others(common, text.text, "variations", through.sampling.count, 256,
                 [&](std::int64_t count) {
                   const std::vector<std::string> same(static_cast<std::size_t>(count), text.text);
                   return through.texts(model, model.encode(same), generator);
                 });
  });
}

void interpolate(const Common& common, const ThroughNoise& through, const std::string& first,
                 const std::string& second) {
  for (const auto& [name, text] : {std::pair{"first", &first}, std::pair{"second", &second}}) {
    LDLM_CHECK(text->find_first_not_of(" \t\r\n") != std::string::npos, "interpolate", "the ", name,
               " text is empty");
  }
  const auto model = load_ldlm(common);
  const Tensor<float> a = model.encode({ldlm::repair_utf8(first)});
  const Tensor<float> b = model.encode({ldlm::repair_utf8(second)});
  const std::int64_t last = through.sampling.count - 1;
  int digits = 2;  // that tell neighbours apart
  for (std::int64_t places = 100; places < last; places *= 10) {
    ++digits;
  }
  for (std::int64_t i = 0; i <= last; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(last);
    Generator generator = common.generator();  // the same noise at each place
    const auto text = through.texts(model, slerp(a, b, share), generator).front();
    if (common.json) {
      print_json(JsonValue::object({{"share", share}, {"text", text}}));
    } else {
      print(fixed(share, digits) + "  " + text);
    }
    flush_output();
  }
}

/// Where the one gap of a text lies, three underscores or more: its first one, and behind its last.
std::pair<std::size_t, std::size_t> place_of_gap(const std::string& text) {
  constexpr std::string_view gap = "___";
  const std::size_t begin = text.find(gap);
  const std::size_t end = begin == std::string::npos ? begin : text.find_first_not_of('_', begin);
  LDLM_CHECK(begin != std::string::npos && text.find(gap, end) == std::string::npos, "infill",
             "the text needs one gap, ", gap, ": ", ldlm::detail::quote(text, 60));
  return {begin, std::min(end, text.size())};
}

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
    const auto [begin, end] = place_of_gap(text.text);
    const std::string before = text.text.substr(0, begin);
    const std::string after = text.text.substr(end);
    print_others(common, text.text, "fillings", through.sampling.count, 1, [&](std::int64_t) {
      return std::vector<std::string>{ldlm::infill(model, before, after, options, generator)};
    });
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
    command
        ->add_option("--masks", arguments->infill.masks,
                     "Tokens that the gap is taken for where the text is encoded")
        ->check(positive);
    command
        ->add_option("--candidates", arguments->infill.candidates,
                     "Fillings that are drawn for each that is printed, the likeliest of them")
        ->check(positive);
    command
        ->add_option("--max-tokens", arguments->infill.max_tokens,
                     "Tokens that are drawn for a filling, however many --masks are")
        ->check(positive);
    arguments->through.add_to(*command);
  }
}

}  // namespace ldlm::command
