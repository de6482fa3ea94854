// Ids, offsets and decoded texts against Hugging Face's `tokenizers`; the fixtures are made by
// tools/make_tokenizer_fixtures.py.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/text/tokenizer.hpp>

#include "generated_texts.hpp"
#include "paths.hpp"
#include "text_support.hpp"

using Json = nlohmann::json;

namespace {

constexpr std::size_t text_count = 20'000;
constexpr std::size_t block = 500;

std::string golden_path(const std::string& name) {
  return ldlm_test::data_dir() + "/golden/tokenizers/" + name;
}
Json golden(const std::string& name) {
  return Json::parse(ldlm_test::read_file(golden_path(name)));
}

/// One of the tokenizers that the fixtures speak of; nothing if its vocabulary is not there.
std::optional<ldlm::Tokenizer> tokenizer_of(const std::string& name) {
  if (name == "bpe" || name == "wordpiece") {
    return ldlm::Tokenizer::from_file(golden_path(name + ".json"));
  }
  if (name == "wordpiece_uncased") {
    Json document = golden("wordpiece.json");
    document["normalizer"]["lowercase"] = true;
    return ldlm::Tokenizer::from_json(document.dump());
  }
  if (name == "gpt2") {
    const auto folder = ldlm_test::shared_data("tokenizers/gpt2");
    return folder ? std::optional(ldlm::Tokenizer::from_folder(*folder)) : std::nullopt;
  }
  const auto folder = ldlm_test::shared_data("tokenizers/bert-base-uncased");
  ldlm::FolderOptions options;
  options.lowercase = name == "bert_uncased";
  return folder ? std::optional(ldlm::Tokenizer::from_folder(*folder, options)) : std::nullopt;
}

/// Whether for_each_token gives the ids and the bytes of an encoding that is not padded or cut.
bool is_streamed(const ldlm::Tokenizer& tokenizer, std::string_view input,
                 const ldlm::Encoding& encoding, const ldlm::EncodeOptions& options = {}) {
  std::vector<ldlm::TokenId> ids;
  std::vector<ldlm::TextSpan> bytes;
  const auto keep = [&](ldlm::TokenId id, ldlm::TextSpan source) {
    ids.push_back(id);
    bytes.push_back(source);
  };
  tokenizer.for_each_token(input, keep, options);
  return ids == encoding.ids && bytes == encoding.byte_offsets;
}

/// Hashes of ids, offsets and decoded texts, as the fixtures have them.
class BlockHash {
 public:
  void add(const ldlm::Tokenizer& tokenizer, std::string_view input) {
    const ldlm::Encoding encoding = tokenizer.encode(input);
    for (const ldlm::TokenId id : encoding.ids) {
      ids_.add(static_cast<std::uint32_t>(id));
    }
    ids_.add(static_cast<std::uint32_t>(encoding.size()));
    for (const ldlm::TextSpan span : encoding.offsets) {
      offsets_.add(span.begin);
      offsets_.add(span.end);
    }
    decoded_.add(tokenizer.decode(encoding.ids));
    same_ids_ = same_ids_ && tokenizer.encode_ids(input) == encoding.ids &&
                is_streamed(tokenizer, input, encoding);
  }
  void check(const Json& expected) const {
    CHECK(ids_.hex() == expected[0]);
    CHECK(offsets_.hex() == expected[1]);
    CHECK(decoded_.hex() == expected[2]);
    CHECK(same_ids_);
  }

