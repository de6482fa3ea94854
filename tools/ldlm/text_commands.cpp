// demo, reconstruct and sample: text through the latent diffusion language model.

#include <chrono>

#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/train/metrics.hpp>

#include "command.hpp"
#include "model_folder.hpp"
#include "sampling_options.hpp"

namespace ldlm::command {

namespace {

constexpr const char* default_sentence =
    "The river rises in the mountains and flows through the old town to the sea.";

/// What came back of one text from one noise level.
struct Reconstruction {
  std::int64_t t = -1;
  double cosine = 1.0;
  double mse = 0.0;
  std::string text;

  [[nodiscard]] JsonValue to_json() const {
    return JsonValue::object({{"t", t}, {"cosine", cosine}, {"mse", mse}, {"text", text}});
  }
};

std::vector<Reconstruction> reconstruct(const Ldlm<float>& model, const std::string& text,
                                        const std::vector<std::int64_t>& levels, std::int64_t beams,
                                        bool details, Generator& generator) {
  const Tensor<float> z0 = model.encode({text}, {.details = details});
  std::vector<Reconstruction> out;
  for (const std::int64_t t : levels) {
    const Tensor<float> estimate = t < 0 ? z0 : model.denoise(model.add_noise(z0, t, generator), t);
    out.push_back({t, cosine_similarities(estimate, z0)[0], mean_squared_errors(estimate, z0)[0],
                   model.decode(estimate, {.t = t, .num_beams = beams}).front()});
  }
  return out;
}

void print_reconstructions(const std::vector<Reconstruction>& results) {
  std::vector<std::vector<std::string>> rows{{"t", "cosine", "MSE", "decoded"}};
  for (const Reconstruction& r : results) {
    rows.push_back(
        {r.t < 0 ? "clean" : std::to_string(r.t), fixed(r.cosine, 3), fixed(r.mse, 3), r.text});
  }
  print(format_table(rows));
}

void run_demo(const Common& common, const std::vector<std::string>& words) {
  std::string sentence;
  for (const std::string& word : words) {
    sentence += (sentence.empty() ? "" : " ") + word;
  }
  if (sentence.empty()) {
    sentence = default_sentence;
  }
  sentence = ldlm::repair_utf8(sentence);
  const auto model = load_ldlm(common);
  Generator generator = common.generator();
  const auto results = reconstruct(model, sentence, {-1, 250, 500, 750}, 0, true, generator);
  SampleArguments sampling;
  sampling.take_defaults(model.config().sampling);
  const auto samples = draw_samples(model, sampling, generator);
  if (common.json) {
    JsonValue::Array levels;
    for (const Reconstruction& r : results) {
      levels.push_back(r.to_json());
    }
    print_json(JsonValue::object({{"text", sentence}, {"levels", levels}, {"samples", samples}}));
    return;
  }
  print("Text     " + sentence);
  print("Latent   " + std::to_string(model.config().latent_length) + " x " +
        std::to_string(model.config().latent_channels) + " numbers" +
        (model.config().details ? " and " + std::to_string(model.config().detail_length()) + " x " +
                                      std::to_string(model.config().latent_channels) + " of details"
                                : "") +
        "; noise is added to level t of 1000, removed in one step, and decoded:\n");
  print_reconstructions(results);
  print("Sampled from pure noise:\n");
  for (const std::string& sample : samples) {
    print("  " + sample);
  }
}

/// Texts from noise; a terminal shows them on their way.
void print_samples(const Common& common, const Ldlm<float>& model, const SampleArguments& sampling,
                   bool with_trace) {
  std::vector<TracePoint> points;
  LiveTexts live(common);
  Trace trace;
  if (with_trace || live.active()) {
    trace = [&](const TracePoint& point) {
      live.show(point.texts);
      if (with_trace) {
        points.push_back(point);
      }
    };
  }
  Generator generator = common.generator();
  draw_samples(
      model, sampling, generator,
      [&](const std::vector<std::string>& texts) {
        live.clear();
        for (std::size_t i = 0; i < texts.size(); ++i) {
          if (!common.json && !with_trace) {
            print(texts[i]);
            continue;
          }
          JsonValue json = JsonValue::object({{"text", texts[i]}});
          if (with_trace) {
            JsonValue::Array levels;
            for (const TracePoint& point : points) {
              levels.push_back(
                  JsonValue::object({{"sigma", point.sigma}, {"text", point.texts[i]}}));
            }
            json.set("trace", levels);
          }
          print_json(json);
        }
        points.clear();
      },
      trace);
}

}  // namespace

void add_text_commands(CLI::App& app, Common& common) {
  {
    const auto words = std::make_shared<std::vector<std::string>>();
    CLI::App* const command = add_subcommand(
        app, "demo", "A sentence to its latent, through noise and back; then new sentences.",
        "ldlm demo \"The river rises in the north.\"",
        [&common, words] { run_demo(common, *words); });
    command->add_option("sentence", *words, "The sentence");
  }
  {
    struct Arguments {
      TextInput input;
      std::vector<std::int64_t> levels{-1, 250, 500, 750};
      std::int64_t beams = 0;
      bool details = true;
    };
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* const command = add_subcommand(
        app, "reconstruct", "Encode texts, add noise, remove it in one step, decode.",
        "ldlm reconstruct --t 100 500 --file texts.txt", [&app, &common, arguments] {
          if (!load_config(common.model).details) {
            refuse_without_effect(*app.get_subcommand("reconstruct"), "--no-details",
                                  "for a model without details");
          }
          arguments->input.open();
          const auto model = load_ldlm(common);
          Generator generator = common.generator();
          arguments->input.for_each([&](const InputText& input) {
            const auto results = reconstruct(model, input.text, arguments->levels, arguments->beams,
                                             arguments->details, generator);
            if (common.json) {
              JsonValue::Array levels;
              for (const Reconstruction& r : results) {
                levels.push_back(r.to_json());
              }
              print_json(JsonValue::object({{"text", input.text}, {"levels", levels}}));
            } else {
              print(input.text);
              print_reconstructions(results);
            }
          });
        });
    arguments->input.add_to(*command, common);
    command->add_option("--t", arguments->levels, "Noise levels, 0 to 999; -1: none")
        ->check(noise_level);
    command->add_option("--beams", arguments->beams, "Beams; 1: greedy; 0: the model's own number")
        ->check(beam_count);
    command->add_flag("!--no-details", arguments->details,
                      "Take the slots alone, of a model whose latents have details, too");
  }
  {
    struct Arguments {
      SampleArguments sampling;
      bool trace = false;
    };
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* const command =
        add_subcommand(app, "sample", "Draw new texts from pure noise.",
                       "ldlm sample --count 10 --seed 7", [&common, arguments] {
                         arguments->sampling.check();
                         arguments->sampling.take_defaults(load_config(common.model).sampling);
                         if (arguments->sampling.without_latent()) {
                           arguments->sampling.refuse("--trace", "with --decode-level 1000");
                         }
                         const auto model = load_ldlm(common);
                         print_samples(common, model, arguments->sampling, arguments->trace);
                       });
    command->add_option("--count", arguments->sampling.count, "Number of texts")->check(positive);
    arguments->sampling.add_to(*command);
    command->add_flag(
        "--trace", arguments->trace,
        "Print JSON that says what each text was at some ten levels of noise, too; sigma: "
        "the noise over the signal");
  }
}

}  // namespace ldlm::command
