#pragma once
// The bodies of text/tokenizer.hpp.

#include <ldlm/text/tokenizer.hpp>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/shared_model.hpp>
#include <ldlm/text/token_splitter.hpp>

namespace ldlm {

namespace detail {

template <class Sink>
void split_tokens(const Tokenizer& by, std::string_view text, Workspace& work, const Sink& sink) {
  std::visit(
      [&](const auto& model) {
        TokenSplitter<std::decay_t<decltype(model)>, Sink>{
            model, by.normalizer(), by.pre_tokenizer(), by.added_tokens(), work, sink}(text);
      },
      by.model());
}

/// Fills work.ids and, if Full, what an Encoding needs.
template <bool Full>
void encode_valid(const Tokenizer& by, std::string_view text, Workspace& work) {
  work.clear();
  work.reserve(text.size(), Full);
  split_tokens(by, text, work, Collector<Full>{work});
}

/// The text itself or, if it is no UTF-8, what it is repaired to in `storage`.
LDLM_BODY std::string_view valid_utf8(std::string_view text, std::string& storage) {
  if (is_utf8(text)) {
    return text;
  }
  storage = repair_utf8(text);
  return storage;
}

}  // namespace detail

LDLM_BODY Tokenizer::Tokenizer(BpeModel model, TokenizerParts parts)
    : Tokenizer(std::make_shared<const detail::SharedModel>(std::move(model)), std::move(parts)) {}

LDLM_BODY Tokenizer::Tokenizer(WordPieceModel model, TokenizerParts parts)
    : Tokenizer(std::make_shared<const detail::SharedModel>(std::move(model)), std::move(parts)) {}

LDLM_BODY Tokenizer::Tokenizer(const Tokenizer& other) = default;
LDLM_BODY Tokenizer::Tokenizer(Tokenizer&& other) noexcept = default;
LDLM_BODY Tokenizer& Tokenizer::operator=(const Tokenizer& other) = default;
LDLM_BODY Tokenizer& Tokenizer::operator=(Tokenizer&& other) noexcept = default;
LDLM_BODY Tokenizer::~Tokenizer() = default;

LDLM_BODY Encoding Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  Encoding encoding = encode_padless(text, nullptr, options);
  if (padding_) {
    std::vector<Encoding> one;
    one.push_back(std::move(encoding));
    pad(one, *padding_);
    return std::move(one.front());
  }
  return encoding;
}

LDLM_BODY Encoding Tokenizer::encode(std::string_view text, std::string_view pair,
                                     const EncodeOptions& options) const {
  std::vector<Encoding> one;
  one.push_back(encode_padless(text, &pair, options));
  if (padding_) {
    pad(one, *padding_);
  }
  return std::move(one.front());
}

LDLM_BODY std::vector<TokenId> Tokenizer::encode_ids(std::string_view text,
                                                     const EncodeOptions& options) const {
  detail::SharedModel::Lease lease(*model_);
  detail::Workspace& work = *lease;
  std::string repaired;
  detail::encode_valid<false>(*this, detail::valid_utf8(text, repaired), work);
  return in_template(work.ids, options);
}

LDLM_BODY void Tokenizer::visit_tokens(std::string_view text,
                                       void (*use)(const void* to, TokenId id, TextSpan source),
                                       const void* to, const EncodeOptions& options) const {
  const auto text_tokens = [&] {
    std::string repaired;
    const std::string_view valid = detail::valid_utf8(text, repaired);
    const detail::PositionMap positions(text, valid);
    const auto& trimming = post_processor_.byte_level;
    bool first = true;
    const auto each = [&](TokenId id, TextSpan span, std::string_view matched) {
      TextSpan source = positions.bytes(span);
      if (trimming && trimming->trim_offsets) {
        const auto token = matched.empty() ? model_->vocabulary().token(id) : matched;
        const bool starts = first || span.begin == 0;
        source = detail::PieceSpaces(token, trimming->add_prefix_space && starts).without(source);
      }
      first = false;
      use(to, id, source);
    };
    detail::SharedModel::Lease lease(*model_);
    detail::split_tokens(*this, valid, *lease, detail::EachToken<decltype(each)>{each});
  };
  const auto& special = post_processor_.special_tokens;
  if (!special) {
    return text_tokens();
  }
  for (const TokenTemplatePiece& piece : special->single) {
    if (piece.kind == TokenTemplatePiece::Kind::first) {
      text_tokens();
    } else if (options.add_special_tokens) {
      for (const TokenId id : special->specials.at(piece.token).ids) {
        use(to, id, TextSpan{});
      }
    }
  }
}

