#pragma once
// TokenSplitter: the way of a text through added tokens, normalizer, pre-tokenizer and model, and
// the sinks that take its tokens.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include <ldlm/core/error.hpp>
#include <ldlm/text/added_tokens.hpp>
#include <ldlm/text/hash.hpp>
#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/pre_tokenizer.hpp>
#include <ldlm/text/shared_model.hpp>
#include <ldlm/text/utf8.hpp>
#include <ldlm/text/word_cache.hpp>

namespace ldlm::text::detail {

/// A stretch of normalized text, or an added token.
struct Segment {
  std::string_view text;
  const Span* sources = nullptr;  // one a byte; null: text starts at byte `base` of the source
  std::uint32_t base = 0;
  TokenId id = -1;

  /// The source of bytes [begin, end), widened to whole characters.
  [[nodiscard]] Span source(std::size_t begin, std::size_t end) const noexcept {
    if (sources != nullptr) {
      return {sources[begin].begin, sources[end - 1].end};
    }
    while (begin > 0 && !starts_code_point(text[begin])) {
      --begin;
    }
    while (end < text.size() && !starts_code_point(text[end])) {
      ++end;
    }
    return {base + static_cast<std::uint32_t>(begin), base + static_cast<std::uint32_t>(end)};
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

/// The stages that make tokens of a text.
struct TokenSplitter {
  const Model& model;
  const NormalizerRunner& normalizer;
  const PreTokenizer& pre_tokenizer;
  const AddedVocabulary& added;

  /// Calls sink.added(segment) for each added token and sink.word(segment, begin, pieces) for each
  /// word of the segment, in order. Invalid UTF-8 must be repaired before.
  template <class Sink>
  void operator()(std::string_view text, Workspace& work, const Sink& sink) const {
    LDLM_CHECK(text.size() < 0xFFFFFFFFU, "tokenizer", "a text of ", text.size(),
               " bytes is too long: at most 4 GiB");
    std::visit(
        [&](const auto& pieces) {
          for_each_segment<Sink::with_sources>(text, work, [&](const Segment& segment) {
            if (segment.id >= 0) {
              return sink.added(segment);
            }
            split_words(pre_tokenizer, segment.text, [&](std::size_t begin, std::size_t end) {
              sink.word(segment, begin,
                        pieces_of(pieces, segment.text.substr(begin, end - begin), work));
            });
          });
        },
        model);
  }

 private:
  /// The bytes at the front of a text that may be normalized and split into words apart from the
  /// rest, of about `wanted`: up to a space after an ASCII letter or digit. Other steps see all.
  [[nodiscard]] std::size_t separable_prefix(std::string_view text, std::size_t wanted) const {
    if (pre_tokenizer.kind == PreTokenizer::Kind::none ||
        (pre_tokenizer.kind == PreTokenizer::Kind::byte_level && !pre_tokenizer.use_regex)) {
      return text.size();
    }
    for (std::size_t i = std::max<std::size_t>(wanted, 1); i < text.size(); ++i) {
      const char c = text[i - 1];
      if (text[i] == ' ' &&
          ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) {
        return i;
      }
    }
    return text.size();
  }

  /// Calls use(Segment) for the stretches of a text, after normalization.
  template <bool WithSources, class Use>
  void for_each_segment(std::string_view text, Workspace& work, Use&& use) const {
    added.split(text, false, [&](const AddedVocabulary::Match& raw) {
      auto base = static_cast<std::uint32_t>(raw.begin);
      std::string_view rest = text.substr(raw.begin, raw.end - raw.begin);
      if (raw.id >= 0) {
        return use(Segment{rest, nullptr, base, raw.id});
      }
      // Normalized text needs memory for its sources: long texts take turns in it, unless added
      // tokens are searched for in it.
      constexpr std::size_t turn = std::size_t{1} << 16;
      const bool whole = normalizer.empty() || added.any_normalized();
      while (!rest.empty()) {
        const std::size_t size = whole ? rest.size() : separable_prefix(rest, turn);
        segments_of<WithSources>(rest.substr(0, size), base, work, use);
        base += static_cast<std::uint32_t>(size);
        rest.remove_prefix(size);
      }
    });
  }

  /// The same for a stretch without added tokens in the raw text, which starts at byte `base`.
  template <bool WithSources, class Use>
  void segments_of(std::string_view text, std::uint32_t base, Workspace& work, Use& use) const {
    Segment whole{text, nullptr, base, -1};
    if (!normalizer.empty()) {
      work.normalized.clear();
      normalizer.normalize(text, base, WithSources, work.normalized);
      whole.text = work.normalized.text;
      whole.sources = WithSources ? work.normalized.sources.data() : nullptr;
    }
    const bool add_space =
        pre_tokenizer.kind == PreTokenizer::Kind::byte_level && pre_tokenizer.add_prefix_space;
    added.split(whole.text, true, [&](const AddedVocabulary::Match& m) {
      const auto part = [&](std::size_t begin, std::size_t end) {
        return Segment{whole.text.substr(begin, end - begin),
                       whole.sources == nullptr ? nullptr : whole.sources + begin,
                       whole.base + static_cast<std::uint32_t>(begin), m.id};
      };
      if (m.id >= 0 || !add_space || whole.text[m.begin] == ' ') {
        return use(part(m.begin, m.end));
      }
      const std::size_t first =
          m.begin + separable_prefix(whole.text.substr(m.begin, m.end - m.begin), 1);
      use(with_prefix_space<WithSources>(part(m.begin, first), work.prefixed));
      if (first < m.end) {
        use(part(first, m.end));
      }
    });
  }

  /// The segment after a space that shares its first character's source.
  template <bool WithSources>
  static Segment with_prefix_space(const Segment& segment, NormalizedText& storage) {
    storage.clear();
    storage.text += ' ';
    storage.text += segment.text;
    if (!WithSources) {
      return {storage.text, nullptr, segment.base, -1};
    }
    for (std::size_t i = 0; i < segment.text.size(); ++i) {
      std::size_t end = i + 1;
      while (end < segment.text.size() && !starts_code_point(segment.text[end])) {
        ++end;
      }
      const Span source = segment.source(i, end);
      storage.sources.insert(storage.sources.end(), end - i + (i == 0 ? 1 : 0), source);
      i = end - 1;
    }
    return {storage.text, storage.sources.data(), segment.base, -1};
  }

  /// A word's pieces, valid until the next word.
  template <class AnyModel>
  static WordCache::Hit pieces_of(const AnyModel& model, std::string_view word, Workspace& work) {
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

}  // namespace ldlm::text::detail
