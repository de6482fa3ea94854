#pragma once
// Embedding: a table of rows, looked up by ids.

#include <ldlm/autograd/functions/index.hpp>
#include <ldlm/nn/module.hpp>

namespace ldlm {

/// Rows of a table: ids (...) in [0, V) -> (..., C). The table stays dense where a model is packed;
/// one that may be packed, as a factor of products is, is a Weight.
template <Floating T = float>
struct Embedding {
  using value_type = T;

  Variable<T> weight;  // (V, C)

  Embedding() = default;
  /// Standard normal, as PyTorch's default.
  Embedding(std::int64_t count, std::int64_t dim, Generator& generator, double stddev = 1) {
    LDLM_CHECK(count > 0 && dim > 0, "Embedding", "extents must be positive, got ", count, " and ",
               dim);
    LDLM_CHECK(stddev >= 0, "Embedding", "stddev must not be negative, got ", stddev);
    weight = Variable<T>(randn<T>({count, dim}, generator, 0, stddev), true);
  }

  Variable<T> operator()(const Tensor<std::int64_t>& ids) const { return embedding(weight, ids); }

  template <class V>
  void visit(V&& v) {
    v("weight", weight);
  }
};

}  // namespace ldlm
