#pragma once
// Writes the sections of a tokenizer.json, in the order and form of Hugging Face's library.

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <ldlm/text/json.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace ldlm::text::detail {

using OrderedJson = nlohmann::ordered_json;

[[nodiscard]] inline OrderedJson write_normalizer(const NormalizerStep& step) {
  if (const auto* bert = std::get_if<BertNormalizer>(&step)) {
    OrderedJson out{{"type", "BertNormalizer"},
                    {"clean_text", bert->clean_text},
                    {"handle_chinese_chars", bert->handle_chinese_chars},
                    {"strip_accents", nullptr},
                    {"lowercase", bert->lowercase}};
    if (bert->strip_accents) {
      out["strip_accents"] = *bert->strip_accents;
    }
    return out;
  }
  switch (std::get<UnicodeNormalizer>(step)) {
    case UnicodeNormalizer::nfc:
      return {{"type", "NFC"}};
    case UnicodeNormalizer::nfd:
      return {{"type", "NFD"}};
    case UnicodeNormalizer::lowercase:
      break;
  }
  return {{"type", "Lowercase"}};
}

[[nodiscard]] inline OrderedJson write_normalizer(const Normalizer& steps) {
  if (steps.empty()) {
    return nullptr;
  }
  if (steps.size() == 1) {
    return write_normalizer(steps[0]);
  }
  OrderedJson list = OrderedJson::array();
  for (const NormalizerStep& step : steps) {
    list.push_back(write_normalizer(step));
  }
  return {{"type", "Sequence"}, {"normalizers", std::move(list)}};
}

[[nodiscard]] inline OrderedJson write_byte_level(bool add_prefix_space, bool trim_offsets,
                                                  bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", trim_offsets},
          {"use_regex", use_regex}};
}

[[nodiscard]] inline OrderedJson write_pre_tokenizer(const PreTokenizer& from) {
  switch (from.kind) {
    case PreTokenizer::Kind::bert:
      return {{"type", "BertPreTokenizer"}};
    case PreTokenizer::Kind::byte_level:
      return write_byte_level(from.add_prefix_space, from.trim_offsets, from.use_regex);
    case PreTokenizer::Kind::none:
      break;
  }
  return nullptr;
}

[[nodiscard]] inline OrderedJson write_template(const Template& from) {
  const auto pieces = [](const std::vector<TemplatePiece>& list) {
    OrderedJson out = OrderedJson::array();
    for (const TemplatePiece& piece : list) {
      const bool special = piece.kind == TemplatePiece::Kind::special;
      const std::string id = special                                    ? piece.token
                             : piece.kind == TemplatePiece::Kind::first ? "A"
                                                                        : "B";
      OrderedJson body{{"id", id}, {"type_id", piece.type_id}};
      OrderedJson entry = OrderedJson::object();
      entry[special ? "SpecialToken" : "Sequence"] = std::move(body);
      out.push_back(std::move(entry));
    }
    return out;
  };
  OrderedJson specials = OrderedJson::object();
  for (const auto& [name, special] : from.specials) {
    specials[name] = OrderedJson{{"id", name}, {"ids", special.ids}, {"tokens", special.tokens}};
  }
  OrderedJson out = OrderedJson::object();
  out["type"] = "TemplateProcessing";
  out["single"] = pieces(from.single);
  out["pair"] = pieces(from.pair);
  out["special_tokens"] = std::move(specials);
  return out;
}

[[nodiscard]] inline OrderedJson write_post_processor(const PostProcessor& from) {
  OrderedJson list = OrderedJson::array();
  if (from.byte_level) {
    list.push_back(write_byte_level(from.byte_level->add_prefix_space,
                                    from.byte_level->trim_offsets, from.byte_level->use_regex));
  }
  if (from.special_tokens) {
    list.push_back(write_template(*from.special_tokens));
  }
  if (list.empty()) {
    return nullptr;
  }
  if (list.size() == 1) {
    return list[0];
  }
  OrderedJson out = OrderedJson::object();
  out["type"] = "Sequence";
  out["processors"] = std::move(list);
  return out;
}

[[nodiscard]] inline OrderedJson write_decoder(const Decoder& from) {
  switch (from.kind) {
    case Decoder::Kind::byte_level:
      return write_byte_level(true, true, true);
    case Decoder::Kind::wordpiece:
      return {{"type", "WordPiece"}, {"prefix", from.prefix}, {"cleanup", from.cleanup}};
    case Decoder::Kind::join:
      break;
  }
  return nullptr;
}

