// Files that are broken, or lie: each gives an ldlm::Error that says where.
#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include <ldlm/text/tokenizer.hpp>

#include "text_support.hpp"

namespace fs = std::filesystem;
using Json = nlohmann::json;
using ldlm_test::message_of;
using ldlm_test::TemporaryFolder;

namespace {

std::string json_error(const std::string& contents) {
  return message_of([&] { (void)ldlm::Tokenizer::from_json(contents, "t.json"); });
}

Json small_document() {
  return Json::parse(R"({
    "added_tokens": [{"id": 0, "content": "<s>", "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
    "post_processor": null, "decoder": {"type": "ByteLevel"}, "truncation": null, "padding": null,
    "model": {"type": "BPE", "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3}, "merges": ["a b"]}})");
}

/// The message for the small document after a change at a JSON pointer.
std::string changed(const char* pointer, const char* value) {
  Json document = small_document();
  document[Json::json_pointer(pointer)] = Json::parse(value);
  return json_error(document.dump());
}
std::string removed(const char* object, const char* key) {
  Json document = small_document();
  document[Json::json_pointer(object)].erase(key);
  return json_error(document.dump());
}

bool says(const std::string& message, std::string_view part) {
  INFO(message);
  const bool found = message.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace

TEST_CASE("the small document is right before it is broken") {
  const auto tokenizer = ldlm::Tokenizer::from_json(small_document().dump());
  CHECK(tokenizer.encode("ab<s>a").ids == std::vector<ldlm::TokenId>{3, 0, 1});
  CHECK(json_error("\xEF\xBB\xBF" + small_document().dump()) == "no error");
}

TEST_CASE("broken JSON is refused with its byte") {
  says(json_error(""), "[json] t.json: byte 0: ");
  says(json_error("{"), "[json] t.json: byte 1: ");
  says(json_error(R"({"model": )"), "byte 10: ");
  says(json_error(R"({"model": {}} x)"), "byte 14: ");
  says(json_error("{\"a\": \"\xff\"}"), "byte 7: ");
  says(json_error(R"({"a": 1, "a": 2})"), R"(t.json: byte 14: key "a" stands twice)");
  says(json_error(std::string("{}\0", 3)), "t.json: byte 2: NUL byte");
  says(json_error("\xEF\xBB\xBF{]"), "t.json: byte 4: ");
  says(json_error(std::string(100, '[')), "nested deeper than 64");
  says(json_error(std::string(1'000'000, '[')), "nested deeper than 64");
  says(json_error("[]"), "t.json: must be an object, got an array");
  says(json_error("null"), "must be an object, got null");
  says(json_error(R"({"a": 1e999})"), "[json] t.json: ");
  const std::string whole = small_document().dump();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    REQUIRE(json_error(whole.substr(0, size)) != "no error");
  }
}

TEST_CASE("missing and mistyped keys are named") {
  says(removed("", "model"), R"(t.json: key "model" is missing)");
  says(removed("/model", "vocab"), R"(t.json: key "model.vocab" is missing)");
  says(removed("/model", "merges"), R"(t.json: key "model.merges" is missing)");
  says(changed("/model", "[]"), "t.json: key \"model\" must be an object, got an array");
  says(changed("/model/type", R"("Unigram")"),
       R"(t.json: key "model.type" is "Unigram", which is not supported; BPE and WordPiece are)");
  says(changed("/model/type", R"("Unigram")"), "this is a SentencePiece model");
  says(changed("/model/type", R"("WordLevel")"), R"("WordLevel", which is not supported; BPE and)");
  says(changed("/model/vocab", "[]"),
       "t.json: key \"model.vocab\" must be an object, got an array");
  says(changed("/model/vocab/a", "1.5"), R"(t.json: key "model.vocab.a" must be an integer)");
  says(changed("/model/vocab/a", "-1"), R"(t.json: key "model.vocab.a" must be an integer)");
  says(changed("/model/vocab/a", R"("1")"), R"(got "1")");
  says(changed("/model/vocab/a", "99999999999"), "must be an integer from 0 to 2147483647");
  says(changed("/model/vocab/a", "2000000000"), "is above 16777215");
  says(changed("/model/vocab/a", "2"), R"(id 2 belongs to two pieces)");
  says(changed("/model/merges", "{}"), "t.json: key \"model.merges\" must be an array");
  says(changed("/model/merges/0", "7"), "t.json: key \"model.merges[0]\" must be an array");
  says(changed("/model/merges/0", R"(["a"])"),
       "t.json: key \"model.merges[0]\" must be two pieces");
  says(changed("/model/merges/0", R"("ab")"), R"("ab" is not two pieces with a space between)");
  says(changed("/model/merges/0", R"("a b b")"), "is not two pieces");
  says(changed("/model/merges/0", R"("a x")"), R"(t.json: key "model.merges[0]": "x" is no piece)");
  says(changed("/model/merges/0", R"(["b", "a"])"), R"(makes "ba", which is no piece)");
  says(changed("/model/dropout", "0.1"), "t.json: key \"model.dropout\" is not supported");
  says(changed("/model/byte_fallback", "true"),
       "t.json: key \"model.byte_fallback\" is not supported");
  says(changed("/model/end_of_word_suffix", R"("</w>")"),
       R"(end_of_word_suffix" is not supported)");
  says(changed("/model/fuse_unk", "1"), "t.json: key \"model.fuse_unk\" must be true or false");
  says(changed("/normalizer", R"({"type": "Precompiled"})"),
       R"("Precompiled", which is not supported)");
  says(changed("/normalizer", "{}"), R"(t.json: key "normalizer.type" is missing)");
  says(changed("/pre_tokenizer", R"({"type": "Metaspace"})"),
       R"("Metaspace", which is not supported)");
  says(changed("/pre_tokenizer", "null"), "need each other");
  says(changed("/pre_tokenizer/add_prefix_space", "0"), "must be true or false, got 0");
  says(changed("/decoder", R"({"type": "CTC"})"), R"("CTC", which is not supported)");
  says(changed("/post_processor", R"({"type": "None"})"), R"("None", which is not supported)");
  says(changed("/added_tokens", "{}"), "t.json: key \"added_tokens\" must be an array");
  says(changed("/added_tokens/0/content", "0"),
       "t.json: key \"added_tokens[0].content\" must be a string");
  says(changed("/added_tokens/1", R"({"id": 4, "content": ""})"), "an added token has no content");
  says(changed("/added_tokens/1", R"({"id": 6, "content": "x"})"), "but the next free one is 4");
  says(changed("/added_tokens/0/content", R"("a")"), R"("a" has id 0 but is piece 1)");
  says(changed("/added_tokens/0/id", "1"), R"("<s>" has id 1 but is piece 0)");
  says(changed("/added_tokens/1", R"({"id": 17000000, "content": "x"})"), "is above 16777215");
  says(changed("/added_tokens/1", R"({"id": 3, "content": "x"})"),
       R"(has id 3, which is piece "ab")");
  Json decomposing = small_document();
  decomposing["normalizer"] = Json::parse(R"({"type": "BertNormalizer", "clean_text": true,
      "handle_chinese_chars": true, "strip_accents": true, "lowercase": false})");
  decomposing["added_tokens"].push_back({{"id", 4}, {"content", "\u0301"}, {"normalized", true}});
  CHECK(json_error(decomposing.dump()).find("token 4 is empty when it is normalized") !=
        std::string::npos);
  says(changed("/truncation", "5"), "t.json: key \"truncation\" must be an object");
  says(changed("/truncation", R"({"max_length": 1, "stride": 0, "strategy": "Any"})"),
       R"(is "Any", none of)");
  says(changed("/truncation", R"({"max_length": -1, "stride": 0, "strategy": "OnlyFirst"})"),
       "t.json: key \"truncation.max_length\" must be an integer");
  says(changed("/padding", R"({"strategy": {"Fixed": 99999999999}, "pad_id": 0})"),
       "t.json: key \"padding.strategy.Fixed\" must be an integer from 0 to 131072");
  says(changed("/padding", R"({"strategy": "Longest"})"), "neither BatchLongest nor");
  says(changed("/padding", R"({"strategy": "BatchLongest", "direction": "Up"})"),
       "must be Left or Right");
}

TEST_CASE("padding and templates that would make much of every text are refused") {
  const auto padding = [](std::int64_t length, std::int64_t multiple, std::size_t name) {
    const Json json{{"strategy", {{"Fixed", length}}},
                    {"pad_to_multiple_of", multiple},
                    {"pad_id", 1},
                    {"pad_type_id", 0},
                    {"pad_token", std::string(name, 'P')}};
    return changed("/padding", json.dump().c_str());
  };
  CHECK(padding(131072, 64, 5) == "no error");
  CHECK(padding(4096, 4096, 4096) == "no error");
  says(padding(1048576, 0, 4096),
       "t.json: key \"padding.strategy.Fixed\" must be an integer from 0 to 131072, got 1048576");
  says(padding(8, 1 << 18, 5), "t.json: key \"padding.pad_to_multiple_of\" must be an integer");
  says(padding(131072, 0, 4096),
       "t.json: key \"padding.pad_token\" has 4096 bytes, too many to pad 131072 tokens with");
  says(padding(8, 131072, 4096), "t.json: key \"padding.pad_token\" has 4096 bytes");

  const auto with_single = [](std::size_t specials, std::size_t ids, std::size_t name,
                              std::size_t texts) {
    Json processor = Json::parse(R"({"type": "TemplateProcessing", "pair": [
        {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]})");
    processor["single"] = Json::array();
    for (std::size_t i = 0; i < specials; ++i) {
      processor["single"].push_back({{"SpecialToken", {{"id", "x"}, {"type_id", 0}}}});
    }
    for (std::size_t i = 0; i < texts; ++i) {
      processor["single"].push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    }
    processor["special_tokens"]["x"] = {
        {"id", "x"},
        {"ids", std::vector<int>(ids, 1)},
        {"tokens", std::vector<std::string>(ids, std::string(name, 'x'))}};
    return changed("/post_processor", processor.dump().c_str());
  };
  CHECK(with_single(32, 32, 8, 1) == "no error");
  says(with_single(33, 32, 8, 1),
       "the template for one text adds 1056 special tokens of 8448 bytes to every text, more than "
       "1024 tokens");
  says(with_single(16, 1, 8192, 1), "of 131072 bytes to every text");
  says(with_single(1, 1, 1, 2), "the template for one text uses $A twice");
}

TEST_CASE("ids of templates and padding that no piece has are refused") {
  says(changed("/padding", R"({"strategy": "BatchLongest", "pad_id": 99, "pad_type_id": 0,
                              "pad_token": "x"})"),
       "t.json: key \"padding.pad_id\" is 99, which no piece has; the ids end before ");
  says(changed("/post_processor",
               R"({"type": "BertProcessing", "sep": ["x", 1], "cls": ["y", 70]})"),
       R"(t.json: key "post_processor" has the special token "y" of id 70, which no piece has)");
}

TEST_CASE("templates that cannot be filled in are refused") {
  const auto with_template = [](const char* single, const char* specials) {
    Json processor = Json::parse(R"({"type": "TemplateProcessing", "pair": [
        {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]})");
    processor["single"] = Json::parse(single);
    processor["special_tokens"] = Json::parse(specials);
    return changed("/post_processor", processor.dump().c_str());
  };
  const char* const text = R"([{"Sequence": {"id": "A", "type_id": 0}}])";
  CHECK(with_template(text, "{}") == "no error");
  says(with_template(R"([{"SpecialToken": {"id": "x", "type_id": 0}}])", "{}"),
       R"(special token "x" is not among its special_tokens)");
  says(with_template(R"([{"Sequence": {"id": "C", "type_id": 0}}])", "{}"),
       R"(single[0].Sequence.id" must be A or B, got "C")");
  says(with_template(R"([{"Sequence": {"id": "B", "type_id": 0}}])", "{}"),
       "the template for one text uses $B");
  says(with_template(R"([{}])", "{}"), R"(single[0].Sequence" is missing)");
  says(with_template(R"([{"SpecialToken": {"id": "x", "type_id": 0}}])",
                     R"({"x": {"id": "x", "ids": [1, 2], "tokens": ["a"]}})"),
       "has 2 ids but 1 tokens");
  says(changed("/post_processor", R"({"type": "BertProcessing", "sep": ["x"], "cls": ["y", 1]})"),
       "t.json: key \"post_processor.sep\" must be a token and its id");
  says(changed("/post_processor", R"({"type": "BertProcessing", "sep": [], "cls": []})"),
       "must be a token and its id");
}

