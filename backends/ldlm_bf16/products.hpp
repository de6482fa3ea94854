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
inline void multiply_rows(decltype(KernelTable<float>::gemm) kernel, const Casts& casts,
                          const Gemm<bf16>& g, Gemm<float> f, std::int64_t first,
                          std::int64_t count) {
  const auto part_of_c = [&]<class T>(T* data) {
    return data == nullptr ? View<T>{}
                           : matrices(g, data + first * g.c_row, g.c_batch, count, g.c_row, g.n, 1);
  };
  const FloatCopy a(casts,
                    matrices(g, g.a + first * g.a_row, g.a_batch, count, g.a_row, g.k, g.a_col));
  const FloatCopy residual(casts, part_of_c(g.residual));
  FloatResult pre_activation(casts, part_of_c(g.pre_activation));
  const View<bf16> part = part_of_c(g.c);
  FloatResult c = g.beta != 0 ? FloatResult(casts, InOut{part}) : FloatResult(casts, part);
  std::int64_t unit = 1;
  f.m = count;
  f.a = a.get().data;
  set_strides(a.get().layout, f.a_batch, f.a_row, f.a_col);
  f.c = c.get().data;
  set_strides(c.get().layout, f.c_batch, f.c_row, unit);
  f.residual = residual.get().data;
  f.pre_activation = pre_activation.get().data;
  kernel(f);
  c.finish();
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
  const Casts casts = casts_of<Tables>();
  const FloatCopy bias(
      casts, g.bias != nullptr ? View<const bf16>(g.bias, Layout(Shape{g.n})) : View<const bf16>{});
  f.bias = bias.get().data;
  // A matrix whose columns lie one after the other is one of bf16 weights as it is.
  const bool as_weights = std::endian::native == std::endian::little && g.batch_rank == 0 &&
                          g.b_row == 1 && g.b_col == g.k && g.k > 0;
  const FloatCopy b(casts, as_weights
                               ? View<const bf16>{}
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
  const auto multiply = Tables::of_float().gemm;
  if (g.batch_rank > 0) {
    detail::multiply_rows(multiply, casts, g, f, 0, g.m);
    return;
  }
  for (std::int64_t first = 0; first < g.m; first += rows) {
    detail::multiply_rows(multiply, casts, g, f, first, std::min(rows, g.m - first));
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
  const Casts casts = casts_of<Tables>();
  const FloatCopy q(casts, args.q), k(casts, args.k), v(casts, args.v), mask(casts, args.mask);
  FloatResult out(casts, args.out);
  Tables::of_float().attention(
      detail::attention_of(args, q.get(), k.get(), v.get(), mask.get(), out.get()));
  out.finish();
}

template <class Tables>
void attention_backward(const AttentionBackward<bf16>& args) {
  const Casts casts = casts_of<Tables>();
  const Attention<bf16>& forward = args.forward;
  const FloatCopy q(casts, forward.q), k(casts, forward.k), v(casts, forward.v),
      mask(casts, forward.mask);
  const FloatResult out(casts, InOut{forward.out});
  const FloatCopy grad_out(casts, args.grad_out);
  FloatResult grad_q(casts, args.grad_q), grad_k(casts, args.grad_k), grad_v(casts, args.grad_v);
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
