#pragma once
// Reads a folder's tokenizer.json with the files beside it.
//
// As in `transformers`, PreTrainedTokenizerFast and classes that it does not have take
// tokenizer.json as it is; the others make their tokenizer anew: of the file only the pieces, the
// added tokens, padding and truncation count, for GPT-2 the post-processor too. What else the file
// says must be what its class makes, or an Error names it; so does one for a class whose making is
// not known here.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <ldlm/text/impl/folder_config.hpp>
#include <ldlm/text/impl/tokenizer_classes.hpp>
#include <ldlm/text/impl/tokenizer_files.hpp>
#include <ldlm/text/impl/tokenizer_reader.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace ldlm::detail {

/// Compares a tokenizer.json with what its class makes.
class ClassRules {
 public:
  ClassRules(const JsonReader& root, const FolderConfig& config) : root_(root), config_(config) {}

  void check(ClassFamily family) const {
    family == ClassFamily::bert ? check_bert() : check_byte_level();
  }

 private:
  void check_bert() const {
    const JsonReader normalizer = section("normalizer", "BertNormalizer");
    expect(normalizer, "clean_text", true);
    const auto flag = [&](std::string_view key, std::string_view setting,
                          const std::optional<bool>& set, const JsonValue& otherwise) {
      if (!set) {
        expect(normalizer, key, otherwise, setting);
      }
    };
    flag("lowercase", "do_lower_case", config_.do_lower_case, true);
    flag("handle_chinese_chars", "tokenize_chinese_chars", config_.tokenize_chinese_chars, true);
    flag("strip_accents", "strip_accents", config_.strip_accents, JsonValue());
    (void)section("pre_tokenizer", "BertPreTokenizer");
    const JsonReader decoder = section("decoder", "WordPiece");
    expect(decoder, "prefix", "##");
    expect(decoder, "cleanup", true);
    const JsonReader model = root_.at("model");
    expect(model, "continuing_subword_prefix", "##");
    expect(model, "max_input_chars_per_word", 100);
    const auto unk = config_.named.find("unk_token");
    expect(model, "unk_token",
           unk != config_.named.end() && unk->second ? unk->second->content : "[UNK]", "unk_token");
  }
  void check_byte_level() const {
    if (const auto normalizer = root_.find("normalizer")) {
      differs(*normalizer, "null");
    }
    const JsonReader splitter = section("pre_tokenizer", "ByteLevel");
    expect(splitter, "use_regex", true);
    if (!config_.add_prefix_space) {
      expect(splitter, "add_prefix_space", false, "add_prefix_space");
    }
    (void)section("decoder", "ByteLevel");
    expect(root_.at("model"), "ignore_merges", false);
  }

  /// A section, which must be of this type.
  [[nodiscard]] JsonReader section(std::string_view key, std::string_view type) const {
    JsonReader view = root_.at(key);
    if (view.value().is_object() && view.at("type").string() == "Sequence") {
      const auto parts = view.find("pretokenizers");
      if (parts && parts->items().size() == 1) {
        view = parts->items()[0];
      }
    }
    if (view.value().is_null()) {
      differs(view, std::string(type));
    }
    expect(view, "type", std::string(type));
    return view;
  }
  /// A value, unless it is missing, must be what the class makes it where no file has `setting`.
  void expect(const JsonReader& view, std::string_view key, const JsonValue& made,
              std::string_view setting = {}) const {
    const JsonValue* const found = view.value().find(key);
    if (found != nullptr && to_string(*found) != to_string(made)) {
      differs(view.at(key), to_string(made), setting);
    }
  }
  [[noreturn]] void differs(const JsonReader& view, const std::string& made,
                            std::string_view setting = {}) const {
    const std::string set =
        setting.empty() ? "" : " where tokenizer_config.json has no " + std::string(setting);
    view.fail("is ", view.value().preview(), ", but ", config_.tokenizer_class, " makes it ", made,
              set, " (", config_.class_place,
              "); with PreTrainedTokenizerFast as tokenizer_class of tokenizer_config.json this ",
              "file counts");
  }