TEST_CASE("BERT's and GPT-2's files are checked line by line") {
  const TemporaryFolder folder;
  const auto vocab_txt = [&](std::string_view contents) {
    folder.write("vocab.txt", contents);
    return message_of([&] { (void)ldlm::Tokenizer::from_folder(folder.path()); });
  };
  says(vocab_txt(""), "vocab.txt: holds no piece");
  CHECK(vocab_txt("a\nb\n") == "no error");
  says(vocab_txt("[UNK]\n\xff\n"), "vocab.txt: line 2, byte 0: not valid UTF-8");
  says(vocab_txt("[UNK]\nab\xe2\x82"), "vocab.txt: line 2, byte 2: not valid UTF-8");
  CHECK(vocab_txt("[UNK]\r\na\r\n\n##b") == "no error");
  const auto tokenizer = ldlm::Tokenizer::from_folder(folder.path());
  CHECK(tokenizer.encode_ids("ab", {.add_special_tokens = false}) ==
        std::vector<ldlm::TokenId>{1, 3});
  fs::remove(folder.path() / "vocab.txt");

  const auto merges_txt = [&](std::string_view vocab, std::string_view merges) {
    folder.write("vocab.json", vocab);
    folder.write("merges.txt", merges);
    return message_of([&] { (void)ldlm::Tokenizer::from_folder(folder.path()); });
  };
  const char* const vocab = R"({"a": 0, "b": 1, "ab": 2})";
  CHECK(merges_txt(vocab, "#version: 0.2\na b\n") == "no error");
  CHECK(merges_txt(vocab, "a b") == "no error");
  CHECK(merges_txt(vocab, "") == "no error");
  says(merges_txt(vocab, "#version: 0.2\na b\n\n"), R"(merges.txt: line 3: "" is not two pieces)");
  says(merges_txt(vocab, "a c\n"), R"(merges.txt: line 1: "c" is no piece)");
  says(merges_txt(vocab, "a  b\n"), R"(merges.txt: line 1: "a  b" is not two pieces)");
  says(merges_txt(vocab, "b a\n"), R"(makes "ba", which is no piece)");
  says(merges_txt(vocab, "a b\n\xff b\n"), "merges.txt: line 2, byte 0: not valid UTF-8");
  says(merges_txt("[1]", ""), "vocab.json: must be an object");
  says(merges_txt(R"({"a": 0, "b": 0})", ""), R"(vocab.json: key "b": )");
  says(merges_txt("{\"a\": 0", ""), "vocab.json: byte 7: ");
  folder.write("vocab.json", vocab);
  fs::remove(folder.path() / "merges.txt");
  says(message_of([&] { (void)ldlm::Tokenizer::from_folder(folder.path()); }),
       "merges.txt: no such file");
}

