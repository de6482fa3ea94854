#pragma once
// GenerationConfig: which tokens begin and end texts, and how to decode, as a model's folder says.
//
//   const auto config = ldlm::GenerationConfig::from_folder("gpt2", gpt2.config);
//   options.stop.end_tokens = config.eos_token_id;

#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/models/gpt2_config.hpp>

namespace ldlm {

/// Names, defaults and meaning are those of Hugging Face's GenerationConfig.
struct GenerationConfig {
  std::optional<std::int64_t> bos_token_id = std::nullopt;  // begins a text without a prompt
  std::vector<std::int64_t> eos_token_id{};                 // any of these ends a text

  /// Whether the folder says how to decode; where it does not, what follows are the defaults.
  bool says_how = false;
  bool do_sample = false;
  double temperature = 1;
  std::int64_t top_k = 50;
  double top_p = 1;
  std::int64_t num_beams = 1;
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::heuristic;
  std::optional<std::int64_t> max_new_tokens = std::nullopt;
  std::optional<std::int64_t> max_length = std::nullopt;  // with the prompt

  /// Reads generation_config.json or, in a folder without it, what config.json says about decoding.
  /// As in transformers, texts end at no token where the former names none; they begin with that of
  /// config.json. Throws an Error that names the file and the key for values out of range, and for
  /// those that would change texts and are not supported.
  static GenerationConfig from_folder(const std::filesystem::path& folder, const Gpt2Config& model);
  /// Only the tokens of a folder: what else its generation_config.json says is not looked at.
  static GenerationConfig tokens_of_folder(const std::filesystem::path& folder,
                                           const Gpt2Config& model);

  /// The most new tokens after a prompt of `length`, if the folder says so. Throws for a prompt
  /// that leaves no room for one.
  [[nodiscard]] std::optional<std::int64_t> new_tokens(std::int64_t length) const;

 private:
  void read_tokens(const JsonReader& json, const Gpt2Config& model);

  void read_decoding(const JsonReader& json, const Gpt2Config& model);

  // Throws for what would change texts and is not supported, unless it has the value that changes
  // nothing.
  static void refuse_unsupported(const JsonReader& json);
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/generate/impl/generation_config.hpp>
#endif
