#pragma once
// Products and attention of bf16 by those of float. Rounding factors to bf16 loses nothing here, so
// processors that multiply bf16 always do.

#include <bit>

#include <ldlm_bf16/widen.hpp>

namespace ldlm::bf16_backend {

namespace detail {

/// The view of a batch of matrices: batch axes, then rows and columns.
template <class T, class U>
View<U> matrices(const Gemm<T>& g, U* data, const std::int64_t* batch, std::int64_t rows,
                 std::int64_t row, std::int64_t columns, std::int64_t column) {
  View<U> out;
  out.data = data;
  for (int axis = 0; axis < g.batch_rank; ++axis) {
    out.layout.shape.push_back(g.batch_shape[axis]);
    out.layout.strides[static_cast<std::size_t>(axis)] = batch[axis];
  }
  out.layout.shape.push_back(rows);
  out.layout.shape.push_back(columns);
  out.layout.strides[static_cast<std::size_t>(g.batch_rank)] = row;
  out.layout.strides[static_cast<std::size_t>(g.batch_rank) + 1] = column;
  return out;
}

inline void set_strides(const Layout& layout, std::int64_t* batch, std::int64_t& row,
                        std::int64_t& column) {
  const int axes = layout.rank() - 2;
  std::copy_n(layout.strides.begin(), axes, batch);
  row = layout.stride(axes);
  column = layout.stride(axes + 1);
}

/// All rows of C from `first` on, `count` of them, of each matrix of the batch.
template <class Tables>
void multiply_rows(const Gemm<bf16>& g, Gemm<float> f, std::int64_t first, std::int64_t count) {
  using Input = Widened<Tables, View<const bf16>>;
  const auto part_of_c = [&]<class T>(T* data) {
    return data == nullptr ? View<T>{}
                           : matrices(g, data + first * g.c_row, g.c_batch, count, g.c_row, g.n, 1);
  };
  const Input a(matrices(g, g.a + first * g.a_row, g.a_batch, count, g.a_row, g.k, g.a_col));
  const Input residual(part_of_c(g.residual));
  Widened<Tables, View<bf16>> pre_activation(part_of_c(g.pre_activation));
  const auto multiply = [&](auto c) {
    std::int64_t unit = 1;
    f.m = count;
    f.a = a.get().data;
    set_strides(a.get().layout, f.a_batch, f.a_row, f.a_col);
    f.c = c.get().data;
    set_strides(c.get().layout, f.c_batch, f.c_row, unit);
    f.residual = residual.get().data;
    f.pre_activation = pre_activation.get().data;
    Tables::of_float().gemm(f);
    c.finish();
  };
  const View<bf16> c = part_of_c(g.c);
  if (g.beta != 0) {
    multiply(Widened<Tables, InOut>({c}));
  } else {
    multiply(Widened<Tables, View<bf16>>(c));
  }
  pre_activation.finish();
}

}  // namespace detail

template <class Tables>
void gemm(const Gemm<bf16>& g) {
  Gemm<float> f;
  f.n = g.n;
  f.k = g.k;
  f.alpha = g.alpha;
  f.beta = g.beta;
  f.allow_bf16 = true;
  f.activation = g.activation;
  f.batch_rank = g.batch_rank;
  std::copy_n(g.batch_shape, g.batch_rank, f.batch_shape);
  const Widened<Tables, View<const bf16>> bias(
      g.bias != nullptr ? View<const bf16>(g.bias, Layout(Shape{g.n})) : View<const bf16>{});
  f.bias = bias.get().data;
  // A matrix whose columns lie one after the other is one of bf16 weights as it is.
  const bool as_weights = std::endian::native == std::endian::little && g.batch_rank == 0 &&
                          g.b_row == 1 && g.b_col == g.k && g.k > 0;
  const Widened<Tables, View<const bf16>> b(
      as_weights ? View<const bf16>{}
                 : detail::matrices(g, g.b, g.b_batch, g.k, g.b_row, g.n, g.b_col));
  if (as_weights) {
    f.b_packed = {WeightFormat::bf16, g.n, g.k, reinterpret_cast<const std::uint8_t*>(g.b),
                  nullptr};
  } else {
    f.b = b.get().data;
    detail::set_strides(b.get().layout, f.b_batch, f.b_row, f.b_col);
  }
  // The rows are widened some at a time, so that no second copy of all is needed.
  constexpr std::int64_t elements = std::int64_t{1} << 22;
  const std::int64_t row = std::max<std::int64_t>(1, std::max(g.n, g.k));
  const std::int64_t rows = std::max<std::int64_t>(256, elements / row);
  if (g.batch_rank > 0) {
    detail::multiply_rows<Tables>(g, f, 0, g.m);
    return;
  }
  for (std::int64_t first = 0; first < g.m; first += rows) {
    detail::multiply_rows<Tables>(g, f, first, std::min(rows, g.m - first));
  }
}

namespace detail {

/// The attention whose operands these are widened; `out` apart, which is written or read.
inline Attention<float> attention_of(const Attention<bf16>& args, const View<const float>& q,
                                     const View<const float>& k, const View<const float>& v,
                                     const View<const float>& mask, const View<float>& out) {
  Attention<float> f;
  f.q = q;
  f.k = k;
  f.v = v;
  f.mask = mask;
  f.out = out;
  f.causal = args.causal;
  f.scale = args.scale;
  f.dropout = args.dropout;
  f.stream = args.stream;
  f.lse = args.lse;
  return f;
}

}  // namespace detail

template <class Tables>
void attention(const Attention<bf16>& args) {
  using Input = Widened<Tables, View<const bf16>>;
  const Input q(args.q), k(args.k), v(args.v), mask(args.mask);
  Widened<Tables, View<bf16>> out(args.out);
  Tables::of_float().attention(
      detail::attention_of(args, q.get(), k.get(), v.get(), mask.get(), out.get()));
  out.finish();
}

template <class Tables>
void attention_backward(const AttentionBackward<bf16>& args) {
  using Input = Widened<Tables, View<const bf16>>;
  using Output = Widened<Tables, View<bf16>>;
  const Attention<bf16>& forward = args.forward;
  const Input q(forward.q), k(forward.k), v(forward.v), mask(forward.mask);
  const Widened<Tables, InOut> out({forward.out});
  const Input grad_out(args.grad_out);
  Output grad_q(args.grad_q), grad_k(args.grad_k), grad_v(args.grad_v);
  AttentionBackward<float> f;
  f.forward = detail::attention_of(forward, q.get(), k.get(), v.get(), mask.get(), out.get());
  f.grad_out = grad_out.get();
  f.grad_q = grad_q.get();
  f.grad_k = grad_k.get();
  f.grad_v = grad_v.get();
  Tables::of_float().attention_backward(f);
  grad_q.finish();
  grad_k.finish();
  grad_v.finish();
}

}  // namespace ldlm::bf16_backend
