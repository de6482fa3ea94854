#pragma once
// Tokenizer: text to ids and back, byte-exact with Hugging Face's `tokenizers`.
//
//   auto tokenizer = ldlm::Tokenizer::from_folder("gpt2");
//   ldlm::Encoding e = tokenizer.encode("Hello world");     // e.ids, e.offsets, ...
//   std::string text = tokenizer.decode(e.ids);
//
// Everything const may be called from several threads at once.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/added_tokens.hpp>
#include <ldlm/text/decoder.hpp>
#include <ldlm/text/encoding.hpp>
#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/post_processor.hpp>
#include <ldlm/text/pre_tokenizer.hpp>
#include <ldlm/text/shared_model.hpp>
#include <ldlm/text/special_tokens.hpp>
#include <ldlm/text/token_splitter.hpp>
#include <ldlm/text/wordpiece.hpp>

namespace ldlm {
class FolderUpdate;
}

namespace ldlm::text {

struct EncodeOptions {
  bool add_special_tokens = true;  ///< put the text into the post-processor's template
};

struct FolderOptions {
  /// BERT: lower case and no accents. Unset: what the folder's files and its class say.
  std::optional<bool> lowercase = std::nullopt;
};

/// The stages of a tokenizer; the defaults do nothing.
struct TokenizerParts {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  PostProcessor post_processor;
  Decoder decoder;
};

/// A trained tokenizer: a cheap value; copies share the model.
class Tokenizer {
 public:
  explicit Tokenizer(BpeModel model, TokenizerParts parts = {})
      : Tokenizer(std::make_shared<const detail::SharedModel>(std::move(model)), std::move(parts)) {
  }
  explicit Tokenizer(WordPieceModel model, TokenizerParts parts = {})
      : Tokenizer(std::make_shared<const detail::SharedModel>(std::move(model)), std::move(parts)) {
  }

  /// Loads a folder as `transformers` saves it: tokenizer.json, or the vocabulary files of its
  /// `tokenizer_class` (vocab.json and merges.txt of GPT-2 and RoBERTa, vocab.txt of BERT); with
  /// tokenizer_config.json, special_tokens_map.json and added_tokens.json. An Error names the file
  /// and the key or line that is wrong, or the class that is not supported.
  [[nodiscard]] static Tokenizer from_folder(const std::filesystem::path& folder,
                                             const FolderOptions& options = {});
  /// Loads a tokenizer.json.
  [[nodiscard]] static Tokenizer from_file(const std::filesystem::path& tokenizer_json);
  /// Reads the contents of a tokenizer.json; `name` is for messages.
  [[nodiscard]] static Tokenizer from_json(std::string_view json,
                                           const std::string& name = "tokenizer.json");
  /// Loads GPT-2's pair of files.
  [[nodiscard]] static Tokenizer from_bpe_files(const std::filesystem::path& vocab_json,
                                                const std::filesystem::path& merges_txt);
  /// Loads BERT's vocabulary, one piece a line.
  [[nodiscard]] static Tokenizer from_wordpiece_file(const std::filesystem::path& vocab_txt,
                                                     const BertNormalizer& normalizer = {});
  /// Writes a tokenizer.json that Hugging Face's library reads as well.
  void save(const std::filesystem::path& tokenizer_json) const;
  /// Writes a folder that from_folder, and AutoTokenizer of transformers, load as this tokenizer:
  /// tokenizer.json, and a tokenizer_config.json by which it counts as it is. Files of another
  /// tokenizer that is there are removed.
  void save_pretrained(const std::filesystem::path& folder) const;
  /// The same as a part of an update.
  void save_pretrained(FolderUpdate& update) const;
  [[nodiscard]] std::string to_json() const;

  /// Encodes a text, truncated and padded as the file or set_truncation and set_padding say.
  /// Invalid UTF-8 counts as U+FFFD (text/utf8.hpp). At most 4 GiB.
  [[nodiscard]] Encoding encode(std::string_view text, const EncodeOptions& options = {}) const {
    Encoding encoding = encode_padless(text, nullptr, options);
    if (padding_) {
      std::vector<Encoding> one;
      one.push_back(std::move(encoding));
      pad(one, *padding_);
      return std::move(one.front());
    }
    return encoding;
  }

