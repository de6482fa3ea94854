#pragma once
// Reads the sections of a tokenizer.json.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/text/folder_config.hpp>
#include <ldlm/text/json_view.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace ldlm::text::detail {

/// Runs `build`; if it throws, the message names the file or key in place of the operation.
template <class Build>
auto with_place(const std::string& place, Build&& build) {
  try {
    return build();
  } catch (const Error& error) {
    ::ldlm::detail::fail_as(error.code(), "tokenizer", place, ": ", error.reason());
  }
}

[[nodiscard]] inline Vocabulary read_vocabulary(const JsonView& view) {
  Vocabulary vocabulary;
  for (const auto& [token, value] : view.members()) {
    const JsonView entry(value, view.path() + "[\"" + token + "\"]");
    const auto number = static_cast<TokenId>(entry.number());
    with_place(entry.path(), [&, &token = token] { vocabulary.add(token, number); });
  }
  return vocabulary;
}

/// The ids of one merge rule, given as "left right" or by its two parts.
[[nodiscard]] inline Merge find_merge(const Vocabulary& vocabulary, std::string_view left,
                                      std::string_view right, const std::string& place) {
  const Merge merge{vocabulary.find(left), vocabulary.find(right)};
  LDLM_CHECK(merge.first >= 0, "tokenizer", place, ": \"", left, "\" is no piece");
  LDLM_CHECK(merge.second >= 0, "tokenizer", place, ": \"", right, "\" is no piece");
  return merge;
}
[[nodiscard]] inline Merge find_merge(const Vocabulary& vocabulary, std::string_view line,
                                      const std::string& place) {
  const std::size_t space = line.find(' ');
  LDLM_CHECK(space != std::string_view::npos && line.find(' ', space + 1) == std::string_view::npos,
             "tokenizer", place, ": \"", line, "\" is not two pieces with a space between");
  return find_merge(vocabulary, line.substr(0, space), line.substr(space + 1), place);
}

[[nodiscard]] inline BpeModel read_bpe(const JsonView& view) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const auto affix = view.find(key); affix && !affix->string().empty()) {
      affix->fail("is not supported: byte-level BPE marks no word ends");
    }
  }
  if (const auto dropout = view.find("dropout");
      dropout && dropout->value().get_if<double>() != 0.0) {
    dropout->fail("is not supported");
  }
  if (view.boolean_or("byte_fallback", false)) {
    view.at("byte_fallback").fail("is not supported: a byte-level model covers every byte");
  }
  BpeModel::Options options;
  if (const auto unk = view.find("unk_token")) {
    options.unk_token = unk->string();
  }
  options.fuse_unk = view.boolean_or("fuse_unk", false);
  options.ignore_merges = view.boolean_or("ignore_merges", false);

  Vocabulary vocabulary = read_vocabulary(view.at("vocab"));
  std::vector<Merge> merges;
  for (const JsonView& rule : view.at("merges").items()) {
    if (rule.value().is_string()) {
      merges.push_back(find_merge(vocabulary, rule.string(), rule.path()));
      continue;
    }
    const std::vector<JsonView> parts = rule.items();
    if (parts.size() != 2) {
      rule.fail("should be two pieces, not ", parts.size());
    }
    merges.push_back(find_merge(vocabulary, parts[0].string(), parts[1].string(), rule.path()));
  }
  return with_place(view.path(), [&] {
    return BpeModel(std::move(vocabulary), std::move(merges), std::move(options));
  });
}

[[nodiscard]] inline WordPieceModel read_wordpiece(const JsonView& view) {
  WordPieceModel::Options options;
  options.unk_token = view.at("unk_token").string();
  options.continuing_subword_prefix = view.at("continuing_subword_prefix").string();
  options.max_input_chars_per_word =
      static_cast<std::size_t>(view.at("max_input_chars_per_word").number());
  Vocabulary vocabulary = read_vocabulary(view.at("vocab"));
  return with_place(view.path(),
                    [&] { return WordPieceModel(std::move(vocabulary), std::move(options)); });
}

template <class AnyModel>
[[nodiscard]] Tokenizer make_tokenizer(AnyModel model, TokenizerParts parts,
                                       const std::string& place) {
  return with_place(place, [&] { return Tokenizer(std::move(model), std::move(parts)); });
}

/// The type of a model. Files from before the key existed are told apart by their merges.
[[nodiscard]] inline std::string model_type(const JsonView& view) {
  const auto type = view.find("type");
  return type ? type->string() : view.find("merges") ? "BPE" : "WordPiece";
}

