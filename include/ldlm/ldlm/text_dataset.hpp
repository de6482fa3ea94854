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
        pad_id_(static_cast<std::int32_t>(config.encoder.pad_token_id)),
        encoder_rows_(std::min(2 * config.max_new_tokens, config.encoder.max_position_embeddings),
                      pad_id_),
        decoder_rows_(pooled_ ? config.max_new_tokens : config.latent_length, end_id()) {
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

  /// The given texts.
  [[nodiscard]] TextBatch rows(std::span<const std::int64_t> indices) const {
    Tensor<std::int64_t> targets = decoder_rows_.rows(indices);
    if (!pooled_) {
      return targets;
    }
    const Tensor<std::int64_t> padded = encoder_rows_.rows(indices);
    auto mask = Tensor<bool>::full(padded.shape(), false);
    std::int64_t longest = 0;
    for (std::int64_t b = 0; b < padded.size(0); ++b) {
      const std::int64_t* const row = padded.data() + b * padded.size(1);
      std::int64_t real = padded.size(1);
      while (real > 0 && row[real - 1] == pad_id_) {
        --real;
      }
      std::fill_n(mask.data() + b * padded.size(1), real, true);
      longest = std::max(longest, real);
    }
    return {padded.slice(1, 0, longest).contiguous(), mask.slice(1, 0, longest).contiguous(),
            std::move(targets)};
  }
  /// Texts first .. first + count - 1, fewer at the end.
  [[nodiscard]] TextBatch rows(std::int64_t first, std::int64_t count) const {
    return rows(row_numbers(first, std::clamp<std::int64_t>(size() - first, 0, count)));
  }

 private:
  [[nodiscard]] std::int32_t end_id() const {
    const auto end = tokenizers_.decoder.token_to_id(end_token);
    LDLM_CHECK(end.has_value(), "dataset", "the decoder's tokenizer has no ", end_token);
    return static_cast<std::int32_t>(*end);
  }

  LdlmTokenizers tokenizers_;
  bool pooled_;
  std::int32_t pad_id_;
  Dataset encoder_rows_, decoder_rows_;
};

}  // namespace ldlm