 private:
  ldlm_test::Fnv ids_, offsets_, decoded_;
  bool same_ids_ = true;
};

std::vector<std::string_view> split_lines(std::string_view contents) {
  std::vector<std::string_view> lines;
  for (std::size_t end = 0; end != std::string_view::npos;) {
    end = contents.find('\n');
    lines.push_back(contents.substr(0, end));
    contents.remove_prefix(end == std::string_view::npos ? contents.size() : end + 1);
  }
  return lines;
}

std::vector<std::uint32_t> flat(const std::vector<ldlm::TextSpan>& spans) {
  std::vector<std::uint32_t> out;
  for (const ldlm::TextSpan span : spans) {
    out.insert(out.end(), {span.begin, span.end});
  }
  return out;
}

/// A field of an expected encoding; left out where every entry is `value`.
std::vector<std::int32_t> field(const Json& expected, const char* name, std::int32_t value) {
  return expected.contains(name) ? expected[name].get<std::vector<std::int32_t>>()
                                 : std::vector<std::int32_t>(expected["ids"].size(), value);
}

void check_encoding(const ldlm::Encoding& encoding, const Json& expected) {
  CHECK(Json(encoding.ids) == expected["ids"]);
  CHECK(Json(encoding.tokens) == expected["tokens"]);
  CHECK(Json(flat(encoding.offsets)) == expected["offsets"]);
  CHECK(Json(encoding.word_ids) == expected["words"]);
  CHECK(encoding.type_ids == field(expected, "type_ids", 0));
  CHECK(encoding.special_tokens_mask == field(expected, "special_tokens_mask", 0));
  CHECK(encoding.attention_mask == field(expected, "attention_mask", 1));
  CHECK(encoding.byte_offsets.size() == encoding.size());
  const Json overflowing = expected.value("overflowing", Json::array());
  REQUIRE(encoding.overflowing.size() == overflowing.size());
  for (std::size_t i = 0; i < overflowing.size(); ++i) {
    check_encoding(encoding.overflowing[i], overflowing[i]);
  }
}

}  // namespace

TEST_CASE("20,000 generated texts, and whole files, give Hugging Face's ids, offsets and texts") {
  const Json parity = golden("parity.json");
  for (const auto& entry : parity.items()) {
    const std::string& name = entry.key();
    const std::optional<ldlm::Tokenizer> tokenizer = tokenizer_of(name);
    if (!tokenizer) {
      continue;
    }
    CAPTURE(name);
    const Json& expected = entry.value();
    for (std::size_t b = 0; b < text_count / block; ++b) {
      CAPTURE(b);
      BlockHash hash;
      for (std::size_t i = b * block; i < (b + 1) * block; ++i) {
        hash.add(*tokenizer, ldlm_test::generated_text(i));
      }
      hash.check(expected["generated"][b]);
    }
    BlockHash own;
    std::string contents = ldlm_test::read_file(golden_path("text.txt"));
    contents.pop_back();  // the last line end
    for (const std::string_view line : split_lines(contents)) {
      own.add(*tokenizer, line);
    }
    own.check(expected["text"]);
    if (!expected.contains("wiki_whole")) {
      continue;
    }
    if (const auto path = ldlm_test::shared_data("data/wikitext/wiki.test.raw")) {
      const std::string wiki = ldlm_test::read_file(*path);
      BlockHash lines, whole;
      for (const std::string_view line : split_lines(wiki)) {
        lines.add(*tokenizer, line);
      }
      whole.add(*tokenizer, wiki);
      lines.check(expected["wiki_lines"]);
      whole.check(expected["wiki_whole"]);
    }
  }
}

TEST_CASE("hard texts give Hugging Face's ids, offsets and texts") {
  const Json cases = golden("cases.json");
  CHECK(cases.size() >= 300);
  for (const char* name :
       {"bpe", "wordpiece", "wordpiece_uncased", "gpt2", "bert_uncased", "bert_cased"}) {
    const std::optional<ldlm::Tokenizer> tokenizer = tokenizer_of(name);
    if (!tokenizer) {
      continue;
    }
    CAPTURE(name);
    for (const Json& entry : cases) {
      std::string input = entry.value("text", "");
      const std::string hex = entry.value("hex", "");
      for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        input += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
      }
      CAPTURE(input);
      const Json& expected = entry[name];
      const ldlm::Encoding encoding = tokenizer->encode(input);
      CHECK(Json(encoding.ids) == expected["ids"]);
      CHECK(Json(flat(encoding.offsets)) == expected["offsets"]);
      CHECK(tokenizer->decode(encoding.ids) == expected["decoded"].get<std::string>());
    }
  }
}

