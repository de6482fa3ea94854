#pragma once
// Bodies of latent_diffusion/text_dataset.hpp.

#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/latent_diffusion/text_dataset.hpp>
#include <ldlm/train/dataset.hpp>

namespace ldlm {

LDLM_BODY TextDataset::TextDataset(const LdlmConfig& config, LdlmTokenizers tokenizers)
    : tokenizers_(std::move(tokenizers)),
      pooled_(config.latent == LatentKind::pooled),
      encoder_rows_(std::min(2 * config.max_new_tokens, config.encoder.max_position_embeddings),
                    config.encoder.pad_token_id),
      decoder_rows_(pooled_ ? config.max_new_tokens : config.latent_length,
                    find_end_id(tokenizers_.decoder, config.decoder, "dataset")) {
  LDLM_CHECK(pooled_ || tokenizers_.encoder.to_json() == tokenizers_.decoder.to_json(), "dataset",
             "sequence latents need one tokenizer for encoder and decoder");
  tokenizers_.check_fit(config);
}

LDLM_BODY bool TextDataset::add(std::string_view text) {
  const auto target = tokenizers_.decoder.encode_ids(text);
  if (target.empty() || static_cast<std::int64_t>(target.size()) >= decoder_rows_.length()) {
    return false;
  }
  return (!pooled_ || encoder_rows_.add(tokenizers_.encoder.encode_ids(text))) &&
         decoder_rows_.add(target);
}

LDLM_BODY std::string TextDataset::fingerprint() const {
  return pooled_ ? encoder_rows_.fingerprint() + "; " + decoder_rows_.fingerprint()
                 : decoder_rows_.fingerprint();
}

LDLM_BODY TextBatch TextDataset::rows(std::span<const std::int64_t> indices) const {
  Tensor<std::int64_t> targets = decoder_rows_.rows(indices);
  if (!pooled_) {
    return targets;
  }
  TokenBatch read = encoder_rows_.batch(indices);
  return {std::move(read.ids), std::move(read.mask), std::move(targets)};
}

LDLM_BODY TextBatch TextDataset::rows(std::int64_t first, std::int64_t count) const {
  return rows(row_numbers(first, std::clamp<std::int64_t>(size() - first, 0, count)));
}

}  // namespace ldlm
