#include "text_sets.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <span>
#include <utility>

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

/// Nats a token, of all tokens: a text weighs as its length.
Estimate nats_of(std::span<const double> nats, std::span<const double> tokens) {
  return jackknife(nats.size(), {"nats"},
                   [&](std::span<const std::size_t> chosen) {
                     double sum = 0.0, count = 0.0;
                     for (const std::size_t i : chosen) {
                       sum += nats[i];
                       count += tokens[i];
                     }
                     return std::vector<double>{sum / count};
                   })
      .front()
      .second;
}

void add_likelihoods(const Judges& judges, const std::vector<std::string>& texts,
                     std::vector<SetFigure>& figures) {
  const Ldlm<float>& model = *judges.model;
  const auto likelihoods =
      text_likelihoods(*judges.judge, model.decoder_tokenizer(), model.end_id(), texts);
  std::vector<double> of_texts, tokens;
  for (const auto& likelihood : likelihoods) {
    tokens.push_back(static_cast<double>(likelihood.tokens));
    of_texts.push_back(-likelihood.per_token * tokens.back());
  }
  const Estimate nats = nats_of(of_texts, tokens);  // the perplexity's logarithm
  figures.push_back(
      {"perplexity", "perplexity", without_interval(std::exp(nats.mean), texts.size()), 1});
  figures.push_back({"nats_a_token", "nats a token", nats, 3});
}

void add_ngrams(const NgramModel& model, const std::vector<TokenIds>& texts,
                std::vector<SetFigure>& figures) {
  std::vector<double> of_texts, tokens;
  for (const TokenIds& text : texts) {
    const std::vector<double> logs = model.log_probabilities(text);
    of_texts.push_back(-std::accumulate(logs.begin(), logs.end(), 0.0));
    tokens.push_back(static_cast<double>(logs.size()));
  }
  figures.push_back({"ngram_nats_a_token", std::to_string(model.order()) + "-gram nats",
                     nats_of(of_texts, tokens), 3});
}

void add_nearest(const NearestText& known, const std::vector<std::string>& texts,
                 std::vector<SetFigure>& figures) {
  std::vector<double> similarities;
  for (const std::string& text : texts) {
    similarities.push_back(known.find(text).similarity);
  }
  figures.push_back({"nearest", "nearest", estimate(similarities), 3});
}

double mean_of(const std::vector<SetFigure>& figures, std::string_view name) {
  const auto found = std::find_if(figures.begin(), figures.end(),
                                  [name](const SetFigure& figure) { return figure.name == name; });
  return found->estimate.mean;
}

/// How far each set lies above each family's frontier.
void add_frontiers(const std::vector<TextSet>& sets, std::vector<std::vector<SetFigure>>& figures) {
  std::map<std::string, std::vector<FrontierPoint>> families;
  std::vector<FrontierPoint> points;
  for (std::size_t set = 0; set < sets.size(); ++set) {
    points.push_back(
        {mean_of(figures[set], "word_entropy"), mean_of(figures[set], "nats_a_token")});
    const std::size_t at = sets[set].name.find('@');
    if (at != std::string::npos) {
      families[sets[set].name.substr(0, at)].push_back(points.back());
    }
  }
  for (const auto& [name, frontier] : families) {
    for (std::size_t set = 0; frontier.size() > 1 && set < sets.size(); ++set) {
      figures[set].push_back(
          {"nats_above_" + name, "above " + name,
           without_interval(nats_above(frontier, points[set]), sets[set].texts.size()), 2});
    }
  }
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
    const std::vector<TokenIds> ids = token_ids(*judges.model, set.texts);
    if (judges.ngrams != nullptr) {
      add_ngrams(*judges.ngrams, ids, figures);
    }
    const char* const names[] = {"distinct_1", "distinct_2", "distinct_3"};
    std::size_t n = 0;
    for (const auto& [name, estimate] : distinct_figures(ids)) {
      figures.push_back({names[n++], name, estimate, 3});
    }
    figures.push_back({"words", "words", of_words("words a text"), 1});
    figures.push_back({"non_words", "non-words", of_words("non-words"), 3});
    figures.push_back({"known_runs", "known runs", of_words("runs in training"), 3});
    if (judges.nearest != nullptr) {
      add_nearest(*judges.nearest, set.texts, figures);
    }
    if (judges.embedder) {
      add_distances(judges, reference, set.texts, figures);
    }
  }
  if (judges.judge) {
    add_frontiers(sets, out);
  }
  return out;
}

double nats_above(std::vector<FrontierPoint> frontier, const FrontierPoint& set) {
  std::sort(frontier.begin(), frontier.end(), [](const FrontierPoint& a, const FrontierPoint& b) {
    return std::pair(a.entropy, a.nats) < std::pair(b.entropy, b.nats);
  });
  frontier.erase(std::unique(frontier.begin(), frontier.end(),
                             [](const FrontierPoint& a, const FrontierPoint& b) {
                               return a.entropy == b.entropy;
                             }),
                 frontier.end());
  LDLM_CHECK(frontier.size() > 1, "frontier", "needs two sets that differ in entropy");
  std::size_t right = 1;  // the points before it and at it are those that the line goes through
  while (right + 1 < frontier.size() && frontier[right].entropy < set.entropy) {
    ++right;
  }
  const FrontierPoint& a = frontier[right - 1];
  const FrontierPoint& b = frontier[right];
  const double slope = (b.nats - a.nats) / (b.entropy - a.entropy);
  return set.nats - (a.nats + slope * (set.entropy - a.entropy));
}

}  // namespace ldlm::command
