#pragma once
// Reads the files that came before tokenizer.json: GPT-2's vocab.json + merges.txt, and BERT's
// vocab.txt.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/text/text_file.hpp>
#include <ldlm/text/tokenizer.hpp>
#include <ldlm/text/tokenizer_reader.hpp>

namespace ldlm::text::detail {

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
    LDLM_CHECK(valid == text.size(), "tokenizer", name, ": line ", number, ", byte ", valid,
               ": not valid UTF-8");
    line(text, number);
  }
}

/// tokenizer_config.json of a folder, if it is there.
[[nodiscard]] inline std::optional<JsonValue> read_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(path)) {
    return std::nullopt;
  }
  return parse_document(read_text_file(path), path.string());
}

/// A file's contents and its name for messages.
struct NamedText {
  std::string name;
  std::string contents;
};

[[nodiscard]] inline NamedText read_named(const std::filesystem::path& path) {
  return {path.string(), read_text_file(path)};
}

/// The tokenizer of GPT-2's pair of files.
[[nodiscard]] inline Tokenizer read_bpe_files(const NamedText& vocab_json,
                                              const NamedText& merges_txt) {
  const JsonValue document = parse_document(vocab_json.contents, vocab_json.name);
  Vocabulary vocabulary = read_vocabulary(JsonView(document, vocab_json.name));
  std::vector<Merge> merges;
  for_each_line(merges_txt.contents, merges_txt.name,
                [&](std::string_view line, std::size_t number) {
                  if (!line.starts_with("#version")) {
                    const std::string place = merges_txt.name + ": line " + std::to_string(number);
                    merges.push_back(find_merge(vocabulary, line, place));
                  }
                });
  TokenizerParts parts;
  parts.pre_tokenizer.kind = PreTokenizer::Kind::byte_level;
  parts.post_processor.byte_level = OffsetTrimming{true, false, true};
  parts.decoder.kind = Decoder::Kind::byte_level;
  Tokenizer tokenizer = with_place(merges_txt.name, [&] {
    return Tokenizer(BpeModel(std::move(vocabulary), std::move(merges), {}), std::move(parts));
  });
  if (tokenizer.token_to_id("<|endoftext|>")) {
    tokenizer.add_special_token("<|endoftext|>");
  }
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

/// The tokenizer of BERT's vocab.txt.
[[nodiscard]] inline Tokenizer read_vocab_txt(const NamedText& vocab_txt,
                                              const BertNormalizer& normalizer) {
  Vocabulary vocabulary;
  for_each_line(vocab_txt.contents, vocab_txt.name, [&](std::string_view line, std::size_t number) {
    with_place(vocab_txt.name + ": line " + std::to_string(number),
               [&] { vocabulary.add(trim_end(line), static_cast<TokenId>(number - 1)); });
  });
  TokenizerParts parts;
  parts.normalizer = {normalizer};
  parts.pre_tokenizer.kind = PreTokenizer::Kind::bert;
  parts.decoder.kind = Decoder::Kind::wordpiece;
  Tokenizer tokenizer = with_place(vocab_txt.name, [&] {
    return Tokenizer(WordPieceModel(std::move(vocabulary), {}), std::move(parts));
  });
  for (const char* token : {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"}) {
    if (tokenizer.token_to_id(token)) {
      tokenizer.add_special_token(token);
    }
  }
  if (tokenizer.token_to_id("[CLS]") && tokenizer.token_to_id("[SEP]")) {
    tokenizer.set_template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1");
  }
  return tokenizer;
}

}  // namespace ldlm::text::detail
