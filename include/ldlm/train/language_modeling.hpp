#pragma once
// The losses that language models learn text from: batch in, one number with a gradient out. All
// randomness comes from the generator, so that a step is repeated by its seed.

#include <cstdint>

#include <ldlm/models/bert.hpp>
#include <ldlm/models/gpt2.hpp>
#include <ldlm/train/masking.hpp>

namespace ldlm {

/// What attention sees of the tokens after a text's end: them as any others, or nothing.
enum class PaddingTokens : std::uint8_t { read, masked };

/// Masked-language-model loss of an encoder on texts (B, T), padded with the end token, see
/// mask_for_prediction.
template <Floating T>
Variable<ComputeType<T>> masked_lm_loss(const BertForMaskedLM<T>& model,
                                        const Tensor<std::int64_t>& ids, const SpecialIds& special,
                                        PaddingTokens padding, Generator& generator) {
  const MaskedTexts texts =
      mask_for_prediction(ids, special, model.bert.config.vocab_size, generator);
  return model.loss(
      {.ids = texts.inputs, .mask = padding == PaddingTokens::masked ? texts.real : Tensor<bool>()},
      texts.labels, ignored_target);
}

/// Causal-language-model loss of a decoder on texts (B, T): every text follows an end token.
template <Floating T>
Variable<ComputeType<T>> causal_lm_loss(const Gpt2<T>& model, const Tensor<std::int64_t>& ids,
                                        std::int64_t end) {
  const auto start = Tensor<std::int64_t>::full({ids.size(0), 1}, end);
  const auto ignored = Tensor<std::int64_t>::full({ids.size(0), 1}, ignored_target);
  return model.loss({.ids = concat({start, ids}, 1)},
                    concat({ignored, labels_until_end(ids, end)}, 1));
}

}  // namespace ldlm
