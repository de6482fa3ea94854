#pragma once
// Bodies of train/batch_order.hpp.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include <ldlm/core/random.hpp>
#include <ldlm/core/stable_sort.hpp>
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

LDLM_BODY BatchOrder::BatchOrder(std::vector<std::int64_t> lengths, std::int64_t batch_size,
                                 std::uint64_t seed)
    : BatchOrder(static_cast<std::int64_t>(lengths.size()), batch_size, seed) {
  lengths_ = std::move(lengths);
}

LDLM_BODY std::vector<std::int64_t> BatchOrder::batch(std::int64_t step) {
  LDLM_CHECK_INDEX(step >= 0 && step < std::numeric_limits<std::int64_t>::max() / batch_size_,
                   "BatchOrder", "there is no batch ", step);
  std::vector<std::int64_t> out;
  out.reserve(static_cast<std::size_t>(batch_size_));
  for (std::int64_t i = 0; i < batch_size_; ++i) {
    const std::int64_t position = step * batch_size_ + i;
    if (position / rows_ != epoch_) {
      begin(position / rows_);
    }
    out.push_back(order_[static_cast<std::size_t>(position % rows_)]);
  }
  return out;
}

LDLM_BODY void BatchOrder::begin(std::int64_t epoch) {
  epoch_ = epoch;
  order_ = row_numbers(0, rows_);
  Generator generator = Generator(seed_).fork(static_cast<std::uint64_t>(epoch));
  shuffle(order_, generator);
  if (!lengths_.empty()) {
    sort_by_length(generator);
  }
}

LDLM_BODY void BatchOrder::sort_by_length(Generator& generator) {
  constexpr std::int64_t sorted_batches = 64;
  const auto length = [this](std::int64_t row) { return lengths_[static_cast<std::size_t>(row)]; };
  // The last batch of the epoch before may have taken rows from the front of this one.
  const std::int64_t taken = epoch_ * rows_ % batch_size_;
  std::int64_t first = std::min(taken == 0 ? 0 : batch_size_ - taken, rows_);
  while (first < rows_) {
    const std::int64_t count = std::min((rows_ - first) / batch_size_, sorted_batches);
    if (count == 0) {  // less than a batch
      return;
    }
    const auto begin = order_.begin() + first;
    const auto end = begin + count * batch_size_;
    detail::stable_sort(begin, end,
                        [&](std::int64_t a, std::int64_t b) { return length(a) < length(b); });
    std::vector<std::int64_t> places = row_numbers(0, count);
    shuffle(places, generator);
    const std::vector<std::int64_t> sorted(begin, end);
    for (std::int64_t i = 0; i < count; ++i) {
      std::copy_n(sorted.begin() + places[static_cast<std::size_t>(i)] * batch_size_, batch_size_,
                  begin + i * batch_size_);
    }
    first += count * batch_size_;
  }
}

}  // namespace ldlm
