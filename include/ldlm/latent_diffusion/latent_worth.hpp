#pragma once
// What a latent tells the decoder: how many nats of a text it saves, under noise of each size.

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <ldlm/latent_diffusion/evaluation.hpp>

namespace ldlm {

/// Nats of each text, its end included, decoded from an estimate of its latent (N, L, d) that was
/// made at a noise level; a single estimate (1, L, d) is that of all texts.
template <Floating T>
[[nodiscard]] std::vector<double> text_nats(const Ldlm<T>& model, const Tensor<T>& estimates,
                                            const std::vector<std::string>& texts, double alpha_bar,
                                            std::int64_t batch_size = 64) {
  const auto count = static_cast<std::int64_t>(texts.size());
  LDLM_CHECK_SHAPE(estimates.rank() == 3 && (estimates.size(0) == count || estimates.size(0) == 1),
                   "text_nats", "needs an estimate for each of ", count, " texts, or one, got ",
                   to_string(estimates.shape()));
  const NoGrad no_grad;
  const EvaluationMode evaluation;
  std::vector<double> out;
  for (std::int64_t first = 0; first < count; first += batch_size) {
    const std::int64_t size = std::min(batch_size, count - first);
    // Each text with its end, padded with more of it.
    std::vector<std::vector<TokenId>> rows;
    for (std::int64_t i = first; i < first + size; ++i) {
      const auto ids = model.decoder_tokenizer().encode_ids(texts[static_cast<std::size_t>(i)]);
      rows.emplace_back(ids.begin(), ids.end()).push_back(model.end_id());
    }
    const Tensor<std::int64_t> ids =
        to_batch(rows, {.pad_id = model.end_id(), .padding_side = TextDirection::right}).ids;
    const Tensor<T> latents = estimates.size(0) == count
                                  ? estimates.slice(0, first, first + size)
                                  : estimates.expand({size, estimates.size(1), estimates.size(2)});
    const std::vector<double> levels(static_cast<std::size_t>(size), alpha_bar);
    const Variable<T> prefix =
        model.autoencoder().prefix(Variable<T>(latents), detail::log_snrs<T>(levels));
    const std::int64_t length = prefix.size(1);
    const Tensor<T> logits = model.autoencoder()
                                 .decoder({.ids = ids, .prefix = prefix})
                                 .value()
                                 .slice(1, length - 1, length - 1 + ids.size(1));
    const Tensor<ComputeType<T>> losses = cross_entropy_rows(
        logits.reshape({-1, logits.size(2)}), labels_until_end(ids, model.end_id()).reshape({-1}),
        {.ignore_index = ignored_target});
    for (const auto nats : sum(losses.reshape({size, -1}), {1}).to_vector()) {
      out.push_back(static_cast<double>(nats));
    }
  }
  return out;
}

/// Texts under noise of one size on their latents.
struct LatentWorth {
  double sigma = 0.0;                 // of the noise, beside latents of unit variance; infinity: no
                                      // latent at all
  std::vector<double> nats;           // of each text, its end included, from its own latent
  std::vector<double> nats_of_other;  // from the latent of the next text
};

/// Bits that numbers of unit variance carry through noise of that size at most: half a logarithm of
/// 1 + 1 / sigma^2 each (Shannon, 1948).
[[nodiscard]] inline double channel_bits(std::int64_t numbers, double sigma) {
  return static_cast<double>(numbers) / 2.0 * std::log2(1.0 + 1.0 / (sigma * sigma));
}

/// The worth of latents (N, L, d), N >= 2, of texts under each noise, and without them, last. The
/// decoder reads the linear estimate of the latent, as in its training. Throws for pooled latents,
/// whose decoder knows no noise.
template <Floating T>
[[nodiscard]] std::vector<LatentWorth> evaluate_latent_worth(const Ldlm<T>& model,
                                                             const Tensor<T>& latents,
                                                             const std::vector<std::string>& texts,
                                                             std::vector<double> sigmas,
                                                             const EvaluationOptions& options) {
  LDLM_CHECK(model.config().latent != LatentKind::pooled, "latent_worth",
             "the decoder of a pooled latent knows no noise");
  const std::int64_t count = latents.size(0);
  LDLM_CHECK_SHAPE(count >= 2 && count == static_cast<std::int64_t>(texts.size()), "latent_worth",
                   "needs two latents or more and a text for each, got ", count, " and ",
                   texts.size());
  const NoGrad no_grad;
  const EvaluationMode evaluation;
  sigmas.push_back(std::numeric_limits<double>::infinity());
  const auto nats_of = [&](const Tensor<T>& estimates, double alpha_bar) {
    return text_nats(model, estimates, texts, alpha_bar, options.batch_size);
  };
  const Tensor<T> others = concat({latents.slice(0, 1, count), latents.slice(0, 0, 1)}, 0);
  std::vector<LatentWorth> out;
  for (const double sigma : sigmas) {
    const double alpha_bar = std::isinf(sigma) ? lost_alpha_bar : 1.0 / (1.0 + sigma * sigma);
    const auto estimate = [&](const Tensor<T>& z) {
      Generator generator(options.seed);  // all sizes and both latents get the same noise
      Tensor<T> noisy = mul(z, alpha_bar);
      axpy_(noisy, std::sqrt(alpha_bar * (1.0 - alpha_bar)), randn_like(z, generator));
      return noisy;
    };
    out.push_back(
        {sigma, nats_of(estimate(latents), alpha_bar), nats_of(estimate(others), alpha_bar)});
  }
  return out;
}

}  // namespace ldlm
