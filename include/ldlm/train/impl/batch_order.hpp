#pragma once
// Bodies of train/batch_order.hpp.

#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include <ldlm/core/random.hpp>
#include <ldlm/train/batch_order.hpp>

namespace ldlm {

LDLM_BODY std::vector<std::int64_t> row_numbers(std::int64_t first, std::int64_t count) {
  LDLM_CHECK(count >= 0, "row_numbers", "count must not be negative, got ", count);
  std::vector<std::int64_t> out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), first);
  return out;
}

LDLM_BODY std::vector<std::int64_t> row_numbers(const Tensor<std::int64_t>& rows) {
  LDLM_CHECK_STATE(rows.defined(), "row_numbers", "the rows are undefined");
  LDLM_CHECK_SHAPE(rows.rank() == 1, "row_numbers", "rows must be (B), got ",
                   to_string(rows.shape()));
  return rows.to_vector();
}

LDLM_BODY BatchOrder::BatchOrder(std::int64_t rows, std::int64_t batch_size, std::uint64_t seed)
    : rows_(rows), batch_size_(batch_size), seed_(seed) {
  LDLM_CHECK(rows > 0, "BatchOrder", "needs at least one row to order, got ", rows);
  LDLM_CHECK(batch_size > 0, "BatchOrder", "batch_size must be positive, got ", batch_size);
}

LDLM_BODY std::vector<std::int64_t> BatchOrder::batch(std::int64_t step) {
  LDLM_CHECK_INDEX(step >= 0 && step < std::numeric_limits<std::int64_t>::max() / batch_size_,
                   "BatchOrder", "there is no batch ", step);
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

LDLM_BODY void BatchOrder::shuffle(std::int64_t epoch) {  // Fisher-Yates
  epoch_ = epoch;
  order_.resize(static_cast<std::size_t>(rows_));
  std::iota(order_.begin(), order_.end(), std::int64_t{0});
  Generator generator = Generator(seed_).fork(static_cast<std::uint64_t>(epoch));
  for (std::int64_t i = rows_ - 1; i > 0; --i) {
    std::swap(order_[static_cast<std::size_t>(i)],
              order_[static_cast<std::size_t>(generator.below(i + 1))]);
  }
}

}  // namespace ldlm
