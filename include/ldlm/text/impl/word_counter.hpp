#pragma once
// The bodies of text/word_counter.hpp.

#include <ldlm/text/word_counter.hpp>

#include <algorithm>

#include <ldlm/core/linkage.hpp>
#include <ldlm/text/hash.hpp>

namespace ldlm {

LDLM_BODY void WordCounter::add(std::string_view word, std::uint64_t count) {
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

LDLM_BODY std::vector<WordCounter::Word> WordCounter::sorted() const {
  std::vector<Word> words;
  words.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    words.push_back({key(entry), entry.count});
  }
  std::sort(words.begin(), words.end(),
            [](const Word& a, const Word& b) { return a.text < b.text; });
  return words;
}

LDLM_BODY void WordCounter::grow() {
  slots_.assign(slots_.size() * 4, 0);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    std::size_t s = entries_[i].hash & (slots_.size() - 1);
    while (slots_[s] != 0) {
      s = (s + 1) & (slots_.size() - 1);
    }
    slots_[s] = static_cast<std::uint32_t>(i + 1);
  }
}

}  // namespace ldlm