  JsonReader root_;
  const FolderConfig& config_;
};

/// The class that counts beside a tokenizer.json, or null.
[[nodiscard]] inline const KnownClass* class_beside_json(const JsonReader& root,
                                                         const FolderConfig& config) {
  const KnownClass* const known = find_class(config.tokenizer_class);
  // A model_type stands for a class only where that makes its tokenizer anew.
  const bool foreign = known == nullptr && !config.tokenizer_class.empty() && !config.class_named;
  constexpr const char* advice =
      "; with PreTrainedTokenizerFast as tokenizer_class of tokenizer_config.json the file counts";
  LDLM_CHECK_AS(file, !foreign && !is_foreign_class(config.tokenizer_class), "tokenizer",
                config.class_place, ": ", config.tokenizer_class,
                " makes its own tokenizer of this tokenizer.json, which is not supported", advice);
  const std::string model = model_type(root.at("model"));
  LDLM_CHECK_AS(file,
                known == nullptr || (model == "WordPiece") == (known->family == ClassFamily::bert),
                "tokenizer", config.class_place, ": ", config.tokenizer_class, " has no ", model,
                " model, but ", root.origin(), " is one", advice);
  return known;
}

/// Forgets the settings of tokenizer_config.json that a class does not look at beside a
/// tokenizer.json; null for none that counts. `lowercase` is the caller's wish, which does.
inline void forget_settings(FolderConfig& config, const KnownClass* known,
                            std::optional<bool> lowercase) {
  const bool made = known != nullptr && !known->keeps_json;
  if (!made || known->family != ClassFamily::bert) {
    config.do_lower_case = config.strip_accents = config.tokenize_chinese_chars = std::nullopt;
  }
  if (!made || known->family == ClassFamily::bert) {
    config.add_prefix_space = std::nullopt;
  }
  if (lowercase) {
    config.do_lower_case = lowercase;
  }
}

/// The tokenizer of a folder's tokenizer.json and the files beside it.
[[nodiscard]] inline Tokenizer read_json_folder(const std::filesystem::path& folder,
                                                FolderConfig config,
                                                std::optional<bool> lowercase) {
  const NamedText file = read_named(folder / "tokenizer.json");
  const JsonReader root = parse_document(file.contents, file.name);
  const KnownClass* const known = class_beside_json(root, config);
  forget_settings(config, known, lowercase);
  const bool made = known != nullptr && !known->keeps_json;
  if (made) {
    ClassRules(root, config).check(known->family);
  }
  Tokenizer tokenizer = read_tokenizer(root, config, made && config.lists_added);
  if (const auto& padding = tokenizer.padding();
      padding && tokenizer.token_to_id(padding->pad_token) == padding->pad_id) {
    config.named.emplace("pad_token", special_token(padding->pad_token));  // unless a file has one
  }
  auto named = named_tokens(config, known != nullptr ? &known->family : nullptr);
  if (known != nullptr && known->family == ClassFamily::gpt2 && !config.class_named) {
    // transformers adds <|endoftext|>, for which a model that was trained without it has no row.
    std::erase_if(named, [&](const auto& name) {
      return !config.named.contains(name.first) && !tokenizer.token_to_id(name.second.content);
    });
  }
  const bool wraps = known != nullptr && known->family != ClassFamily::gpt2;
  if (!made) {  // what the file calls special stays so
    for (auto& [id, token] : config.added) {
      const auto& added = tokenizer.added_tokens().tokens();
      const auto at = added.find(id);
      token.special = token.special || (at != added.end() && at->second.token.special);
    }
  }
  finish_tokenizer(tokenizer, wraps ? &known->family : nullptr, config, named, root.origin());
  return tokenizer;
}

}  // namespace ldlm::detail
