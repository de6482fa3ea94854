#pragma once
// Rows of a table and elements along an axis, chosen by indices, of Variables.

#include <ldlm/autograd/variable.hpp>
#include <ldlm/core/ops/index.hpp>
#include <ldlm/core/ops/reduce.hpp>

namespace ldlm {

namespace detail {

/// Calls `write` with a buffer of the input's shape that holds its gradient so far, or zeros, to
/// which `write` adds.
template <Floating T, class Write>
void add_in_place(const InputGrad<T>& grad, Device device, Write&& write) {
  GradTarget<T> target = grad.open(true);
  if (target.buffer.defined()) {
    if (!target.add) {
      target.buffer.zero_();
    }
    write(target.buffer);
  } else {
    Tensor<T> apart = Tensor<T>::zeros(grad.shape(), device);
    write(apart);
    grad.add(std::move(apart));
  }
}

}  // namespace detail

/// Rows of a table: table (V, ...), ids of any shape -> (ids..., ...). Throws on an id outside
/// [0, V).
template <Floating T>
Variable<T> embedding(const Variable<T>& table, const Tensor<std::int64_t>& ids) {
  return record("embedding", embedding(table.value("embedding"), ids), {table.node()},
                [ids = Saved<std::int64_t>("embedding", ids)](Tensor<T> dy, InputGrads<T> in) {
                  const Tensor<std::int64_t> rows = ids.get().reshape({-1});
                  Shape shape = in[0].shape();
                  shape[0] = rows.numel();
                  detail::add_in_place(in[0], dy.device(), [&](const Tensor<T>& grad) {
                    index_add_(grad, rows, dy.reshape(shape));
                  });
                });
}

/// The positions `ids` (N) of an axis, in their order.
template <Floating T>
Variable<T> index_select(const Variable<T>& x, int axis, const Tensor<std::int64_t>& ids) {
  return record(
      "index_select", index_select(x.value("index_select"), axis, ids), {x.node()},
      [axis, ids = Saved<std::int64_t>("index_select", ids)](Tensor<T> dy, InputGrads<T> in) {
        detail::add_in_place(in[0], dy.device(), [&](const Tensor<T>& grad) {
          index_add_(grad.transpose(0, axis), ids.get(), dy.transpose(0, axis));
        });
      });
}

/// out[.., i, ..] = x[.., index[.., i, ..], ..] along an axis; beside it, extents must agree.
template <Floating T>
Variable<T> gather(const Variable<T>& x, int axis, const Tensor<std::int64_t>& index) {
  return record(
      "gather", gather(x.value("gather"), axis, index), {x.node()},
      [axis, index = Saved<std::int64_t>("gather", index)](Tensor<T> dy, InputGrads<T> in) {
        detail::add_in_place(in[0], dy.device(), [&](const Tensor<T>& grad) {
          scatter_add_(grad, axis, index.get(), dy);
        });
      });
}

/// Results of top_k, both (..., k).
template <Floating T>
struct VariableTopK {
  Variable<T> values;            // falling
  Tensor<std::int64_t> indices;  // have no gradient
};
/// The k largest of each row (last axis), in falling order; ties by lower index.
template <Floating T>
VariableTopK<T> top_k(const Variable<T>& x, std::int64_t k) {
  TopK<T> found = top_k(x.value("top_k"), k);
  Variable<T> values = record(
      "top_k", std::move(found.values), {x.node()},
      [ids = Saved<std::int64_t>("top_k", found.indices)](Tensor<T> dy, InputGrads<T> in) {
        detail::add_in_place(in[0], dy.device(),
                             [&](const Tensor<T>& grad) { scatter_add_(grad, -1, ids.get(), dy); });
      });
  return {std::move(values), std::move(found.indices)};
}

}  // namespace ldlm
