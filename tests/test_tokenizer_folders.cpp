// Folders of tokenizer files against AutoTokenizer of transformers, and odd vocabularies against
// `tokenizers` (tools/make_tokenizer_folder_fixtures.py).

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include <ldlm/text/batch.hpp>
#include <ldlm/text/tokenizer.hpp>

#include "generated_texts.hpp"
#include "paths.hpp"
#include "text_support.hpp"

using ldlm::Tokenizer;
using ldlm_test::message_of;
using ldlm_test::TemporaryFolder;
using Ids = std::vector<ldlm::TokenId>;
using Json = nlohmann::json;

namespace {

const std::string tokenizers_folder = ldlm_test::data_dir() + "/golden/tokenizers/";

const Json& fixtures() {
  static const Json json = Json::parse(ldlm_test::read_file(tokenizers_folder + "folders.json"));
  return json;
}

void write_files(const TemporaryFolder& folder, const Json& files) {
  for (const auto& [name, contents] : files.items()) {
    folder.write(name, contents.is_string() ? contents.get<std::string>() : contents.dump());
  }
}

/// Writes one of the fixtures' vocabularies and a tokenizer_config.json.
void write_folder(const TemporaryFolder& folder, const std::string& kind, const Json& config) {
  write_files(folder, fixtures()["vocabularies"][kind]);
  folder.write("tokenizer_config.json", config.dump());
}

std::string load_error(const TemporaryFolder& folder) {
  return message_of([&] { (void)Tokenizer::from_folder(folder.path()); });
}

std::vector<std::optional<ldlm::TokenId>> as_list(const ldlm::SpecialTokens& s) {
  return {s.bos, s.eos, s.unk, s.sep, s.pad, s.cls, s.mask};
}

std::optional<std::int64_t> optional_number(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional<std::int64_t>(json.get<std::int64_t>());
}

/// Compares a folder's tokenizer with what transformers gave for the folder.
void check_tokenizer(Tokenizer tokenizer, const Json& wanted) {
  const auto special = as_list(tokenizer.special_tokens());
  for (std::size_t i = 0; i < special.size(); ++i) {
    CAPTURE(i);
    CHECK(special[i] == optional_number(wanted["special"][i]));
  }
  CHECK(tokenizer.model_max_length() == optional_number(wanted["model_max_length"]));
  CHECK(tokenizer.vocab_size() == wanted["size"].get<std::size_t>());
  const auto& info = tokenizer.info();
  const ldlm::TextDirection side = info.padding_side.value_or(
      tokenizer.padding() ? tokenizer.padding()->direction : ldlm::TextDirection::right);
  CHECK(side ==
        (wanted["side"] == "left" ? ldlm::TextDirection::left : ldlm::TextDirection::right));
  tokenizer.set_padding(std::nullopt);  // a call of transformers takes neither from the file
  tokenizer.set_truncation(std::nullopt);
  for (std::size_t i = 0; i < fixtures()["texts"].size(); ++i) {
    const auto input = fixtures()["texts"][i].get<std::string>();
    const Json& output = wanted["outputs"][i];
    CAPTURE(input);
    const Ids ids = tokenizer.encode_ids(input);
    CHECK(ids == output["ids"].get<Ids>());
    CHECK(tokenizer.encode(input).ids == ids);
    const auto pair = tokenizer.encode(input, fixtures()["pair"].get<std::string>());
    CHECK(pair.ids == output["pair"].get<Ids>());
    CHECK(pair.type_ids == output["types"].get<std::vector<std::int32_t>>());
    CHECK(tokenizer.decode(ids) == output["text"].get<std::string>());
  }
}

}  // namespace

TEST_CASE("folders give the ids, special tokens and limits that transformers gives for them") {
  CHECK(fixtures()["folders"].size() > 30);
  for (const auto& item : fixtures()["folders"].items()) {
    const std::string name = item.key();  // (clang captures no structured bindings)
    const Json& wanted = item.value();
    CAPTURE(name);
    TemporaryFolder folder;
    const auto shared = fixtures()["vocabularies"].find(wanted["kind"].get<std::string>());
    if (shared != fixtures()["vocabularies"].end()) {
      write_files(folder, *shared);
    }
    write_files(folder, wanted["files"]);
    const Tokenizer tokenizer = Tokenizer::from_folder(folder.path());
    check_tokenizer(tokenizer, wanted);
    // What it saves is the same tokenizer, whatever lay in the folder before.
    tokenizer.save_pretrained(folder.path());
    check_tokenizer(Tokenizer::from_folder(folder.path()), wanted);
  }
}

