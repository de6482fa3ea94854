#pragma once
// Sampling new texts, as sample, demo and eval do it.

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <ldlm/latent_diffusion/pipeline.hpp>

#include "command.hpp"

namespace ldlm::command {

inline const CLI::Range beam_count(std::int64_t{0}, max_beams);

/// The options of sampling from pure noise. What is not given is the model's own, see
/// take_defaults().
struct SampleArguments {
  std::int64_t count = 5;
  SamplerOptions sampler{.kind = SamplerKind::ddpm, .steps = 0, .stop_at = -1};
  std::int64_t beams = 0;
  double guidance = 1.0;
  std::int64_t decode_level = 0;
  double temperature = 0.0;
  double top_p = 1.0;

  void add_to(CLI::App& command) {
    command_ = &command;
    const auto models_own = [&command](const char* name, auto& value, const char* help) {
      return command.add_option(name, value, help)->default_str("the model's");
    };
    models_own("--steps", sampler.steps, "Steps of the sampler; 0: all of the schedule")
        ->check(non_negative);
    command
        .add_option_function<std::string>(
            "--sampler",
            [this](const std::string& name) {
              sampler.kind = name == "ddim"         ? SamplerKind::ddim
                             : name == "dpm-solver" ? SamplerKind::dpm_solver
                                                    : SamplerKind::ddpm;
            },
            "ddpm, ddim or dpm-solver")
        ->check(CLI::IsMember({"ddpm", "ddim", "dpm-solver"}))
        ->default_str("ddpm");
    command.add_option("--eta", sampler.eta, "Randomness of DDIM, from 0 to 1")
        ->check(CLI::Range(0.0, 1.0));
    models_own("--guidance", guidance,
               "How far to follow what the denoiser's own estimate changes; 1: as it is")
        ->check(CLI::Range(0.0, 100.0));
    models_own("--decode-level", decode_level,
               "Noise level t at which the sampler hands over to the decoder, which then knows how "
               "far to trust the latent; -1: denoise to the end; 1000: the decoder writes without "
               "a latent")
        ->check(decode_noise_level);
    command.add_option("--beams", beams, "Beams of the decoder; 0: the model's own number")
        ->check(beam_count);
    models_own("--temperature", temperature, "Draw tokens, if above 0; 0: beams")
        ->check(temperature_range);
    models_own("--top-p", top_p, "Draw from the likeliest tokens of this probability")
        ->check(probability);
  }
  [[nodiscard]] bool given(const std::string& option) const {
    return command_ != nullptr && command_->count(option) > 0;
  }
  /// What was not given becomes the model's own. Refuses options that then have no effect.
  void take_defaults(const SamplingConfig& own) {
    const auto take = [this](const char* option, auto& value, const auto& default_value) {
      if (!given(option)) {
        value = default_value;
      }
    };
    take("--steps", sampler.steps, own.steps);
    take("--guidance", guidance, own.guidance);
    take("--decode-level", decode_level, own.decode_level);
    take("--temperature", temperature, given("--beams") ? 0.0 : own.temperature);
    take("--top-p", top_p, own.top_p);
    if (without_latent()) {
      for (const char* const option : {"--steps", "--sampler", "--eta", "--guidance"}) {
        refuse(option, given("--decode-level") ? "with --decode-level 1000"
                                               : "with the model's decode_level of 1000");
      }
    }
    if (temperature == 0.0) {
      refuse("--top-p", "without --temperature");
    }
  }
  /// Refuses options of which others take the effect, whatever the model.
  void check() const {
    if (sampler.kind != SamplerKind::ddim) {
      refuse("--eta", "without --sampler ddim");
    }
    if (given("--temperature") && temperature > 0.0) {
      refuse("--beams", "where --temperature draws the tokens");
    }
  }
  /// Whether the decoder writes alone, and nothing is denoised.
  [[nodiscard]] bool without_latent() const { return decode_level == no_latent; }
  /// The sampler down to the decode level, in a model's own schedule.
  [[nodiscard]] SamplerOptions sampler_of(const Ldlm<float>& model) const {
    SamplerOptions out = sampler;
    LDLM_CHECK(out.steps <= model.schedule().steps(), "sample",
               given("--steps") ? "--steps" : "sampling.steps of ldlm.json", ": cannot take ",
               out.steps, " of ", model.schedule().steps(), " steps of the model's schedule");
    if (decode_level >= 0) {
      out.stop_at = model.schedule().nearest(model.levels().alpha_bar(decode_level));
    }
    return out;
  }
  /// Wrong usage if an option of the command was given, see refuse_without_effect().
  void refuse(const std::string& option, const std::string& where) const {
    if (command_ != nullptr) {
      refuse_without_effect(*command_, option, where);
    }
  }
  /// Refuses all of them, where nothing is sampled.
  void refuse_all(const std::string& where) const {
    for (const char* const option : {"--steps", "--sampler", "--eta", "--guidance",
                                     "--decode-level", "--beams", "--temperature", "--top-p"}) {
      refuse(option, where);
    }
  }

