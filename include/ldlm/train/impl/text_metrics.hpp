#pragma once
// Bodies of train/text_metrics.hpp.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ldlm/core/utf8.hpp>
#include <ldlm/text/hash.hpp>
#include <ldlm/text/unicode.hpp>
#include <ldlm/train/text_metrics.hpp>

namespace ldlm {

LDLM_BODY std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  std::string apostrophe;  // which belongs to the word if it goes on
  const std::string lower = lower_case(text);
  for (std::size_t at = 0; at < lower.size();) {
    const CodePoint point = decode_utf8(lower, at);
    const char32_t c = point.value;
    const std::string_view bytes = std::string_view(lower).substr(at, point.size);
    at += point.size;
    if (is_letter(c) || is_number(c) || (!word.empty() && is_nonspacing_mark(c))) {
      word += apostrophe;
      word += bytes;
      apostrophe.clear();
    } else if (!word.empty() && apostrophe.empty() && (c == '\'' || c == 0x2019)) {
      apostrophe = "'";
    } else {
      if (!word.empty()) {
        words.push_back(std::exchange(word, {}));
      }
      apostrophe.clear();
    }
  }
  if (!word.empty()) {
    words.push_back(std::move(word));
  }
  return words;
}

}  // namespace ldlm

namespace ldlm::detail {

/// Of `length` words from the first on.
LDLM_BODY std::uint64_t hash_of_run(std::span<const std::string> words, std::size_t first,
                                    std::size_t length) {
  std::uint64_t hash = length;
  for (const std::string& word : words.subspan(first, length)) {
    hash = mix(hash * 3 + hash_bytes(word));
  }
  return hash;
}

/// Sorts and drops what comes twice.
LDLM_BODY void make_set(std::vector<std::uint64_t>& hashes) {
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
}

/// How often each run of words comes in texts.
class RunCounts {
 public:
  void add(std::uint64_t run) {
    ++counts_[run];
    ++total_;
  }
  /// Different ones over all; 0 if there are none.
  [[nodiscard]] double distinct() const {
    return total_ > 0 ? static_cast<double>(counts_.size()) / static_cast<double>(total_) : 0.0;
  }
  /// Of the frequencies, in nats.
  [[nodiscard]] double entropy() const {
    std::vector<std::int64_t> counts;
    for (const auto& [run, count] : counts_) {
      counts.push_back(count);
    }
    std::sort(counts.begin(), counts.end());  // the same sum for every order of the table
    double out = 0.0;
    for (const std::int64_t count : counts) {
      const double p = static_cast<double>(count) / static_cast<double>(total_);
      out -= p * std::log(p);
    }
    return out;
  }

 private:
  std::unordered_map<std::uint64_t, std::int64_t> counts_;
  std::int64_t total_ = 0;
};

/// What word_figures counts of a text.
struct CountedText {
  std::vector<std::uint64_t> runs[2];     // of one and two words
  std::int64_t words = 0, non_words = 0;  // of which no number is
  std::int64_t long_runs = 0, known_runs = 0;
};

LDLM_BODY CountedText count_words(const std::string& text, const TrainingText& training) {
  CountedText out;
  const std::vector<std::string> words = words_of(text);
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::size_t length = 1; length <= 2 && i + length <= words.size(); ++length) {
      out.runs[length - 1].push_back(hash_of_run(words, i, length));
    }
    if (!is_number(decode_utf8(words[i], 0).value)) {
      ++out.words;
      out.non_words += training.has_word(words[i]) ? 0 : 1;
    }
    if (i + TrainingText::run_length <= words.size()) {
      ++out.long_runs;
      out.known_runs += training.has_run(words, i) ? 1 : 0;
    }
  }
  return out;
}

LDLM_BODY double share(std::int64_t part, std::int64_t all) {
  return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : 0.0;
}

}  // namespace ldlm::detail

