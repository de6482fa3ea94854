#pragma once
// TokenSplitter: the way of a text through added tokens, normalizer, pre-tokenizer and model, and
// the sinks that take its tokens.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <ldlm/core/error.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/added_tokens.hpp>
#include <ldlm/text/hash.hpp>
#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/pre_tokenizer.hpp>
#include <ldlm/text/shared_model.hpp>
#include <ldlm/text/word_cache.hpp>

namespace ldlm::detail {

/// A stretch of text for the model, or an added token, with its place in the source.
struct Segment {
  std::string_view text;
  std::string_view whole;  // the source
  std::uint32_t base = 0;  // where in it the text begins, unless the bytes' sources are given:
  const std::uint32_t* sources = nullptr;  // see NormalizedText
  std::uint32_t prefix = 0;                // 1: a space that has no source is in front of the text
  TokenId id = -1;

  /// The bytes of the source that bytes [begin, end) of the text stand for, as whole characters.
  /// A prefix counts as the character after it.
  [[nodiscard]] TextSpan source(std::size_t begin, std::size_t end) const noexcept {
    std::uint32_t first = source_byte(begin);
    while (!starts_code_point(whole[first])) {
      --first;
    }
    std::uint32_t last = source_byte(end - 1);
    do {
      ++last;
    } while (last < whole.size() && !starts_code_point(whole[last]));
    return {first, last};
  }

  /// Bytes [begin, end) of a text without prefix.
  [[nodiscard]] Segment part(std::size_t begin, std::size_t end) const noexcept {
    Segment made = *this;
    made.text = text.substr(begin, end - begin);
    made.base += static_cast<std::uint32_t>(begin);
    made.sources = sources == nullptr ? nullptr : sources + begin;
    return made;
  }

 private:
  [[nodiscard]] std::uint32_t source_byte(std::size_t i) const noexcept {
    i -= i < prefix ? 0 : prefix;
    return sources == nullptr ? base + static_cast<std::uint32_t>(i) : sources[i];
  }
};

/// Collects ids in a workspace and, if Full, what an Encoding needs.
template <bool Full>
struct Collector {
  static constexpr bool with_sources = Full;
  Workspace& work;

  void added(const Segment& segment) const {
    if constexpr (Full) {
      work.matched.emplace_back(work.ids.size(), segment.text);
      work.spans.push_back(segment.source(0, segment.text.size()));
      work.word_ids.push_back(work.words++);
    }
    work.ids.push_back(segment.id);
  }
  void word(const Segment& segment, std::size_t begin, const WordCache::Hit& hit) const {
    work.ids.insert(work.ids.end(), hit.ids.begin(), hit.ids.end());
    if constexpr (Full) {
      for (const std::uint32_t size : hit.sizes) {
        work.spans.push_back(segment.source(begin, begin + size));
        begin += size;
      }
      work.word_ids.insert(work.word_ids.end(), hit.ids.size(), work.words++);
    }
  }
};

/// Calls use(id, source, the matched text of an added token) for each token.
template <class Use>
struct EachToken {
  static constexpr bool with_sources = true;
  const Use& use;

  void added(const Segment& segment) const {
    use(segment.id, segment.source(0, segment.text.size()), segment.text);
  }
  void word(const Segment& segment, std::size_t begin, const WordCache::Hit& hit) const {
    for (std::size_t i = 0; i < hit.ids.size(); ++i) {
      const std::size_t end = begin + hit.sizes[i];
      use(hit.ids[i], segment.source(begin, end), std::string_view());
      begin = end;
    }
  }
};

/// The stages that make tokens of a text, and the sink for them: sink.added(segment) gets each
/// added token and sink.word(segment, begin, pieces) each word of a segment, in order.
template <class AnyModel, class Sink>
struct TokenSplitter {
  const AnyModel& model;
  const NormalizerRunner& normalizer;
  const PreTokenizer& pre_tokenizer;
  const AddedVocabulary& added;
  Workspace& work;
  const Sink& sink;
  std::size_t turn = std::size_t{1} << 16;  // bytes that are normalized at a time

  /// Splits a text, in which invalid UTF-8 must be repaired before.
  void operator()(std::string_view text) const {
    LDLM_CHECK(text.size() < 0xFFFFFFFFU, "tokenizer", "a text of ", text.size(),
               " bytes is too long: at most 4 GiB");
    added.split(text, false, [&](const AddedVocabulary::Match& m) {
      Segment segment{text.substr(m.begin, m.end - m.begin), text};
      segment.base = static_cast<std::uint32_t>(m.begin);
      segment.id = m.id;
      if (m.id >= 0) {
        sink.added(segment);
      } else if (normalizer.empty()) {
        split_normalized(segment);
      } else {
        normalize(segment);
      }
    });
  }