[[nodiscard]] inline OrderedJson write_truncation(const std::optional<Truncation>& from) {
  if (!from) {
    return nullptr;
  }
  const char* const strategies[] = {"LongestFirst", "OnlyFirst", "OnlySecond"};
  return {{"direction", from->direction == Direction::right ? "Right" : "Left"},
          {"max_length", from->max_length},
          {"strategy", strategies[static_cast<std::size_t>(from->strategy)]},
          {"stride", from->stride}};
}

[[nodiscard]] inline OrderedJson write_padding(const std::optional<Padding>& from) {
  if (!from) {
    return nullptr;
  }
  OrderedJson out = OrderedJson::object();
  if (from->length) {
    out["strategy"]["Fixed"] = *from->length;
  } else {
    out["strategy"] = "BatchLongest";
  }
  out["direction"] = from->direction == Direction::right ? "Right" : "Left";
  out["pad_to_multiple_of"] = nullptr;
  if (from->multiple_of > 0) {
    out["pad_to_multiple_of"] = from->multiple_of;
  }
  out["pad_id"] = from->pad_id;
  out["pad_type_id"] = from->pad_type_id;
  out["pad_token"] = from->pad_token;
  return out;
}

[[nodiscard]] inline std::string json_quoted(std::string_view text) {
  return Json(text).dump();
}

/// The model's object, written by hand: an ordered document would take quadratic time.
[[nodiscard]] inline std::string write_model(const Model& model) {
  std::string out = "{\n    ";
  const auto field = [&](const char* name, const OrderedJson& value) {
    out += json_quoted(name) + ": " + value.dump() + ",\n    ";
  };
  const auto optional_string = [](const std::optional<std::string>& text) {
    return text ? OrderedJson(*text) : OrderedJson(nullptr);
  };
  const Vocabulary* vocabulary = nullptr;
  if (const auto* bpe = std::get_if<BpeModel>(&model)) {
    vocabulary = &bpe->vocabulary();
    field("type", "BPE");
    field("dropout", nullptr);
    field("unk_token", optional_string(bpe->options().unk_token));
    field("continuing_subword_prefix", nullptr);
    field("end_of_word_suffix", nullptr);
    field("fuse_unk", bpe->options().fuse_unk);
    field("byte_fallback", false);
    field("ignore_merges", bpe->options().ignore_merges);
  } else {
    const auto& wordpiece = std::get<WordPieceModel>(model);
    vocabulary = &wordpiece.vocabulary();
    field("type", "WordPiece");
    field("unk_token", wordpiece.options().unk_token);
    field("continuing_subword_prefix", wordpiece.options().continuing_subword_prefix);
    field("max_input_chars_per_word", wordpiece.options().max_input_chars_per_word);
  }
  out += "\"vocab\": {";
  const char* comma = "";
  for (std::size_t i = 0; i < vocabulary->id_bound(); ++i) {
    if (const auto id = static_cast<TokenId>(i); vocabulary->contains(id)) {
      out += comma;
      out += "\n      " + json_quoted(vocabulary->token(id)) + ": " + std::to_string(id);
      comma = ",";
    }
  }
  out += "\n    }";
  if (const auto* bpe = std::get_if<BpeModel>(&model)) {
    out += ",\n    \"merges\": [";
    comma = "";
    for (const auto& [left, right] : bpe->merges()) {
      out += comma;
      out += "\n      " + json_quoted(vocabulary->token(left) + ' ' + vocabulary->token(right));
      comma = ",";
    }
    out += "\n    ]";
  }
  return out + "\n  }";
}

/// Writes a file beside `path` and renames it, so that a reader never sees half of it.
inline void write_text_file(const std::filesystem::path& path, std::string_view contents) {
  std::filesystem::path part = path;
  part += ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  LDLM_CHECK(file, "save", part.string(), ": cannot be opened for writing");
  file.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  file.close();
  std::error_code error;
  if (!file) {
    std::filesystem::remove(part, error);
    ::ldlm::detail::fail("save", path.string(), ": cannot be written: no space left?");
  }
  std::filesystem::rename(part, path, error);
  if (error) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    ::ldlm::detail::fail("save", path.string(), ": ", error.message());
  }
}

}  // namespace ldlm::text::detail
