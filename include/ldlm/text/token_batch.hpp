#pragma once
// TokenBatch: rows of token ids as the tensors that a model reads.

#include <cstdint>
#include <vector>

#include <ldlm/core/tensor.hpp>

namespace ldlm {

/// Rows of token ids, padded to one length T.
struct TokenBatch {
  Tensor<std::int64_t> ids;           ///< (B, T)
  Tensor<bool> mask;                  ///< (B, T); false: padding
  Tensor<std::int64_t> type_ids;      ///< (B, T); the template's, 0 for rows without one
  std::vector<std::int64_t> lengths;  ///< (B); tokens that are no padding
};

}  // namespace ldlm