LDLM_BODY std::vector<TokenId> Tokenizer::in_template(std::span<const TokenId> text_ids,
                                                      const EncodeOptions& options,
                                                      std::vector<std::int32_t>* type_ids) const {
  std::vector<TokenId> ids;
  const auto append = [&](std::span<const TokenId> more, std::int32_t type) {
    ids.insert(ids.end(), more.begin(), more.end());
    if (type_ids != nullptr) {
      type_ids->resize(ids.size(), type);
    }
  };
  if (type_ids != nullptr) {
    type_ids->clear();
  }
  const auto& special = post_processor_.special_tokens;
  if (!special) {
    append(text_ids, 0);
    return ids;
  }
  ids.reserve(text_ids.size() + special->added(false));
  for (const TokenTemplatePiece& piece : special->single) {
    if (piece.kind == TokenTemplatePiece::Kind::first) {
      append(text_ids, piece.type_id);
    } else if (options.add_special_tokens) {
      append(special->specials.at(piece.token).ids, piece.type_id);
    }
  }
  return ids;
}

LDLM_BODY std::string Tokenizer::decode(std::span<const TokenId> ids,
                                        bool skip_special_tokens) const {
  std::vector<std::string_view> pieces;
  pieces.reserve(ids.size());
  for (const TokenId id : ids) {
    if (!skip_special_tokens || !added_.is_special(id)) {
      pieces.push_back(id_to_token(id));
    }
  }
  std::string text = decode_pieces(decoder_, pieces);
  if (cleans_up()) {
    detail::clean_up_spaces(text, false);
  }
  return text;
}

LDLM_BODY bool Tokenizer::cleans_up() const noexcept {
  return info_.clean_up_spaces && std::holds_alternative<WordPieceModel>(model_->model());
}

LDLM_BODY std::optional<TokenId> Tokenizer::token_to_id(std::string_view token) const {
  TokenId id = added_.find(token);
  if (id < 0) {
    id = model_->vocabulary().find(token);
  }
  return id < 0 ? std::nullopt : std::optional<TokenId>(id);
}

LDLM_BODY const std::string& Tokenizer::id_to_token(TokenId id) const {
  const auto at = added_.tokens().find(id);
  if (at != added_.tokens().end()) {
    return at->second.shown;
  }
  const Vocabulary& pieces = model_->vocabulary();
  LDLM_CHECK_INDEX(pieces.contains(id), "tokenizer", "no piece has id ", id,
                   "; the ids end before ", id_bound());
  return pieces.token(id);
}

LDLM_BODY std::size_t Tokenizer::vocab_size() const {
  std::size_t size = model_->vocabulary().size();
  for (const auto& [id, entry] : added_.tokens()) {
    size += model_->vocabulary().find(entry.token.content) < 0 ? 1 : 0;
  }
  return size;
}

LDLM_BODY std::size_t Tokenizer::id_bound() const {
  const std::size_t bound = model_->vocabulary().id_bound();
  const auto& added = added_.tokens();
  return added.empty() ? bound
                       : std::max(bound, static_cast<std::size_t>(added.rbegin()->first) + 1);
}

LDLM_BODY TokenId Tokenizer::add_token(AddedToken token) {
  const TokenId id = token_to_id(token.content).value_or(next_id());
  add_token(std::move(token), id);
  return id;
}

LDLM_BODY void Tokenizer::add_token(AddedToken token, TokenId id) {
  const Vocabulary& pieces = model_->vocabulary();
  const TokenId own = pieces.find(token.content);
  LDLM_CHECK(own < 0 || own == id, "tokenizer", "added token \"", token.content, "\" has id ", id,
             " but is piece ", own);
  LDLM_CHECK(own == id || !pieces.contains(id), "tokenizer", "added token \"", token.content,
             "\" has id ", id, ", which is piece \"", pieces.token(id), '"');
  LDLM_CHECK(id >= 0, "tokenizer", "negative id ", id, " of added token \"", token.content, '"');
  LDLM_CHECK(id <= Vocabulary::max_id, "tokenizer", "id ", id, " of added token \"", token.content,
             "\" is above ", Vocabulary::max_id);
  LDLM_CHECK(id == token_to_id(token.content).value_or(next_id()) ||
                 added_.tokens().contains(id),  // an Error below
             "tokenizer", "added token \"", token.content, "\" has id ", id,
             ", but the next free one is ", next_id(), ", which `tokenizers` would give it");
  added_.add(std::move(token), id, normalizer_);
}

LDLM_BODY TokenId Tokenizer::add_special_token(std::string content) {
  return add_token(special_token(std::move(content)));
}

LDLM_BODY void Tokenizer::set_template(std::string_view single, std::string_view pair) {
  TokenTemplate made{parse_template(single), parse_template(pair), {}};
  for (const auto* pieces : {&made.single, &made.pair}) {
    for (const TokenTemplatePiece& piece : *pieces) {
      if (piece.kind == TokenTemplatePiece::Kind::special) {
        const auto id = token_to_id(piece.token);
        LDLM_CHECK(id, "template", "special token \"", piece.token, "\" is not in the vocabulary");
        made.specials[piece.token] = {{*id}, {piece.token}};
      }
    }
  }
  PostProcessor changed = post_processor_;
  changed.special_tokens = std::move(made);
  set_post_processor(std::move(changed));
}