TEST_CASE("files of other kinds are named as what they are") {
  const TemporaryFolder folder;
  const auto json = [&](std::string_view contents) {
    folder.write("tokenizer.json", contents);
    return message_of([&] { (void)ldlm::Tokenizer::from_folder(folder.path()); });
  };
  says(json("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 466062\n"),
       "tokenizer.json: is a Git LFS pointer");
  says(json(std::string_view("GGUF\x03\0\0\0", 8)), "tokenizer.json: is ");
  says(json("\xFF\xFE{\0"), "tokenizer.json: is UTF-16");
  says(message_of([] { (void)ldlm::Tokenizer::from_file("/dev/null"); }),
       "/dev/null: is not a regular file");
}

TEST_CASE("missing and unwritable places are named") {
  const TemporaryFolder folder;
  says(message_of([&] { (void)ldlm::Tokenizer::from_folder(folder.path()); }),
       "holds no tokenizer.json, vocab.json or vocab.txt");
  says(message_of([] { (void)ldlm::Tokenizer::from_folder("/no/such"); }),
       "/no/such: no such folder");
  says(message_of([] { (void)ldlm::Tokenizer::from_file("/no/such"); }), "/no/such: no such file");
  says(message_of([&] { (void)ldlm::Tokenizer::from_file(folder.path()); }),
       "is a folder, not a file");
  const auto tokenizer = ldlm::Tokenizer::from_json(small_document().dump());
  says(message_of([&] { tokenizer.save("/no/such/folder/t.json"); }),
       "/no/such/folder/t.json: No such file or directory");
  fs::create_directory(folder.path() / "taken.json");
  says(message_of([&] { tokenizer.save(folder.path() / "taken.json"); }), "taken.json: ");
  // No link is written through, whatever its name.
  std::ofstream(folder.path() / "victim") << "precious";
  for (const char* const name : {"new.json", "new.json.part", ".new.json.tmp"}) {
    fs::create_symlink("victim", folder.path() / name);
  }
  tokenizer.save(folder.path() / "new.json");
  CHECK(fs::file_size(folder.path() / "victim") == 8);
  CHECK(ldlm::Tokenizer::from_file(folder.path() / "new.json").to_json() == tokenizer.to_json());
}

TEST_CASE("a lying added token cannot fill the memory") {
  Json document = small_document();
  for (int i = 0; i < 2000; ++i) {
    document["added_tokens"].push_back(
        {{"id", 4 + i}, {"content", std::string(500, 'a') + std::to_string(i)}});
  }
  const auto tokenizer = ldlm::Tokenizer::from_json(document.dump());
  CHECK(tokenizer.vocab_size() == 2004);
  CHECK(tokenizer.encode_ids(std::string(500, 'a') + "1999").size() <= 2);
}
