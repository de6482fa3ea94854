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

#include <ldlm/core/random.hpp>
#include <ldlm/text/batch.hpp>
#include <ldlm/text/hash.hpp>

namespace ldlm {

/// first, first + 1, ..., first + count - 1.
[[nodiscard]] inline std::vector<std::int64_t> row_numbers(std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), first);
  return out;
}

/// Rows of up to `length` tokens, padded with `pad_id` to that length.
class Dataset {
 public:
  Dataset(std::int64_t length, std::int32_t pad_id) : length_(length), pad_id_(pad_id) {
    LDLM_CHECK(length > 0, "dataset", "length must be positive, got ", length);
  }

  /// Appends a row; longer ones are refused and reported by `false`, as truncation would change
  /// the text.
  bool add(std::span<const std::int32_t> ids) {
    if (ids.empty() || static_cast<std::int64_t>(ids.size()) > length_) {
      return false;
    }
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    lengths_.push_back(static_cast<std::int64_t>(ids.size()));
    ids_.resize(lengths_.size() * static_cast<std::size_t>(length_), pad_id_);
    return true;
  }

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(lengths_.size()); }
  [[nodiscard]] std::int64_t length() const { return length_; }
  [[nodiscard]] std::int32_t pad_id() const { return pad_id_; }
  /// Row i, padded: (length).
  [[nodiscard]] std::span<const std::int32_t> row(std::int64_t i) const {
    LDLM_CHECK(i >= 0 && i < size(), "dataset", "row ", i, " of ", size());
    return std::span<const std::int32_t>(ids_).subspan(static_cast<std::size_t>(i * length_),
                                                       static_cast<std::size_t>(length_));
  }
  /// What tells this data from other data: the number of rows, their length, and a hash of all ids.
  [[nodiscard]] std::string fingerprint() const {
    const auto hash = [](const auto& values) {
      return text::detail::hash_bytes(
          {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values.front())});
    };
    std::ostringstream out;
    out << size() << " rows of " << length_ << " tokens, " << std::hex
        << text::detail::mix(hash(ids_) ^ text::detail::mix(hash(lengths_)));
    return out.str();
  }
  /// The given rows as ids (B, length).
  [[nodiscard]] Tensor<std::int64_t> rows(std::span<const std::int64_t> indices) const {
    auto out = Tensor<std::int64_t>::empty({static_cast<std::int64_t>(indices.size()), length_});
    std::int64_t* target = out.data();
    for (const std::int64_t index : indices) {
      const auto source = row(index);
      target = std::copy(source.begin(), source.end(), target);
    }
    return out;
  }
  /// The given rows as a batch with their mask, no longer than the longest of them.
  [[nodiscard]] TokenBatch batch(std::span<const std::int64_t> indices) const {
    std::vector<std::span<const std::int32_t>> rows;
    for (const std::int64_t index : indices) {
      rows.push_back(
          row(index).first(static_cast<std::size_t>(lengths_[static_cast<std::size_t>(index)])));
    }
    return to_batch(rows, {.pad_id = pad_id_});
  }
  /// Rows first .. first + count - 1, fewer at the end: (B, length).
  [[nodiscard]] Tensor<std::int64_t> rows(std::int64_t first, std::int64_t count) const {
    return rows(row_numbers(first, std::clamp<std::int64_t>(size() - first, 0, count)));
  }

 private:
  std::int64_t length_;
  std::int32_t pad_id_;
  std::vector<std::int32_t> ids_;      // (size, length), padded
  std::vector<std::int64_t> lengths_;  // (size): tokens that are no padding
};

/// The order in which a training reads a dataset: every epoch is a permutation of its own.
class BatchOrder {
 public:
  BatchOrder(std::int64_t rows, std::int64_t batch_size, std::uint64_t seed)
      : rows_(rows), batch_size_(batch_size), seed_(seed) {
    LDLM_CHECK(rows > 0, "batch_order", "the dataset is empty");
    LDLM_CHECK(batch_size > 0, "batch_order", "batch size must be positive, got ", batch_size);
  }

  /// Row numbers of batch `step` = 0, 1, ...; a batch may reach into the next epoch.
  std::vector<std::int64_t> batch(std::int64_t step) {
    std::vector<std::int64_t> out;
    out.reserve(static_cast<std::size_t>(batch_size_));
    for (std::int64_t i = 0; i < batch_size_; ++i) {
      const std::int64_t position = step * batch_size_ + i;
      if (position / rows_ != epoch_) {
        shuffle(position / rows_);
      }
      out.push_back(order_[static_cast<std::size_t>(position % rows_)]);
    }
    return out;
  }

 private:
  void shuffle(std::int64_t epoch) {  // Fisher-Yates
    epoch_ = epoch;
    order_.resize(static_cast<std::size_t>(rows_));
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    Generator generator = Generator(seed_).fork(static_cast<std::uint64_t>(epoch));
    for (std::int64_t i = rows_ - 1; i > 0; --i) {
      std::swap(order_[static_cast<std::size_t>(i)],
                order_[static_cast<std::size_t>(generator.below(i + 1))]);
    }
  }

  std::int64_t rows_, batch_size_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

}  // namespace ldlm