[[nodiscard]] inline Tokenizer read_model(const JsonView& view, TokenizerParts parts) {
  const std::string name = model_type(view);
  if (name == "BPE") {
    return make_tokenizer(read_bpe(view), std::move(parts), view.path());
  }
  if (name == "WordPiece") {
    return make_tokenizer(read_wordpiece(view), std::move(parts), view.path());
  }
  const bool unigram = name == "Unigram";
  view.at("type").fail(
      "\"", name, "\" is not supported; BPE and WordPiece are, as GPT-2 and BERT have them",
      unigram ? " (this is a SentencePiece model, as T5, ALBERT and XLM-RoBERTa have)" : "");
}

inline void read_normalizer(const JsonView& view, Normalizer& out) {
  const std::string& type = view.at("type").string();
  if (type == "Sequence") {
    for (const JsonView& step : view.at("normalizers").items()) {
      read_normalizer(step, out);
    }
  } else if (type == "BertNormalizer") {
    BertNormalizer step;
    step.clean_text = view.at("clean_text").boolean();
    step.handle_chinese_chars = view.at("handle_chinese_chars").boolean();
    if (const auto strip = view.find("strip_accents")) {
      step.strip_accents = strip->boolean();
    }
    step.lowercase = view.at("lowercase").boolean();
    out.emplace_back(step);
  } else if (type == "NFC") {
    out.emplace_back(UnicodeNormalizer::nfc);
  } else if (type == "NFD") {
    out.emplace_back(UnicodeNormalizer::nfd);
  } else if (type == "Lowercase") {
    out.emplace_back(UnicodeNormalizer::lowercase);
  } else {
    view.at("type").fail(
        "\"", type, "\" is not supported; BertNormalizer, NFC, NFD, Lowercase and Sequence are");
  }
}

[[nodiscard]] inline PreTokenizer read_pre_tokenizer(const JsonView& view) {
  PreTokenizer out;
  const std::string& type = view.at("type").string();
  if (type == "BertPreTokenizer") {
    out.kind = PreTokenizer::Kind::bert;
  } else if (type == "ByteLevel") {
    out.kind = PreTokenizer::Kind::byte_level;
    out.add_prefix_space = view.at("add_prefix_space").boolean();
    out.trim_offsets = view.at("trim_offsets").boolean();
    out.use_regex = view.boolean_or("use_regex", true);
  } else if (type == "Sequence" && view.at("pretokenizers").items().size() == 1) {
    return read_pre_tokenizer(view.at("pretokenizers").items()[0]);
  } else {
    view.at("type").fail("\"", type, "\" is not supported; ByteLevel and BertPreTokenizer are");
  }
  return out;
}

