#pragma once
// Evaluation: how well latents are reconstructed from noise, beside baselines; how well the text
// comes back; and what samples from pure noise are worth.

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/latent_diffusion/linear_denoiser.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/train/metrics.hpp>

namespace ldlm {

/// Reconstructions of one kind at one noise level: one value a text.
struct ReconstructionResult {
  std::int64_t t = 0;
  std::string method;
  std::vector<double> squared_errors;
  std::vector<double> cosines;
};

/// Texts decoded after one noise level; t = -1 is no noise.
struct DecodingResult {
  std::int64_t t = -1;
  std::string method;        // "greedy" or "beam"
  std::int64_t numbers = 0;  // of a latent
  std::vector<double> token_accuracies;
  std::vector<double> exact_matches;  // 1 or 0
  double bleu4 = 0.0;
};

struct EvaluationOptions {
  std::vector<std::int64_t> levels{250, 500, 750};
  std::int64_t batch_size = 64;
  std::uint64_t seed = 0;
};

namespace detail {

/// Calls f(first row, texts of the batch) for batches of a list of texts.
template <class Function>
void for_each_batch(const std::vector<std::string>& texts, std::int64_t batch_size, Function&& f) {
  for (std::size_t i = 0; i < texts.size(); i += static_cast<std::size_t>(batch_size)) {
    const std::size_t end = std::min(texts.size(), i + static_cast<std::size_t>(batch_size));
    f(i, std::vector<std::string>(texts.begin() + static_cast<std::ptrdiff_t>(i),
                                  texts.begin() + static_cast<std::ptrdiff_t>(end)));
  }
}

void append(std::vector<double>& to, const std::vector<double>& more);

}  // namespace detail

/// Latents (N, L, d) of texts, or such with details.
template <Floating T>
Tensor<T> encode_all(const Ldlm<T>& model, const std::vector<std::string>& texts,
                     std::int64_t batch_size = 64, const LatentOptions& how = {}) {
  std::vector<Tensor<T>> parts;
  detail::for_each_batch(texts, batch_size,
                         [&](std::size_t, const std::vector<std::string>& batch) {
                           parts.push_back(model.encode(batch, how));
                         });
  return concat(parts, 0);
}

/// The paper's baseline: noisy latents are read by GPT-2 as input embeddings, its last hidden
/// states are the reconstruction. Latents of another width pass through the model's own linear map
/// and come back through its pseudo-inverse.
template <Floating T>
class Gpt2Baseline {
 public:
  explicit Gpt2Baseline(const Ldlm<T>& model) : model_(model) {
    if (model.config().latent != LatentKind::pooled) {
      // x = W z + b: z = (W^T W)^-1 W^T (x - b).
      const Tensor<double> w = cast<double>(model.autoencoder().map.expand.weight.value().to(cpu));
      Tensor<double> rows = w.clone();  // (C, d): every row is W^T e_i
      Cholesky(matmul(w.transpose(0, 1), w)).solve_rows_(rows);
      inverse_ = cast<T>(rows).to(model.device());
    }
  }

  /// Reconstructions (B, L, d) of noisy latents (B, L, d).
  Tensor<T> operator()(const Tensor<T>& zt) const {
    const NoGrad no_grad;
    const EvaluationMode evaluation;
    const Gpt2<T>& gpt2 = model_.autoencoder().decoder;
    if (!inverse_.defined()) {
      return gpt2.hidden({.prefix = Variable<T>(zt)}).value();
    }
    const LatentMap<T>& map = model_.autoencoder().map;
    const Tensor<T> scaled = add(mul(zt, map.deviation), map.mean);
    const Tensor<T> hidden = gpt2.hidden({.prefix = map.expand(Variable<T>(scaled))}).value();
    const Tensor<T> z = matmul(sub(hidden, map.expand.bias.value()), inverse_);
    return div(sub(z, map.mean), map.deviation);
  }

