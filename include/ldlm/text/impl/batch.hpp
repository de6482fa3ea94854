#pragma once
// The bodies of text/batch.hpp.

#include <ldlm/text/batch.hpp>

#include <algorithm>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>

namespace ldlm::detail {

LDLM_BODY TokenBatch padded_batch(std::vector<std::int64_t> lengths, const BatchOptions& options) {
  TokenBatch out;
  std::int64_t width = options.length.value_or(0);
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    LDLM_CHECK(!options.length || lengths[b] <= width, "to_batch", "row ", b, " has ", lengths[b],
               " tokens, the batch takes ", width);
    width = std::max(width, lengths[b]);
  }
  bool equal = true;
  for (const std::int64_t size : lengths) {
    equal = equal && size == width;
  }
  LDLM_CHECK_INDEX(options.pad_id.value_or(0) >= 0, "to_batch", "pad_id must not be negative, got ",
                   options.pad_id.value_or(0));
  LDLM_CHECK(equal || options.pad_id, "to_batch",
             "the rows differ in length, and no token to pad them with is known: set pad_id");
  const auto count = static_cast<std::int64_t>(lengths.size());
  out.ids = Tensor<std::int64_t>::full({count, width}, options.pad_id.value_or(0));
  out.mask = Tensor<bool>::full({count, width}, false);
  out.type_ids = Tensor<std::int64_t>::full({count, width}, 0);
  out.lengths = std::move(lengths);
  for (std::size_t b = 0; b < out.lengths.size(); ++b) {
    std::fill_n(out.mask.data() + row_start(out, b, options), out.lengths[b], true);
  }
  return out;
}

LDLM_BODY std::int64_t row_start(const TokenBatch& batch, std::size_t b,
                                 const BatchOptions& options) {
  const std::int64_t width = batch.ids.size(1);
  const bool left = options.padding_side == TextDirection::left;
  return static_cast<std::int64_t>(b) * width + (left ? width - batch.lengths[b] : 0);
}

LDLM_BODY TextBatch::TextBatch(const Tokenizer& tokenizer, const BatchOptions& options)
    : tokenizer_(tokenizer), options_(options) {
  const auto& padding = tokenizer.padding();
  const TokenizerInfo& info = tokenizer.info();
  if (padding) {
    options_.pad_id = options.pad_id.value_or(padding->pad_id);
    pad_type_ = padding->pad_type_id;
  } else if (info.special_tokens.pad) {
    options_.pad_id = options.pad_id.value_or(*info.special_tokens.pad);
  }
  options_.padding_side = options.padding_side.value_or(
      info.padding_side.value_or(padding ? padding->direction : TextDirection::right));
  const auto& truncation = tokenizer.truncation();
  options_.truncation_side = options.truncation_side.value_or(
      info.truncation_side.value_or(truncation ? truncation->direction : TextDirection::right));
  added_ = options.add_special_tokens
               ? static_cast<std::int64_t>(tokenizer.post_processor().added(false))
               : std::int64_t{0};
  LDLM_CHECK(!options.max_length || *options.max_length >= added_, "to_batch", "max_length ",
             options.max_length.value_or(0), " leaves no room for ", added_, " special tokens");
}

LDLM_BODY void TextBatch::add(std::string_view text) {
  std::vector<TokenId> ids = tokenizer_.encode_ids(text, {.add_special_tokens = false});
  if (options_.max_length &&
      static_cast<std::int64_t>(ids.size()) > *options_.max_length - added_) {
    const auto excess = static_cast<std::ptrdiff_t>(ids.size()) -
                        static_cast<std::ptrdiff_t>(*options_.max_length - added_);
    const bool keep_right = options_.truncation_side == TextDirection::left;
    ids.erase(keep_right ? ids.begin() : ids.end() - excess,
              keep_right ? ids.begin() + excess : ids.end());
  }
  rows_.push_back(
      tokenizer_.in_template(ids, {options_.add_special_tokens}, &types_.emplace_back()));
}

LDLM_BODY TokenBatch TextBatch::batch() const {
  std::vector<std::int64_t> lengths;
  lengths.reserve(rows_.size());
  for (const std::vector<TokenId>& row : rows_) {
    lengths.push_back(static_cast<std::int64_t>(row.size()));
  }
  TokenBatch out = padded_batch(std::move(lengths), options_);
  std::fill_n(out.type_ids.data(), out.type_ids.numel(), pad_type_);
  for (std::size_t b = 0; b < rows_.size(); ++b) {
    const std::int64_t first = row_start(out, b, options_);
    std::copy(rows_[b].begin(), rows_[b].end(), out.ids.data() + first);
    std::copy(types_[b].begin(), types_[b].end(), out.type_ids.data() + first);
  }
  return out;
}

LDLM_BODY TokenBatch batch_of_encodings(const std::vector<const Encoding*>& encodings,
                                        const BatchOptions& options) {
  check_options_of_ids(options);
  std::vector<std::int64_t> lengths;
  lengths.reserve(encodings.size());
  for (const Encoding* const encoding : encodings) {
    lengths.push_back(static_cast<std::int64_t>(encoding->size()));
  }
  TokenBatch out = padded_batch(std::move(lengths), options);
  std::vector<std::int64_t> starts;
  starts.reserve(encodings.size());
  for (std::size_t b = 0; b < encodings.size(); ++b) {
    starts.push_back(row_start(out, b, options));
  }
  for (std::size_t b = 0; b < encodings.size(); ++b) {
    const Encoding& encoding = *encodings[b];
    const std::int64_t first = starts[b];
    std::copy(encoding.ids.begin(), encoding.ids.end(), out.ids.data() + first);
    std::copy(encoding.type_ids.begin(), encoding.type_ids.end(), out.type_ids.data() + first);
    std::transform(encoding.attention_mask.begin(), encoding.attention_mask.end(),
                   out.mask.data() + first, [](std::int32_t real) { return real != 0; });
    out.lengths[b] = std::count_if(encoding.attention_mask.begin(), encoding.attention_mask.end(),
                                   [](std::int32_t real) { return real != 0; });
  }
  return out;
}

LDLM_BODY void check_options_of_ids(const BatchOptions& options) {
  LDLM_CHECK(!options.max_length && !options.truncation_side, "to_batch",
             "rows of ids are not truncated: only a text's special tokens are known");
  LDLM_CHECK(options.add_special_tokens, "to_batch",
             "add_special_tokens is for texts: rows of ids have those that they have");
}

}  // namespace ldlm::detail