 private:
  const CLI::App* command_ = nullptr;
};

/// Texts of latents as samples have them.
inline std::vector<std::string> decode_as_samples(const Ldlm<float>& model,
                                                  const Tensor<float>& latents,
                                                  const SampleArguments& arguments,
                                                  Generator& generator) {
  if (arguments.temperature > 0.0) {
    return model.decode(latents,
                        {.t = arguments.decode_level,
                         .temperature = arguments.temperature,
                         .top_p = arguments.top_p},
                        generator);
  }
  return model.decode(latents, {.t = arguments.decode_level, .num_beams = arguments.beams});
}

/// What a batch of samples says at one level of noise, on its way from there.
struct TracePoint {
  double sigma = 0.0;  // standard deviation of the noise, over that of the signal
  std::vector<std::string> texts;
};
using Trace = std::function<void(const TracePoint&)>;

/// What decodes the estimates of some ten of a sampler's `steps`, the first and the last among
/// them, and hands them on.
inline Ldlm<float>::Watch traced(const Ldlm<float>& model, std::int64_t steps, const Trace& trace) {
  if (!trace) {
    return {};
  }
  return [&model, &trace, steps, step = std::int64_t{0}](const Tensor<float>& estimate,
                                                         double alpha_bar) mutable {
    constexpr std::int64_t points = 10;
    const std::int64_t last = std::max<std::int64_t>(steps - 1, 1);
    const auto point_of = [last](std::int64_t at) { return at * (points - 1) / last; };
    if (step == 0 || point_of(step) != point_of(step - 1)) {
      const std::int64_t t = model.levels().nearest(alpha_bar);
      trace({std::sqrt((1.0 - alpha_bar) / alpha_bar),
             model.decode(estimate, {.t = t, .num_beams = 1})});
    }
    ++step;
  };
}

/// New texts: the sampler runs down to the decode level, the decoder does the rest.
inline std::vector<std::string> draw_samples(const Ldlm<float>& model,
                                             const SampleArguments& arguments, Generator& generator,
                                             const Trace& trace = {}) {
  if (arguments.without_latent()) {
    const Tensor<float> none = Tensor<float>::zeros(
        {arguments.count, model.config().latent_length, model.config().latent_channels},
        model.device());
    return decode_as_samples(model, none, arguments, generator);
  }
  const SamplerOptions sampler = arguments.sampler_of(model);
  const auto steps = sampler.timesteps(model.schedule()).size();
  const auto watch = traced(model, static_cast<std::int64_t>(steps), trace);
  const Tensor<float> latents =
      model.sample(arguments.count, sampler, generator, arguments.guidance, watch);
  return decode_as_samples(model, latents, arguments, generator);
}

/// The same in batches, so that any number takes the memory of one: calls use(texts) for each, and
/// shows what it printed.
template <class Use>
void draw_samples(const Ldlm<float>& model, const SampleArguments& arguments, Generator& generator,
                  Use&& use, const Trace& trace = {}) {
  constexpr std::int64_t batch = 256;
  SampleArguments part = arguments;
  for (std::int64_t left = arguments.count; left > 0; left -= part.count) {
    part.count = std::min(left, batch);
    use(draw_samples(model, part, generator, trace));
    flush_output();
  }
}

}  // namespace ldlm::command
