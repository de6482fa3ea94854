#pragma once
// Text normalization that remembers where every byte came from.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ldlm {

/// A half-open range of the source text.
struct TextSpan {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  friend bool operator==(const TextSpan&, const TextSpan&) = default;
};

/// BERT's normalization.
struct BertNormalizer {
  bool clean_text = true;            ///< drop control characters, make every white space a space
  bool handle_chinese_chars = true;  ///< put spaces around CJK ideographs
  std::optional<bool> strip_accents = std::nullopt;  ///< unset: as `lowercase`
  bool lowercase = true;
};

enum class UnicodeNormalizer { nfd, nfc, lowercase };

using NormalizerStep = std::variant<BertNormalizer, UnicodeNormalizer>;
/// Steps that are applied in order; none leaves the text as it is.
using Normalizer = std::vector<NormalizerStep>;

/// Normalized UTF-8 and, for each of its bytes, where the code point of the source begins that it
/// came from.
struct NormalizedText {
  std::string text;
  std::vector<std::uint32_t> sources;  // empty if they were not asked for

  /// Takes bytes away at the front.
  void drop(std::size_t bytes);
  void clear() { drop(text.size()); }
};

namespace detail {

/// A code point, and where the code point of the source begins that it stands for.
struct SourcedChar {
  char32_t value = 0;
  std::uint32_t source = 0;
};

/// Changes a text by one step.
void apply(const NormalizerStep& step, std::vector<SourcedChar>& chars);

}  // namespace detail

/// Canonical decomposition (NFD) of a text.
[[nodiscard]] std::u32string nfd(std::u32string_view text);
/// Canonical composition (NFC) of a text.
[[nodiscard]] std::u32string nfc(std::u32string_view text);
[[nodiscard]] std::string nfd(std::string_view text);
[[nodiscard]] std::string nfc(std::string_view text);

/// Applies a normalizer. Runs of ASCII take a table; all else goes through code points.
class NormalizerRunner {
 public:
  explicit NormalizerRunner(Normalizer steps);

  [[nodiscard]] const Normalizer& steps() const noexcept { return steps_; }
  [[nodiscard]] bool empty() const noexcept { return steps_.empty(); }

  /// Normalizes valid UTF-8 that starts at byte `base` of the source; appends to `out`.
  /// Sources are recorded if `with_sources`.
  void normalize(std::string_view text, std::uint32_t base, bool with_sources,
                 NormalizedText& out) const;

  /// The bytes at the front of valid UTF-8, `wanted` (not 0) or more, that are normalized without
  /// regard to the rest.
  [[nodiscard]] std::size_t separable_prefix(std::string_view text, std::size_t wanted) const;

  /// The normalized text alone.
  [[nodiscard]] std::string operator()(std::string_view text) const;

 private:
  static constexpr std::uint8_t removed = 0xFF;

  /// Whether a byte is ASCII that the steps keep.
  [[nodiscard]] bool kept(char byte) const noexcept {
    const auto b = static_cast<unsigned char>(byte);
    return b < 0x80 && ascii_[b] != removed;
  }

  void run(std::vector<detail::SourcedChar>& chars) const;

  Normalizer steps_;
  std::array<std::uint8_t, 128> ascii_{};
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/normalizer.hpp>
#endif
