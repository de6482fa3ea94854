#pragma once
// What the files beside a vocabulary say: tokenizer_config.json, special_tokens_map.json,
// added_tokens.json and the model's config.json, read as `transformers` reads them.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/json/parse.hpp>
#include <ldlm/json/reader.hpp>
#include <ldlm/text/added_tokens.hpp>
#include <ldlm/text/impl/model_types.hpp>
#include <ldlm/text/impl/named_tokens.hpp>
#include <ldlm/text/impl/tokenizer_classes.hpp>
#include <ldlm/text/special_tokens.hpp>
#include <ldlm/text/text_file.hpp>

namespace ldlm::detail {

/// Parses a tokenizer's file; `name` starts every message.
[[nodiscard]] inline JsonReader parse_document(std::string_view text, const std::string& name) {
  return JsonReader::parse(text, name, "tokenizer", {.max_depth = 64});
}

struct FolderConfig {
  std::string tokenizer_class;  ///< without "Fast"; empty if no file names one
  std::string class_place;      ///< the file and key that named it
  bool class_named = false;     ///< as a class, not by the model_type that it goes with
  std::optional<bool> do_lower_case, strip_accents, tokenize_chinese_chars;
  std::optional<bool> add_prefix_space, trim_offsets, add_bos_token, add_eos_token;
  /// By key, as "bos_token"; a token that a file sets to null has no value.
  std::map<std::string, std::optional<AddedToken>, std::less<>> named;
  OwnSpecialTokens own;                  ///< other special tokens
  std::map<TokenId, AddedToken> added;   ///< with their ids
  std::map<TokenId, std::string> where;  ///< the place of each of those, for messages
  bool lists_added = false;              ///< whether tokenizer_config.json lists them
  TokenizerInfo info;                    ///< all but the special tokens
};

/// The class without "Fast", which names the same tokenizer.
[[nodiscard]] inline std::string class_name(std::string name) {
  constexpr std::string_view fast = "Fast";
  if (name.ends_with(fast) && name != "PreTrainedTokenizerFast") {
    name.resize(name.size() - fast.size());
  }
  return name;
}

[[nodiscard]] inline std::optional<bool> read_flag(const JsonReader& root, std::string_view key) {
  const auto view = root.find(key);
  return view ? std::optional<bool>(view->as<bool>()) : std::nullopt;
}

[[nodiscard]] inline std::optional<TextDirection> read_side(const JsonReader& root,
                                                            std::string_view key) {
  const auto view = root.find(key);
  if (!view) {
    return std::nullopt;
  }
  if (view->string() != "left" && view->string() != "right") {
    view->fail("must be left or right, got \"", view->string(), '"');
  }
  return view->string() == "left" ? TextDirection::left : TextDirection::right;
}

/// The seven special tokens, as far as a file names them.
inline void read_named_tokens(const JsonReader& root, FolderConfig& out) {
  for (const std::string_view key : special_token_keys) {
    const JsonValue* const value = root.value().find(key);
    if (value != nullptr) {
      const auto view = root.find(key);
      out.named[std::string(key)] =
          view ? std::optional<AddedToken>(read_special_token(*view)) : std::nullopt;
    }
  }
}

inline void add_token(FolderConfig& out, std::int64_t id, AddedToken token, std::string place) {
  out.added[static_cast<TokenId>(id)] = std::move(token);
  out.where[static_cast<TokenId>(id)] = std::move(place);
}

/// The tokenizer's class, if a file names it.
inline bool read_class(const JsonReader& root, FolderConfig& out) {
  const auto name = root.find("tokenizer_class");
  if (name) {
    out.tokenizer_class = class_name(name->string());
    out.class_place = name->place();
    out.class_named = true;
  }
  return name.has_value();
}

/// tokenizer_config.json. If it lists the added tokens, older files are void.
inline void read_tokenizer_config(const JsonReader& root, FolderConfig& out) {
  read_class(root, out);
  out.do_lower_case = read_flag(root, "do_lower_case");
  out.strip_accents = read_flag(root, "strip_accents");
  out.tokenize_chinese_chars = read_flag(root, "tokenize_chinese_chars");
  out.add_prefix_space = read_flag(root, "add_prefix_space");
  out.trim_offsets = read_flag(root, "trim_offsets");
  out.add_bos_token = read_flag(root, "add_bos_token");
  out.add_eos_token = read_flag(root, "add_eos_token");
  out.info.padding_side = read_side(root, "padding_side");
  out.info.truncation_side = read_side(root, "truncation_side");
  out.info.clean_up_spaces = root.get("clean_up_tokenization_spaces", false);
  for (const auto& [key, usual] :
       {std::pair("split_special_tokens", false), std::pair("do_basic_tokenize", true),
        std::pair("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
                  false)}) {
    if (root.get(key, usual) != usual) {
      root.at(key).fail("is ", usual ? "false" : "true", ", which is not supported");
    }
  }
  if (const auto never = root.find("never_split"); never && !never->items().empty()) {
    never->fail("is not supported: list the tokens in added_tokens_decoder");
  }
  for (const char* const key : {"max_len", "model_max_length"}) {
    if (const auto view = root.find(key)) {
      // Without a limit, transformers writes 1e30.
      const auto length = view->value().get_if<double>();
      if (!length || *length < 1) {
        view->fail("must be a positive number");
      }
      out.info.model_max_length =
          *length < 1e15 ? view->value().get_if<std::int64_t>() : std::nullopt;
    }
  }
  read_named_tokens(root, out);
  out.own.read_config(root);
  const auto added = root.find("added_tokens_decoder");
  out.lists_added = added.has_value();
  if (!added) {
    return;
  }
  for (const auto& [number, view] : added->members()) {
    const bool digits = !number.empty() && number.size() <= 9 &&
                        number.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) {
      view.fail("must be named by an id, got \"", number, '"');
    }
    add_token(out, std::stoi(number), read_added_token(view), view.place());
  }
}

