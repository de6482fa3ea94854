#pragma once
// Bodies of latent_diffusion/text_dataset.hpp.

#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/latent_diffusion/text_dataset.hpp>
#include <ldlm/train/dataset.hpp>

namespace ldlm {

LDLM_BODY TextDataset::TextDataset(const LdlmConfig& config, LdlmTokenizers tokenizers)
    : tokenizers_(std::move(tokenizers)),
      kind_(config.latent),
      encoder_rows_(std::min(2 * config.max_new_tokens, config.encoder.max_position_embeddings),
                    config.encoder.pad_token_id),
      decoder_rows_(config.text_length(),
                    find_end_id(tokenizers_.decoder, config.decoder, "dataset")) {
  LDLM_CHECK(
      kind_ == LatentKind::pooled || tokenizers_.encoder.to_json() == tokenizers_.decoder.to_json(),
      "dataset", "sequence latents and slots need one tokenizer for encoder and decoder");
  tokenizers_.check_fit(config);
}

LDLM_BODY bool TextDataset::add(std::string_view text) {
  const auto target = tokenizers_.decoder.encode_ids(text);
  if (target.empty() || static_cast<std::int64_t>(target.size()) >= decoder_rows_.length()) {
    return false;
  }
  return (kind_ != LatentKind::pooled || encoder_rows_.add(tokenizers_.encoder.encode_ids(text))) &&
         decoder_rows_.add(target);
}

LDLM_BODY std::string TextDataset::fingerprint() const {
  return kind_ == LatentKind::pooled
             ? encoder_rows_.fingerprint() + "; " + decoder_rows_.fingerprint()
             : decoder_rows_.fingerprint();
}

LDLM_BODY TextBatch TextDataset::rows(std::span<const std::int64_t> indices) const {
  if (kind_ == LatentKind::sequence) {
    return decoder_rows_.rows(indices);
  }
  TokenBatch read = (kind_ == LatentKind::pooled ? encoder_rows_ : decoder_rows_).batch(indices);
  return {std::move(read.ids), std::move(read.mask), decoder_rows_.trimmed_rows(indices)};
}

LDLM_BODY TextBatch TextDataset::rows(std::int64_t first, std::int64_t count) const {
  return rows(row_numbers(first, std::clamp<std::int64_t>(size() - first, 0, count)));
}

}  // namespace ldlm
