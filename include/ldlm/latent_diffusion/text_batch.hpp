#pragma once
// TextBatch: texts as an autoencoder is trained on them.

#include <cstdint>
#include <utility>

#include <ldlm/core/tensor.hpp>

namespace ldlm {

/// Texts as the two sides of an autoencoder read them.
struct TextBatch {
  Tensor<std::int64_t> ids;      // for the encoder: (B, T)
  Tensor<bool> mask;             // which of those are real (B, T); undefined: all
  Tensor<std::int64_t> targets;  // for the decoder: (B, U), padded with the end token

  /// Both sides read the same ids (B, T), all of them real.
  TextBatch(Tensor<std::int64_t> both)  // NOLINT(google-explicit-constructor): ids are such a batch
      : ids(both), targets(std::move(both)) {}
  TextBatch(Tensor<std::int64_t> encoder_ids, Tensor<bool> real, Tensor<std::int64_t> decoder_ids)
      : ids(std::move(encoder_ids)), mask(std::move(real)), targets(std::move(decoder_ids)) {}
};

}  // namespace ldlm
