#pragma once
// Bodies of text/tokenizer.hpp: loading and saving, as Hugging Face's tokenizer.json, GPT-2's
// vocab.json + merges.txt, BERT's vocab.txt.

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/files/atomic_file.hpp>
#include <ldlm/files/folder_update.hpp>
#include <ldlm/text/impl/tokenizer_files.hpp>
#include <ldlm/text/impl/tokenizer_json_folder.hpp>
#include <ldlm/text/impl/tokenizer_reader.hpp>
#include <ldlm/text/impl/tokenizer_writer.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace ldlm {

LDLM_BODY Tokenizer Tokenizer::from_json(std::string_view json, const std::string& name) {
  return detail::read_tokenizer(detail::parse_document(json, name));
}

LDLM_BODY Tokenizer Tokenizer::from_file(const std::filesystem::path& tokenizer_json) {
  return from_json(detail::read_text_file(tokenizer_json), tokenizer_json.string());
}

LDLM_BODY Tokenizer Tokenizer::from_bpe_files(const std::filesystem::path& vocab_json,
                                              const std::filesystem::path& merges_txt) {
  return detail::read_bpe_files(detail::read_named(vocab_json), detail::read_named(merges_txt),
                                detail::ClassFamily::gpt2);
}

LDLM_BODY Tokenizer Tokenizer::from_wordpiece_file(const std::filesystem::path& vocab_txt,
                                                   const BertNormalizer& normalizer) {
  detail::FolderConfig config;
  config.do_lower_case = normalizer.lowercase;
  config.tokenize_chinese_chars = normalizer.handle_chinese_chars;
  config.strip_accents = normalizer.strip_accents;
  return detail::read_vocab_txt(detail::read_named(vocab_txt), config);
}

LDLM_BODY Tokenizer Tokenizer::from_folder(const std::filesystem::path& folder,
                                           const FolderOptions& options) {
  LDLM_CHECK_FILE(std::filesystem::is_directory(folder), "tokenizer", folder.string(),
                  ": no such folder");
  detail::FolderConfig config = detail::read_folder_config(folder);
  if (std::filesystem::exists(folder / "tokenizer.json")) {
    return detail::read_json_folder(folder, std::move(config), options.lowercase);
  }
  if (options.lowercase) {
    config.do_lower_case = options.lowercase;
  }
  return detail::read_vocabulary_folder(folder, config);
}

LDLM_BODY std::string Tokenizer::to_json() const {
  JsonValue added = JsonValue::array();
  for (const auto& [id, entry] : added_.tokens()) {
    added.push_back(JsonValue::object({{"id", id},
                                       {"content", entry.token.content},
                                       {"single_word", entry.token.single_word},
                                       {"lstrip", entry.token.lstrip},
                                       {"rstrip", entry.token.rstrip},
                                       {"normalized", entry.token.normalized},
                                       {"special", entry.token.special}}));
  }
  std::string out = "{\n  \"version\": \"1.0\"";
  const auto section = [&](const char* name, const JsonValue& value) {
    out += std::string(",\n  \"") + name + "\": " + to_string(value);
  };
  section("truncation", detail::write_truncation(truncation_));
  section("padding", detail::write_padding(padding_));
  section("added_tokens", added);
  section("normalizer", detail::write_normalizer(normalizer_.steps()));
  section("pre_tokenizer", detail::write_pre_tokenizer(pre_tokenizer_));
  section("post_processor", detail::write_post_processor(post_processor_));
  section("decoder", detail::write_decoder(decoder_));
  out += ",\n  \"model\": " + detail::write_model(model());
  return out + "\n}\n";
}

LDLM_BODY void Tokenizer::save(const std::filesystem::path& tokenizer_json) const {
  write_file(tokenizer_json, to_json());
}

LDLM_BODY void Tokenizer::save_pretrained(const std::filesystem::path& folder) const {
  FolderUpdate update(folder);
  save_pretrained(update);
  update.commit();
}
LDLM_BODY void Tokenizer::save_pretrained(FolderUpdate& update) const {
  JsonValue config = JsonValue::object({{"tokenizer_class", "PreTrainedTokenizerFast"}});
  const SpecialTokens& special = special_tokens();
  const std::array<std::optional<TokenId>, detail::special_token_keys.size()> ids{
      special.bos, special.eos, special.unk, special.sep, special.pad, special.cls, special.mask};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i]) {
      config.set(std::string(detail::special_token_keys[i]), std::string(id_to_token(*ids[i])));
    }
  }
  if (info_.model_max_length) {
    config.set("model_max_length", *info_.model_max_length);
  }
  if (info_.clean_up_spaces) {
    config.set("clean_up_tokenization_spaces", true);
  }
  for (const auto& [key, side] : {std::pair("padding_side", info_.padding_side),
                                  std::pair("truncation_side", info_.truncation_side)}) {
    if (side) {
      config.set(key, *side == TextDirection::left ? "left" : "right");
    }
  }
  for (const char* const file :
       {"vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json"}) {
    update.remove(file);
  }
  update.add("tokenizer.json", [this](const std::filesystem::path& path) { save(path); });
  update.add("tokenizer_config.json", [&config](const std::filesystem::path& path) {
    write_file(path, to_string(config) + "\n");
  });
}

}  // namespace ldlm
