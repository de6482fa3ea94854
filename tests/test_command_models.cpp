// generate, embed and quantize on folders of others: what their files say is followed, what is not
// used is said. The texts are those of transformers, greedy (tests/golden/models/cases).

#include <ldlm/models/gpt2.hpp>
#include <ldlm/text/tokenizer.hpp>

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
  check_error({"generate", "--model", with(R"({"forced_eos_token_id": -1})"), "a"},
              {"\"forced_eos_token_id\" is -1"});
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

TEST_CASE("generate goes to the token behind the model's last position, and says so") {
  const std::string model = case_folder("generate_padded");
  const auto positions = ldlm::parse_json(read_file(model + "/config.json"), "config")
                             .find("n_positions")
                             ->as<std::size_t>();
  const auto continued = [&](std::size_t prompt, const char* most) {
    const std::string text(prompt, '!');  // a token each
    const Result result = run({"generate", "--model", model, "--temperature", "0",
                               "--max-new-tokens", most, "--json", text});
    CHECK(result.status == 0);
    const auto json = json_lines(result.out).front();
    const auto tokenizer = ldlm::Tokenizer::from_folder(model);
    REQUIRE(tokenizer.encode_ids(text).size() == prompt);
    const auto all = tokenizer.encode_ids(json.find("text")->as<std::string>()).size();
    return std::pair(all - prompt, result.err.find("texts end there") != std::string::npos);
  };
  CHECK(continued(positions - 2, "2") == std::pair(std::size_t{2}, false));
  CHECK(continued(positions - 2, "3") == std::pair(std::size_t{3}, false));
  CHECK(continued(positions - 2, "4") == std::pair(std::size_t{3}, true));
  CHECK(continued(positions, "1") == std::pair(std::size_t{1}, false));
  check_error({"generate", "--model", model, std::string(positions + 1, '!')},
              {"the prompt has " + std::to_string(positions + 1) + " tokens"});
}

