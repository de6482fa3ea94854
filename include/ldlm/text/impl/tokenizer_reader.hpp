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

#include <ldlm/json/reader.hpp>
#include <ldlm/text/impl/folder_config.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace ldlm::detail {

[[nodiscard]] inline const std::string& place_of(const std::string& place) {
  return place;
}
[[nodiscard]] inline std::string place_of(const JsonReader& value) {
  return value.place();
}

/// Runs `build`; if it throws, the message names `place`, text or a JsonReader, in place of the
/// operation.
template <class Place, class Build>
auto with_place(const Place& place, Build&& build) {
  try {
    return build();
  } catch (const Error& error) {
    detail::fail_as(ErrorCode::file, "tokenizer", place_of(place), ": ", error.reason());
  }
}

[[nodiscard]] inline Vocabulary read_vocabulary(const JsonReader& view) {
  Vocabulary vocabulary;
  for (const auto& member : view.members()) {
    const auto id = static_cast<TokenId>(member.value.count());
    with_place(member.value, [&] { vocabulary.add(member.key, id); });
  }
  return vocabulary;
}

/// The ids of one merge rule, given as "left right" or by its two parts.
[[nodiscard]] inline BpeMerge find_merge(const Vocabulary& vocabulary, std::string_view left,
                                         std::string_view right) {
  const BpeMerge merge{vocabulary.find(left), vocabulary.find(right)};
  LDLM_CHECK(merge.first >= 0, "tokenizer", '"', left, "\" is no piece");
  LDLM_CHECK(merge.second >= 0, "tokenizer", '"', right, "\" is no piece");
  return merge;
}
[[nodiscard]] inline BpeMerge find_merge(const Vocabulary& vocabulary, std::string_view line) {
  const std::size_t space = line.find(' ');
  LDLM_CHECK(space != std::string_view::npos && line.find(' ', space + 1) == std::string_view::npos,
             "tokenizer", '"', line, "\" is not two pieces with a space between");
  return find_merge(vocabulary, line.substr(0, space), line.substr(space + 1));
}

[[nodiscard]] inline BpeModel read_bpe(const JsonReader& view) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const auto affix = view.find(key); affix && !affix->string().empty()) {
      affix->fail("is not supported: byte-level BPE marks no word ends");
    }
  }
  if (const auto dropout = view.find("dropout");
      dropout && dropout->value().get_if<double>() != 0.0) {
    dropout->fail("is not supported");
  }
  if (view.get("byte_fallback", false)) {
    view.at("byte_fallback").fail("is not supported: a byte-level model covers every byte");
  }
  BpeModel::Options options;
  if (const auto unk = view.find("unk_token")) {
    options.unk_token = unk->string();
  }
  options.fuse_unk = view.get("fuse_unk", false);
  options.ignore_merges = view.get("ignore_merges", false);

  Vocabulary vocabulary = read_vocabulary(view.at("vocab"));
  std::vector<BpeMerge> merges;
  for (const JsonReader& rule : view.at("merges").items()) {
    if (rule.value().is_string()) {
      merges.push_back(with_place(rule, [&] { return find_merge(vocabulary, rule.string()); }));
      continue;
    }
    const std::vector<JsonReader> parts = rule.items();
    if (parts.size() != 2) {
      rule.fail("must be two pieces, got ", parts.size());
    }
    merges.push_back(with_place(
        rule, [&] { return find_merge(vocabulary, parts[0].string(), parts[1].string()); }));
  }
  return with_place(
      view, [&] { return BpeModel(std::move(vocabulary), std::move(merges), std::move(options)); });
}

[[nodiscard]] inline WordPieceModel read_wordpiece(const JsonReader& view) {
  WordPieceModel::Options options;
  options.unk_token = view.at("unk_token").string();
  options.continuing_subword_prefix = view.at("continuing_subword_prefix").string();
  options.max_input_chars_per_word =
      static_cast<std::size_t>(view.at("max_input_chars_per_word").count());
  Vocabulary vocabulary = read_vocabulary(view.at("vocab"));
  return with_place(view,
                    [&] { return WordPieceModel(std::move(vocabulary), std::move(options)); });
}