namespace ldlm {

LDLM_BODY void TrainingText::add(std::string_view text) {
  finished_ = false;
  const std::vector<std::string> words = words_of(text);
  for (std::size_t i = 0; i < words.size(); ++i) {
    words_.push_back(detail::hash_bytes(words[i]));
    if (i + run_length <= words.size()) {
      runs_.push_back(detail::hash_of_run(words, i, run_length));
    }
  }
  // Mostly words come again: what a text of any length takes stays small.
  if (words_.size() > 2 * words_in_set_ + (std::size_t{1} << 20)) {
    detail::make_set(words_);
    words_in_set_ = words_.size();
  }
}

LDLM_BODY void TrainingText::finish() {
  detail::make_set(words_);
  detail::make_set(runs_);
  finished_ = true;
}

LDLM_BODY void TrainingText::check_finished() const {
  LDLM_CHECK_STATE(finished_, "TrainingText", "finish() comes before the first question");
}

LDLM_BODY bool TrainingText::has_word(std::string_view word) const {
  check_finished();
  return std::binary_search(words_.begin(), words_.end(), detail::hash_bytes(word));
}

LDLM_BODY bool TrainingText::has_run(std::span<const std::string> words, std::size_t first) const {
  check_finished();
  LDLM_CHECK_INDEX(first <= words.size() && words.size() - first >= run_length, "TrainingText",
                   "there are no ", run_length, " words from the one at ", first, " on, of ",
                   words.size());
  return std::binary_search(runs_.begin(), runs_.end(),
                            detail::hash_of_run(words, first, run_length));
}

LDLM_BODY NamedEstimates
jackknife(std::size_t count, const std::vector<std::string>& names,
          const std::function<std::vector<double>(std::span<const std::size_t> chosen)>& figures,
          std::size_t groups) {
  LDLM_CHECK(count >= 2 && groups >= 2, "jackknife", "needs two things and two groups, got ", count,
             " and ", groups);
  groups = std::min(groups, count);
  std::vector<std::size_t> chosen(count);
  for (std::size_t i = 0; i < count; ++i) {
    chosen[i] = i;
  }
  const std::vector<double> all = figures(chosen);
  std::vector<std::vector<double>> without;
  for (std::size_t group = 0; group < groups; ++group) {
    chosen.clear();
    for (std::size_t i = 0; i < count; ++i) {
      if (i % groups != group) {
        chosen.push_back(i);
      }
    }
    without.push_back(figures(chosen));
  }
  NamedEstimates out;
  const auto n = static_cast<double>(groups);
  for (std::size_t figure = 0; figure < names.size(); ++figure) {
    double mean = 0.0;
    for (const auto& values : without) {
      mean += values[figure] / n;
    }
    double squares = 0.0;
    for (const auto& values : without) {
      squares += (values[figure] - mean) * (values[figure] - mean);
    }
    out.emplace_back(names[figure], Estimate{all[figure], 1.96 * std::sqrt((n - 1.0) / n * squares),
                                             static_cast<std::int64_t>(count)});
  }
  return out;
}

LDLM_BODY NamedEstimates word_figures(const std::vector<std::string>& texts,
                                      const TrainingText& training) {
  std::vector<detail::CountedText> counted;
  counted.reserve(texts.size());
  for (const std::string& text : texts) {
    counted.push_back(detail::count_words(text, training));
  }
  return jackknife(
      texts.size(),
      {"words a text", "entropy of words", "entropy of pairs", "non-words", "runs in training"},
      [&counted](std::span<const std::size_t> chosen) {
        detail::RunCounts runs[2];
        std::int64_t all = 0, words = 0, non_words = 0, long_runs = 0, known_runs = 0;
        for (const std::size_t i : chosen) {
          const detail::CountedText& text = counted[i];
          for (std::size_t length = 0; length < 2; ++length) {
            for (const std::uint64_t run : text.runs[length]) {
              runs[length].add(run);
            }
          }
          all += static_cast<std::int64_t>(text.runs[0].size());
          words += text.words;
          non_words += text.non_words;
          long_runs += text.long_runs;
          known_runs += text.known_runs;
        }
        return std::vector<double>{detail::share(all, static_cast<std::int64_t>(chosen.size())),
                                   runs[0].entropy(), runs[1].entropy(),
                                   detail::share(non_words, words),
                                   detail::share(known_runs, long_runs)};
      });
}

LDLM_BODY NamedEstimates distinct_figures(std::span<const TokenIds> texts) {
  constexpr std::size_t longest = 3;
  return jackknife(
      texts.size(), {"distinct-1", "distinct-2", "distinct-3"},
      [texts](std::span<const std::size_t> chosen) {
        detail::RunCounts runs[longest];
        for (const std::size_t text : chosen) {
          const TokenIds& ids = texts[text];
          for (std::size_t i = 0; i < ids.size(); ++i) {
            std::uint64_t hash = 0;
            for (std::size_t k = 0; k < longest && i + k < ids.size(); ++k) {
              hash = detail::mix(hash * 3 + static_cast<std::uint64_t>(ids[i + k]));
              runs[k].add(hash);
            }
          }
        }
        return std::vector<double>{runs[0].distinct(), runs[1].distinct(), runs[2].distinct()};
      });
}

}  // namespace ldlm
