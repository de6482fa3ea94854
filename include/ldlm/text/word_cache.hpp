#pragma once
// A bounded cache of words that were split into pieces before: most words of a text recur.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/text/hash.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm::detail {

/// Word -> its pieces' ids and sizes. Not for several threads at once.
class WordCache {
 public:
  struct Hit {
    std::span<const PieceId> ids;
    std::span<const std::uint32_t> sizes;
  };

  static constexpr std::size_t max_words = std::size_t{1} << 16;
  static constexpr std::size_t max_word_bytes = 64;  // longer words rarely recur

  /// The word's pieces; empty if it is not cached.
  [[nodiscard, gnu::always_inline]] inline Hit find(std::string_view word,
                                                    std::uint64_t hash) const noexcept {
    const std::size_t mask = entries_.size() - 1;
    for (std::size_t s = hash & mask;; s = (s + 1) & mask) {
      const Entry& entry = entries_[s];
      if (entry.pieces == 0) {
        return {};
      }
      if (entry.hash == hash && std::string_view(keys_).substr(entry.key, entry.key_size) == word) {
        return {{ids_.data() + entry.at, entry.pieces}, {sizes_.data() + entry.at, entry.pieces}};
      }
    }
  }

  /// Remembers a word of at most max_word_bytes; a full cache starts anew.
  void insert(std::string_view word, std::uint64_t hash, std::span<const PieceId> ids,
              std::span<const std::uint32_t> sizes) {
    if (count_ == max_words) {
      *this = WordCache();
    }
    if (count_ * 2 == entries_.size()) {
      grow();
    }
    const Entry entry{
        hash, static_cast<std::uint32_t>(keys_.size()), static_cast<std::uint32_t>(ids_.size()),
        static_cast<std::uint16_t>(word.size()), static_cast<std::uint16_t>(ids.size())};
    keys_.append(word);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    sizes_.insert(sizes_.end(), sizes.begin(), sizes.end());
    place(entry);  // last, so that running out of memory before does no harm
    ++count_;
  }

 private:
  struct Entry {
    std::uint64_t hash = 0;
    std::uint32_t key = 0;
    std::uint32_t at = 0;
    std::uint16_t key_size = 0;
    std::uint16_t pieces = 0;  // 0: free
  };

  void place(const Entry& entry) noexcept {
    const std::size_t mask = entries_.size() - 1;
    std::size_t s = entry.hash & mask;
    while (entries_[s].pieces != 0) {
      s = (s + 1) & mask;
    }
    entries_[s] = entry;
  }

  void grow() {
    std::vector<Entry> old(entries_.size() * 4);
    old.swap(entries_);
    for (const Entry& entry : old) {
      if (entry.pieces != 0) {
        place(entry);
      }
    }
  }

  std::vector<Entry> entries_ = std::vector<Entry>(512);  // at most half full
  std::string keys_;
  std::vector<PieceId> ids_;
  std::vector<std::uint32_t> sizes_;
  std::size_t count_ = 0;
};

}  // namespace ldlm::detail
