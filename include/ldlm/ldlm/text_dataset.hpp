#pragma once
// TextDataset: training texts as the encoder and the decoder of one model read them.

#include <ldlm/ldlm/dataset.hpp>
#include <ldlm/ldlm/pipeline.hpp>

namespace ldlm {

class TextDataset {
 public:
  /// For sequence latents both sides must read with the same tokenizer, and rows have the latent's
  /// length. For pooled ones the decoder's rows have max_new_tokens, the encoder's up to twice
  /// that.
  TextDataset(const LdlmConfig& config, LdlmTokenizers tokenizers)
      : tokenizers_(std::move(tokenizers)),
        pooled_(config.latent == LatentKind::pooled),
        encoder_rows_(std::min(2 * config.max_new_tokens, config.encoder.max_position_embeddings),
                      static_cast<std::int32_t>(config.encoder.pad_token_id)),
        decoder_rows_(pooled_ ? config.max_new_tokens : config.latent_length,
                      static_cast<std::int32_t>(
                          find_end_id(tokenizers_.decoder, config.decoder, "dataset"))) {
    LDLM_CHECK(pooled_ || tokenizers_.encoder.to_json() == tokenizers_.decoder.to_json(), "dataset",
               "sequence latents need one tokenizer for encoder and decoder");
    tokenizers_.check_fit(config);
  }

  /// Appends a text; one that does not fit, with its end token, is refused and reported by `false`.
  bool add(std::string_view text) {
    const auto target = tokenizers_.decoder.encode_ids(text);
    if (target.empty() || static_cast<std::int64_t>(target.size()) >= decoder_rows_.length()) {
      return false;
    }
    return (!pooled_ || encoder_rows_.add(tokenizers_.encoder.encode_ids(text))) &&
           decoder_rows_.add(target);
  }

  [[nodiscard]] std::int64_t size() const { return decoder_rows_.size(); }
  /// Ids in the decoder's rows.
  [[nodiscard]] std::int64_t length() const { return decoder_rows_.length(); }

  /// What tells these texts, as both sides read them, from others.
  [[nodiscard]] std::string fingerprint() const {
    return pooled_ ? encoder_rows_.fingerprint() + "; " + decoder_rows_.fingerprint()
                   : decoder_rows_.fingerprint();
  }

  /// The given texts.
  [[nodiscard]] TextBatch rows(std::span<const std::int64_t> indices) const {
    Tensor<std::int64_t> targets = decoder_rows_.rows(indices);
    if (!pooled_) {
      return targets;
    }
    TokenBatch read = encoder_rows_.batch(indices);
    return {std::move(read.ids), std::move(read.mask), std::move(targets)};
  }
  /// Texts first .. first + count - 1, fewer at the end.
  [[nodiscard]] TextBatch rows(std::int64_t first, std::int64_t count) const {
    return rows(row_numbers(first, std::clamp<std::int64_t>(size() - first, 0, count)));
  }

 private:
  LdlmTokenizers tokenizers_;
  bool pooled_;
  Dataset encoder_rows_, decoder_rows_;
};

}  // namespace ldlm
