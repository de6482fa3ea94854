// generate, embed and quantize on folders of others: what their files say is followed, what is not
// used is said. The texts are those of transformers, greedy (tests/golden/models/cases).

#include "command_support.hpp"
#include "paths.hpp"

using namespace command_test;

namespace {

std::string case_folder(const std::string& name) {
  return ldlm_test::data_dir() + "/golden/models/cases/" + name;
}

/// A copy of a case's folder, one of whose files has other contents.
std::string copy_with(const io_support::TempFolder& folder, const std::string& name,
                      const std::string& file, const std::string& contents) {
  static int number = 0;
  const fs::path copy = folder / std::to_string(number++);
  fs::copy(case_folder(name), copy, fs::copy_options::recursive);
  fs::remove(copy / file);
  make_file(copy / file, contents);
  return copy.string();
}

std::string text_of(const Arguments& arguments) {
  const std::string out = output_of(arguments);
  return out.substr(0, out.find('\n'));
}

}  // namespace

TEST_CASE("generate ends at the folder's tokens, and neither pads nor cuts prompts") {
  const auto greedy = [](const std::string& name, const std::string& prompt) {
    return text_of({"generate", "--model", case_folder(name), "--temperature", "0",
                    "--max-new-tokens", "12", prompt});
  };
  CHECK(greedy("generate_other_eos", "hi there") == "hi there");
  CHECK(greedy("generate_other_eos", "The river") == "The riverefghaaab");
  CHECK(greedy("generate_padded", "hi there") == "hi therecdefghaaab");
  CHECK(greedy("generate_padded", "The river") == "The riverefghaaabcde");
  // A generation_config.json without an end token: texts go on behind that of config.json, which
  // ends them while weights are measured.
  const io_support::TempFolder folder;
  const std::string endless = copy_with(folder, "generate_other_eos", "generation_config.json",
                                        R"({"do_sample": false, "max_new_tokens": 4})");
  CHECK(text_of({"generate", "--model", endless, "--quiet", "hi there"}) == "hi therecde");
  CHECK(text_of({"generate", "--model", endless, "--quiet", "The river"}) == "The riverefgh");
  CHECK(run({"quantize", "--model", endless, "--out", (folder / "int8").string(), "hi there"})
            .status == 0);
}

