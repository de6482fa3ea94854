#pragma once
// How exactly matrix products of floats, and those of attention, are computed. The names are
// PyTorch's.

#include <atomic>
#include <cstdint>

namespace ldlm {

enum class MatmulPrecision : std::uint8_t {
  highest,  // in float throughout
  high,     // factors may be rounded to tf32 (10 bits of mantissa) where that is faster: on a card
  medium,   // factors may be rounded to bf16 where that is faster; sums stay in float
};

namespace detail {
inline std::atomic<MatmulPrecision> product_precision{MatmulPrecision::highest};
}

/// The precision of products from the next one on, in every thread; `highest` unless it is set. On
/// a processor without bf16 products `medium` changes nothing; every card that is used has them.
/// Attention is computed in float by processors, and by cards in tf32 with `high` and `medium`.
inline void set_matmul_precision(MatmulPrecision precision) {
  detail::product_precision.store(precision, std::memory_order_relaxed);
}
inline MatmulPrecision matmul_precision() {
  return detail::product_precision.load(std::memory_order_relaxed);
}

}  // namespace ldlm