TEST_CASE("published folders, untouched, give what a call of transformers gives") {
  const char* const minilm = std::getenv("LDLM_MINILM_DIR");
  for (const auto& item : fixtures()["published"].items()) {
    const std::string name = item.key();  // (clang captures no structured bindings)
    const Json& wanted = item.value();
    CAPTURE(name);
    std::optional<std::filesystem::path> folder;
    if (name != "all-MiniLM-L6-v2") {
      folder = ldlm_test::shared_data("tokenizers/" + name);
    } else if (minilm != nullptr) {
      folder = minilm;
    } else {
      MESSAGE("skipped: LDLM_MINILM_DIR names no folder; see tools/setup_minilm.py");
    }
    if (!folder) {
      continue;
    }
    const Tokenizer tokenizer = Tokenizer::from_folder(*folder);
    const auto special = as_list(tokenizer.special_tokens());
    for (std::size_t i = 0; i < special.size(); ++i) {
      CHECK(special[i] == optional_number(wanted["special"][i]));
    }
    CHECK(tokenizer.vocab_size() == wanted["size"].get<std::size_t>());
    CHECK(tokenizer.model_max_length() == optional_number(wanted["model_max_length"]));
    ldlm_test::Fnv hash;
    for (std::uint64_t i = 0; i < fixtures()["published_texts"].get<std::uint64_t>(); ++i) {
      const Ids ids = tokenizer.encode_ids(ldlm_test::generated_text(i));
      for (const ldlm::TokenId id : ids) {
        hash.add(static_cast<std::uint32_t>(id));
      }
      hash.add(static_cast<std::uint32_t>(ids.size()));
    }
    CHECK(hash.hex() == wanted["hash"].get<std::string>());
  }
}

TEST_CASE("odd vocabularies load, and give what tokenizers gives") {
  CHECK(fixtures()["odd"].size() == 9);
  for (const auto& item : fixtures()["odd"].items()) {
    const std::string name = item.key();  // (clang captures no structured bindings)
    const Json& wanted = item.value();
    CAPTURE(name);
    const std::filesystem::path path = tokenizers_folder + "odd/" + name;
    const Tokenizer tokenizer = std::filesystem::is_directory(path) ? Tokenizer::from_folder(path)
                                                                    : Tokenizer::from_file(path);
    CHECK(tokenizer.vocab_size() == wanted["size"].get<std::size_t>());
    for (std::size_t i = 0; i < fixtures()["odd_texts"].size(); ++i) {
      const auto input = fixtures()["odd_texts"][i].get<std::string>();
      CAPTURE(input);
      const Json& ids = wanted["ids"][i];
      if (ids.is_null()) {  // a piece is needed that there is not
        CHECK(message_of([&] { (void)tokenizer.encode(input); }).find("\"<unk>\"") !=
              std::string::npos);
        CHECK_THROWS_AS((void)tokenizer.encode_ids(input), ldlm::Error);
        continue;
      }
      CHECK(tokenizer.encode_ids(input) == ids.get<Ids>());
      CHECK(tokenizer.encode(input).ids == ids.get<Ids>());
      CHECK(tokenizer.encode_ids(input) == ids.get<Ids>());  // now from the cache
    }
  }
}

TEST_CASE("a vocabulary is saved and loaded with the holes of its repeated lines") {
  const Tokenizer tokenizer = Tokenizer::from_folder(tokenizers_folder + "odd/vocab_duplicate");
  const Tokenizer again = Tokenizer::from_json(tokenizer.to_json());
  CHECK(again.encode_ids("the river rises") == tokenizer.encode_ids("the river rises"));
  CHECK(again.id_bound() == tokenizer.id_bound());
  CHECK_THROWS_AS((void)tokenizer.id_to_token(6), ldlm::Error);  // the line above the repeated one
}

