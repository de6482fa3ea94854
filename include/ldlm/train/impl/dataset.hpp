#pragma once
// Bodies of train/dataset.hpp.

#include <algorithm>
#include <cstdint>
#include <limits>
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
#include <ldlm/train/dataset.hpp>

namespace ldlm {

LDLM_BODY std::vector<std::int64_t> row_numbers(std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), first);
  return out;
}

LDLM_BODY void Dataset::check_id(TokenId id) {
  LDLM_CHECK_INDEX(id >= 0 && id <= std::numeric_limits<std::int32_t>::max(), "dataset", id,
                   " is no token id");
}

LDLM_BODY Dataset::Dataset(std::int64_t length, TokenId pad_id) : length_(length), pad_id_(pad_id) {
  LDLM_CHECK(length > 0, "dataset", "length must be positive, got ", length);
  check_id(pad_id);
}

LDLM_BODY bool Dataset::add(std::span<const TokenId> ids) {
  if (ids.empty() || static_cast<std::int64_t>(ids.size()) > length_) {
    return false;
  }
  for (const TokenId id : ids) {
    check_id(id);
  }
  for (const TokenId id : ids) {
    ids_.push_back(static_cast<std::int32_t>(id));
  }
  lengths_.push_back(static_cast<std::int64_t>(ids.size()));
  ids_.resize(lengths_.size() * static_cast<std::size_t>(length_),
              static_cast<std::int32_t>(pad_id_));
  return true;
}

LDLM_BODY std::span<const std::int32_t> Dataset::row(std::int64_t i) const {
  LDLM_CHECK(i >= 0 && i < size(), "dataset", "row ", i, " of ", size());
  return std::span<const std::int32_t>(ids_).subspan(static_cast<std::size_t>(i * length_),
                                                     static_cast<std::size_t>(length_));
}

LDLM_BODY std::string Dataset::fingerprint() const {
  const auto hash = [](const auto& values) {
    return text::detail::hash_bytes(
        {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values.front())});
  };
  std::ostringstream out;
  out << size() << " rows of " << length_ << " tokens, " << std::hex
      << text::detail::mix(hash(ids_) ^ text::detail::mix(hash(lengths_)));
  return out.str();
}

LDLM_BODY Tensor<std::int64_t> Dataset::rows(std::span<const std::int64_t> indices) const {
  auto out = Tensor<std::int64_t>::empty({static_cast<std::int64_t>(indices.size()), length_});
  std::int64_t* target = out.data();
  for (const std::int64_t index : indices) {
    const auto source = row(index);
    target = std::copy(source.begin(), source.end(), target);
  }
  return out;
}

LDLM_BODY TokenBatch Dataset::batch(std::span<const std::int64_t> indices) const {
  std::vector<std::span<const std::int32_t>> rows;
  for (const std::int64_t index : indices) {
    rows.push_back(
        row(index).first(static_cast<std::size_t>(lengths_[static_cast<std::size_t>(index)])));
  }
  return to_batch(rows, {.pad_id = pad_id_});
}

LDLM_BODY Tensor<std::int64_t> Dataset::rows(std::int64_t first, std::int64_t count) const {
  return rows(row_numbers(first, std::clamp<std::int64_t>(size() - first, 0, count)));
}

LDLM_BODY BatchOrder::BatchOrder(std::int64_t rows, std::int64_t batch_size, std::uint64_t seed)
    : rows_(rows), batch_size_(batch_size), seed_(seed) {
  LDLM_CHECK(rows > 0, "batch_order", "the dataset is empty");
  LDLM_CHECK(batch_size > 0, "batch_order", "batch size must be positive, got ", batch_size);
}

LDLM_BODY std::vector<std::int64_t> BatchOrder::batch(std::int64_t step) {
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