LDLM_BODY void Tokenizer::set_post_processor(PostProcessor post_processor) {
  if (post_processor.special_tokens) {
    post_processor.special_tokens->check();
  }
  post_processor_ = std::move(post_processor);
}

LDLM_BODY void Tokenizer::set_info(const TokenizerInfo& info) {
  info_ = info;
}

LDLM_BODY void Tokenizer::set_truncation(std::optional<Truncation> truncation) {
  truncation_ = truncation;
}

LDLM_BODY void Tokenizer::set_padding(std::optional<Padding> padding) {
  padding_ = std::move(padding);
}

LDLM_BODY const TokenizerModel& Tokenizer::model() const noexcept {
  return model_->model();
}

LDLM_BODY const Vocabulary& Tokenizer::model_vocabulary() const noexcept {
  return model_->vocabulary();
}

LDLM_BODY Tokenizer::Tokenizer(std::shared_ptr<const detail::SharedModel> model,
                               TokenizerParts parts)
    : model_(std::move(model)),
      normalizer_(std::move(parts.normalizer)),
      pre_tokenizer_(parts.pre_tokenizer),
      decoder_(std::move(parts.decoder)) {
  const bool bpe = std::holds_alternative<BpeModel>(model_->model());
  LDLM_CHECK(bpe == (pre_tokenizer_.kind == PreTokenizer::Kind::byte_level), "tokenizer",
             "the byte-level pre-tokenizer and the BPE model need each other");
  set_post_processor(std::move(parts.post_processor));
}

LDLM_BODY TokenId Tokenizer::next_id() const {
  const auto pieces = static_cast<TokenId>(model_->vocabulary().size());
  const auto& added = added_.tokens();
  return added.empty() ? pieces : std::max(pieces, added.rbegin()->first + 1);
}

LDLM_BODY Encoding Tokenizer::encode_one(std::string_view text, std::int32_t type_id,
                                         std::size_t more) const {
  detail::SharedModel::Lease lease(*model_);
  detail::Workspace& work = *lease;
  std::string repaired;
  const std::string_view valid = detail::valid_utf8(text, repaired);
  detail::encode_valid<true>(*this, valid, work);
  Encoding out;
  const std::size_t n = work.ids.size();
  detail::take(out.ids, work.ids, more);
  detail::take(out.byte_offsets, work.spans, more);
  detail::take(out.word_ids, work.word_ids, more);
  const auto fill = [&](auto& field, auto value) {
    field.reserve(n + more);
    field.assign(n, value);
  };
  fill(out.type_ids, type_id);
  fill(out.attention_mask, 1);
  fill(out.special_tokens_mask, 0);
  out.offsets.reserve(n + more);
  out.tokens.reserve(n + more);
  detail::PositionMap positions(text, valid);
  auto matched = work.matched.begin();
  for (std::size_t i = 0; i < n; ++i) {
    if (matched != work.matched.end() && matched->first == i) {
      out.tokens.push_back(std::move(matched++->second));
    } else {
      out.tokens.push_back(model_->vocabulary().token(out.ids[i]));
    }
    out.offsets.push_back(positions.code_points(out.byte_offsets[i]));
    out.byte_offsets[i] = positions.bytes(out.byte_offsets[i]);
  }
  return out;
}

LDLM_BODY Encoding Tokenizer::encode_padless(std::string_view text, const std::string_view* pair,
                                             const EncodeOptions& options) const {
  const std::size_t more = post_processor_.added(pair != nullptr);
  Encoding first = encode_one(text, 0, more);
  std::optional<Encoding> second;
  if (pair != nullptr) {
    second = encode_one(*pair, 1, more);
  }
  Encoding* other = second ? &*second : nullptr;
  if (truncation_) {
    const std::size_t added =
        options.add_special_tokens ? post_processor_.added(pair != nullptr) : 0;
    LDLM_CHECK(truncation_->max_length >= added, "truncate", "max_length ", truncation_->max_length,
               " leaves no room for ", added, " special tokens");
    detail::truncate(first, other, truncation_->max_length - added, *truncation_);
  }
  if (post_processor_.byte_level && post_processor_.byte_level->trim_offsets) {
    detail::trim_offsets(first, post_processor_.byte_level->add_prefix_space);
    if (other != nullptr) {
      detail::trim_offsets(*other, post_processor_.byte_level->add_prefix_space);
    }
  }
  if (post_processor_.special_tokens) {
    return detail::fill_template(*post_processor_.special_tokens, std::move(first), other,
                                 options.add_special_tokens);
  }
  if (other != nullptr) {
    detail::append(first, *other);
  }
  return first;
}

}  // namespace ldlm