TEST_CASE("of added tokens that are alike when normalized, the first is found") {
  const Tokenizer tokenizer = Tokenizer::from_file(tokenizers_folder + "odd/bert_added_case.json");
  CHECK(tokenizer.encode_ids("Covid-19 COVID-19 covid-19") == Ids{2, 45, 45, 45, 3});
  for (const ldlm::TokenId id : {45, 46, 47}) {
    CHECK(tokenizer.decode(Ids{id}) == "covid-19");
  }
}

TEST_CASE("classes whose vocabulary files differ are refused by name") {
  for (const char* const name :
       {"CLIPTokenizer", "WhisperTokenizer", "PreTrainedTokenizerFast", "BertweetTokenizer"}) {
    CAPTURE(name);
    TemporaryFolder folder;
    write_folder(folder, "bpe", {{"tokenizer_class", name}});
    const std::string error = load_error(folder);
    CHECK(error.find("tokenizer_config.json: key \"tokenizer_class\": the vocabulary files of " +
                     std::string(name) + " are not supported, those of GPT2Tokenizer, ") !=
          std::string::npos);
  }
  TemporaryFolder clip;
  write_files(clip, fixtures()["vocabularies"]["bpe"]);
  clip.write("config.json", R"({"model_type": "clip"})");
  CHECK(load_error(clip).find(
            "config.json: key \"model_type\": the vocabulary files of CLIPTokenizer") !=
        std::string::npos);
  TemporaryFolder bert;
  write_folder(bert, "bpe", {{"tokenizer_class", "BertTokenizer"}});
  CHECK(load_error(bert).find("vocab.txt: no such file") != std::string::npos);
}

TEST_CASE("values of the files beside a vocabulary are obeyed or refused by name") {
  const auto error_with = [](const Json& config, const std::string& kind = "bpe") {
    TemporaryFolder folder;
    write_folder(folder, kind, config);
    return load_error(folder);
  };
  const auto says = [&](const Json& config, std::string_view part) {
    const std::string error = error_with(config);
    CAPTURE(error);
    CHECK(error.find("tokenizer_config.json" + std::string(part)) != std::string::npos);
  };
  says({{"split_special_tokens", true}},
       ": key \"split_special_tokens\" is true, which is not supported");
  says({{"do_basic_tokenize", false}},
       ": key \"do_basic_tokenize\" is false, which is not supported");
  says({{"never_split", {"a"}}}, ": key \"never_split\" is not supported");
  says({{"padding_side", "top"}}, ": key \"padding_side\" must be left or right, got \"top\"");
  says({{"model_max_length", 0}}, ": key \"model_max_length\" must be a positive number");
  says({{"model_max_length", "many"}}, ": key \"model_max_length\" must be a positive number");
  says({{"pad_token", 3}}, ": key \"pad_token\" must be an object");
  says({{"pad_token", ""}}, ": key \"pad_token\" is empty");
  says({{"extra_special_tokens", {{{"content", ""}}}}},
       ": key \"extra_special_tokens[0]\" is empty");
  says({{"added_tokens_decoder", {{"x", {{"content", "<x>"}}}}}},
       ": key \"added_tokens_decoder.x\" must");
  says({{"added_tokens_decoder", {{"0", {{"content", "<x>"}}}}}},
       ": key \"added_tokens_decoder.0\": added token \"<x>\" has id 0, which is piece \"<s>\"");
  // With gaps between them, transformers numbers added tokens anew.
  says({{"added_tokens_decoder", {{"300", {{"content", "<x>"}}}}}},
       ": key \"added_tokens_decoder.300\": added token \"<x>\" has id 300, but the next free one "
       "is 280");
  says({{"added_tokens_decoder", {{"280", {{"content", "<x>"}}}, {"282", {{"content", "<y>"}}}}}},
       ": key \"added_tokens_decoder.282\": added token \"<y>\" has id 282, but the next free one "
       "is 281");
  CHECK(error_with({{"cls_token", nullptr}, {"tokenizer_class", "BertTokenizer"}}, "wordpiece")
            .find("cls_token is null, but the class puts it around texts") != std::string::npos);
  CHECK(error_with({{"never_split", Json::array()}, {"do_basic_tokenize", true}}) == "no error");
  TemporaryFolder lower;
  write_folder(lower, "made_bpe", Json::object());
  CHECK(message_of([&] {
          (void)Tokenizer::from_folder(lower.path(), {.lowercase = true});
        }).find("do_lower_case is true, but this file does not lowercase") != std::string::npos);
}

