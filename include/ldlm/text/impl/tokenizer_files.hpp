#pragma once
// Reads the files that came before tokenizer.json: vocab.json + merges.txt of GPT-2 and RoBERTa,
// and BERT's vocab.txt.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <ldlm/text/impl/folder_config.hpp>
#include <ldlm/text/impl/tokenizer_classes.hpp>
#include <ldlm/text/impl/tokenizer_reader.hpp>
#include <ldlm/text/text_file.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace ldlm::detail {

/// Calls line(text, number from 1) for the lines of a file's contents, without "\n" or "\r\n".
template <class Line>
void for_each_line(std::string_view contents, const std::string& name, Line&& line) {
  for (std::size_t number = 1; !contents.empty(); ++number) {
    const std::size_t end = contents.find('\n');
    std::string_view text = contents.substr(0, end);
    contents.remove_prefix(end == std::string_view::npos ? contents.size() : end + 1);
    if (text.ends_with('\r')) {
      text.remove_suffix(1);
    }
    const std::size_t valid = valid_prefix(text);
    LDLM_CHECK_FILE(valid == text.size(), "tokenizer", name, ": line ", number, ", byte ", valid,
                    ": not valid UTF-8");
    line(text, number);
  }
}

/// A file's contents and its name for messages.
struct NamedText {
  std::string name;
  std::string contents;
};

[[nodiscard]] inline NamedText read_named(const std::filesystem::path& path) {
  return {path.string(), read_text_file(path)};
}

/// The named special tokens of a folder: its own, or else the defaults of its class.
[[nodiscard]] inline std::vector<std::pair<std::string_view, AddedToken>> named_tokens(
    const FolderConfig& config, const ClassFamily* family) {
  std::vector<std::pair<std::string_view, AddedToken>> out;
  for (const std::string_view key : special_token_keys) {
    if (const auto own = config.named.find(key); own != config.named.end()) {
      if (own->second) {
        out.emplace_back(key, *own->second);
      }
    } else if (family != nullptr) {
      for (const auto& [name, content] : default_special_tokens(*family)) {
        if (name == key) {
          out.emplace_back(key, special_token(std::string(content)));
        }
      }
    }
  }
  return out;
}

/// Adds the tokens that a folder's files list, with their ids.
inline void add_listed_tokens(Tokenizer& tokenizer, const FolderConfig& config) {
  for (const auto& listed : config.added) {
    const auto known = tokenizer.added_tokens().tokens().find(listed.first);
    if (known == tokenizer.added_tokens().tokens().end() || known->second.token != listed.second) {
      with_place(config.where.at(listed.first),
                 [&] { tokenizer.add_token(listed.second, listed.first); });
    }
  }
}

/// Adds the special tokens that a folder names and does not list: a piece keeps its id, a new one
/// gets the next. Of those with one content, the last one's properties count. As transformers does.
inline void add_special_tokens(Tokenizer& tokenizer, const FolderConfig& config,
                               std::span<const std::pair<std::string_view, AddedToken>> named) {
  std::vector<AddedToken> special;
  for (const auto& [name, token] : named) {
    special.push_back(token);
  }
  for (const AddedToken& token : config.own.named()) {
    special.push_back(token);
  }
  for (const AddedToken& token : special) {  // what has a name is special, whatever a list says
    const auto& added = tokenizer.added_tokens();
    if (const TokenId id = added.find(token.content);
        id >= 0 && !added.tokens().at(id).token.special) {
      AddedToken changed = added.tokens().at(id).token;
      changed.special = true;
      tokenizer.add_token(std::move(changed), id);
    }
  }
  special.insert(special.end(), config.own.extra().begin(), config.own.extra().end());
  for (const AddedToken& first : special) {
    if (tokenizer.added_tokens().find(first.content) < 0) {
      const auto last = std::find_if(special.rbegin(), special.rend(), [&](const AddedToken& t) {
        return t.content == first.content;
      });
      tokenizer.add_token(*last);
    }
  }
}

/// The ids of the named special tokens that a tokenizer has.
[[nodiscard]] inline SpecialTokens special_ids(
    const Tokenizer& tokenizer, std::span<const std::pair<std::string_view, AddedToken>> named) {
  SpecialTokens out;
  std::optional<TokenId>* const fields[] = {&out.bos, &out.eos, &out.unk, &out.sep,
                                            &out.pad, &out.cls, &out.mask};
  for (const auto& [key, token] : named) {
    const auto at = std::find(special_token_keys.begin(), special_token_keys.end(), key);
    *fields[at - special_token_keys.begin()] = tokenizer.token_to_id(token.content);
  }
  return out;
}