/// added_tokens.json: contents and their ids. They are special if another file names them so.
inline void read_added_tokens(const JsonReader& root, FolderConfig& out) {
  const auto is_special = [&out](std::string_view content) {
    for (const auto& [key, token] : out.named) {
      if (token && token->content == content) {
        return true;
      }
    }
    const auto& extra = out.own.extra();
    return std::any_of(extra.begin(), extra.end(), [&](const AddedToken& token) {
      return token.special && token.content == content;
    });
  };
  for (const auto& [content, id] : root.members()) {
    AddedToken token;
    token.content = content;
    token.special = is_special(content);
    token.normalized = !token.special;
    const std::int64_t number = id.count();
    if (out.added.contains(static_cast<TokenId>(number))) {
      id.fail("is id ", number, ", which belongs to \"",
              out.added.at(static_cast<TokenId>(number)).content, "\" too");
    }
    add_token(out, number, std::move(token), id.place());
  }
}

/// Calls read(JsonReader) with a folder's JSON file, if it is there.
template <class Read>
void with_json_file(const std::filesystem::path& folder, const char* name, Read&& read) {
  const std::filesystem::path path = folder / name;
  if (std::filesystem::exists(path)) {
    read(parse_document(read_text_file(path), path.string()));
  }
}

[[nodiscard]] inline FolderConfig read_folder_config(const std::filesystem::path& folder) {
  FolderConfig out;
  with_json_file(folder, "tokenizer_config.json",
                 [&](const JsonReader& root) { read_tokenizer_config(root, out); });
  if (!out.lists_added) {  // as transformers: the newer file makes the older ones void
    with_json_file(folder, "special_tokens_map.json", [&](const JsonReader& root) {
      read_named_tokens(root, out);
      out.own.read_map(root);
    });
    with_json_file(folder, "added_tokens.json",
                   [&](const JsonReader& root) { read_added_tokens(root, out); });
  }
  with_json_file(folder, "config.json", [&](const JsonReader& root) {
    if (!out.tokenizer_class.empty() || !root.value().is_object()) {
      return;
    }
    if (read_class(root, out)) {
      return;
    }
    if (const auto type = root.find("model_type"); type && type->value().is_string()) {
      out.tokenizer_class = class_of_model(type->string());
      out.class_place = type->place();
    }
  });
  // Where a token is listed with its properties, those count for its name too.
  for (auto& [key, token] : out.named) {
    for (const auto& [id, listed_token] : out.added) {
      if (token && token->content == listed_token.content) {
        token = listed_token;
        token->special = true;
        out.added[id].special = true;
      }
    }
  }
  return out;
}

}  // namespace ldlm::detail
