#pragma once
// Matrix product C = act(alpha A B + beta C + bias) + residual, over a batch.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <ldlm_simd/gemm/amx.hpp>
#include <ldlm_simd/gemm/drive.hpp>
#include <ldlm_simd/gemm/element.hpp>
#include <ldlm_simd/gemm/few_rows.hpp>

namespace ldlm::simd {

/// The kernel table's gemm; see Gemm for what it computes.
template <class T, class Arch>
void gemm(const Gemm<T>& args) {
  Gemm<T> g = args;
  const std::int64_t batches = detail::batch_size(g);
  if (g.m <= 0 || g.n <= 0 || batches <= 0) {
    return;
  }
  if (g.k <= 0) {  // A and B have no elements, so that even their addresses may not be moved
    g.a_row = g.a_col = g.b_row = g.b_col = 0;
    std::fill_n(g.a_batch, max_batch_rank, 0);
    std::fill_n(g.b_batch, max_batch_rank, 0);
  }
  if (g.n == 1 && g.c_row == 1 && g.bias == nullptr && !detail::is_packed(g)) {
    detail::transpose_product(g);
  }
  static std::atomic<std::uint64_t> products{0};
  const std::uint64_t product = products.fetch_add(1, std::memory_order_relaxed) + 1;
  const GemmLayout layout = detail::layout_of_b(g, width<T, Arch>);
  if (detail::has_few_rows(g, layout)) {
    return detail::multiply_few_rows<T, Arch>(g, layout, batches, product);
  }
  if constexpr (compiled_with_amx<T, Arch>) {
    if (g.allow_bf16 && GemmAmx<Arch>::available()) {
      return detail::multiply_packed<GemmAmx<Arch>, T, Arch>(g, batches, product);
    }
  }
  detail::multiply_packed<GemmSingles<T, Arch>, T, Arch>(g, batches, product);
}

}  // namespace ldlm::simd