  /// Encodes two texts into one sequence, by the template for pairs.
  [[nodiscard]] Encoding encode(std::string_view text, std::string_view pair,
                                const EncodeOptions& options = {}) const {
    std::vector<Encoding> one;
    one.push_back(encode_padless(text, &pair, options));
    if (padding_) {
      pad(one, *padding_);
    }
    return std::move(one.front());
  }

  /// Encodes texts; with set_padding, all to one length.
  template <class Texts>
  [[nodiscard]] std::vector<Encoding> encode_batch(const Texts& texts,
                                                   const EncodeOptions& options = {}) const {
    std::vector<Encoding> batch;
    for (const auto& text : texts) {
      batch.push_back(encode_padless(text, nullptr, options));
    }
    if (padding_) {
      pad(batch, *padding_);
    }
    return batch;
  }

  /// The ids of the text itself in the template, never padded or truncated: what a call of a
  /// tokenizer of `transformers` gives. Several times as fast as `encode`.
  [[nodiscard]] std::vector<TokenId> encode_ids(std::string_view text,
                                                const EncodeOptions& options = {}) const {
    detail::SharedModel::Lease lease(*model_);
    detail::Workspace& work = *lease;
    std::string repaired;
    encode_valid<false>(valid_utf8(text, repaired), work);
    return in_template(work.ids, options);
  }

  /// Calls use(id, source) for each token of the text in the template, never padded or truncated:
  /// `source` is a Span of the text's bytes, as in `byte_offsets` of `encode`. Tokens are not kept,
  /// nor is normalized text behind the word that is split. Error for texts of 4 GiB.
  template <class Use>
  void for_each_token(std::string_view text, Use&& use, const EncodeOptions& options = {}) const {
    const auto text_tokens = [&] {
      std::string repaired;
      const std::string_view valid = valid_utf8(text, repaired);
      const detail::PositionMap positions(text, valid);
      const auto& trimming = post_processor_.byte_level;
      bool first = true;
      const auto each = [&](TokenId id, Span span, std::string_view matched) {
        Span source = positions.bytes(span);
        if (trimming && trimming->trim_offsets) {
          const auto token = matched.empty() ? model_->vocabulary().token(id) : matched;
          const bool starts = first || span.begin == 0;
          source = detail::PieceSpaces(token, trimming->add_prefix_space && starts).without(source);
        }
        first = false;
        use(id, source);
      };
      detail::SharedModel::Lease lease(*model_);
      split_tokens(valid, *lease, detail::EachToken<decltype(each)>{each});
    };
    const auto& special = post_processor_.special_tokens;
    if (!special) {
      return text_tokens();
    }
    for (const TemplatePiece& piece : special->single) {
      if (piece.kind == TemplatePiece::Kind::first) {
        text_tokens();
      } else if (options.add_special_tokens) {
        for (const TokenId id : special->specials.at(piece.token).ids) {
          use(id, Span{});
        }
      }
    }
  }

  /// A text's ids in the template for one text; `type_ids`, unless null, gets one a token.
  [[nodiscard]] std::vector<TokenId> in_template(
      std::span<const TokenId> text_ids, const EncodeOptions& options = {},
      std::vector<std::int32_t>* type_ids = nullptr) const {
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
    for (const TemplatePiece& piece : special->single) {
      if (piece.kind == TemplatePiece::Kind::first) {
        append(text_ids, piece.type_id);
      } else if (options.add_special_tokens) {
        append(special->specials.at(piece.token).ids, piece.type_id);
      }
    }
    return ids;
  }

