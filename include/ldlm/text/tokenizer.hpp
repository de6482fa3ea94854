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
#include <vector>

#include <ldlm/text/added_tokens.hpp>
#include <ldlm/text/decoder.hpp>
#include <ldlm/text/encoding.hpp>
#include <ldlm/text/model.hpp>
#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/post_processor.hpp>
#include <ldlm/text/pre_tokenizer.hpp>
#include <ldlm/text/special_tokens.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm {
class FolderUpdate;
}

namespace ldlm {

namespace detail {
class SharedModel;
}

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
  TokenDecoder decoder;
};

/// A trained tokenizer: a cheap value; copies share the model.
class Tokenizer {
 public:
  explicit Tokenizer(BpeModel model, TokenizerParts parts = {});
  explicit Tokenizer(WordPieceModel model, TokenizerParts parts = {});

  // In one place, since much is copied and destroyed.
  Tokenizer(const Tokenizer& other);
  Tokenizer(Tokenizer&& other) noexcept;
  Tokenizer& operator=(const Tokenizer& other);
  Tokenizer& operator=(Tokenizer&& other) noexcept;
  ~Tokenizer();

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
  [[nodiscard]] Encoding encode(std::string_view text, const EncodeOptions& options = {}) const;

  /// Encodes two texts into one sequence, by the template for pairs.
  [[nodiscard]] Encoding encode(std::string_view text, std::string_view pair,
                                const EncodeOptions& options = {}) const;

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
                                                const EncodeOptions& options = {}) const;

  /// Calls use(id, source) for each token of the text in the template, never padded or truncated:
  /// `source` is a TextSpan of the text's bytes, as in `byte_offsets` of `encode`. Tokens are not
  /// kept, nor is normalized text behind the word that is split. Error for texts of 4 GiB.
  template <class Use>
  void for_each_token(std::string_view text, Use&& use, const EncodeOptions& options = {}) const {
    const auto each = [&use](TokenId id, TextSpan source) { use(id, source); };
    visit_tokens(
        text,
        [](const void* to, TokenId id, TextSpan source) {
          (*static_cast<const decltype(each)*>(to))(id, source);
        },
        &each, options);
  }

  /// A text's ids in the template for one text; `type_ids`, unless null, gets one a token.
  [[nodiscard]] std::vector<TokenId> in_template(
      std::span<const TokenId> text_ids, const EncodeOptions& options = {},
      std::vector<std::int32_t>* type_ids = nullptr) const;

  /// The text that ids stand for, cleaned up if the folder says so. Error for an id that has no
  /// piece.
  [[nodiscard]] std::string decode(std::span<const TokenId> ids,
                                   bool skip_special_tokens = true) const;
  /// Whether decode takes the spaces away that clean_up_tokenization_spaces means: transformers
  /// does so for WordPiece alone.
  [[nodiscard]] bool cleans_up() const noexcept;

  /// The id of a piece or added token, if there is one.
  [[nodiscard]] std::optional<TokenId> token_to_id(std::string_view token) const;

  /// The piece of an id. Error if it has none.
  [[nodiscard]] const std::string& id_to_token(TokenId id) const;

  /// Number of pieces and added tokens.
  [[nodiscard]] std::size_t vocab_size() const;

  /// One more than the largest id, i.e. the rows that an embedding needs.
  [[nodiscard]] std::size_t id_bound() const;

  /// Adds a token (or changes its properties) and returns its id: the piece's own if it is one,
  /// else the next free id.
  TokenId add_token(AddedToken token);
  /// The same with a given id; Error if it is not that one: Hugging Face's library would change it.
  void add_token(AddedToken token, TokenId id);
  TokenId add_special_token(std::string content);

  /// Sets the template, e.g. set_template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1").
  /// The special tokens must be known; Error otherwise.
  void set_template(std::string_view single, std::string_view pair);
  void set_post_processor(PostProcessor post_processor);
  /// What the tokenizer's folder said about its use; all unset for one that was made otherwise.
  [[nodiscard]] const TokenizerInfo& info() const noexcept { return info_; }
  [[nodiscard]] const SpecialTokens& special_tokens() const noexcept {
    return info_.special_tokens;
  }
  /// Tokens that the model takes, as tokenizer_config.json says; unset: it says nothing.
  [[nodiscard]] std::optional<std::int64_t> model_max_length() const noexcept {
    return info_.model_max_length;
  }
  void set_info(const TokenizerInfo& info);

  void set_truncation(std::optional<Truncation> truncation);
  void set_padding(std::optional<Padding> padding);

  [[nodiscard]] const TokenizerModel& model() const noexcept;
  [[nodiscard]] const Vocabulary& model_vocabulary() const noexcept;
  [[nodiscard]] const NormalizerRunner& normalizer() const noexcept { return normalizer_; }
  [[nodiscard]] const PreTokenizer& pre_tokenizer() const noexcept { return pre_tokenizer_; }
  [[nodiscard]] const PostProcessor& post_processor() const noexcept { return post_processor_; }
  [[nodiscard]] const TokenDecoder& decoder() const noexcept { return decoder_; }
  [[nodiscard]] const AddedVocabulary& added_tokens() const noexcept { return added_; }
  [[nodiscard]] const std::optional<Truncation>& truncation() const noexcept { return truncation_; }
  [[nodiscard]] const std::optional<Padding>& padding() const noexcept { return padding_; }

 private:
  Tokenizer(std::shared_ptr<const detail::SharedModel> model, TokenizerParts parts);

  /// The id that a new added token gets, as in Hugging Face's library: behind the pieces, as many
  /// as they are, and the added tokens.
  [[nodiscard]] TokenId next_id() const;

  /// for_each_token, with use(to, id, source).
  void visit_tokens(std::string_view text, void (*use)(const void* to, TokenId id, TextSpan source),
                    const void* to, const EncodeOptions& options) const;

  /// One text's encoding before truncation and template, with room for `more` tokens.
  [[nodiscard]] Encoding encode_one(std::string_view text, std::int32_t type_id,
                                    std::size_t more) const;

  [[nodiscard]] Encoding encode_padless(std::string_view text, const std::string_view* pair,
                                        const EncodeOptions& options) const;

  std::shared_ptr<const detail::SharedModel> model_;
  NormalizerRunner normalizer_;
  PreTokenizer pre_tokenizer_;
  PostProcessor post_processor_;
  TokenDecoder decoder_;
  AddedVocabulary added_;
  std::optional<Truncation> truncation_;
  std::optional<Padding> padding_;
  TokenizerInfo info_;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/tokenizer.hpp>
#include <ldlm/text/impl/tokenizer_json.hpp>
#endif