/// The name of a special token that a class cannot do without.
[[nodiscard]] inline std::string needed_token(
    std::span<const std::pair<std::string_view, AddedToken>> named, std::string_view key) {
  for (const auto& [name, token] : named) {
    if (name == key) {
      return token.content;
    }
  }
  detail::fail("tokenizer", key, " is null, but the class puts it around texts");
}

/// Puts what a class puts around texts into the post-processor.
inline void set_class_template(Tokenizer& tokenizer, ClassFamily family, const FolderConfig& config,
                               std::span<const std::pair<std::string_view, AddedToken>> named) {
  PostProcessor out = tokenizer.post_processor();
  if (family == ClassFamily::roberta) {
    out.byte_level = OffsetTrimming{config.add_prefix_space.value_or(false),
                                    config.trim_offsets.value_or(true), true};
  }
  TokenTemplate made;
  if (family == ClassFamily::gpt2) {
    const std::string bos =
        config.add_bos_token.value_or(false) ? needed_token(named, "bos_token") : std::string();
    const std::string eos =
        config.add_eos_token.value_or(false) ? needed_token(named, "eos_token") : std::string();
    if (bos.empty() && eos.empty()) {
      return;
    }
    for (const std::int32_t part : {0, 1}) {
      if (!bos.empty()) {
        made.pair.push_back({TokenTemplatePiece::Kind::special, bos, part});
      }
      made.pair.push_back(
          {part == 0 ? TokenTemplatePiece::Kind::first : TokenTemplatePiece::Kind::second, "",
           part});
      if (!eos.empty()) {
        made.pair.push_back({TokenTemplatePiece::Kind::special, eos, part});
      }
      if (part == 0) {
        made.single = made.pair;
      }
    }
  } else {
    wrap_texts(made, needed_token(named, "cls_token"), needed_token(named, "sep_token"),
               family == ClassFamily::bert);
  }
  for (const TokenTemplatePiece& piece : made.pair) {
    if (piece.kind == TokenTemplatePiece::Kind::special) {
      made.specials[piece.token] = {{*tokenizer.token_to_id(piece.token)}, {piece.token}};
    }
  }
  out.special_tokens = std::move(made);
  tokenizer.set_post_processor(std::move(out));
}

/// Gives a tokenizer what its folder says besides the vocabulary; `family`: whose template goes
/// around texts, or null; `name`: the vocabulary's file, for messages.
inline void finish_tokenizer(Tokenizer& tokenizer, const ClassFamily* family,
                             const FolderConfig& config,
                             std::span<const std::pair<std::string_view, AddedToken>> named,
                             const std::string& name) {
  add_listed_tokens(tokenizer, config);
  with_place(name, [&] {
    add_special_tokens(tokenizer, config, named);
    if (family != nullptr) {
      set_class_template(tokenizer, *family, config, named);
    }
  });
  TokenizerInfo info = config.info;
  info.special_tokens = special_ids(tokenizer, named);
  tokenizer.set_info(info);
}

/// The tokenizer of vocab.json and merges.txt.
[[nodiscard]] inline Tokenizer read_bpe_files(const NamedText& vocab_json,
                                              const NamedText& merges_txt, ClassFamily family,
                                              const FolderConfig& config = {}) {
  Vocabulary vocabulary = read_vocabulary(parse_document(vocab_json.contents, vocab_json.name));
  std::vector<BpeMerge> merges;
  for_each_line(
      merges_txt.contents, merges_txt.name, [&](std::string_view line, std::size_t number) {
        if (!line.starts_with("#version")) {
          const std::string place = merges_txt.name + ": line " + std::to_string(number);
          merges.push_back(with_place(place, [&] { return find_merge(vocabulary, line); }));
        }
      });
  TokenizerParts parts;
  parts.pre_tokenizer.kind = PreTokenizer::Kind::byte_level;
  parts.pre_tokenizer.add_prefix_space = config.add_prefix_space.value_or(false);
  parts.post_processor.byte_level = OffsetTrimming{true, false, true};
  parts.decoder.kind = TokenDecoder::Kind::byte_level;
  Tokenizer tokenizer = with_place(merges_txt.name, [&] {
    return Tokenizer(BpeModel(std::move(vocabulary), std::move(merges), {}), std::move(parts));
  });
  finish_tokenizer(tokenizer, &family, config, named_tokens(config, &family), merges_txt.name);
  return tokenizer;
}

/// A line without the white space at its end.
[[nodiscard]] inline std::string_view trim_end(std::string_view line) {
  while (!line.empty()) {
    std::size_t last = line.size() - 1;
    while (last > 0 && !starts_code_point(line[last])) {
      --last;
    }
    if (!is_whitespace(decode_utf8(line, last).value)) {
      break;
    }
    line.remove_suffix(line.size() - last);
  }
  return line;
}