TEST_CASE("a tokenizer.json that is not what its class makes is refused by name") {
  const auto load = [](const std::string& kind, const std::string& place, const Json& value,
                       const Json& config) {
    TemporaryFolder folder;
    write_folder(folder, kind, config);
    Json file = fixtures()["vocabularies"][kind]["tokenizer.json"];
    if (!place.empty()) {
      file[Json::json_pointer(place)] = value;
    }
    folder.write("tokenizer.json", file.dump());
    return load_error(folder);
  };
  struct Case {
    std::string kind, place;
    Json value;
    std::string said;
  };
  const std::vector<Case> cases{
      {"made_wordpiece", "/normalizer/clean_text", false,
       ": key \"normalizer.clean_text\" is false, but"},
      {"made_wordpiece", "/normalizer/lowercase", false,
       ": key \"normalizer.lowercase\" is false, but BertTokenizer makes it true where "
       "tokenizer_config.json has no do_lower_case"},
      {"made_wordpiece", "/normalizer/handle_chinese_chars", false, "no tokenize_chinese_chars"},
      {"made_wordpiece", "/normalizer/strip_accents", false, "makes it null"},
      {"made_wordpiece", "/normalizer", nullptr, ": key \"normalizer\" is null, but BertTokenizer"},
      {"made_wordpiece",
       "/normalizer",
       {{"type", "NFC"}},
       ": key \"normalizer.type\" is \"NFC\", but"},
      {"made_wordpiece", "/decoder/cleanup", false, ": key \"decoder.cleanup\" is false"},
      {"made_wordpiece", "/decoder", nullptr, ": key \"decoder\" is null"},
      {"made_wordpiece", "/model/max_input_chars_per_word", 9, "makes it 100"},
      {"made_wordpiece", "/model/continuing_subword_prefix", "@@", "makes it \"##\""},
      {"made_wordpiece", "/model/unk_token", "<unk>", "makes it \"[UNK]\" where"},
      {"made_bpe", "/normalizer", {{"type", "NFC"}}, ": key \"normalizer\" is"},
      {"made_bpe", "/pre_tokenizer/use_regex", false, ": key \"pre_tokenizer.use_regex\" is false"},
      {"made_bpe", "/pre_tokenizer/add_prefix_space", true, "has no add_prefix_space"},
      {"made_bpe", "/model/ignore_merges", true, ": key \"model.ignore_merges\" is true"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.place);
    CAPTURE(each.value);
    const char* const name = each.kind == "made_bpe" ? "GPT2Tokenizer" : "BertTokenizer";
    const std::string error = load(each.kind, each.place, each.value, {{"tokenizer_class", name}});
    CAPTURE(error);
    CHECK(error.find("tokenizer.json" + (each.said[0] == ':' ? each.said : "")) !=
          std::string::npos);
    CHECK(error.find(each.said) != std::string::npos);
    CHECK(error.find("(/") != std::string::npos);  // where the class is named
    CHECK(error.find("tokenizer_config.json: key \"tokenizer_class\")") != std::string::npos);
    // Without a class the file counts.
    CHECK(load(each.kind, each.place, each.value, Json::object()) == "no error");
  }
  CHECK(load("made_wordpiece", "/normalizer/lowercase", false,
             {{"tokenizer_class", "BertTokenizer"}, {"do_lower_case", false}}) == "no error");
  CHECK(load("made_wordpiece", "", {}, {{"tokenizer_class", "GPT2Tokenizer"}})
            .find("tokenizer_config.json: key \"tokenizer_class\": GPT2Tokenizer has no WordPiece "
                  "model") != std::string::npos);
  CHECK(load("made_bpe", "", {}, {{"tokenizer_class", "BertTokenizerFast"}})
            .find("BertTokenizer has no BPE model, but ") != std::string::npos);
  for (const std::string name : {"MPNetTokenizer", "WhisperTokenizerFast", "AlbertTokenizer",
                                 "XLNetTokenizer", "BertJapaneseTokenizer"}) {
    for (const char* const kind : {"made_bpe", "made_wordpiece"}) {
      const std::string error = load(kind, "", {}, {{"tokenizer_class", name}});
      CAPTURE(error);
      CHECK(error.find("tokenizer_config.json: key \"tokenizer_class\": " +
                       name.substr(0, name.find("Fast")) + " makes its own tokenizer") !=
            std::string::npos);
    }
  }
  // Neither transformers nor this library has these.
  for (const char* const name : {"BloomTokenizerFast", "NetTokenizer", "MPNet"}) {
    CHECK(load("made_bpe", "", {}, {{"tokenizer_class", name}}) == "no error");
  }
}