TEST_CASE("generate decodes as generation_config.json says, but for the options") {
  const io_support::TempFolder folder;
  const auto with = [&](const std::string& json) {
    return copy_with(folder, "generate_padded", "generation_config.json", json);
  };
  const Arguments tail{"--quiet", "The river"};
  const auto text = [&](const std::string& model, Arguments more = {}) {
    Arguments arguments{"generate", "--model", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.insert(arguments.end(), tail.begin(), tail.end());
    return text_of(arguments);
  };
  const std::string greedy = with(R"({"do_sample": false, "max_new_tokens": 4})");
  CHECK(text(greedy) == "The riverefgh");
  CHECK(text(greedy, {"--max-new-tokens", "2"}) == "The riveref");
  CHECK(text(with(R"({"do_sample": false, "max_length": 10})")) == "The riveref");
  CHECK(text(with(R"({"num_beams": 3, "max_new_tokens": 4})")) == text(greedy, {"--beams", "3"}));
  // A list of end tokens: any ends the text. 71 is "g".
  CHECK(text(with(R"({"do_sample": false, "eos_token_id": [0, 71], "max_new_tokens": 12})")) ==
        "The riveref");
  const Result said = run({"generate", "--model", greedy, "The river"});
  CHECK(said.err.find("decoding greedily") != std::string::npos);

  const std::string penalty = with(R"({"repetition_penalty": 1.3, "do_sample": false})");
  check_error({"generate", "--model", penalty, "a"},
              {penalty + "/generation_config.json", "\"repetition_penalty\" is 1.3"});
  CHECK(text(penalty, {"--no-generation-config", "--temperature", "0", "--max-new-tokens", "4"}) ==
        "The riverefgh");
  check_error({"generate", "--model", with(R"({"eos_token_id": 271})"), "a"}, {"\"eos_token_id\""});
  check_error({"generate", "--model", with(R"({"do_sample": true, "num_beams": 2})"), "a"},
              {"\"do_sample\""});
  check_error({"generate", "--model", greedy, "--beams", "2", "--top-k", "3", "a"}, {"--beams"});
}

TEST_CASE("generate adds a first token only where it is asked to, or to an empty prompt") {
  const std::string model = case_folder("generate_padded");
  const auto text = [&](const Arguments& more) {
    Arguments arguments{"generate", "--model",          model, "--temperature",
                        "0",        "--max-new-tokens", "6",   "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return output_of(arguments);
  };
  CHECK(text({"--bos", ""}) == text({""}));
  CHECK(text({"<|endoftext|>hi"}) == text({"--bos", "hi"}));
  const io_support::TempFolder folder;
  const ldlm::JsonValue config = [&] {
    auto json = ldlm::parse_json(read_file(model + "/config.json"), "config");
    json.set("bos_token_id", ldlm::JsonValue());
    return json;
  }();
  const std::string without =
      copy_with(folder, "generate_padded", "config.json", ldlm::to_string(config));
  check_error({"generate", "--model", without, ""}, {"the prompt is empty", "no bos_token_id"});
  check_error({"generate", "--model", without, "--bos", "a"}, {"no bos_token_id"});
}

TEST_CASE("what a folder holds of other heads is said") {
  const Result classifier = run({"generate", "--model", case_folder("gpt2_score"), "a"});
  CHECK(classifier.err.find("tokenizer") != std::string::npos);  // it has none
  CHECK(classifier.err.find("score.weight") != std::string::npos);
  const Result other = run({"generate", "--model", case_folder("gpt2_tied_other_head"), "a"});
  CHECK(other.err.find("lm_head.weight differs from transformer.wte.weight") != std::string::npos);
}

TEST_CASE("embed pools as the folder says, in batches, and says what it cuts") {
  const auto vectors = [](const std::string& name, const Arguments& more) {
    Arguments arguments{"embed", "--model", case_folder(name), "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return output_of(arguments);
  };
  const Arguments texts{"the river rises .", "hello , world", "a"};
  const std::string plain = vectors("embed_plain", texts);
  CHECK(vectors("embed_padded", texts) == plain);
  CHECK(vectors("embed_cls", texts) != plain);
  REQUIRE(lines(plain).size() == 3);
  CHECK(json_lines(plain)[1].find("text")->as<std::string>() == "hello , world");
  std::string words;
  for (int i = 0; i < 80; ++i) {
    words += "river ";
  }
  const Result cut = run({"embed", "--model", case_folder("embed_plain"), words, "a"});
  CHECK(cut.status == 0);
  CHECK(cut.err.find("1 of 2 texts had more than 64 tokens and were cut") != std::string::npos);
  CHECK(cut.err.find("no modules.json") != std::string::npos);
  const io_support::TempFolder folder;
  const std::string prompts =
      copy_with(folder, "embed_plain", "config_sentence_transformers.json",
                R"({"prompts": {"query": "hello "}, "default_prompt_name": null})");
  const auto embed = [&](const Arguments& more) {
    Arguments arguments{"embed", "--model", prompts, "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json_lines(output_of(arguments))[0].find("values")->as<std::vector<double>>();
  };
  CHECK(embed({"--prompt-name", "query", "world"}) == embed({"hello world"}));
  CHECK(embed({"--prompt", "hello ", "world"}) == embed({"hello world"}));
  CHECK(embed({"world"}) != embed({"hello world"}));
  check_error({"embed", "--model", prompts, "--prompt-name", "passage", "a"},
              {"no prompt named \"passage\""});
  check_error({"embed", "--model", case_folder("bert_classifier"), "a"}, {"bert_classifier"});
}

TEST_CASE("a text without a token leaves the vectors of its batch as they are") {
  const io_support::TempFolder folder;
  std::string tokenizer = read_file(case_folder("embed_plain") + "/tokenizer.json");
  const std::string named = R"("unk_token": "[UNK]")";
  REQUIRE(tokenizer.find(named) != std::string::npos);
  tokenizer.replace(tokenizer.find(named), named.size(), R"("unk_token": "[NONE]")");
  const std::string model = copy_with(folder, "embed_plain", "tokenizer.json", tokenizer);
  make_file(fs::path(model) / "tokenizer_config.json",
            R"({"tokenizer_class": "PreTrainedTokenizerFast"})");  // so that the file counts
  const Result some = run({"embed", "--model", model, "--quiet", "hello", "zebra", "the river ."});
  CHECK(some.status == 1);
  CHECK(some.err.find("text 2") != std::string::npos);
  CHECK(some.err.find("[NONE]") != std::string::npos);
  CHECK(lines(some.err).size() == 1);
  CHECK(some.out == output_of({"embed", "--model", model, "--quiet", "hello"}) +
                        output_of({"embed", "--model", model, "--quiet", "the river ."}));
}

TEST_CASE("quantize measures with the folder's end token") {
  const io_support::TempFolder folder;
  const std::string out = (folder / "int8").string();
  const auto json = json_lines(output_of({"quantize", "--model", case_folder("generate_other_eos"),
                                          "--out", out, "--json", "hi there", "The river"}));
  REQUIRE(json.size() == 1);
  CHECK(json[0].find("perplexity")->get_if<double>().value() > 1);
  CHECK(text_of({"generate", "--model", out, "--temperature", "0", "--max-new-tokens", "12",
                 "The river"}) == "The riverefghaaab");
}
