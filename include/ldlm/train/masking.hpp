#pragma once
// Batches of texts for training: what of them is hidden from a model, and what it is to predict.

#include <cstdint>
#include <utility>

#include <ldlm/core/ops/elementwise.hpp>
#include <ldlm/core/random.hpp>

namespace ldlm {

/// Target that no loss counts.
inline constexpr std::int64_t ignored_target = -100;

/// Ids with a meaning of their own.
struct SpecialIds {
  std::int64_t end = 0;   // ends every text, and pads
  std::int64_t mask = 1;  // hides a token from the model
};

/// Labels of texts (B, T) padded with the end token: the ids up to and including the first end
/// token, then ignored_target.
[[nodiscard]] inline Tensor<std::int64_t> labels_until_end(const Tensor<std::int64_t>& ids,
                                                           std::int64_t end) {
  Tensor<std::int64_t> labels = ids.clone();
  const std::int64_t length = ids.size(1);
  for (std::int64_t b = 0; b < ids.size(0); ++b) {
    std::int64_t* const row = labels.data() + b * length;
    bool ended = false;
    for (std::int64_t i = 0; i < length; ++i) {
      const bool is_end = row[i] == end;
      if (ended) {
        row[i] = ignored_target;
      }
      ended = ended || is_end;
    }
  }
  return labels;
}

/// Replaces tokens by the mask token: in a share `rows` of the rows, each token with a probability
/// drawn for that row from [0, rate).
[[nodiscard]] inline Tensor<std::int64_t> mask_tokens(const Tensor<std::int64_t>& ids, double rows,
                                                      double rate, std::int64_t mask,
                                                      Generator& generator) {
  Tensor<std::int64_t> out = ids.clone();
  const std::int64_t length = ids.size(1);
  const auto draws = rand<float>({ids.size(0), length + 2}, generator);
  for (std::int64_t b = 0; b < ids.size(0); ++b) {
    const float* const draw = draws.data() + b * (length + 2);
    const double row_rate = draw[0] < rows ? draw[1] * rate : 0.0;
    for (std::int64_t i = 0; i < length; ++i) {
      if (draw[i + 2] < row_rate) {
        out.data()[b * length + i] = mask;
      }
    }
  }
  return out;
}

/// Inputs of a masked language model (B, T), and the labels that it is to predict there.
struct MaskedTexts {
  Tensor<std::int64_t> inputs, labels;  // ignored_target where a label does not count
  Tensor<bool> real;                    // true up to and including a text's end
};

/// Chooses what a masked language model is to predict of texts (B, T), padded with the end token:
/// 15% of the tokens, of which 80% are masked, 10% replaced by one of `vocab_size` and 10% kept
/// (Devlin et al., 2019); the first token, if chance chooses none.
[[nodiscard]] inline MaskedTexts mask_for_prediction(const Tensor<std::int64_t>& ids,
                                                     const SpecialIds& special,
                                                     std::int64_t vocab_size,
                                                     Generator& generator) {
  MaskedTexts out{ids.clone(), labels_until_end(ids, special.end), {}};
  out.real = ne(out.labels, Tensor<std::int64_t>::scalar(ignored_target));
  const auto draws = rand<float>({ids.numel(), 2}, generator);
  bool any = false;
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    std::int64_t& label = out.labels.data()[i];
    if (label == ignored_target || draws.data()[2 * i] >= 0.15F) {
      label = ignored_target;
      continue;
    }
    any = true;
    const float kind = draws.data()[2 * i + 1];
    if (kind < 0.8F) {
      out.inputs.data()[i] = special.mask;
    } else if (kind < 0.9F) {
      out.inputs.data()[i] = generator.below(vocab_size);
    }
  }
  if (!any) {
    out.labels.data()[0] = ids.data()[0];
    out.inputs.data()[0] = special.mask;
  }
  return out;
}

}  // namespace ldlm