TEST_CASE("so is one that is not what its model_type's class makes") {
  const auto load = [](const std::string& kind, const char* type, bool prefix_space = false) {
    TemporaryFolder folder;
    Json file = fixtures()["vocabularies"][kind]["tokenizer.json"];
    if (prefix_space) {
      file["pre_tokenizer"]["add_prefix_space"] = true;
    }
    folder.write("tokenizer.json", file.dump());
    folder.write("config.json", Json{{"model_type", type}}.dump());
    return load_error(folder);
  };
  const auto says = [](const std::string& error, std::string_view part) {
    CAPTURE(error);
    CHECK(error.find(part) != std::string::npos);
    CHECK(error.find("config.json: key \"model_type\"") != std::string::npos);
    CHECK(error.find("with PreTrainedTokenizerFast as tokenizer_class of tokenizer_config.json") !=
          std::string::npos);
  };
  says(load("made_bpe", "gpt2", true),
       ": key \"pre_tokenizer.add_prefix_space\" is true, but GPT2Tokenizer makes it false");
  says(load("made_bpe", "opt", true), "but GPT2Tokenizer makes it false");
  says(load("made_wordpiece", "gpt2"), "GPT2Tokenizer has no WordPiece model");
  says(load("made_wordpiece", "roberta"), "RobertaTokenizer has no WordPiece model");
  says(load("made_bpe", "bert"), "BertTokenizer has no BPE model");
  says(load("made_wordpiece", "mpnet"), "MPNetTokenizer makes its own");
  says(load("made_bpe", "qwen3"), "Qwen2Tokenizer makes its own");
  says(load("made_bpe", "idefics"), "LlamaTokenizer makes its own");
  for (const char* const type : {"vit", "mistral", "no such type", "bert roberta", ""}) {
    CHECK(load("made_bpe", type, true) == "no error");
  }
}

TEST_CASE("a batch is padded with the pad token and on the side that the folder names") {
  TemporaryFolder folder;
  write_folder(folder, "bpe",
               {{"pad_token", "<pad>"}, {"padding_side", "left"}, {"truncation_side", "left"}});
  const Tokenizer tokenizer = Tokenizer::from_folder(folder.path());
  const auto batch =
      to_batch(tokenizer, std::vector<std::string>{"hello", "hello world the"}, {.max_length = 2});
  const ldlm::TokenId pad = 1;
  CHECK(batch.ids.at({0, 0}) == pad);
  CHECK(batch.ids.at({0, 1}) == tokenizer.encode_ids("hello")[0]);
  CHECK(batch.ids.at({1, 1}) == tokenizer.encode_ids(" the").back());
}

TEST_CASE("folders with other kinds of tokenizer say what they hold") {
  const auto error_with = [](const char* name) {
    TemporaryFolder folder;
    folder.write(name, "x");
    return load_error(folder);
  };
  CHECK(error_with("spiece.model").find("spiece.model: is a SentencePiece model") !=
        std::string::npos);
  CHECK(error_with("tokenizer.model").find("is a SentencePiece model") != std::string::npos);
  CHECK(error_with("model.gguf").find("model.gguf: is a GGUF file") != std::string::npos);
  CHECK(error_with("vocab.bpe").find("rename encoder.json to vocab.json") != std::string::npos);
  CHECK(error_with("README.md").find("holds no tokenizer.json, vocab.json or vocab.txt") !=
        std::string::npos);
}