template <class AnyModel>
[[nodiscard]] Tokenizer make_tokenizer(AnyModel model, TokenizerParts parts,
                                       const JsonReader& reader) {
  return with_place(reader, [&] { return Tokenizer(std::move(model), std::move(parts)); });
}

/// The type of a model. Files from before the key existed are told apart by their merges.
[[nodiscard]] inline std::string model_type(const JsonReader& view) {
  const auto type = view.find("type");
  return type ? type->string() : view.find("merges") ? "BPE" : "WordPiece";
}

[[nodiscard]] inline Tokenizer read_model(const JsonReader& view, TokenizerParts parts) {
  const std::string name = model_type(view);
  if (name == "BPE") {
    return make_tokenizer(read_bpe(view), std::move(parts), view);
  }
  if (name == "WordPiece") {
    return make_tokenizer(read_wordpiece(view), std::move(parts), view);
  }
  const bool unigram = name == "Unigram";
  view.at("type").fail(
      "is \"", name,
      "\", which is not supported; BPE and WordPiece are, as GPT-2 and BERT have them",
      unigram ? " (this is a SentencePiece model, as T5, ALBERT and XLM-RoBERTa have)" : "");
}

inline void read_normalizer(const JsonReader& view, Normalizer& out) {
  const std::string& type = view.at("type").string();
  if (type == "Sequence") {
    for (const JsonReader& step : view.at("normalizers").items()) {
      read_normalizer(step, out);
    }
  } else if (type == "BertNormalizer") {
    BertNormalizer step;
    step.clean_text = view.at("clean_text").as<bool>();
    step.handle_chinese_chars = view.at("handle_chinese_chars").as<bool>();
    if (const auto strip = view.find("strip_accents")) {
      step.strip_accents = strip->as<bool>();
    }
    step.lowercase = view.at("lowercase").as<bool>();
    out.emplace_back(step);
  } else if (type == "NFC") {
    out.emplace_back(UnicodeNormalizer::nfc);
  } else if (type == "NFD") {
    out.emplace_back(UnicodeNormalizer::nfd);
  } else if (type == "Lowercase") {
    out.emplace_back(UnicodeNormalizer::lowercase);
  } else {
    view.at("type").fail(
        "is \"", type,
        "\", which is not supported; BertNormalizer, NFC, NFD, Lowercase and Sequence are");
  }
}

[[nodiscard]] inline PreTokenizer read_pre_tokenizer(const JsonReader& view) {
  PreTokenizer out;
  const std::string& type = view.at("type").string();
  if (type == "BertPreTokenizer") {
    out.kind = PreTokenizer::Kind::bert;
  } else if (type == "ByteLevel") {
    out.kind = PreTokenizer::Kind::byte_level;
    out.add_prefix_space = view.at("add_prefix_space").as<bool>();
    out.trim_offsets = view.at("trim_offsets").as<bool>();
    out.use_regex = view.get("use_regex", true);
  } else if (type == "Sequence" && view.at("pretokenizers").items().size() == 1) {
    return read_pre_tokenizer(view.at("pretokenizers").items()[0]);
  } else {
    view.at("type").fail("is \"", type,
                         "\", which is not supported; ByteLevel and BertPreTokenizer are");
  }
  return out;
}