 private:
  const Ldlm<T>& model_;
  Tensor<T> inverse_;  // (C, d)
};

/// Squared errors and cosines of every method at every level. `linear` was fitted on latents of
/// training texts. The same noise serves all methods.
template <Floating T>
std::vector<ReconstructionResult> evaluate_reconstruction(const Ldlm<T>& model,
                                                          const Tensor<T>& latents,
                                                          const LinearDenoiser& linear,
                                                          const EvaluationOptions& options) {
  const Gpt2Baseline<T> gpt2(model);
  const Tensor<T> centre = cast<T>(linear.mean()).to(latents.device());
  std::vector<ReconstructionResult> results;
  for (const std::int64_t t : options.levels) {
    Generator generator = Generator(options.seed).fork(static_cast<std::uint64_t>(t));
    const Tensor<T> zt = model.add_noise(latents, t, generator);
    // The linear denoiser factors a matrix per level, so it takes all latents at once.
    const Tensor<T> wiener = linear.denoise(zt, model.levels().alpha_bar(t));
    const std::pair<const char*, std::function<Tensor<T>(const Tensor<T>&, std::int64_t)>>
        methods[] = {
            {"ldlm", [&](const Tensor<T>& z, std::int64_t) { return model.denoise(z, t); }},
            {"linear",
             [&](const Tensor<T>& z, std::int64_t first) {
               return wiener.slice(0, first, first + z.size(0));
             }},
            {"noisy", [&](const Tensor<T>& z, std::int64_t) { return z; }},
            {"mean",
             [&](const Tensor<T>& z, std::int64_t) {
               return centre.reshape({1, z.size(1), z.size(2)}).expand(z.shape());
             }},
            {"gpt2", [&](const Tensor<T>& z, std::int64_t) { return gpt2(z); }},
        };
    for (const auto& [name, reconstruct] : methods) {
      ReconstructionResult result{t, name, {}, {}};
      for (std::int64_t i = 0; i < latents.size(0); i += options.batch_size) {
        const Tensor<T> z0 = latents.slice(0, i, i + options.batch_size);
        const Tensor<T> estimate = reconstruct(zt.slice(0, i, i + options.batch_size), i);
        detail::append(result.squared_errors, mean_squared_errors(estimate, z0));
        detail::append(result.cosines, cosine_similarities(estimate, z0));
      }
      results.push_back(std::move(result));
    }
  }
  return results;
}

/// Texts decoded from clean latents, with or without details, and from one-step estimates at every
/// level, greedily or by beam search (num_beams > 1), against their own token ids.
template <Floating T>
std::vector<DecodingResult> evaluate_decoding(const Ldlm<T>& model, const Tensor<T>& latents,
                                              const std::vector<std::string>& texts,
                                              std::int64_t num_beams,
                                              const EvaluationOptions& options) {
  std::vector<TokenIds> references;
  for (const std::string& text : texts) {
    const auto ids = model.decoder_tokenizer().encode_ids(text);
    references.emplace_back(ids.begin(), ids.end());
    references.back().push_back(model.end_id());
  }
  std::vector<std::int64_t> levels{-1};
  levels.insert(levels.end(), options.levels.begin(), options.levels.end());
  std::vector<DecodingResult> results;
  for (const std::int64_t t : levels) {
    DecodingResult result{
        t, num_beams > 1 ? "beam" : "greedy", latents.size(1) * latents.size(2), {}, {}, 0.0};
    Tensor<T> noisy = latents;
    if (t >= 0) {
      Generator generator = Generator(options.seed).fork(static_cast<std::uint64_t>(t));
      noisy = model.add_noise(latents, t, generator);
    }
    std::vector<TokenIds> hypotheses;
    for (std::int64_t i = 0; i < latents.size(0); i += options.batch_size) {
      const Tensor<T> rows = noisy.slice(0, i, i + options.batch_size);
      for (auto& ids : model.decode_ids(t >= 0 ? model.denoise(rows, t) : rows,
                                        {.t = t, .num_beams = num_beams})) {
        hypotheses.push_back(std::move(ids));
      }
    }
    for (std::size_t i = 0; i < references.size(); ++i) {
      result.token_accuracies.push_back(token_accuracy(hypotheses[i], references[i]));
      result.exact_matches.push_back(hypotheses[i] == references[i] ? 1.0 : 0.0);
    }
    result.bleu4 = bleu4(hypotheses, references);
    results.push_back(std::move(result));
  }
  return results;
}

/// How likely a text is: its tokens, the end token among them, and the mean
/// log-probability of one in nats.
struct TextLikelihood {
  std::int64_t tokens = 0;
  double per_token = 0.0;
};

/// Each text's likelihood under a language model, after an end token. Of a text that is longer than
/// the model's context, only the first n_positions tokens count.
template <Floating T>
std::vector<TextLikelihood> text_likelihoods(const Gpt2<T>& model, const Tokenizer& tokenizer,
                                             std::int64_t end,
                                             const std::vector<std::string>& texts) {
  const NoGrad no_grad;
  const EvaluationMode evaluation;
  std::vector<TextLikelihood> out;
  for (const std::string& text : texts) {
    const auto ids = tokenizer.encode_ids(text);
    std::vector<std::int64_t> sequence{end};
    sequence.insert(sequence.end(), ids.begin(), ids.end());
    sequence.push_back(end);
    const std::int64_t count =
        std::min(static_cast<std::int64_t>(sequence.size()) - 1, model.config.n_positions);
    const std::span<const std::int64_t> all(sequence);
    const auto rows = static_cast<std::size_t>(count);
    const Tensor<T> logits =
        model({.ids = Tensor<std::int64_t>::from_values({1, count}, all.first(rows))}).value();
    const Tensor<ComputeType<T>> losses =
        cross_entropy_rows(logits.reshape({count, logits.size(-1)}),
                           Tensor<std::int64_t>::from_values({count}, all.subspan(1, rows)));
    out.push_back({count, -static_cast<double>(mean(losses).item())});
  }
  return out;
}

/// exp of minus the mean log-likelihood of all tokens, each text weighing as its length, of texts
/// that come one by one.
class PerplexityMeter {
 public:
  template <Floating T>
  void add(const Gpt2<T>& model, const Tokenizer& tokenizer, std::int64_t end,
           const std::string& text) {
    const TextLikelihood of = text_likelihoods(model, tokenizer, end, {text}).front();
    total_ += of.per_token * static_cast<double>(of.tokens);
    tokens_ += static_cast<double>(of.tokens);
  }
  /// Throws before the first text, and where a likelihood is no number.
  [[nodiscard]] double value() const;

 private:
  double total_ = 0.0;
  double tokens_ = 0.0;
};

/// The same of texts at once.
template <Floating T>
double perplexity(const Gpt2<T>& model, const Tokenizer& tokenizer, std::int64_t end,
                  const std::vector<std::string>& texts) {
  PerplexityMeter meter;
  for (const std::string& text : texts) {
    meter.add(model, tokenizer, end, text);
  }
  return meter.value();
}

/// Each text's words in a random order.
[[nodiscard]] std::vector<std::string> shuffle_words(const std::vector<std::string>& texts,
                                                     Generator& generator);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/latent_diffusion/impl/evaluation.hpp>
#endif
