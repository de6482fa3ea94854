#pragma once
// TextDataset: training texts as the encoder and the decoder of one model read them.

#include <ldlm/core/linkage.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/train/dataset.hpp>

namespace ldlm {

class TextDataset {
 public:
  /// For sequence latents and slots both sides must read with the same tokenizer, and rows have
  /// config.text_length(). For pooled ones the decoder's rows have that, the encoder's up to twice
  /// as much.
  TextDataset(const LdlmConfig& config, LdlmTokenizers tokenizers);

  /// Appends a text; one that does not fit, with its end token, is refused and reported by `false`.
  bool add(std::string_view text);

  [[nodiscard]] std::int64_t size() const { return decoder_rows_.size(); }
  /// Ids in the decoder's rows, but for sequence latents those of a batch are cut to its longest.
  [[nodiscard]] std::int64_t length() const { return decoder_rows_.length(); }
  /// The decoder's tokens of each text, without its end; none for sequence latents, whose rows all
  /// have one length.
  [[nodiscard]] std::vector<std::int64_t> lengths() const {
    return kind_ == LatentKind::sequence ? std::vector<std::int64_t>() : decoder_rows_.lengths();
  }

  /// What tells these texts, as both sides read them, from others.
  [[nodiscard]] std::string fingerprint() const;

  /// The given texts.
  [[nodiscard]] TextBatch rows(std::span<const std::int64_t> indices) const;
  [[nodiscard]] TextBatch rows(const Tensor<std::int64_t>& indices) const {
    return rows(row_numbers(indices));
  }
  /// Texts first .. first + count - 1, fewer at the end.
  [[nodiscard]] TextBatch rows(std::int64_t first, std::int64_t count) const;

 private:
  LdlmTokenizers tokenizers_;
  LatentKind kind_;
  Dataset encoder_rows_, decoder_rows_;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/latent_diffusion/impl/text_dataset.hpp>
#endif
