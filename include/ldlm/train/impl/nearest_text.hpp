#pragma once
// Bodies of train/nearest_text.hpp.

#include <limits>
#include <set>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/hash.hpp>
#include <ldlm/train/nearest_text.hpp>
#include <ldlm/train/text_metrics.hpp>

namespace ldlm::detail {

/// Hashes of a text's different words.
LDLM_BODY std::set<std::uint64_t> word_set(std::string_view text) {
  std::set<std::uint64_t> out;
  for (const std::string& word : words_of(text)) {
    out.insert(hash_bytes(word));
  }
  return out;
}

}  // namespace ldlm::detail

namespace ldlm {

LDLM_BODY void NearestText::add(std::string_view text) {
  LDLM_CHECK(texts_.size() < std::numeric_limits<std::uint32_t>::max(), "NearestText",
             "takes 2^32 - 1 texts at most");
  const auto number = static_cast<std::uint32_t>(texts_.size());
  const std::set<std::uint64_t> words = detail::word_set(text);
  texts_.emplace_back(text);
  sizes_.push_back(static_cast<std::uint32_t>(words.size()));
  for (const std::uint64_t word : words) {
    with_word_[word].push_back(number);
  }
}

LDLM_BODY NearestText::Found NearestText::find(std::string_view text) const {
  const std::set<std::uint64_t> words = detail::word_set(text);
  std::vector<std::uint32_t> common(texts_.size());
  for (const std::uint64_t word : words) {
    const auto found = with_word_.find(word);
    if (found != with_word_.end()) {
      for (const std::uint32_t number : found->second) {
        ++common[number];
      }
    }
  }
  Found out;
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    if (common[i] > 0) {
      const double similarity = 2.0 * common[i] / static_cast<double>(words.size() + sizes_[i]);
      if (similarity > out.similarity) {
        out = {texts_[i], similarity};
      }
    }
  }
  return out;
}

}  // namespace ldlm
