#pragma once
// Dataset: sentences as rows of token ids, in an order that depends on the seed and the step alone,
// so that a training that is resumed at step n sees what the undisturbed one sees.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/text/batch.hpp>
#include <ldlm/text/hash.hpp>

namespace ldlm {

/// first, first + 1, ..., first + count - 1.
[[nodiscard]] std::vector<std::int64_t> row_numbers(std::int64_t first, std::int64_t count);

/// Rows of up to `length` tokens, padded with `pad_id` to that length.
class Dataset {
 public:
  Dataset(std::int64_t length, TokenId pad_id);

  /// Appends a row; longer ones are refused and reported by `false`, as truncation would change
  /// the text. Throws for an id that is none.
  bool add(std::span<const TokenId> ids);

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(lengths_.size()); }
  [[nodiscard]] std::int64_t length() const { return length_; }
  [[nodiscard]] TokenId pad_id() const { return pad_id_; }
  /// Row i, padded: (length).
  [[nodiscard]] std::span<const std::int32_t> row(std::int64_t i) const;
  /// What tells this data from other data: the number of rows, their length, and a hash of all ids.
  [[nodiscard]] std::string fingerprint() const;
  /// The given rows as ids (B, length).
  [[nodiscard]] Tensor<std::int64_t> rows(std::span<const std::int64_t> indices) const;
  /// The given rows as a batch with their mask, no longer than the longest of them.
  [[nodiscard]] TokenBatch batch(std::span<const std::int64_t> indices) const;
  /// Rows first .. first + count - 1, fewer at the end: (B, length).
  [[nodiscard]] Tensor<std::int64_t> rows(std::int64_t first, std::int64_t count) const;

 private:
  static void check_id(TokenId id);

  std::int64_t length_;
  TokenId pad_id_;
  std::vector<std::int32_t> ids_;      // (size, length), padded; for memory's sake in 32 bits
  std::vector<std::int64_t> lengths_;  // (size): tokens that are no padding
};

/// The order in which a training reads a dataset: every epoch is a permutation of its own.
class BatchOrder {
 public:
  BatchOrder(std::int64_t rows, std::int64_t batch_size, std::uint64_t seed);

  /// Row numbers of batch `step` = 0, 1, ...; a batch may reach into the next epoch.
  std::vector<std::int64_t> batch(std::int64_t step);

 private:
  void shuffle(std::int64_t epoch);

  std::int64_t rows_, batch_size_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/train/impl/dataset.hpp>
#endif
