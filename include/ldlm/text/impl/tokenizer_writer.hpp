#pragma once
// Writes the sections of a tokenizer.json, in the order and form of Hugging Face's library.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <ldlm/core/enumeration.hpp>
#include <ldlm/json/quote.hpp>
#include <ldlm/json/value.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace ldlm::detail {

[[nodiscard]] inline JsonValue write_normalizer(const NormalizerStep& step) {
  if (const auto* bert = std::get_if<BertNormalizer>(&step)) {
    const auto strip = bert->strip_accents;
    return JsonValue::object({{"type", "BertNormalizer"},
                              {"clean_text", bert->clean_text},
                              {"handle_chinese_chars", bert->handle_chinese_chars},
                              {"strip_accents", strip ? JsonValue(*strip) : JsonValue()},
                              {"lowercase", bert->lowercase}});
  }
  switch (std::get<UnicodeNormalizer>(step)) {
    case UnicodeNormalizer::nfc:
      return JsonValue::object({{"type", "NFC"}});
    case UnicodeNormalizer::nfd:
      return JsonValue::object({{"type", "NFD"}});
    case UnicodeNormalizer::lowercase:
      break;
  }
  return JsonValue::object({{"type", "Lowercase"}});
}

[[nodiscard]] inline JsonValue write_normalizer(const Normalizer& steps) {
  if (steps.empty()) {
    return nullptr;
  }
  if (steps.size() == 1) {
    return write_normalizer(steps[0]);
  }
  JsonValue list = JsonValue::array();
  for (const NormalizerStep& step : steps) {
    list.push_back(write_normalizer(step));
  }
  return JsonValue::object({{"type", "Sequence"}, {"normalizers", std::move(list)}});
}

[[nodiscard]] inline JsonValue write_byte_level(bool add_prefix_space, bool trim_offsets,
                                                bool use_regex) {
  return JsonValue::object({{"type", "ByteLevel"},
                            {"add_prefix_space", add_prefix_space},
                            {"trim_offsets", trim_offsets},
                            {"use_regex", use_regex}});
}

[[nodiscard]] inline JsonValue write_pre_tokenizer(const PreTokenizer& from) {
  switch (from.kind) {
    case PreTokenizer::Kind::bert:
      return JsonValue::object({{"type", "BertPreTokenizer"}});
    case PreTokenizer::Kind::byte_level:
      return write_byte_level(from.add_prefix_space, from.trim_offsets, from.use_regex);
    case PreTokenizer::Kind::none:
      break;
  }
  return nullptr;
}

[[nodiscard]] inline JsonValue write_template(const TokenTemplate& from) {
  const auto pieces = [](const std::vector<TokenTemplatePiece>& list) {
    JsonValue out = JsonValue::array();
    for (const TokenTemplatePiece& piece : list) {
      const bool special = piece.kind == TokenTemplatePiece::Kind::special;
      const std::string id = special                                         ? piece.token
                             : piece.kind == TokenTemplatePiece::Kind::first ? "A"
                                                                             : "B";
      out.push_back(
          JsonValue::object({{special ? "SpecialToken" : "Sequence",
                              JsonValue::object({{"id", id}, {"type_id", piece.type_id}})}}));
    }
    return out;
  };
  JsonValue::Object specials;
  for (const auto& [name, special] : from.specials) {
    specials.emplace_back(
        name, JsonValue::object({{"id", name}, {"ids", special.ids}, {"tokens", special.tokens}}));
  }
  return JsonValue::object({{"type", "TemplateProcessing"},
                            {"single", pieces(from.single)},
                            {"pair", pieces(from.pair)},
                            {"special_tokens", JsonValue::object(std::move(specials))}});
}

[[nodiscard]] inline JsonValue write_post_processor(const PostProcessor& from) {
  JsonValue list = JsonValue::array();
  if (from.byte_level) {
    list.push_back(write_byte_level(from.byte_level->add_prefix_space,
                                    from.byte_level->trim_offsets, from.byte_level->use_regex));
  }
  if (from.special_tokens) {
    list.push_back(write_template(*from.special_tokens));
  }
  if (list.items().empty()) {
    return nullptr;
  }
  if (list.items().size() == 1) {
    return list.items()[0];
  }
  return JsonValue::object({{"type", "Sequence"}, {"processors", std::move(list)}});
}

[[nodiscard]] inline JsonValue write_decoder(const TokenDecoder& from) {
  switch (from.kind) {
    case TokenDecoder::Kind::byte_level:
      return write_byte_level(true, true, true);
    case TokenDecoder::Kind::wordpiece:
      return JsonValue::object(
          {{"type", "WordPiece"}, {"prefix", from.prefix}, {"cleanup", from.cleanup}});
    case TokenDecoder::Kind::join:
      break;
  }
  return nullptr;
}

[[nodiscard]] inline JsonValue write_truncation(const std::optional<Truncation>& from) {
  if (!from) {
    return nullptr;
  }
  constexpr std::string_view strategies[] = {"LongestFirst", "OnlyFirst", "OnlySecond"};
  return JsonValue::object(
      {{"direction", from->direction == TextDirection::right ? "Right" : "Left"},
       {"max_length", from->max_length},
       {"strategy", std::string(detail::name_in(strategies, from->strategy))},
       {"stride", from->stride}});
}

[[nodiscard]] inline JsonValue write_padding(const std::optional<Padding>& from) {
  if (!from) {
    return nullptr;
  }
  return JsonValue::object(
      {{"strategy",
        from->length ? JsonValue::object({{"Fixed", *from->length}}) : JsonValue("BatchLongest")},
       {"direction", from->direction == TextDirection::right ? "Right" : "Left"},
       {"pad_to_multiple_of", from->multiple_of > 0 ? JsonValue(from->multiple_of) : JsonValue()},
       {"pad_id", from->pad_id},
       {"pad_type_id", from->pad_type_id},
       {"pad_token", from->pad_token}});
}

/// The model's object, one piece or merge a line. Not from a tree: it would hold the vocabulary
/// twice.
[[nodiscard]] inline std::string write_model(const TokenizerModel& model) {
  std::string out = "{\n    ";
  const auto field = [&](const char* name, const JsonValue& value) {
    out += std::string("\"") + name + "\": " + to_string(value) + ",\n    ";
  };
  const auto optional_string = [](const std::optional<std::string>& text) {
    return text ? JsonValue(*text) : JsonValue();
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
      out += "\n      ";
      detail::append_json_string(out, vocabulary->token(id));
      out += ": " + std::to_string(id);
      comma = ",";
    }
  }
  out += "\n    }";
  if (const auto* bpe = std::get_if<BpeModel>(&model)) {
    out += ",\n    \"merges\": [";
    comma = "";
    for (const auto& [left, right] : bpe->merges()) {
      out += comma;
      out += "\n      ";
      detail::append_json_string(out, vocabulary->token(left) + ' ' + vocabulary->token(right));
      comma = ",";
    }
    out += "\n    ]";
  }
  return out + "\n  }";
}

}  // namespace ldlm::detail
