#pragma once
// What encoding needs besides the model: scratch memory, the word cache, and positions.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <ldlm/core/utf8.hpp>
#include <ldlm/text/bpe.hpp>
#include <ldlm/text/model.hpp>
#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/vocabulary.hpp>
#include <ldlm/text/word_cache.hpp>

namespace ldlm {

namespace detail {

/// Scratch memory of one encoding, and the words seen before.
struct Workspace {
  WordCache cache;
  BpeModel::Pieces pieces;
  NormalizedText normalized;
  std::string prefixed;
  std::vector<TokenId> ids;
  std::vector<TextSpan> spans;  // bytes of the (repaired) text
  std::vector<std::int32_t> word_ids;
  std::vector<std::pair<std::size_t, std::string>> matched;  // added tokens: index, matched text
  std::int32_t words = 0;

  /// Above this number of tokens, memory is handed over or given back, not kept.
  static constexpr std::size_t kept = std::size_t{1} << 18;

  void clear() {
    ids.clear();
    spans.clear();
    word_ids.clear();
    matched.clear();
    words = 0;
  }

  /// Room for a long text's tokens: growing would hold them twice, untouched memory costs nothing.
  void reserve(std::size_t bytes, bool full) {
    constexpr std::size_t bytes_per_token = 3;
    const std::size_t tokens = bytes / bytes_per_token;
    if (tokens > kept) {
      ids.reserve(tokens);
      if (full) {
        spans.reserve(tokens);
        word_ids.reserve(tokens);
      }
    }
  }

  /// Gives back what a long text took.
  void trim() {
    const auto release = [](auto& buffer) {
      if (buffer.capacity() > kept) {
        buffer = {};
      }
    };
    release(ids);
    release(spans);
    release(word_ids);
    release(matched);
    release(pieces.ids);
    release(pieces.sizes);
    release(normalized.text);
    release(normalized.sources);
    release(prefixed);
  }
};

/// Copies a workspace's tokens with room for `more`; many are handed over.
template <class T>
void take(std::vector<T>& to, std::vector<T>& from, std::size_t more) {
  if (from.size() > Workspace::kept) {
    to.swap(from);
  }
  to.reserve((to.empty() ? from : to).size() + more);
  if (to.empty()) {
    to.assign(from.begin(), from.end());
  }
}

/// A model with the workspaces of the threads that use it.
class SharedModel {
 public:
  template <class AnyModel>
  explicit SharedModel(AnyModel model) : model_(std::in_place_type<AnyModel>, std::move(model)) {}

  [[nodiscard]] const TokenizerModel& model() const noexcept { return model_; }
  [[nodiscard]] const Vocabulary& vocabulary() const noexcept {
    return std::visit([](const auto& m) -> const Vocabulary& { return m.vocabulary(); }, model_);
  }

  /// Lends a workspace for as long as the lease lives.
  class Lease {
   public:
    explicit Lease(const SharedModel& from) : from_(from), workspace_(from.take()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { from_.put(std::move(workspace_)); }
    Workspace& operator*() noexcept { return *workspace_; }

   private:
    const SharedModel& from_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  std::unique_ptr<Workspace> take() const {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto workspace = std::move(idle_.back());
        idle_.pop_back();
        return workspace;
      }
    }
    return std::make_unique<Workspace>();
  }
  void put(std::unique_ptr<Workspace> workspace) const noexcept {
    try {
      workspace->trim();
      const std::lock_guard lock(mutex_);
      idle_.push_back(std::move(workspace));
    } catch (...) {  // no memory to keep it: let it go
    }
  }

  TokenizerModel model_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

/// From bytes of the repaired text to code points, and to bytes of the original one.
class PositionMap {
 public:
  PositionMap(std::string_view original, std::string_view repaired)
      : text_(repaired), ascii_(ascii_prefix(repaired) == repaired.size()) {
    if (original.data() == repaired.data()) {
      return;
    }
    original_.reserve(repaired.size() + 1);
    for (std::size_t i = 0; i < original.size();) {
      const CodePoint c = decode_utf8(original, i);
      const std::size_t size = c.valid ? c.size : 3;  // U+FFFD took the place of c.size bytes
      original_.insert(original_.end(), size, static_cast<std::uint32_t>(i));
      i += c.size;
    }
    original_.push_back(static_cast<std::uint32_t>(original.size()));
  }

  [[nodiscard]] TextSpan bytes(TextSpan span) const {
    return original_.empty() ? span : TextSpan{original_[span.begin], original_[span.end]};
  }
  [[nodiscard]] TextSpan code_points(TextSpan span) {
    return ascii_ ? span : TextSpan{code_point(span.begin), code_point(span.end)};
  }

 private:
  // Spans come nearly in order, so the last answer is near the next one.
  std::uint32_t code_point(std::uint32_t byte) {
    for (; at_ < byte; ++at_) {
      count_ += starts_code_point(text_[at_]) ? 1 : 0;
    }
    for (; at_ > byte; --at_) {
      count_ -= starts_code_point(text_[at_ - 1]) ? 1 : 0;
    }
    return count_;
  }

  std::string_view text_;
  bool ascii_;
  std::vector<std::uint32_t> original_;
  std::uint32_t at_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace detail

}  // namespace ldlm