[[nodiscard]] inline std::vector<TokenTemplatePiece> read_template(const JsonReader& view) {
  std::vector<TokenTemplatePiece> pieces;
  for (const JsonReader& item : view.items()) {
    TokenTemplatePiece piece;
    const auto special = item.find("SpecialToken");
    const JsonReader body = special ? *special : item.at("Sequence");
    const std::string& id = body.at("id").string();
    if (special) {
      piece.kind = TokenTemplatePiece::Kind::special;
      piece.token = id;
    } else if (id == "A" || id == "B") {
      piece.kind = id == "A" ? TokenTemplatePiece::Kind::first : TokenTemplatePiece::Kind::second;
    } else {
      body.at("id").fail("must be A or B, got \"", id, '"');
    }
    piece.type_id = static_cast<std::int32_t>(body.at("type_id").count());
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

[[nodiscard]] inline TokenTemplate read_template_processing(const JsonReader& view) {
  TokenTemplate out{read_template(view.at("single")), read_template(view.at("pair")), {}};
  const JsonReader specials = view.at("special_tokens");
  for (const auto& [name, entry] : specials.members()) {
    TokenTemplate::Special& special = out.specials[name];
    for (const JsonReader& id : entry.at("ids").items()) {
      special.ids.push_back(static_cast<TokenId>(id.count()));
    }
    for (const JsonReader& token : entry.at("tokens").items()) {
      special.tokens.push_back(token.string());
    }
  }
  return out;
}

/// ["[SEP]", 102], as the older BertProcessing and RobertaProcessing give their two tokens.
inline std::string read_fixed_special(const JsonReader& view, TokenTemplate& out) {
  const std::vector<JsonReader> parts = view.items();
  if (parts.size() != 2) {
    view.fail("must be a token and its id");
  }
  const std::string& token = parts[0].string();
  out.specials[token] = {{static_cast<TokenId>(parts[1].count())}, {token}};
  return token;
}

/// Sets the pieces of `cls A sep`, and for a pair of BERT's `cls A sep B sep` (where B's type is 1)
/// or RoBERTa's `cls A sep sep B sep`.
inline void wrap_texts(TokenTemplate& out, const std::string& cls, const std::string& sep,
                       bool bert) {
  const auto special = [](const std::string& token, std::int32_t type_id) {
    return TokenTemplatePiece{TokenTemplatePiece::Kind::special, token, type_id};
  };
  const TokenTemplatePiece first{TokenTemplatePiece::Kind::first, "", 0};
  const TokenTemplatePiece second{TokenTemplatePiece::Kind::second, "", bert ? 1 : 0};
  out.single = {special(cls, 0), first, special(sep, 0)};
  out.pair = out.single;
  if (!bert) {
    out.pair.push_back(special(sep, 0));
  }
  out.pair.insert(out.pair.end(), {second, special(sep, second.type_id)});
}

inline void read_post_processor(const JsonReader& view, PostProcessor& out) {
  const std::string& type = view.at("type").string();
  if (type == "Sequence") {
    for (const JsonReader& step : view.at("processors").items()) {
      read_post_processor(step, out);
    }
    return;
  }
  if (out.special_tokens) {
    view.fail("only one processor may add special tokens, and as the last one");
  }
  if (type == "ByteLevel") {
    OffsetTrimming trimming;
    trimming.add_prefix_space = view.at("add_prefix_space").as<bool>();
    trimming.trim_offsets = view.at("trim_offsets").as<bool>();
    trimming.use_regex = view.get("use_regex", true);
    out.byte_level = trimming;
  } else if (type == "TemplateProcessing") {
    out.special_tokens = read_template_processing(view);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    const bool bert = type == "BertProcessing";
    TokenTemplate made;
    const std::string cls = read_fixed_special(view.at("cls"), made);
    const std::string sep = read_fixed_special(view.at("sep"), made);
    wrap_texts(made, cls, sep, bert);
    if (!bert) {
      out.byte_level = OffsetTrimming{view.at("add_prefix_space").as<bool>(),
                                      view.at("trim_offsets").as<bool>(), true};
    }
    out.special_tokens = std::move(made);
  } else {
    view.at("type").fail(
        "is \"", type,
        "\", which is not supported; ByteLevel, TemplateProcessing, BertProcessing, "
        "RobertaProcessing and Sequence are");
  }
}

[[nodiscard]] inline TokenDecoder read_decoder(const JsonReader& view) {
  TokenDecoder out;
  const std::string& type = view.at("type").string();
  if (type == "ByteLevel") {
    out.kind = TokenDecoder::Kind::byte_level;
  } else if (type == "WordPiece") {
    out.kind = TokenDecoder::Kind::wordpiece;
    out.prefix = view.at("prefix").string();
    out.cleanup = view.at("cleanup").as<bool>();
  } else {
    view.at("type").fail("is \"", type, "\", which is not supported; ByteLevel and WordPiece are");
  }
  return out;
}

[[nodiscard]] inline TextDirection read_direction(const JsonReader& view) {
  const auto direction = view.find("direction");
  if (!direction || direction->string() == "Right") {
    return TextDirection::right;
  }
  if (direction->string() != "Left") {
    direction->fail("must be Left or Right, got \"", direction->string(), '"');
  }
  return TextDirection::left;
}

[[nodiscard]] inline Truncation read_truncation(const JsonReader& view) {
  Truncation out;
  out.direction = read_direction(view);
  out.max_length = static_cast<std::size_t>(view.at("max_length").count());
  out.stride = static_cast<std::size_t>(view.at("stride").count());
  const std::string& strategy = view.at("strategy").string();
  if (strategy == "OnlyFirst") {
    out.strategy = Truncation::Strategy::only_first;
  } else if (strategy == "OnlySecond") {
    out.strategy = Truncation::Strategy::only_second;
  } else if (strategy != "LongestFirst") {
    view.at("strategy").fail("is \"", strategy, "\", none of LongestFirst, OnlyFirst, OnlySecond");
  }
  return out;
}

[[nodiscard]] inline Padding read_padding(const JsonReader& view) {
  // Above those of any model: what a few bytes of a file make of every text must not fill memory.
  constexpr std::int64_t max_length = 1 << 17;
  constexpr std::size_t max_bytes = std::size_t{1} << 24;
  Padding out;
  out.direction = read_direction(view);
  const JsonReader strategy = view.at("strategy");
  if (strategy.value().is_object()) {
    out.length = static_cast<std::size_t>(strategy.at("Fixed").count(max_length));
  } else if (strategy.string() != "BatchLongest") {
    strategy.fail("is \"", strategy.string(), "\", neither BatchLongest nor {\"Fixed\": n}");
  }
  if (const auto multiple = view.find("pad_to_multiple_of")) {
    out.multiple_of = static_cast<std::size_t>(multiple->count(max_length));
  }
  out.pad_id = static_cast<TokenId>(view.at("pad_id").count());
  out.pad_type_id = static_cast<std::int32_t>(view.at("pad_type_id").count());
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
inline void check_ids(const Tokenizer& tokenizer, const JsonReader& root) {
  const auto has = [&](TokenId id) {
    return tokenizer.model_vocabulary().contains(id) ||
           tokenizer.added_tokens().tokens().contains(id);
  };
  if (const auto& made = tokenizer.post_processor().special_tokens) {
    for (const auto& [name, special] : made->specials) {
      for (const TokenId id : special.ids) {
        root.check(has(id), "post_processor", "has the special token \"", name, "\" of id ", id,
                   ", which no piece has; the ids end before ", tokenizer.id_bound());
      }
    }
  }
  if (const auto& padding = tokenizer.padding()) {
    root.at("padding").check(has(padding->pad_id), "pad_id", "is ", padding->pad_id,
                             ", which no piece has; the ids end before ", tokenizer.id_bound());
  }
}

/// A tokenizer.json, where what `config` sets is changed; `only_listed`: without added tokens that
/// it does not list.
[[nodiscard]] inline Tokenizer read_tokenizer(const JsonReader& root,
                                              const FolderConfig& config = {},
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
  with_place(root, [&] { override_parts(parts, config); });
  Tokenizer tokenizer = read_model(root.at("model"), std::move(parts));
  if (const auto added = root.find("added_tokens")) {
    for (const JsonReader& entry : added->items()) {
      const auto id = static_cast<TokenId>(entry.at("id").count());
      AddedToken token = read_added_token(entry);
      if (only_listed && !config.added.contains(id)) {
        continue;
      }
      with_place(entry, [&] { tokenizer.add_token(std::move(token), id); });
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

}  // namespace ldlm::detail