TEST_CASE("added tokens, templates, truncation, padding and normalizers work as in Hugging Face") {
  const Json scenarios = golden("scenarios.json");
  CHECK(scenarios.size() >= 80);
  for (const Json& scenario : scenarios) {
    const std::string name = scenario["name"];
    const std::string base = scenario["base"];
    CAPTURE(name);
    CAPTURE(base);
    Json document = golden(base + ".json");
    for (const auto& section : scenario["sections"].items()) {
      document[section.key()] = section.value();
    }
    ldlm::Tokenizer tokenizer = ldlm::Tokenizer::from_json(document.dump());
    if (tokenizer.truncation()) {
      ldlm::Truncation truncation = *tokenizer.truncation();
      truncation.keep_overflow = true;
      tokenizer.set_truncation(truncation);
    }
    ldlm::EncodeOptions options;
    options.add_special_tokens = scenario["add_special_tokens"];
    for (const Json& result : scenario["results"]) {
      const Json& input = result["input"];
      const Json& expected = result["encodings"];
      std::vector<ldlm::Encoding> encodings;
      if (input.is_string()) {
        encodings.push_back(tokenizer.encode(input.get<std::string>(), options));
        ldlm::Tokenizer bare = tokenizer;
        bare.set_truncation(std::nullopt);
        bare.set_padding(std::nullopt);
        const ldlm::Encoding whole = bare.encode(input.get<std::string>(), options);
        CHECK(tokenizer.encode_ids(input.get<std::string>(), options) == whole.ids);
        CHECK(is_streamed(tokenizer, input.get<std::string>(), whole, options));
      } else if (expected.size() == 1 && input.size() == 2) {
        encodings.push_back(
            tokenizer.encode(input[0].get<std::string>(), input[1].get<std::string>(), options));
      } else {
        encodings = tokenizer.encode_batch(input.get<std::vector<std::string>>(), options);
      }
      CAPTURE(input.dump());
      REQUIRE(encodings.size() == expected.size());
      for (std::size_t i = 0; i < encodings.size(); ++i) {
        check_encoding(encodings[i], expected[i]);
        CHECK(tokenizer.decode(encodings[i].ids) == result["decoded"][i].get<std::string>());
        CHECK(tokenizer.decode(encodings[i].ids, false) ==
              result["decoded_all"][i].get<std::string>());
      }
    }
    // What we write means the same.
    const ldlm::Tokenizer again = ldlm::Tokenizer::from_json(tokenizer.to_json());
    CHECK(again.to_json() == tokenizer.to_json());
  }
}

TEST_CASE("what is saved is what Hugging Face's library would save") {
  const auto with_string_merges = [](Json document) {
    if (document["model"].contains("merges")) {
      for (Json& merge : document["model"]["merges"]) {
        if (merge.is_array()) {
          merge = merge[0].get<std::string>() + ' ' + merge[1].get<std::string>();
        }
      }
    }
    return document;
  };
  for (const std::string name : {"bpe", "wordpiece"}) {
    const Json original = with_string_merges(golden(name + ".json"));
    const auto tokenizer = ldlm::Tokenizer::from_file(golden_path(name + ".json"));
    CHECK(Json::parse(tokenizer.to_json()) == original);
  }
  for (const Json& scenario : golden("scenarios.json")) {
    CAPTURE(scenario["name"].get<std::string>());
    Json document = with_string_merges(golden(scenario["base"].get<std::string>() + ".json"));
    for (const auto& section : scenario["sections"].items()) {
      document[section.key()] = section.value();
    }
    Json saved = Json::parse(ldlm::Tokenizer::from_json(document.dump()).to_json());
    // The two older processors are written as the template that they stand for.
    const std::string type = document["post_processor"].value("type", "");
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      saved["post_processor"] = document["post_processor"];
    }
    CHECK(saved == document);
  }
}