/// The tokenizer of BERT's vocab.txt. Of lines that are alike without the white space at their end,
/// the last one counts, as in `tokenizers`.
[[nodiscard]] inline Tokenizer read_vocab_txt(const NamedText& vocab_txt,
                                              const FolderConfig& config = {}) {
  Vocabulary vocabulary;
  for_each_line(vocab_txt.contents, vocab_txt.name, [&](std::string_view line, std::size_t number) {
    with_place(vocab_txt.name + ": line " + std::to_string(number),
               [&] { vocabulary.set(trim_end(line), static_cast<TokenId>(number - 1)); });
  });
  LDLM_CHECK_FILE(vocabulary.size() > 0, "tokenizer", vocab_txt.name, ": holds no piece");
  TokenizerParts parts;
  BertNormalizer normalizer;
  normalizer.lowercase = config.do_lower_case.value_or(true);
  normalizer.handle_chinese_chars = config.tokenize_chinese_chars.value_or(true);
  normalizer.strip_accents = config.strip_accents;
  parts.normalizer = {normalizer};
  parts.pre_tokenizer.kind = PreTokenizer::Kind::bert;
  parts.decoder.kind = TokenDecoder::Kind::wordpiece;
  WordPieceModel::Options options;
  constexpr ClassFamily bert = ClassFamily::bert;
  const auto named = named_tokens(config, &bert);
  for (const auto& [key, token] : named) {
    if (key == "unk_token") {
      options.unk_token = token.content;
    }
  }
  Tokenizer tokenizer = with_place(vocab_txt.name, [&] {
    return Tokenizer(WordPieceModel(std::move(vocabulary), std::move(options)), std::move(parts));
  });
  finish_tokenizer(tokenizer, &bert, config, named, vocab_txt.name);
  return tokenizer;
}

/// The class of a folder without tokenizer.json: the one that its files name, or else the one that
/// its vocabulary files suggest. An Error for one whose files are not read.
[[nodiscard]] inline ClassFamily family_of_folder(const std::filesystem::path& folder,
                                                  const FolderConfig& config) {
  if (config.tokenizer_class.empty()) {
    return std::filesystem::exists(folder / "vocab.json") ? ClassFamily::gpt2 : ClassFamily::bert;
  }
  const KnownClass* const known = find_class(config.tokenizer_class);
  if (known == nullptr) {
    std::string names;
    for (const KnownClass& each : known_classes) {
      names += (names.empty() ? "" : ", ") + std::string(each.name);
    }
    detail::fail_as(ErrorCode::file, "tokenizer", config.class_place, ": the vocabulary files of ",
                    config.tokenizer_class, " are not supported, those of ", names,
                    " are; a tokenizer.json (`save_pretrained` of transformers writes one) "
                    "may be");
  }
  return known->family;
}

/// A folder without any file that a tokenizer is read from: an Error that names what it has
/// instead.
[[noreturn]] inline void fail_without_vocabulary(const std::filesystem::path& folder) {
  for (const char* const name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
    if (std::filesystem::exists(folder / name)) {
      detail::fail_at(::ldlm::ErrorCode::file, "tokenizer", (folder / name).string(),
                      ": is a SentencePiece model, which is not supported; BPE and WordPiece "
                      "are, as GPT-2 and BERT have them");
    }
  }
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".gguf") {
      detail::fail_at(::ldlm::ErrorCode::file, "tokenizer", entry.path().string(),
                      ": is a GGUF file, which is not supported; take the folder of Hugging "
                      "Face's that it was made from");
    }
  }
  if (std::filesystem::exists(folder / "vocab.bpe")) {
    detail::fail_at(::ldlm::ErrorCode::file, "tokenizer", folder.string(),
                    ": rename encoder.json to vocab.json and vocab.bpe to merges.txt");
  }
  detail::fail_at(::ldlm::ErrorCode::file, "tokenizer", folder.string(),
                  ": holds no tokenizer.json, vocab.json or vocab.txt");
}

/// The tokenizer of a folder's vocabulary files.
[[nodiscard]] inline Tokenizer read_vocabulary_folder(const std::filesystem::path& folder,
                                                      const FolderConfig& config) {
  if (!std::filesystem::exists(folder / "vocab.json") &&
      !std::filesystem::exists(folder / "vocab.txt")) {
    fail_without_vocabulary(folder);
  }
  const ClassFamily family = family_of_folder(folder, config);
  if (family == ClassFamily::bert) {
    return read_vocab_txt(read_named(folder / "vocab.txt"), config);
  }
  return read_bpe_files(read_named(folder / "vocab.json"), read_named(folder / "merges.txt"),
                        family, config);
}

}  // namespace ldlm::detail
