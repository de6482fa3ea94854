#pragma once
// Counts of words: what tokenizer trainers learn from.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/text/hash.hpp>

namespace ldlm::text {

/// A hash table word -> number of occurrences.
class WordCounter {
 public:
  void add(std::string_view word, std::uint64_t count = 1) {
    const std::uint64_t hash = detail::hash_bytes(word);
    std::size_t s = hash & (slots_.size() - 1);
    for (; slots_[s] != 0; s = (s + 1) & (slots_.size() - 1)) {
      Entry& entry = entries_[slots_[s] - 1];
      if (entry.hash == hash && key(entry) == word) {
        entry.count += count;
        return;
      }
    }
    entries_.push_back({hash, keys_.size(), word.size(), count});
    keys_.append(word);
    slots_[s] = static_cast<std::uint32_t>(entries_.size());
    if (entries_.size() * 2 > slots_.size()) {
      grow();
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

  struct Word {
    std::string_view text;
    std::uint64_t count = 0;
  };

  /// The words in the order of their bytes: the same for any order of counting.
  [[nodiscard]] std::vector<Word> sorted() const {
    std::vector<Word> words;
    words.reserve(entries_.size());
    for (const Entry& entry : entries_) {
      words.push_back({key(entry), entry.count});
    }
    std::sort(words.begin(), words.end(),
              [](const Word& a, const Word& b) { return a.text < b.text; });
    return words;
  }

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

  void grow() {
    slots_.assign(slots_.size() * 4, 0);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      std::size_t s = entries_[i].hash & (slots_.size() - 1);
      while (slots_[s] != 0) {
        s = (s + 1) & (slots_.size() - 1);
      }
      slots_[s] = static_cast<std::uint32_t>(i + 1);
    }
  }

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_ = std::vector<std::uint32_t>(1024);  // entry + 1; 0: free
  std::string keys_;
};

}  // namespace ldlm::text
