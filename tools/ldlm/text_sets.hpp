#pragma once
// Figures of sets of texts beside each other, such as samples and held-out text.

#include <optional>
#include <string>
#include <vector>

#include <ldlm/json/value.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/models/sentence_encoder.hpp>
#include <ldlm/train/nearest_text.hpp>
#include <ldlm/train/ngram_model.hpp>
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
  const NearestText* nearest = nullptr;              // the same texts
  const NgramModel* ngrams = nullptr;                // of the same texts, by the model's tokens
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

/// All figures of each set, in their order. Figures whose judge is absent are left out. Sets of one
/// family at two temperatures or more, NAME@T, are a frontier of the judge's nats over the entropy
/// of words: each set is told how far it lies above that (see nats_above).
[[nodiscard]] std::vector<std::vector<SetFigure>> measure_sets(
    const Judges& judges, const std::vector<TextSet>& sets,
    const std::function<void(const std::string& name)>& progress = {});

/// A set on the plane of the frontier.
struct FrontierPoint {
  double entropy, nats;
};
/// How many nats a set lies above the line through a frontier's points, which goes on straight
/// beyond them. Throws ValueError unless two of them differ in entropy.
[[nodiscard]] double nats_above(std::vector<FrontierPoint> frontier, const FrontierPoint& set);

}  // namespace ldlm::command
