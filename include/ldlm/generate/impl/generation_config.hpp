#pragma once
// Bodies of generate/generation_config.hpp.

#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/generation_config.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/models/gpt2_config.hpp>

namespace ldlm {

LDLM_BODY GenerationConfig GenerationConfig::from_folder(const std::filesystem::path& folder,
                                                         const Gpt2Config& model) {
  GenerationConfig out = tokens_of_folder(folder, model);
  const std::filesystem::path own = folder / "generation_config.json";
  const std::filesystem::path path = std::filesystem::exists(own) ? own : folder / "config.json";
  if (std::filesystem::exists(path)) {
    out.read_decoding(open_json(path), model);
  }
  return out;
}

LDLM_BODY GenerationConfig GenerationConfig::tokens_of_folder(const std::filesystem::path& folder,
                                                              const Gpt2Config& model) {
  GenerationConfig out;
  out.bos_token_id = model.start_token();
  out.eos_token_id = model.end_tokens();
  const std::filesystem::path path = folder / "generation_config.json";
  if (std::filesystem::exists(path)) {
    out.read_tokens(open_json(path), model);
  }
  return out;
}

LDLM_BODY std::optional<std::int64_t> GenerationConfig::new_tokens(std::int64_t length) const {
  if (max_new_tokens || !max_length) {
    return max_new_tokens;
  }
  LDLM_CHECK(length < *max_length, "generate", "the prompt has ", length,
             " tokens, but the folder's max_length is ", *max_length);
  return *max_length - length;
}

LDLM_BODY void GenerationConfig::read_tokens(const JsonReader& json, const Gpt2Config& model) {
  // As in Gpt2Config: beyond a smaller vocabulary the default stands for none.
  Gpt2Config tokens = model;
  tokens.bos_token_id = token_id_from(json, "bos_token_id", tokens.bos_token_id);
  tokens.eos_token_id = token_ids_from(json, "eos_token_id").value_or(std::vector<std::int64_t>());
  const ConfigRules rules(json);
  tokens.validate(rules);
  if (const auto pad = token_id_from(json, "pad_token_id", std::nullopt)) {
    tokens.check_id(rules, "pad_token_id", *pad);
  }
  bos_token_id = tokens.start_token();
  eos_token_id = tokens.end_tokens();
}

LDLM_BODY void GenerationConfig::read_decoding(const JsonReader& json, const Gpt2Config& model) {
  refuse_unsupported(json);
  const ConfigRules rules(json);
  const auto read_key = [&](std::string_view key, auto& value) {
    says_how = says_how || json.has(key);
    value = json.get(key, value);
  };
  read_key("do_sample", do_sample);
  read_key("temperature", temperature);
  rules.check(temperature > 0 || !do_sample, "temperature", "must be positive, got ", temperature);
  read_key("top_k", top_k);
  rules.at_least("top_k", top_k, 0);
  read_key("top_p", top_p);
  rules.check(top_p > 0 && top_p <= 1, "top_p", "must lie in (0, 1], got ", top_p);
  read_key("num_beams", num_beams);
  rules.check(num_beams >= 1 && num_beams <= max_beams, "num_beams", "must lie in [1, ", max_beams,
              "], got ", num_beams);
  rules.check(num_beams == 1 || !do_sample, "do_sample",
              "must be false with num_beams above 1: beams that are drawn are not supported");
  read_key("length_penalty", length_penalty);
  // Beyond, powers of lengths are no numbers.
  rules.check(std::abs(length_penalty) <= 100, "length_penalty", "must lie in [-100, 100], got ",
              length_penalty);
  if (json.has("early_stopping")) {
    const JsonValue& value = *json.value().find("early_stopping");
    const auto flag = value.get_if<bool>();
    rules.check(flag || value.get_if<std::string>() == "never", "early_stopping",
                "must be true, false or \"never\", got ", value.preview());
    early_stopping = !flag   ? EarlyStopping::never
                     : *flag ? EarlyStopping::when_full
                             : EarlyStopping::heuristic;
  }
  for (const auto& [key, value] :
       {std::pair("max_new_tokens", &max_new_tokens), std::pair("max_length", &max_length)}) {
    if (json.has(key)) {
      *value = json.get<std::int64_t>(key);
      rules.at_least(key, **value);
      rules.check(**value <= model.n_positions, key, "is ", **value, ", more than the n_positions ",
                  model.n_positions, " of the model");
    }
  }
}

LDLM_BODY void GenerationConfig::refuse_unsupported(const JsonReader& json) {
  struct Key {
    std::string_view name;
    double neutral;
  };
  constexpr double none = std::numeric_limits<double>::quiet_NaN();  // equals no number
  for (const Key& key : std::initializer_list<Key>{{"repetition_penalty", 1},
                                                   {"encoder_repetition_penalty", 1},
                                                   {"no_repeat_ngram_size", 0},
                                                   {"encoder_no_repeat_ngram_size", 0},
                                                   {"min_length", 0},
                                                   {"min_new_tokens", 0},
                                                   {"typical_p", 1},
                                                   {"epsilon_cutoff", 0},
                                                   {"eta_cutoff", 0},
                                                   {"min_p", 0},
                                                   {"top_h", 1},
                                                   {"diversity_penalty", 0},
                                                   {"num_beam_groups", 1},
                                                   {"num_return_sequences", 1},
                                                   {"penalty_alpha", 0},
                                                   {"guidance_scale", 1},
                                                   {"bad_words_ids", 0},
                                                   {"force_words_ids", 0},
                                                   {"forced_bos_token_id", none},
                                                   {"forced_eos_token_id", none},
                                                   {"suppress_tokens", 0},
                                                   {"begin_suppress_tokens", 0},
                                                   {"sequence_bias", 0},
                                                   {"exponential_decay_length_penalty", 0},
                                                   {"renormalize_logits", 0},
                                                   {"watermarking_config", 0},
                                                   {"stop_strings", 0},
                                                   {"constraints", 0},
                                                   {"token_healing", 0},
                                                   {"dola_layers", 0},
                                                   {"max_time", -1}}) {
    const JsonValue* const value = json.value().find(key.name);
    const bool neutral = value == nullptr || value->is_null() ||
                         value->get_if<double>() == key.neutral || value->get_if<bool>() == false ||
                         (value->is_array() && value->items().empty()) ||
                         (value->is_object() && value->members().empty());
    json.check(neutral, key.name, "is ", value != nullptr ? value->preview() : "",
               ", which is not supported and would change texts; remove it, or ignore how the "
               "file says to decode");
  }
}

}  // namespace ldlm
