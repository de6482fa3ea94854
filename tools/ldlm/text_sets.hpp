#pragma once
// Figures of sets of texts beside each other, such as samples and held-out text.

#include <optional>
#include <string>
#include <vector>

#include <ldlm/json/value.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/models/sentence_encoder.hpp>
#include <ldlm/train/text_metrics.hpp>

#include "command.hpp"

namespace ldlm::command {

/// Texts of one kind.
struct TextSet {
  std::string name;
  std::vector<std::string> texts;
};

/// What sets are measured with.
struct Judges {
  const Ldlm<float>* model = nullptr;                // whose tokens are counted
  const TrainingText* training = nullptr;            // what words and runs are known from
  std::optional<Gpt2<float>> judge{};                // for nats a token
  std::optional<SentenceEncoder<float>> embedder{};  // for MAUVE and the Frechet distance
  std::vector<std::string> reference{};              // held-out texts that those compare with
  std::uint64_t seed = 0;
};

/// A figure of a set: its name in JSON and CSV, and its column in the table.
struct SetFigure {
  std::string name, column;
  Estimate estimate;  // of half-width 0 where there is no interval
  int digits = 3;
};

/// All figures of each set, in their order. Figures whose judge is absent are left out.
[[nodiscard]] std::vector<std::vector<SetFigure>> measure_sets(
    const Judges& judges, const std::vector<TextSet>& sets,
    const std::function<void(const std::string& name)>& progress = {});

}  // namespace ldlm::command
