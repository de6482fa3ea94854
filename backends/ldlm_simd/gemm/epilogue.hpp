#pragma once
// What happens to a finished sum on its way to C: beta, bias, activation, residual.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/math.hpp>

namespace ldlm::simd {

LDLM_COMPLETE_SWITCHES

namespace detail {

/// act(x). (One function for all: the loop around it would else be compiled for each activation.)
template <class T, class Arch>
[[gnu::noinline]] Batch<T, Arch> activate(Activation activation, Batch<T, Arch> x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return simd::relu(x);
    case Activation::silu:
      return simd::silu(x);
    case Activation::gelu:
      return simd::gelu(x);
    case Activation::gelu_tanh:
      return simd::gelu_tanh(x);
  }
  ldlm::detail::fail_unknown("Activation", activation);
}

/// One row of C from column j on: c = act(sum + beta * c + bias) + residual; sum may be c.
template <bool Activates, class T, class Arch>
[[gnu::always_inline]] inline void finish_row(const Gemm<T>& g, std::int64_t i, std::int64_t j,
                                              std::int64_t columns, const T* sum, T beta) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const std::int64_t at = i * g.c_row + j;
  T* const c = g.c + at;
  const T* const bias = g.bias != nullptr ? g.bias + j : nullptr;
  T* const pre_activation = g.pre_activation != nullptr ? g.pre_activation + at : nullptr;
  const T* const residual = g.residual != nullptr ? g.residual + at : nullptr;
  for (std::int64_t l = 0; l < columns; l += W) {
    const std::int64_t left = columns - l;
    const auto load_here = [&](const T* p) {
      return left >= W ? load<T, Arch>(p + l) : load_first<T, Arch>(p + l, left);
    };
    const auto store_here = [&](T* p, const B& x) {
      if (left >= W) {
        x.store_unaligned(p + l);
      } else {
        store_first<T, Arch>(p + l, x, left);
      }
    };
    B x = load_here(sum);
    if (beta != T{0}) {
      x = simd::fma(B(beta), load_here(c), x);
    }
    if (bias != nullptr) {
      x = x + load_here(bias);
    }
    if (pre_activation != nullptr) {
      store_here(pre_activation, x);
    }
    if constexpr (Activates) {
      x = activate<T, Arch>(g.activation, x);
    }
    if (residual != nullptr) {
      x = x + load_here(residual);
    }
    store_here(c, x);
  }
}

}  // namespace detail

/// Whether C = alpha A B + beta C is all there is to do.
template <class T>
bool has_epilogue(const Gemm<T>& g) {
  return g.bias != nullptr || g.activation != Activation::none || g.pre_activation != nullptr ||
         g.residual != nullptr;
}

/// Finishes the block of C at (i, j) from alpha A B in `sum`, whose rows are sum_row apart and
/// which may be C itself.
template <class T, class Arch>
void finish_block(const Gemm<T>& g, std::int64_t i, std::int64_t j, std::int64_t rows,
                  std::int64_t columns, const T* sum, std::int64_t sum_row, T beta) {
  const auto finish = [&]<bool Activates>(std::bool_constant<Activates>) {
    for (std::int64_t row = 0; row < rows; ++row) {
      detail::finish_row<Activates, T, Arch>(g, i + row, j, columns, sum + row * sum_row, beta);
    }
  };
  g.activation != Activation::none ? finish(std::true_type{}) : finish(std::false_type{});
}

/// c = sum, or c += sum, for a block whose rows are c_row and sum_row apart.
template <class T, class Arch>
void move_block(std::int64_t rows, std::int64_t columns, const T* sum, std::int64_t sum_row, T* c,
                std::int64_t c_row, bool add) {
  constexpr std::int64_t W = width<T, Arch>;
  for (; rows > 0; --rows, sum += sum_row, c += c_row) {
    for (std::int64_t j = 0; j < columns; j += W) {
      const std::int64_t left = std::min(W, columns - j);
      Batch<T, Arch> x = load<T, Arch>(sum + j);
      if (add) {
        x = x + load_first<T, Arch>(c + j, left);
      }
      store_first<T, Arch>(c + j, x, left);
    }
  }
}

LDLM_END_COMPLETE_SWITCHES

}  // namespace ldlm::simd
