#include "text_sets.hpp"

#include <algorithm>

#include <ldlm/latent_diffusion/evaluation.hpp>
#include <ldlm/train/embedding_metrics.hpp>

namespace ldlm::command {

namespace {

std::vector<TokenIds> token_ids(const Ldlm<float>& model, const std::vector<std::string>& texts) {
  std::vector<TokenIds> out;
  for (const std::string& text : texts) {
    const auto encoded = model.decoder_tokenizer().encode_ids(text);
    out.emplace_back(encoded.begin(), encoded.end());
  }
  return out;
}

Estimate without_interval(double value, std::size_t count) {
  return {value, 0.0, static_cast<std::int64_t>(count)};
}

void add_likelihoods(const Judges& judges, const std::vector<std::string>& texts,
                     std::vector<SetFigure>& figures) {
  const Ldlm<float>& model = *judges.model;
  const auto likelihoods =
      text_likelihoods(*judges.judge, model.decoder_tokenizer(), model.end_id(), texts);
  // The mean of all tokens, each text weighing as its length, is the perplexity's logarithm.
  const auto of_tokens =
      jackknife(texts.size(), {"nats"}, [&](std::span<const std::size_t> chosen) {
        double nats = 0;
        double tokens = 0;
        for (const std::size_t i : chosen) {
          const auto length = static_cast<double>(likelihoods[i].tokens);
          nats -= likelihoods[i].per_token * length;
          tokens += length;
        }
        return std::vector<double>{nats / tokens};
      });
  const Estimate nats = of_tokens.front().second;
  figures.push_back(
      {"perplexity", "perplexity", without_interval(std::exp(nats.mean), texts.size()), 1});
  figures.push_back({"nats_a_token", "nats a token", nats, 3});
}

void add_distances(const Judges& judges, const Tensor<float>& reference,
                   const std::vector<std::string>& texts, std::vector<SetFigure>& figures) {
  const Tensor<float> vectors = judges.embedder->encode(texts).to(cpu);
  Generator generator(judges.seed);
  figures.push_back(
      {"mauve", "MAUVE", without_interval(mauve(vectors, reference, generator), texts.size()), 3});
  figures.push_back({"frechet_distance", "Frechet",
                     without_interval(frechet_distance(vectors, reference), texts.size()), 4});
}

}  // namespace

std::vector<std::vector<SetFigure>> measure_sets(
    const Judges& judges, const std::vector<TextSet>& sets,
    const std::function<void(const std::string& name)>& progress) {
  Tensor<float> reference;
  if (judges.embedder) {
    reference = judges.embedder->encode(judges.reference).to(cpu);
  }
  std::vector<std::vector<SetFigure>> out;
  for (const TextSet& set : sets) {
    if (progress) {
      progress(set.name);
    }
    std::vector<SetFigure>& figures = out.emplace_back();
    if (judges.judge) {
      add_likelihoods(judges, set.texts, figures);
    }
    const NamedEstimates words = word_figures(set.texts, *judges.training);
    const auto of_words = [&words](const std::string& name) {
      return std::find_if(words.begin(), words.end(),
                          [&name](const auto& entry) { return entry.first == name; })
          ->second;
    };
    figures.push_back({"word_entropy", "entropy", of_words("entropy of words"), 2});
    figures.push_back({"pair_entropy", "of pairs", of_words("entropy of pairs"), 2});
    const char* const names[] = {"distinct_1", "distinct_2", "distinct_3"};
    std::size_t n = 0;
    for (const auto& [name, estimate] : distinct_figures(token_ids(*judges.model, set.texts))) {
      figures.push_back({names[n++], name, estimate, 3});
    }
    figures.push_back({"words", "words", of_words("words a text"), 1});
    figures.push_back({"non_words", "non-words", of_words("non-words"), 3});
    figures.push_back({"known_runs", "known runs", of_words("runs in training"), 3});
    if (judges.embedder) {
      add_distances(judges, reference, set.texts, figures);
    }
  }
  return out;
}

}  // namespace ldlm::command
