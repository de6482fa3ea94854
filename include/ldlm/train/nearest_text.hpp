#pragma once
// NearestText: which text of many is most like another by its words, to see what a model copies.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ldlm/core/linkage.hpp>

namespace ldlm {

class NearestText {
 public:
  struct Found {
    std::string text;  // empty if none has a word in common
    double similarity =
        0.0;  // Dice's: 2 |A and B| / (|A| + |B|) of the sets of words, see words_of
  };

  void add(std::string_view text);
  /// The most similar one; of equally similar ones the first.
  [[nodiscard]] Found find(std::string_view text) const;

 private:
  std::vector<std::string> texts_;
  std::vector<std::uint32_t> sizes_;                                         // different words
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> with_word_;  // by a word's hash
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/train/impl/nearest_text.hpp>
#endif
