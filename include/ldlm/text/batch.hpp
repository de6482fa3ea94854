#pragma once
// Batches: texts, or rows of ids, as the tensors that a model reads.
//
//   ldlm::TokenBatch batch = ldlm::to_batch(tokenizer, texts, {.max_length = 128});
//   bert(batch);

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/tensor.hpp>
#include <ldlm/text/encoding.hpp>
#include <ldlm/text/token_batch.hpp>
#include <ldlm/text/tokenizer.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm {

/// How texts become a batch. The padding and truncation of a tokenizer's file do not act here (but
/// in encodings, which are made before).
struct BatchOptions {
  bool add_special_tokens = true;
  /// Cuts the text of longer rows; the template's special tokens stay. Unset: nothing is cut.
  std::optional<std::int64_t> max_length = std::nullopt;
  /// T; an Error if a row is longer. Unset: the longest row's length.
  std::optional<std::int64_t> length = std::nullopt;
  /// Unset: that of the tokenizer's padding, else its pad token. Without one, an Error if a row
  /// must be padded.
  std::optional<std::int64_t> pad_id = std::nullopt;
  std::optional<TextDirection> padding_side = std::nullopt;  ///< unset: the tokenizer's, or right
  std::optional<TextDirection> truncation_side =
      std::nullopt;  ///< unset: the tokenizer's, or right
};

namespace detail {

/// Rows of these lengths as a batch of padding, with the mask of what is none and types 0.
[[nodiscard]] TokenBatch padded_batch(std::vector<std::int64_t> lengths,
                                      const BatchOptions& options);

/// Which element of the batch's tensors is the first of row b that is no padding.
[[nodiscard]] std::int64_t row_start(const TokenBatch& batch, std::size_t b,
                                     const BatchOptions& options);

/// Texts of a tokenizer, which become a batch.
class TextBatch {
 public:
  TextBatch(const Tokenizer& tokenizer, const BatchOptions& options);
  void add(std::string_view text);
  [[nodiscard]] TokenBatch batch() const;

 private:
  const Tokenizer& tokenizer_;
  BatchOptions options_;  // what was unset is the tokenizer's
  std::int64_t pad_type_ = 0;
  std::int64_t added_ = 0;  // special tokens
  std::vector<std::vector<TokenId>> rows_;
  std::vector<std::vector<std::int32_t>> types_;
};

void check_options_of_ids(const BatchOptions& options);

[[nodiscard]] TokenBatch batch_of_encodings(const std::vector<const Encoding*>& encodings,
                                            const BatchOptions& options);

}  // namespace detail

/// Rows of ids as one batch. `max_length` and `truncation_side` are for texts: set, they are an
/// Error here.
template <std::ranges::forward_range Rows>
requires std::integral<std::ranges::range_value_t<std::ranges::range_value_t<Rows>>>
[[nodiscard]] TokenBatch to_batch(const Rows& rows, const BatchOptions& options = {}) {
  detail::check_options_of_ids(options);
  std::vector<std::int64_t> lengths;
  lengths.reserve(static_cast<std::size_t>(std::ranges::distance(rows)));
  for (const auto& row : rows) {
    lengths.push_back(static_cast<std::int64_t>(std::ranges::size(row)));
  }
  TokenBatch out = detail::padded_batch(std::move(lengths), options);
  std::size_t b = 0;
  for (const auto& row : rows) {
    std::int64_t* to = out.ids.data() + detail::row_start(out, b++, options);
    for (const auto id : row) {
      *to++ = static_cast<TokenId>(id);
    }
  }
  return out;
}

/// Encodings as one batch, with their types. What is padding in one stays padding. `max_length` and
/// `truncation_side` are for texts: set, they are an Error here.
template <std::ranges::forward_range Encodings>
requires std::same_as<std::ranges::range_value_t<Encodings>, Encoding>
[[nodiscard]] TokenBatch to_batch(const Encodings& encodings, const BatchOptions& options = {}) {
  std::vector<const Encoding*> rows;
  for (const Encoding& encoding : encodings) {
    rows.push_back(&encoding);
  }
  return detail::batch_of_encodings(rows, options);
}

/// Texts as one batch: each one's ids in the tokenizer's template, as encode_ids gives them, cut
/// and padded as the options say. Error for a max_length below the special tokens' number.
template <std::ranges::forward_range Texts>
requires std::convertible_to<std::ranges::range_reference_t<const Texts>, std::string_view>
[[nodiscard]] TokenBatch to_batch(const Tokenizer& tokenizer, const Texts& texts,
                                  const BatchOptions& options = {}) {
  detail::TextBatch batch(tokenizer, options);
  for (const auto& text : texts) {
    batch.add(text);
  }
  return batch.batch();
}
[[nodiscard]] inline TokenBatch to_batch(const Tokenizer& tokenizer,
                                         std::initializer_list<std::string_view> texts,
                                         const BatchOptions& options = {}) {
  return to_batch(tokenizer, std::vector<std::string_view>(texts), options);
}

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/batch.hpp>
#endif
