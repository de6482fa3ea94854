#pragma once
// Matrix product: C = act(alpha A B + beta C + bias) + residual, over a batch.

#include <ldlm/core/weight_format.hpp>
#include <ldlm_reference/elementwise.hpp>

namespace ldlm::reference {

LDLM_COMPLETE_SWITCHES

template <std::floating_point T>
T activate(Activation activation, T x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return unary_value(UnaryOp::relu, x, T{}, T{});
    case Activation::silu:
      return unary_value(UnaryOp::silu, x, T{}, T{});
    case Activation::gelu:
      return unary_value(UnaryOp::gelu, x, T{}, T{});
    case Activation::gelu_tanh:
      return unary_value(UnaryOp::gelu_tanh, x, T{}, T{});
  }
  detail::fail_unknown("Activation", activation);
}

template <std::floating_point T>
void gemm(const Gemm<T>& g) {
  using W = Wide<T>;
  const bool packed = g.b_packed.data != nullptr;
  const auto batch = [&]<class U>(U* data, const std::int64_t* steps) {
    View<U> view;
    view.data = data;
    for (int axis = 0; axis < g.batch_rank; ++axis) {
      view.layout.shape.push_back(g.batch_shape[axis]);
      view.layout.strides[static_cast<std::size_t>(axis)] = steps[axis];
    }
    return view;
  };
  const View<T> matrices = batch(g.c, g.c_batch);
  walk(
      matrices.shape(),
      [&](const T* a, const T* b, T* c, T* pre_activation, const T* residual) {
        for (std::int64_t i = 0; i < g.m; ++i) {
          for (std::int64_t j = 0; j < g.n; ++j) {
            W dot{};
            for (std::int64_t l = 0; l < g.k; ++l) {
              const W factor = packed ? static_cast<W>(element(g.b_packed, j, l))
                                      : W{b[l * g.b_row + j * g.b_col]};
              dot += W{a[i * g.a_row + l * g.a_col]} * factor;
            }
            const std::int64_t at = i * g.c_row + j;
            W value = g.alpha * dot;
            value += g.beta != T{0} ? g.beta * W{c[at]} : W{0};
            value += g.bias != nullptr ? g.bias[j] : W{0};
            if (pre_activation != nullptr) {
              pre_activation[at] = static_cast<T>(value);
            }
            value = activate(g.activation, value);
            value += residual != nullptr ? residual[at] : W{0};
            c[at] = static_cast<T>(value);
          }
        }
      },
      batch(g.a, g.a_batch), batch(g.b, g.b_batch), matrices, batch(g.pre_activation, g.c_batch),
      batch(g.residual, g.c_batch));
}

LDLM_END_COMPLETE_SWITCHES

}  // namespace ldlm::reference