 private:
  /// Normalizes and splits a stretch of the source. Normalized text takes several times the memory
  /// of its source, so that it is made in turns, unless added tokens with spaces are searched for.
  void normalize(const Segment& source) const {
    NormalizedText& made = work.normalized;
    made.clear();
    const bool search = added.any_normalized();
    const bool whole = search && source.text.size() > turn &&  // else one turn takes all
                       !(splits_at_spaces() && added.separable_at_spaces());
    bool at_start = true;
    for (std::size_t at = 0; at < source.text.size();) {
      const std::string_view rest = source.text.substr(at);
      // A word without end is looked through once a turn: turns grow with it.
      const std::size_t size =
          whole ? rest.size() : normalizer.separable_prefix(rest, std::max(turn, made.text.size()));
      normalizer.normalize(rest.substr(0, size), source.base + static_cast<std::uint32_t>(at),
                           Sink::with_sources, made);
      at += size;
      Segment segment{made.text, source.whole};
      segment.sources = Sink::with_sources ? made.sources.data() : nullptr;
      const bool last = at == source.text.size();
      if (search) {
        const std::size_t end = last ? made.text.size() : AddedVocabulary::last_space(made.text);
        split_normalized(segment.part(0, end));
        made.drop(end);
      } else {
        made.drop(split(segment, at_start, last));
      }
    }
  }

  [[nodiscard]] bool splits_at_spaces() const noexcept {
    return pre_tokenizer.kind == PreTokenizer::Kind::bert ||
           (pre_tokenizer.kind == PreTokenizer::Kind::byte_level && pre_tokenizer.use_regex);
  }

  /// Splits a stretch of normalized text at the added tokens that are searched for there.
  void split_normalized(const Segment& segment) const {
    added.split(segment.text, true, [&](const AddedVocabulary::Match& m) {
      Segment part = segment.part(m.begin, m.end);
      part.id = m.id;
      if (m.id >= 0) {
        return sink.added(part);
      }
      bool at_start = true;
      split(part, at_start, true);
    });
  }

  /// Passes on the words of a stretch between added tokens, except those at the end of the segment
  /// that may go on behind it; `last`: there is no text behind it. Returns how many bytes are done.
  std::size_t split(const Segment& segment, bool& at_start, bool last) const {
    std::size_t done = 0;
    const bool add_space =
        pre_tokenizer.kind == PreTokenizer::Kind::byte_level && pre_tokenizer.add_prefix_space;
    if (at_start && add_space && !segment.text.empty() && segment.text[0] != ' ') {
      const std::size_t with_space = split_prefixed(segment, last);
      if (with_space == 0) {
        return 0;
      }
      done = with_space - 1;
      at_start = false;
    }
    const Segment rest = segment.part(done, segment.text.size());
    done += words(rest, last, [&](std::size_t begin, std::size_t end) { pass(rest, begin, end); });
    at_start = at_start && done == 0;
    return done;
  }

  /// Passes on the first word of the text after a space; the bytes of both, or 0 if it may go on.
  std::size_t split_prefixed(const Segment& segment, bool last) const {
    Segment front = segment;
    front.prefix = 1;
    std::size_t end = 0;
    for (std::size_t size = 64; end == 0; size *= 2) {  // no more is copied than needed
      while (size < segment.text.size() && !starts_code_point(segment.text[size])) {
        ++size;
      }
      const bool all = size >= segment.text.size();
      work.prefixed.assign(1, ' ').append(segment.text.substr(0, size));
      front.text = work.prefixed;
      words(front, all && last,
            [&](std::size_t begin, std::size_t word_end) { end = begin == 0 ? word_end : end; });
      if (all) {
        break;
      }
    }
    if (end > 0) {
      pass(front, 0, end);
    }
    return end;
  }

  /// Calls use(begin, end) for the words of a segment that text behind it would not change; `last`:
  /// there is none. Returns how many bytes are done.
  template <class Use>
  std::size_t words(const Segment& segment, bool last, Use&& use) const {
    if (last) {
      split_words(pre_tokenizer, segment.text, use);
      return segment.text.size();
    }
    constexpr std::size_t lookahead = 2;  // of GPT-2's pattern: "'re" is a word, "'r" is two
    std::size_t done = 0;
    split_words(pre_tokenizer, segment.text, [&](std::size_t begin, std::size_t end) {
      if (end + lookahead <= segment.text.size()) {
        use(begin, end);
        done = end;
      }
    });
    return done;
  }

  void pass(const Segment& segment, std::size_t begin, std::size_t end) const {
    sink.word(segment, begin, pieces_of(segment.text.substr(begin, end - begin)));
  }

  /// A word's pieces, valid until the next word.
  [[nodiscard]] WordCache::Hit pieces_of(std::string_view word) const {
    if (word.size() > WordCache::max_word_bytes) {
      model.tokenize(word, work.pieces);
      return {work.pieces.ids, work.pieces.sizes};
    }
    const std::uint64_t hash = hash_bytes(word);
    WordCache::Hit hit = work.cache.find(word, hash);
    if (hit.ids.empty()) {
      model.tokenize(word, work.pieces);
      hit = {work.pieces.ids, work.pieces.sizes};
      if (!hit.ids.empty()) {  // bytes without a piece may leave nothing of a word
        work.cache.insert(word, hash, hit.ids, hit.sizes);
      }
    }
    return hit;
  }
};

}  // namespace ldlm::detail
