#pragma once
// Batches: texts, or rows of ids, as the tensors that a model reads.
//
//   ldlm::TokenBatch batch = ldlm::to_batch(tokenizer, texts, {.max_length = 128});
//   bert({.ids = batch.ids, .mask = batch.mask});

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/core/tensor.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace ldlm::text {

/// Rows of token ids, padded to one length T.
struct TokenBatch {
  Tensor<std::int64_t> ids;           ///< (B, T)
  Tensor<bool> mask;                  ///< (B, T); false: padding
  Tensor<std::int64_t> type_ids;      ///< (B, T); the template's, 0 for rows without one
  std::vector<std::int64_t> lengths;  ///< (B); tokens that are no padding
};

/// How texts become a batch. The padding and truncation of a tokenizer's file do not act here.
struct BatchOptions {
  bool add_special_tokens = true;
  /// Cuts the text of longer rows; the template's special tokens stay. Unset: nothing is cut.
  std::optional<std::int64_t> max_length = std::nullopt;
  /// T; an Error if a row is longer. Unset: the longest row's length.
  std::optional<std::int64_t> length = std::nullopt;
  /// Unset: that of the tokenizer's padding, else its pad token. Without one, an Error if a row
  /// must be padded.
  std::optional<std::int64_t> pad_id = std::nullopt;
  std::optional<Direction> padding_side = std::nullopt;     ///< unset: the tokenizer's, or right
  std::optional<Direction> truncation_side = std::nullopt;  ///< unset: the tokenizer's, or right
};

namespace detail {

/// Copies rows (and, if there are any, their type ids) into a batch.
template <class Rows>
[[nodiscard]] TokenBatch fill_batch(const Rows& rows,
                                    std::span<const std::vector<std::int32_t>> types,
                                    std::int64_t pad_type, const BatchOptions& options) {
  TokenBatch out;
  std::int64_t width = options.length.value_or(0);
  bool equal = true;
  for (const auto& row : rows) {
    const auto size = static_cast<std::int64_t>(std::ranges::size(row));
    LDLM_CHECK(!options.length || size <= width, "to_batch", "row ", out.lengths.size(), " has ",
               size, " tokens, the batch takes ", width);
    width = std::max(width, size);
    out.lengths.push_back(size);
  }
  for (const std::int64_t size : out.lengths) {
    equal = equal && size == width;
  }
  LDLM_CHECK(equal || options.pad_id, "to_batch",
             "the rows differ in length, and no token to pad them with is known: set pad_id");
  const auto count = static_cast<std::int64_t>(out.lengths.size());
  out.ids = Tensor<std::int64_t>::full({count, width}, options.pad_id.value_or(0));
  out.mask = Tensor<bool>::full({count, width}, false);
  out.type_ids = Tensor<std::int64_t>::full({count, width}, types.empty() ? 0 : pad_type);
  std::size_t b = 0;
  for (const auto& row : rows) {
    const std::int64_t size = out.lengths[b];
    const bool left = options.padding_side == Direction::left;
    const std::int64_t first = static_cast<std::int64_t>(b) * width + (left ? width - size : 0);
    std::ranges::copy(row, out.ids.data() + first);
    std::fill_n(out.mask.data() + first, size, true);
    if (types.empty()) {
      std::fill_n(out.type_ids.data() + first, size, std::int64_t{0});
    } else {
      std::ranges::copy(types[b], out.type_ids.data() + first);
    }
    ++b;
  }
  return out;
}

}  // namespace detail

/// Rows of ids as one batch. `max_length` and `truncation_side` are for texts: set, they are an
/// Error here.
template <std::ranges::forward_range Rows>
requires std::integral<std::ranges::range_value_t<std::ranges::range_value_t<Rows>>>
[[nodiscard]] TokenBatch to_batch(const Rows& rows, const BatchOptions& options = {}) {
  LDLM_CHECK(!options.max_length && !options.truncation_side, "to_batch",
             "rows of ids are not truncated: only a text's special tokens are known");
  return detail::fill_batch(rows, {}, 0, options);
}

/// Texts as one batch: each one's ids in the tokenizer's template, as encode_ids gives them, cut
/// and padded as the options say. Error for a max_length below the special tokens' number.
template <std::ranges::forward_range Texts>
requires std::convertible_to<std::ranges::range_reference_t<const Texts>, std::string_view>
[[nodiscard]] TokenBatch to_batch(const Tokenizer& tokenizer, const Texts& texts,
                                  const BatchOptions& options = {}) {
  BatchOptions how = options;
  std::int64_t pad_type = 0;
  const auto& padding = tokenizer.padding();
  const TokenizerInfo& info = tokenizer.info();
  if (padding) {
    how.pad_id = options.pad_id.value_or(padding->pad_id);
    pad_type = padding->pad_type_id;
  } else if (info.special_tokens.pad) {
    how.pad_id = options.pad_id.value_or(*info.special_tokens.pad);
  }
  how.padding_side = options.padding_side.value_or(
      info.padding_side.value_or(padding ? padding->direction : Direction::right));
  const auto& truncation = tokenizer.truncation();
  const bool keep_right =
      options.truncation_side.value_or(info.truncation_side.value_or(
          truncation ? truncation->direction : Direction::right)) == Direction::left;
  const auto added = options.add_special_tokens
                         ? static_cast<std::int64_t>(tokenizer.post_processor().added(false))
                         : std::int64_t{0};
  LDLM_CHECK(!options.max_length || *options.max_length >= added, "to_batch", "max_length ",
             options.max_length.value_or(0), " leaves no room for ", added, " special tokens");
  std::vector<std::vector<TokenId>> rows;
  std::vector<std::vector<std::int32_t>> types;
  for (const auto& text : texts) {
    std::vector<TokenId> ids = tokenizer.encode_ids(text, {.add_special_tokens = false});
    if (options.max_length && static_cast<std::int64_t>(ids.size()) > *options.max_length - added) {
      const auto excess = static_cast<std::ptrdiff_t>(ids.size()) -
                          static_cast<std::ptrdiff_t>(*options.max_length - added);
      ids.erase(keep_right ? ids.begin() : ids.end() - excess,
                keep_right ? ids.begin() + excess : ids.end());
    }
    rows.push_back(tokenizer.in_template(ids, {options.add_special_tokens}, &types.emplace_back()));
  }
  return detail::fill_batch(rows, types, pad_type, how);
}

}  // namespace ldlm::text

namespace ldlm {
using text::BatchOptions;
using text::to_batch;
using text::TokenBatch;
}  // namespace ldlm
