#pragma once
// Counts of words: what tokenizer trainers learn from.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ldlm {

/// A hash table word -> number of occurrences.
class WordCounter {
 public:
  void add(std::string_view word, std::uint64_t count = 1);

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

  struct Word {
    std::string_view text;
    std::uint64_t count = 0;
  };

  /// The words in the order of their bytes: the same for any order of counting.
  [[nodiscard]] std::vector<Word> sorted() const;

 private:
  struct Entry {
    std::uint64_t hash = 0;
    std::size_t at = 0;
    std::size_t size = 0;
    std::uint64_t count = 0;
  };

  [[nodiscard]] std::string_view key(const Entry& entry) const noexcept {
    return std::string_view(keys_).substr(entry.at, entry.size);
  }

  void grow();

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_ = std::vector<std::uint32_t>(1024);  // entry + 1; 0: free
  std::string keys_;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/word_counter.hpp>
#endif