TEST_CASE("an empty value of an option is refused by the option's name") {
  const Workshop& w = workshop();
  check_usage({"quantize", "--model", w.model, "--out", "", "a"}, {"--out: is empty"});
  check_usage({"export", "--model", w.model, "--out", ""}, {"--out: is empty"});
  check_usage({"train-tokenizer", "--corpus", "", "--out", "x.json"}, {"--corpus: is empty"});
  check_usage({"--model", "", "tokenize", "a"}, {"--model: is empty"});
  check_usage({"tokenize", "--file", ""}, {"--file: is empty"});
  check_usage({"tokenize", "--tokenizer", "", "a"}, {"--tokenizer: is empty"});
  check_usage({"inspect", ""}, {"path: is empty"});
  CHECK(output_of({"embed", "--model", case_folder("embed_plain"), "--prompt", "", "a"}) ==
        output_of({"embed", "--model", case_folder("embed_plain"), "a"}));
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
  make_file(fs::path(prompts) / "modules.json",
            R"([{"name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                {"name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])");
  make_file(fs::path(prompts) / "1_Pooling/config.json", R"({"pooling_mode_mean_tokens": true})");
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

TEST_CASE("a folder's padding side is said to change no vector") {
  const io_support::TempFolder folder;
  const std::string left =
      copy_with(folder, "embed_plain", "tokenizer_config.json", R"({"padding_side": "left"})");
  CHECK(run({"embed", "--model", left, "hello"}).err.find("padding_side left changes nothing") !=
        std::string::npos);
  const auto vectors = [](const std::string& model) {
    return output_of({"embed", "--model", model, "--quiet", "hello", "the river rises ."});
  };
  CHECK(vectors(left) == vectors(case_folder("embed_plain")));
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

TEST_CASE("a model whose weights are no numbers is not quantized") {
  const io_support::TempFolder folder;
  const std::string model = copy_with(folder, "generate_padded", "note.txt", "");
  const auto gpt2 = ldlm::Gpt2<float>::from_pretrained(model);
  gpt2.ln_f.bias.value().fill_(std::numeric_limits<float>::quiet_NaN());
  gpt2.save_pretrained(model);
  const std::string out = (folder / "int8").string();
  check_error({"quantize", "--model", model, "--out", out, "The river"},
              {"[perplexity] is nan", "values that are no numbers"});
  CHECK_FALSE(fs::exists(fs::path(out) / "model.safetensors"));
}

TEST_CASE("a quantized folder decodes and reads text as the one it was made of") {
  const io_support::TempFolder folder;
  auto config =
      ldlm::parse_json(read_file(case_folder("generate_padded") + "/config.json"), "config.json");
  config.set("do_sample", false);
  config.set("max_new_tokens", 4);
  config.set("tokenizer_class", "PreTrainedTokenizerFast");
  config.set("torch_dtype", "float32");
  const std::string model =
      copy_with(folder, "generate_padded", "config.json", ldlm::to_string(config));
  fs::remove(fs::path(model) / "generation_config.json");
  const std::string out = (folder / "bf16").string();
  output_of({"quantize", "--model", model, "--out", out, "--format", "bf16", "The river"});
  const auto written = ldlm::parse_json(read_file(out + "/config.json"), "config.json");
  CHECK(written.find("max_new_tokens")->as<int>() == 4);
  CHECK(written.find("tokenizer_class")->as<std::string>() == "PreTrainedTokenizerFast");
  CHECK(written.find("torch_dtype") == nullptr);
  CHECK(written.find("quantization_config")->find("format")->as<std::string>() == "bf16");
  CHECK(text_of({"generate", "--model", out, "The river"}) ==
        text_of({"generate", "--model", model, "The river"}));
  check_error({"quantize", "--model", out, "--out", out, "a"}, {"--out is the folder of --model"});
  const std::string ldlm = workshop().model;
  check_error({"export", "--model", ldlm, "--out", ldlm + "/."},
              {"--out is the folder of --model"});
}

TEST_CASE("a model that begins with another folder's reads and decodes as that one") {
  const io_support::TempFolder folder;
  const std::string corpus = (folder / "corpus.txt").string();
  make_file(corpus, read_file(workshop().corpus));
  const Arguments training{"--corpus",     corpus, "--steps",  "1",
                           "--batch-size", "2",    "--length", "30"};
  const auto pretrain = [&](const std::string& half, Arguments arguments) {
    arguments.insert(arguments.begin(), {"pretrain", half, "--quiet"});
    arguments.insert(arguments.end(), training.begin(), training.end());
    output_of(arguments);
  };
  const auto ids = [](const std::string& model) {
    const auto values = output_of({"tokenize", "--model", model, "--json", "The River a"});
    return ldlm::to_string(*json_lines(values)[0].find("ids"));
  };
  // A cased BERT, over a folder with the files of another model.
  std::string tokenizer = read_file(case_folder("embed_plain") + "/tokenizer.json");
  const std::string lower = R"("lowercase": true)";
  REQUIRE(tokenizer.find(lower) != std::string::npos);
  tokenizer.replace(tokenizer.find(lower), lower.size(), R"("lowercase": false)");
  const std::string cased = (folder / "cased").string();
  pretrain("encoder", {"--tokenizer", case_folder("embed_plain") + "/tokenizer.json", "--layers",
                       "1", "--width", "16", "--heads", "2", "--out", cased});
  make_file(fs::path(cased) / "tokenizer.json", tokenizer);
  make_file(fs::path(cased) / "tokenizer_config.json",
            R"({"tokenizer_class": "BertTokenizer", "do_lower_case": false})");
  const std::string encoder = (folder / "encoder").string();
  make_file(fs::path(encoder) / "tokenizer_config.json", R"({"unk_token": "[OTHER]"})");
  make_file(fs::path(encoder) / "vocab.txt", "[OTHER]\nthe\n");
  make_file(fs::path(encoder) / "notes.txt", "mine");
  pretrain("encoder", {"--from", cased, "--out", encoder});
  CHECK(ids(encoder) == ids(cased));
  CHECK(ids(encoder) != ids(case_folder("embed_plain")));
  CHECK_FALSE(fs::exists(fs::path(encoder) / "vocab.txt"));
  CHECK(read_file(fs::path(encoder) / "notes.txt") == "mine");
  // A GPT-2 with what its folder says about decoding.
  const std::string decoder = (folder / "decoder").string();
  const std::string from = copy_with(folder, "generate_other_eos", "generation_config.json",
                                     R"({"do_sample": false, "max_new_tokens": 4})");
  make_file(fs::path(decoder) / "generation_config.json", R"({"num_beams": 7})");
  pretrain("decoder", {"--from", from, "--out", decoder});
  CHECK(read_file(decoder + "/generation_config.json") ==
        read_file(from + "/generation_config.json"));
  CHECK(ids(decoder) == ids(from));
  // One that begins anew has nothing of it.
  fs::remove_all(decoder + ".checkpoints");
  pretrain("decoder", {"--tokenizer", workshop().tokenizer, "--layers", "1", "--width", "16",
                       "--heads", "2", "--out", decoder});
  CHECK_FALSE(fs::exists(fs::path(decoder) / "generation_config.json"));
  check_error({"pretrain", "decoder", "--tokenizer", workshop().tokenizer, "--corpus", corpus,
               "--width", "17", "--heads", "3", "--out", decoder},
              {"--heads 3", "17 features of --width"});
  check_error({"train-tokenizer", "--corpus", corpus, "--out", corpus}, {"the text would be lost"});
  CHECK(read_file(corpus) == read_file(workshop().corpus));
}
