#pragma once
// Bodies of train/dataset.hpp.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/text/batch.hpp>
#include <ldlm/text/hash.hpp>
#include <ldlm/train/dataset.hpp>

namespace ldlm {

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
  LDLM_CHECK_INDEX(i >= 0 && i < size(), "dataset", "row ", i, " of ", size());
  return std::span<const std::int32_t>(ids_).subspan(static_cast<std::size_t>(i * length_),
                                                     static_cast<std::size_t>(length_));
}

LDLM_BODY std::string Dataset::fingerprint() const {
  const auto hash = [](const auto& values) {
    return detail::hash_bytes(
        {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values.front())});
  };
  std::ostringstream out;
  out << size() << " rows of " << length_ << " tokens, " << std::hex
      << detail::mix(hash(ids_) ^ detail::mix(hash(lengths_)));
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

LDLM_BODY Tensor<std::int64_t> Dataset::trimmed_rows(std::span<const std::int64_t> indices) const {
  std::int64_t longest = 0;
  for (const std::int64_t index : indices) {
    LDLM_CHECK_INDEX(index >= 0 && index < size(), "dataset", "row ", index, " of ", size());
    longest = std::max(longest, lengths_[static_cast<std::size_t>(index)]);
  }
  return rows(indices).slice(1, 0, std::min(longest + 1, length_)).contiguous();
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
  LDLM_CHECK(count >= 0, "Dataset", "count must not be negative, got ", count);
  return rows(row_numbers(first, std::clamp<std::int64_t>(size() - first, 0, count)));
}

}  // namespace ldlm
