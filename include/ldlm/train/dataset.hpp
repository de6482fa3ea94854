#pragma once
// Dataset: sentences as rows of token ids.

#include <algorithm>
#include <cstdint>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/text/batch.hpp>
#include <ldlm/text/hash.hpp>
#include <ldlm/train/batch_order.hpp>

namespace ldlm {

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
  [[nodiscard]] Tensor<std::int64_t> rows(const Tensor<std::int64_t>& indices) const {
    return rows(row_numbers(indices));
  }
  /// The same without the columns that are padding in all of them but the first: (B, longest + 1),
  /// or (B, length) where that is less.
  [[nodiscard]] Tensor<std::int64_t> trimmed_rows(std::span<const std::int64_t> indices) const;
  /// Tokens of each row that are no padding.
  [[nodiscard]] const std::vector<std::int64_t>& lengths() const { return lengths_; }
  /// The given rows as a batch with their mask, no longer than the longest of them.
  [[nodiscard]] TokenBatch batch(std::span<const std::int64_t> indices) const;
  [[nodiscard]] TokenBatch batch(const Tensor<std::int64_t>& indices) const {
    return batch(row_numbers(indices));
  }
  /// Rows first .. first + count - 1, fewer at the end: (B, length).
  [[nodiscard]] Tensor<std::int64_t> rows(std::int64_t first, std::int64_t count) const;

 private:
  static void check_id(TokenId id);

  std::int64_t length_;
  TokenId pad_id_;
  std::vector<std::int32_t> ids_;      // (size, length), padded; for memory's sake in 32 bits
  std::vector<std::int64_t> lengths_;  // (size): tokens that are no padding
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/train/impl/dataset.hpp>
#endif
