#pragma once
// BatchOrder: an order of rows that depends on the seed and the step alone, so that a training that
// is resumed at step n sees what the undisturbed one sees.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/core/tensor.hpp>

namespace ldlm {

/// first, first + 1, ..., first + count - 1.
[[nodiscard]] std::vector<std::int64_t> row_numbers(std::int64_t first, std::int64_t count);

/// The elements of a tensor (B).
[[nodiscard]] std::vector<std::int64_t> row_numbers(const Tensor<std::int64_t>& rows);

/// The order in which a training reads a dataset: every epoch is a permutation of its own.
class BatchOrder {
 public:
  /// Throws ValueError unless there are rows, and a batch has some.
  BatchOrder(std::int64_t rows, std::int64_t batch_size, std::uint64_t seed);
  /// Of rows of these lengths: those of a batch are of similar ones, so that little is padded. They
  /// are sorted among 64 batches at a time, which then come in a random order.
  BatchOrder(std::vector<std::int64_t> lengths, std::int64_t batch_size, std::uint64_t seed);

  /// Row numbers of batch `step` = 0, 1, ...; a batch may reach into the next epoch.
  std::vector<std::int64_t> batch(std::int64_t step);

 private:
  void begin(std::int64_t epoch);
  void sort_by_length(Generator& generator);

  std::vector<std::int64_t> lengths_;  // none: a batch is of any rows
  std::int64_t rows_, batch_size_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/train/impl/batch_order.hpp>
#endif