  /// The text that ids stand for, cleaned up if the folder says so. Error for an id that has no
  /// piece.
  [[nodiscard]] std::string decode(std::span<const TokenId> ids,
                                   bool skip_special_tokens = true) const {
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
  /// Whether decode takes the spaces away that clean_up_tokenization_spaces means: transformers
  /// does so for WordPiece alone.
  [[nodiscard]] bool cleans_up() const noexcept {
    return info_.clean_up_spaces && std::holds_alternative<WordPieceModel>(model_->model());
  }

  /// The id of a piece or added token, if there is one.
  [[nodiscard]] std::optional<TokenId> token_to_id(std::string_view token) const {
    TokenId id = added_.find(token);
    if (id < 0) {
      id = model_->vocabulary().find(token);
    }
    return id < 0 ? std::nullopt : std::optional<TokenId>(id);
  }

  /// The piece of an id. Error if it has none.
  [[nodiscard]] const std::string& id_to_token(TokenId id) const {
    const auto at = added_.tokens().find(id);
    if (at != added_.tokens().end()) {
      return at->second.shown;
    }
    LDLM_CHECK(model_->vocabulary().contains(id), "tokenizer", "no piece has id ", id,
               "; the ids end before ", id_bound());
    return model_->vocabulary().token(id);
  }

  /// Number of pieces and added tokens.
  [[nodiscard]] std::size_t vocab_size() const {
    std::size_t size = model_->vocabulary().size();
    for (const auto& [id, entry] : added_.tokens()) {
      size += model_->vocabulary().find(entry.token.content) < 0 ? 1 : 0;
    }
    return size;
  }

  /// One more than the largest id, i.e. the rows that an embedding needs.
  [[nodiscard]] std::size_t id_bound() const {
    const std::size_t bound = model_->vocabulary().id_bound();
    const auto& added = added_.tokens();
    return added.empty() ? bound
                         : std::max(bound, static_cast<std::size_t>(added.rbegin()->first) + 1);
  }

  /// Adds a token (or changes its properties) and returns its id: the piece's own if it is one,
  /// else the next free id.
  TokenId add_token(AddedToken token) {
    const TokenId id = token_to_id(token.content).value_or(next_id());
    add_token(std::move(token), id);
    return id;
  }
  /// The same with a given id; Error if it is not that one: Hugging Face's library would change it.
  void add_token(AddedToken token, TokenId id) {
    const Vocabulary& pieces = model_->vocabulary();
    const TokenId own = pieces.find(token.content);
    LDLM_CHECK(own < 0 || own == id, "tokenizer", "added token \"", token.content, "\" has id ", id,
               " but is piece ", own);
    LDLM_CHECK(own == id || !pieces.contains(id), "tokenizer", "added token \"", token.content,
               "\" has id ", id, ", which is piece \"", pieces.token(id), '"');
    LDLM_CHECK(id >= 0, "tokenizer", "negative id ", id, " of added token \"", token.content, '"');
    LDLM_CHECK(id <= Vocabulary::max_id, "tokenizer", "id ", id, " of added token \"",
               token.content, "\" is above ", Vocabulary::max_id);
    LDLM_CHECK(id == token_to_id(token.content).value_or(next_id()) ||
                   added_.tokens().contains(id),  // an Error below
               "tokenizer", "added token \"", token.content, "\" has id ", id,
               ", but the next free one is ", next_id(), ", which `tokenizers` would give it");
    added_.add(std::move(token), id, normalizer_);
  }
  TokenId add_special_token(std::string content) {
    return add_token(special_token(std::move(content)));
  }

  /// Sets the template, e.g. set_template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1").
  /// The special tokens must be known; Error otherwise.
  void set_template(std::string_view single, std::string_view pair) {
    Template made{parse_template(single), parse_template(pair), {}};
    for (const auto* pieces : {&made.single, &made.pair}) {
      for (const TemplatePiece& piece : *pieces) {
        if (piece.kind == TemplatePiece::Kind::special) {
          const auto id = token_to_id(piece.token);
          LDLM_CHECK(id, "template", "special token \"", piece.token,
                     "\" is not in the vocabulary");
          made.specials[piece.token] = {{*id}, {piece.token}};
        }
      }
    }
    PostProcessor changed = post_processor_;
    changed.special_tokens = std::move(made);
    set_post_processor(std::move(changed));
  }
  void set_post_processor(PostProcessor post_processor) {
    if (post_processor.special_tokens) {
      post_processor.special_tokens->check();
    }
    post_processor_ = std::move(post_processor);
  }
  /// What the tokenizer's folder said about its use; all unset for one that was made otherwise.
  [[nodiscard]] const TokenizerInfo& info() const noexcept { return info_; }
  [[nodiscard]] const SpecialTokens& special_tokens() const noexcept {
    return info_.special_tokens;
  }
  /// Tokens that the model takes, as tokenizer_config.json says; unset: it says nothing.
  [[nodiscard]] std::optional<std::int64_t> model_max_length() const noexcept {
    return info_.model_max_length;
  }
  void set_info(const TokenizerInfo& info) { info_ = info; }

  void set_truncation(std::optional<Truncation> truncation) { truncation_ = truncation; }
  void set_padding(std::optional<Padding> padding) { padding_ = std::move(padding); }

  [[nodiscard]] const Model& model() const noexcept { return model_->model(); }
  [[nodiscard]] const Vocabulary& model_vocabulary() const noexcept { return model_->vocabulary(); }
  [[nodiscard]] const NormalizerRunner& normalizer() const noexcept { return normalizer_; }
  [[nodiscard]] const PreTokenizer& pre_tokenizer() const noexcept { return pre_tokenizer_; }
  [[nodiscard]] const PostProcessor& post_processor() const noexcept { return post_processor_; }
  [[nodiscard]] const Decoder& decoder() const noexcept { return decoder_; }
  [[nodiscard]] const AddedVocabulary& added_tokens() const noexcept { return added_; }
  [[nodiscard]] const std::optional<Truncation>& truncation() const noexcept { return truncation_; }
  [[nodiscard]] const std::optional<Padding>& padding() const noexcept { return padding_; }

 private:
  Tokenizer(std::shared_ptr<const detail::SharedModel> model, TokenizerParts parts)
      : model_(std::move(model)),
        normalizer_(std::move(parts.normalizer)),
        pre_tokenizer_(parts.pre_tokenizer),
        decoder_(std::move(parts.decoder)) {
    const bool bpe = std::holds_alternative<BpeModel>(model_->model());
    LDLM_CHECK(bpe == (pre_tokenizer_.kind == PreTokenizer::Kind::byte_level), "tokenizer",
               "the byte-level pre-tokenizer and the BPE model need each other");
    set_post_processor(std::move(parts.post_processor));
  }

  /// The id that a new added token gets, as in Hugging Face's library: behind the pieces, as many
  /// as they are, and the added tokens.
  [[nodiscard]] TokenId next_id() const {
    const auto pieces = static_cast<TokenId>(model_->vocabulary().size());
    const auto& added = added_.tokens();
    return added.empty() ? pieces : std::max(pieces, added.rbegin()->first + 1);
  }

  template <class Sink>
  void split_tokens(std::string_view text, detail::Workspace& work, const Sink& sink) const {
    std::visit(
        [&](const auto& model) {
          detail::TokenSplitter<std::decay_t<decltype(model)>, Sink>{
              model, normalizer_, pre_tokenizer_, added_, work, sink}(text);
        },
        model_->model());
  }

  /// Fills work.ids and, if Full, what an Encoding needs.
  template <bool Full>
  void encode_valid(std::string_view text, detail::Workspace& work) const {
    work.clear();
    work.reserve(text.size(), Full);
    split_tokens(text, work, detail::Collector<Full>{work});
  }

  /// The text itself or, if it is no UTF-8, what it is repaired to in `storage`.
  static std::string_view valid_utf8(std::string_view text, std::string& storage) {
    if (is_utf8(text)) {
      return text;
    }
    storage = repair_utf8(text);
    return storage;
  }

  /// One text's encoding before truncation and template, with room for `more` tokens.
  [[nodiscard]] Encoding encode_one(std::string_view text, std::int32_t type_id,
                                    std::size_t more) const {
    detail::SharedModel::Lease lease(*model_);
    detail::Workspace& work = *lease;
    std::string repaired;
    const std::string_view valid = valid_utf8(text, repaired);
    encode_valid<true>(valid, work);
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

  [[nodiscard]] Encoding encode_padless(std::string_view text, const std::string_view* pair,
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
      LDLM_CHECK(truncation_->max_length >= added, "truncate", "max_length ",
                 truncation_->max_length, " leaves no room for ", added, " special tokens");
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

  std::shared_ptr<const detail::SharedModel> model_;
  NormalizerRunner normalizer_;
  PreTokenizer pre_tokenizer_;
  PostProcessor post_processor_;
  Decoder decoder_;
  AddedVocabulary added_;
  std::optional<Truncation> truncation_;
  std::optional<Padding> padding_;
  TokenizerInfo info_;
};

}  // namespace ldlm::text

namespace ldlm {
using text::Encoding;
using text::TokenId;
using text::Tokenizer;
}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/tokenizer_json.hpp>
#endif