[[nodiscard]] inline std::vector<TemplatePiece> read_template(const JsonView& view) {
  std::vector<TemplatePiece> pieces;
  for (const JsonView& item : view.items()) {
    TemplatePiece piece;
    const auto special = item.find("SpecialToken");
    const JsonView body = special ? *special : item.at("Sequence");
    const std::string& id = body.at("id").string();
    if (special) {
      piece.kind = TemplatePiece::Kind::special;
      piece.token = id;
    } else if (id == "A" || id == "B") {
      piece.kind = id == "A" ? TemplatePiece::Kind::first : TemplatePiece::Kind::second;
    } else {
      body.at("id").fail("should be A or B, not \"", id, '"');
    }
    piece.type_id = static_cast<std::int32_t>(body.at("type_id").number());
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

[[nodiscard]] inline Template read_template_processing(const JsonView& view) {
  Template out{read_template(view.at("single")), read_template(view.at("pair")), {}};
  const JsonView specials = view.at("special_tokens");
  for (const auto& [name, body] : specials.members()) {
    const JsonView entry(body, specials.path() + '.' + name);
    Template::Special& special = out.specials[name];
    for (const JsonView& id : entry.at("ids").items()) {
      special.ids.push_back(static_cast<TokenId>(id.number()));
    }
    for (const JsonView& token : entry.at("tokens").items()) {
      special.tokens.push_back(token.string());
    }
  }
  return out;
}

/// ["[SEP]", 102], as the older BertProcessing and RobertaProcessing give their two tokens.
inline std::string read_fixed_special(const JsonView& view, Template& out) {
  const std::vector<JsonView> parts = view.items();
  if (parts.size() != 2) {
    view.fail("should be a token and its id");
  }
  const std::string& token = parts[0].string();
  out.specials[token] = {{static_cast<TokenId>(parts[1].number())}, {token}};
  return token;
}

/// Sets the pieces of `cls A sep`, and for a pair of BERT's `cls A sep B sep` (where B's type is 1)
/// or RoBERTa's `cls A sep sep B sep`.
inline void wrap_texts(Template& out, const std::string& cls, const std::string& sep, bool bert) {
  const auto special = [](const std::string& token, std::int32_t type_id) {
    return TemplatePiece{TemplatePiece::Kind::special, token, type_id};
  };
  const TemplatePiece first{TemplatePiece::Kind::first, "", 0};
  const TemplatePiece second{TemplatePiece::Kind::second, "", bert ? 1 : 0};
  out.single = {special(cls, 0), first, special(sep, 0)};
  out.pair = out.single;
  if (!bert) {
    out.pair.push_back(special(sep, 0));
  }
  out.pair.insert(out.pair.end(), {second, special(sep, second.type_id)});
}

inline void read_post_processor(const JsonView& view, PostProcessor& out) {
  const std::string& type = view.at("type").string();
  if (type == "Sequence") {
    for (const JsonView& step : view.at("processors").items()) {
      read_post_processor(step, out);
    }
    return;
  }
  if (out.special_tokens) {
    view.fail("only one processor may add special tokens, and as the last one");
  }
  if (type == "ByteLevel") {
    OffsetTrimming trimming;
    trimming.add_prefix_space = view.at("add_prefix_space").boolean();
    trimming.trim_offsets = view.at("trim_offsets").boolean();
    trimming.use_regex = view.boolean_or("use_regex", true);
    out.byte_level = trimming;
  } else if (type == "TemplateProcessing") {
    out.special_tokens = read_template_processing(view);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    const bool bert = type == "BertProcessing";
    Template made;
    const std::string cls = read_fixed_special(view.at("cls"), made);
    const std::string sep = read_fixed_special(view.at("sep"), made);
    wrap_texts(made, cls, sep, bert);
    if (!bert) {
      out.byte_level = OffsetTrimming{view.at("add_prefix_space").boolean(),
                                      view.at("trim_offsets").boolean(), true};
    }
    out.special_tokens = std::move(made);
  } else {
    view.at("type").fail("\"", type,
                         "\" is not supported; ByteLevel, TemplateProcessing, BertProcessing, "
                         "RobertaProcessing and Sequence are");
  }
}

[[nodiscard]] inline Decoder read_decoder(const JsonView& view) {
  Decoder out;
  const std::string& type = view.at("type").string();
  if (type == "ByteLevel") {
    out.kind = Decoder::Kind::byte_level;
  } else if (type == "WordPiece") {
    out.kind = Decoder::Kind::wordpiece;
    out.prefix = view.at("prefix").string();
    out.cleanup = view.at("cleanup").boolean();
  } else {
    view.at("type").fail("\"", type, "\" is not supported; ByteLevel and WordPiece are");
  }
  return out;
}

[[nodiscard]] inline Direction read_direction(const JsonView& view) {
  const auto direction = view.find("direction");
  if (!direction || direction->string() == "Right") {
    return Direction::right;
  }
  if (direction->string() != "Left") {
    direction->fail("should be Left or Right, not \"", direction->string(), '"');
  }
  return Direction::left;
}

[[nodiscard]] inline Truncation read_truncation(const JsonView& view) {
  Truncation out;
  out.direction = read_direction(view);
  out.max_length = static_cast<std::size_t>(view.at("max_length").number());
  out.stride = static_cast<std::size_t>(view.at("stride").number());
  const std::string& strategy = view.at("strategy").string();
  if (strategy == "OnlyFirst") {
    out.strategy = Truncation::Strategy::only_first;
  } else if (strategy == "OnlySecond") {
    out.strategy = Truncation::Strategy::only_second;
  } else if (strategy != "LongestFirst") {
    view.at("strategy").fail("\"", strategy, "\" is none of LongestFirst, OnlyFirst, OnlySecond");
  }
  return out;
}

[[nodiscard]] inline Padding read_padding(const JsonView& view) {
  // Above those of any model: what a few bytes of a file make of every text must not fill memory.
  constexpr std::int64_t max_length = 1 << 17;
  constexpr std::size_t max_bytes = std::size_t{1} << 24;
  Padding out;
  out.direction = read_direction(view);
  const JsonView strategy = view.at("strategy");
  if (strategy.value().is_object()) {
    out.length = static_cast<std::size_t>(strategy.at("Fixed").number(max_length));
  } else if (strategy.string() != "BatchLongest") {
    strategy.fail("\"", strategy.string(), "\" is neither BatchLongest nor {\"Fixed\": n}");
  }
  if (const auto multiple = view.find("pad_to_multiple_of")) {
    out.multiple_of = static_cast<std::size_t>(multiple->number(max_length));
  }
  out.pad_id = static_cast<TokenId>(view.at("pad_id").number());
  out.pad_type_id = static_cast<std::int32_t>(view.at("pad_type_id").number());
  out.pad_token = view.at("pad_token").string();
  const std::size_t longest = std::max(out.length.value_or(0), out.multiple_of);
  if (longest * out.pad_token.size() > max_bytes) {
    view.at("pad_token")
        .fail("has ", out.pad_token.size(), " bytes, too many to pad ", longest, " tokens with");
  }
  return out;
}

/// Sets what tokenizer_config.json names.
inline void override_parts(TokenizerParts& parts, const FolderConfig& config) {
  bool lowercase = false;
  BertNormalizer* bert = nullptr;
  for (NormalizerStep& step : parts.normalizer) {
    if (auto* const found = std::get_if<BertNormalizer>(&step)) {
      bert = found;
    } else {
      lowercase = lowercase || std::get<UnicodeNormalizer>(step) == UnicodeNormalizer::lowercase;
    }
  }
  if (bert != nullptr) {
    bert->lowercase = config.do_lower_case.value_or(bert->lowercase);
    bert->handle_chinese_chars = config.tokenize_chinese_chars.value_or(bert->handle_chinese_chars);
    if (config.strip_accents) {
      bert->strip_accents = config.strip_accents;
    }
  } else {
    LDLM_CHECK(config.do_lower_case.value_or(lowercase) == lowercase, "tokenizer",
               "do_lower_case is ", lowercase ? "false" : "true", ", but this file ",
               lowercase ? "lowercases" : "does not lowercase",
               " and has no BertNormalizer that could be changed");
  }
  if (config.add_prefix_space && parts.pre_tokenizer.kind == PreTokenizer::Kind::byte_level) {
    parts.pre_tokenizer.add_prefix_space = *config.add_prefix_space;
  }
}

/// An Error for a template or padding whose ids no piece has.
inline void check_ids(const Tokenizer& tokenizer, const JsonView& root) {
  const auto check = [&](TokenId id, const std::string& place) {
    LDLM_CHECK(
        tokenizer.model_vocabulary().contains(id) || tokenizer.added_tokens().tokens().contains(id),
        "tokenizer", root.path(), place, ": no piece has id ", id, "; the ids end before ",
        tokenizer.id_bound());
  };
  if (const auto& made = tokenizer.post_processor().special_tokens) {
    for (const auto& [name, special] : made->specials) {
      for (const TokenId id : special.ids) {
        check(id, ".post_processor: special token \"" + name + '"');
      }
    }
  }
  if (const auto& padding = tokenizer.padding()) {
    check(padding->pad_id, ".padding.pad_id");
  }
}

/// A tokenizer.json, where what `config` sets is changed; `only_listed`: without added tokens that
/// it does not list.
[[nodiscard]] inline Tokenizer read_tokenizer(const JsonView& root, const FolderConfig& config = {},
                                              bool only_listed = false) {
  TokenizerParts parts;
  if (const auto view = root.find("normalizer")) {
    read_normalizer(*view, parts.normalizer);
  }
  if (const auto view = root.find("pre_tokenizer")) {
    parts.pre_tokenizer = read_pre_tokenizer(*view);
  }
  if (const auto view = root.find("post_processor")) {
    read_post_processor(*view, parts.post_processor);
  }
  if (const auto view = root.find("decoder")) {
    parts.decoder = read_decoder(*view);
  }
  with_place(root.path(), [&] { override_parts(parts, config); });
  Tokenizer tokenizer = read_model(root.at("model"), std::move(parts));
  if (const auto added = root.find("added_tokens")) {
    for (const JsonView& entry : added->items()) {
      const auto id = static_cast<TokenId>(entry.at("id").number());
      AddedToken token = read_added_token(entry);
      if (only_listed && !config.added.contains(id)) {
        continue;
      }
      with_place(entry.path(), [&] { tokenizer.add_token(std::move(token), id); });
    }
  }
  if (const auto view = root.find("truncation")) {
    tokenizer.set_truncation(read_truncation(*view));
  }
  if (const auto view = root.find("padding")) {
    tokenizer.set_padding(read_padding(*view));
  }
  check_ids(tokenizer, root);
  return tokenizer;
}

}  // namespace ldlm::text::detail
