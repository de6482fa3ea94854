#pragma once
// Learns merges: joins the most frequent pair of neighbouring symbols again and again.
//
// Pairs are counted once; a merge then updates only the words that hold its pair. The order of
// merges, ties included, is that of Hugging Face's BpeTrainer.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ldlm/text/bpe.hpp>
#include <ldlm/text/hash.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm {

namespace detail {

class MergeTrainer {
 public:
  struct Options {
    std::size_t vocab_size = 0;
    std::uint64_t min_frequency = 0;
    std::size_t max_token_length = std::numeric_limits<std::size_t>::max();  // in symbols
    std::string continuing_subword_prefix;
    std::function<void(std::size_t, std::size_t)> progress;
  };

  explicit MergeTrainer(Options options) : options_(std::move(options)) {}

  /// The id of a piece, which becomes a new one if need be.
  TokenId piece(std::string_view token) {
    TokenId id = vocabulary_.find(token);
    if (id < 0) {
      id = static_cast<TokenId>(vocabulary_.id_bound());
      vocabulary_.add(token, id);
      lengths_.push_back(1);
    }
    return id;
  }
  [[nodiscard]] const Vocabulary& vocabulary() const noexcept { return vocabulary_; }

  /// Adds a word as a sequence of symbols.
  void add_word(const std::vector<TokenId>& symbols, std::uint64_t count) {
    words_.push_back({symbols_.size(), static_cast<std::uint32_t>(symbols.size()),
                      static_cast<std::int64_t>(count)});
    symbols_.insert(symbols_.end(), symbols.begin(), symbols.end());
  }

  /// Merges until the vocabulary is full or no pair is frequent enough.
  [[nodiscard]] std::vector<BpeMerge> train() {
    for (std::uint32_t w = 0; w < words_.size() && options_.max_token_length > 1; ++w) {
      const Word& word = words_[w];
      for (std::uint32_t i = 0; i + 1 < word.size; ++i) {
        change({symbols_[word.begin + i], symbols_[word.begin + i + 1]}, word.count, w);
      }
    }
    queue_changed_pairs();
    std::vector<BpeMerge> merges;
    while (vocabulary_.size() < options_.vocab_size && !queue_.empty()) {
      const Candidate top = queue_.top();
      queue_.pop();
      const std::int64_t count = counts_[key_of(top.pair)];
      if (count != top.count) {  // stale: back into the queue with what is left of it
        if (count > 0) {
          queue_.push({count, top.pair, top.words});
        }
        continue;
      }
      if (static_cast<std::uint64_t>(count) < std::max<std::uint64_t>(options_.min_frequency, 1)) {
        break;
      }
      const std::vector<std::uint32_t> words = std::move(word_lists_[top.words]);
      const TokenId merged = merge_pieces(top.pair);
      merges.push_back(top.pair);
      for (const std::uint32_t w : words) {
        merge_in_word(w, top.pair, merged);
      }
      queue_changed_pairs();
      if (options_.progress && vocabulary_.size() % 256 == 0) {
        options_.progress(vocabulary_.size(), options_.vocab_size);
      }
    }
    if (options_.progress) {
      options_.progress(vocabulary_.size(), options_.vocab_size);
    }
    return without_repeats(merges);
  }

 private:
  struct Word {
    std::size_t begin = 0;  // in symbols_
    std::uint32_t size = 0;
    std::int64_t count = 0;
  };

  /// A pair that may be merged next, with the words to look for it in.
  struct Candidate {
    std::int64_t count = 0;
    BpeMerge pair;
    std::size_t words = 0;  // in word_lists_

    /// Frequent pairs first, then those of lower ids.
    bool operator<(const Candidate& other) const noexcept {
      return count != other.count ? count < other.count : other.pair < pair;
    }
  };

  static std::uint64_t key_of(BpeMerge pair) noexcept {
    return std::uint64_t{static_cast<std::uint32_t>(pair.first)} << 32 |
           static_cast<std::uint32_t>(pair.second);
  }
  struct KeyHash {
    std::size_t operator()(std::uint64_t key) const noexcept { return mix(key); }
  };

  using Counts = std::unordered_map<std::uint64_t, std::int64_t, KeyHash>;

  /// Counts a pair up in word `w`.
  void change(BpeMerge pair, std::int64_t by, std::uint32_t w) {
    counts_[key_of(pair)] += by;
    std::vector<std::uint32_t>& list = changed_[key_of(pair)];
    if (list.empty() || list.back() != w) {
      list.push_back(w);
    }
  }

  void queue_changed_pairs() {
    for (auto& [key, list] : changed_) {
      if (const std::int64_t count = counts_[key]; count > 0) {
        const BpeMerge pair{static_cast<TokenId>(key >> 32),
                            static_cast<TokenId>(key & 0xFFFFFFFFU)};
        queue_.push({count, pair, word_lists_.size()});
        word_lists_.push_back(std::move(list));
      }
    }
    changed_.clear();
  }

  /// The piece that two pieces make; its spelling may be known already.
  TokenId merge_pieces(BpeMerge pair) {
    const std::string& prefix = options_.continuing_subword_prefix;
    std::string_view tail = vocabulary_.token(pair.second);
    if (!prefix.empty() && tail.starts_with(prefix)) {
      tail.remove_prefix(prefix.size());
    }
    const TokenId merged = piece(vocabulary_.token(pair.first) + std::string(tail));
    lengths_[static_cast<std::size_t>(merged)] = length(pair.first) + length(pair.second);
    return merged;
  }

  /// Number of first symbols in a piece.
  [[nodiscard]] std::size_t length(TokenId id) const noexcept {
    return lengths_[static_cast<std::size_t>(id)];
  }

  void merge_in_word(std::uint32_t w, BpeMerge pair, TokenId merged) {
    Word& word = words_[w];
    TokenId* symbols = symbols_.data() + word.begin;
    std::uint32_t kept = 0;
    const auto may_join = [&](TokenId neighbour) {
      return length(neighbour) + length(merged) <= options_.max_token_length;
    };
    for (std::uint32_t i = 0; i < word.size; ++i) {
      if (symbols[i] != pair.first || i + 1 == word.size || symbols[i + 1] != pair.second) {
        symbols[kept++] = symbols[i];
        continue;
      }
      if (kept > 0) {
        const TokenId left = symbols[kept - 1];
        counts_[key_of({left, pair.first})] -= word.count;
        if (may_join(left)) {
          change({left, merged}, word.count, w);
        }
      }
      if (i + 2 < word.size) {
        const TokenId right = symbols[i + 2];
        counts_[key_of({pair.second, right})] -= word.count;
        if (may_join(right)) {
          change({merged, right}, word.count, w);
        }
      }
      symbols[kept++] = merged;
      ++i;
    }
    word.size = kept;
  }

  /// A pair can come up twice when another merge spells the same piece: the later one counts.
  static std::vector<BpeMerge> without_repeats(const std::vector<BpeMerge>& merges) {
    Counts left;
    for (const BpeMerge& merge : merges) {
      ++left[key_of(merge)];
    }
    std::vector<BpeMerge> out;
    for (const BpeMerge& merge : merges) {
      if (--left[key_of(merge)] == 0) {
        out.push_back(merge);
      }
    }
    return out;
  }

  Options options_;
  Vocabulary vocabulary_;
  std::vector<std::size_t> lengths_;
  std::vector<TokenId> symbols_;
  std::vector<Word> words_;
  Counts counts_;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>, KeyHash> changed_;
  std::vector<std::vector<std::uint32_t>> word_lists_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace detail
}  // namespace ldlm
