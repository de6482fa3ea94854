// What the ldlm command says about folders that lie, texts that hurt, and disks that are full.

#include "command_support.hpp"

#include <cstdint>
#include <iostream>
#include <limits>

using namespace command_test;

namespace {

/// Says at the end how much was tried.
struct Summary {
  ~Summary() { std::cout << "hostile inputs: " << wrong_inputs << '\n'; }
} const summary;

/// A copy of the trained model to be spoilt.
std::string copied_model(const std::string& name) {
  const Workshop& w = workshop();
  const fs::path copy = w.folder / name;
  fs::remove_all(copy);
  fs::copy(w.model, copy, fs::copy_options::recursive);
  return copy.string();
}

Arguments sample_of(const std::string& model) {
  return {"sample", "--model", model, "--count", "1", "--steps", "2"};
}

/// Gives a file of a model other contents, checks what `sample` says about it, and undoes it.
void check_with(const fs::path& file, const std::string& contents, const std::string& model,
                const std::vector<std::string>& parts) {
  const std::string good = read_file(file);
  REQUIRE(contents != good);
  make_file(file, contents);
  check_error(sample_of(model), parts);
  make_file(file, good);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, from);
  return text.replace(at, from.size(), to);
}

/// A safetensors file in two: its header's text and its data.
std::pair<std::string, std::string> split_safetensors(const std::string& bytes) {
  std::uint64_t size = 0;
  std::copy_n(bytes.data(), sizeof size, reinterpret_cast<char*>(&size));
  return {bytes.substr(sizeof size, size), bytes.substr(sizeof size + size)};
}
std::string joined_safetensors(const std::string& header, const std::string& data) {
  const std::uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + data;
}

/// Fills the numbers of a safetensors file with one value, header untouched.
void fill_weights(const fs::path& file, float value) {
  auto [header, data] = split_safetensors(read_file(file));
  for (std::size_t i = 0; i + sizeof value <= data.size(); i += sizeof value) {
    std::copy_n(reinterpret_cast<const char*>(&value), sizeof value, data.data() + i);
  }
  make_file(file, joined_safetensors(header, data));
}

}  // namespace

TEST_CASE("a folder that is missing or no model is named") {
  const Workshop& w = workshop();
  const fs::path loop = w.folder / "loop";
  fs::create_symlink(loop, loop);
  for (const Arguments& command :
       {Arguments{"sample"}, Arguments{"demo"}, Arguments{"reconstruct", cat_sentence},
        Arguments{"embed", cat_sentence}, Arguments{"generate", cat_sentence}, Arguments{"inspect"},
        Arguments{"tokenize", cat_sentence}, Arguments{"export", "--out", w.model + "2"},
        Arguments{"quantize", "--out", w.model + "2", cat_sentence},
        Arguments{"eval", "--text", w.corpus, "--train", w.corpus}}) {
    for (const std::string& folder :
         {std::string("/no/such/folder"), w.config, w.corpus, loop.string()}) {
      Arguments arguments = command;
      arguments.insert(arguments.end(), {"--model", folder});
      check_error(arguments, {folder});
    }
  }
}

TEST_CASE("a file of weights that is missing or broken is named") {
  const Workshop& w = workshop();
  const std::string model = copied_model("broken");
  for (const std::string part : {"encoder", "decoder", "denoiser", "latent"}) {
    const fs::path weights = fs::path(model) / part / "model.safetensors";
    const std::string good = read_file(weights);
    for (const std::string& bad :
         {std::string(), std::string("no safetensors at all"), good.substr(0, 8),
          good.substr(0, 100), good.substr(0, good.size() - 1), good + "more",
          std::string("\xff\xff\xff\xff\xff\xff\xff\x7f") + good.substr(8)}) {
      check_with(weights, bad, model, {weights.string()});
    }
    fs::remove(weights);
    check_error(sample_of(model), {weights.parent_path().string()});
    fs::create_directory(weights);
    check_error(sample_of(model), {weights.string(), "is a folder"});
    fs::remove(weights);
    REQUIRE(::mkfifo(weights.c_str(), 0600) == 0);  // opening it would wait for ever
    check_error(sample_of(model), {weights.string(), "not a regular file"});
    fs::remove(weights);
    make_file(weights, good);
  }
  const fs::path weights = fs::path(model) / "encoder" / "model.safetensors";
  check_with(weights, read_file(fs::path(model) / "decoder" / "model.safetensors"), model,
             {weights.string(), "missing", "unexpected"});
  CHECK(run(sample_of(model)).status == 0);
  check_error({"inspect", w.tokenizer}, {w.tokenizer});
  check_error({"inspect", "/no/such/file"}, {"/no/such/file"});
}

TEST_CASE("a header of safetensors that lies is found out") {
  const std::string model = copied_model("lying");
  const fs::path weights = fs::path(model) / "encoder" / "model.safetensors";
  const auto [header, data] = split_safetensors(read_file(weights));
  const auto check = [&, &text = data](const std::string& lie, const std::string& part) {
    check_with(weights, joined_safetensors(lie, text), model, {weights.string(), part});
  };
  const std::string bias = "embeddings.LayerNorm.bias";
  const std::string entry = '"' + bias + R"(":{"dtype":"F32","shape":[16],"data_offsets":[0,64]})";
  struct Lie {
    std::string from, to, part;
  };
  for (const Lie& lie : std::vector<Lie>{
           {"[0,64]", "[64,128]", "belong to no tensor"},
           {"[64,128]", "[32,96]", "overlaps"},
           {"[0,64]", "[64,0]", "[64, 0]"},
           {"[0,64]", "[-64,0]", "data_offsets"},
           {"[0,64]", "[0,1000000000000]", "1000000000000"},
           {"[0,64]", "[0,18446744073709551616]", "data_offsets"},
           {"[0,64]", "[0.0,64.0]", "data_offsets"},
           {"[0,64]", "[0]", "data_offsets"},
           {"[0,64]", "\"0,64\"", "data_offsets"},
           {"\"shape\":[16]", "\"shape\":[17]", "68"},
           {"\"shape\":[16]", "\"shape\":[-16]", "-16"},
           {"\"shape\":[16]", "\"shape\":[1099511627776,1099511627776]", "overflows"},
           {"\"shape\":[16]", "\"shape\":[1,16]", "of another shape"},
           {"\"shape\":[16]", "\"shape\":[1,1,1,1,1,1,1,16]", "8 axes"},
           {"\"shape\":[16]", "\"shape\":[0,16]", "span 64 bytes"},
           {"\"shape\":[16]", "\"shape\":16", "shape"},
           {"[300,16]", "[16,300]", "of another shape"},
           {"\"F32\"", "\"F33\"", "F33"},
           {"\"F32\"", "32", "dtype"},
           {"\"F32\"", "\"F16\"", "span 64 bytes"},
           {"\"dtype\":\"F32\",", "", "no \"dtype\""},
           {",\"data_offsets\":[0,64]", "", "no \"data_offsets\""},
           {entry, '"' + bias + "\":5", "must be an object"},
           {entry, entry + ',' + entry, "twice"},
           {bias, std::string(50'000, 'x'), "missing"},
           {bias, "\\u001b[31m\\n", "missing"},
           {bias, "\xff\xfe", "UTF-8"},
           {"{\"format\":\"pt\"}", "5", "__metadata__"},
           {"{\"format\":\"pt\"}", "{\"format\":5}", "__metadata__"},
       }) {
    CAPTURE(lie.to.substr(0, 60));
    check(replaced(header, lie.from, lie.to), lie.part);
  }
  check("[]", "must begin with '{'");
  check("{}", "belong to no tensor");
  check("{" + std::string(1, '\0') + "}", "NUL");
  check(R"({"a":)" + std::string(100'000, '['), "nested deeper");
  check(header.substr(0, header.size() / 2), "json");
  CHECK(run(sample_of(model)).status == 0);
}

TEST_CASE("JSON that is broken or says what cannot be is named") {
  const std::string model = copied_model("configured");
  for (const std::string name : {"ldlm.json", "encoder/config.json", "decoder/config.json",
                                 "denoiser/config.json", "tokenizer.json"}) {
    const fs::path file = fs::path(model) / name;
    const std::string good = read_file(file);
    for (const std::string& bad :
         {std::string(), std::string("{"), std::string("[]"), std::string("null"),
          std::string(R"({"latent": "sequence", "latent": "pooled"})"),
          "{\"" + std::string(100'000, 'k') + "\": 1, \"" + std::string(100'000, 'k') + "\": 2}",
          good.substr(0, good.size() / 2), good + "x", std::string(100'000, '['),
          "\xff\xfe" + good}) {
      check_with(file, bad, model, {file.string()});
    }
    // Without its keys a configuration has all defaults, which are not those of the weights.
    check_with(file, "{}", model, {model});
    fs::remove(file);
    check_error(sample_of(model), {file.string()});
    make_file(file, good);
  }

  struct Value {
    std::string file, key, json, part;
  };
  for (const Value& value : std::vector<Value>{
           {"ldlm.json", "latent", "\"other\"", "\"latent\""},
           {"ldlm.json", "latent", "\"pooled\"", "latent_length"},
           {"ldlm.json", "latent_length", "0", "latent_length"},
           {"ldlm.json", "latent_length", "1000000", "1000000"},
           {"ldlm.json", "latent_length", "9223372036854775808", "\"latent_length\""},
           {"ldlm.json", "latent_length", "1.5", "\"latent_length\""},
           {"ldlm.json", "latent_channels", "7", "latent_channels"},
           {"ldlm.json", "schedule", "null", "\"schedule\""},
           {"ldlm.json", "schedule", R"({"kind": "sine"})", "sine"},
           {"ldlm.json", "schedule", R"({"kind": "tan_d", "d": -1})", "-1"},
           {"ldlm.json", "schedule", R"({"kind": "tan_d", "steps": 0})", "step"},
           {"ldlm.json", "schedule", R"({"kind": "tan_d", "steps": 4611686018427387904})",
            "\"schedule.steps\""},
           {"ldlm.json", "schedule", R"({"kind": "tan_d", "steps": 1000000000})",
            "\"schedule.steps\""},
           {"ldlm.json", "schedule", R"({"kind": "tan_d", "shift": 1e308})", "\"schedule.shift\""},
           {"ldlm.json", "schedule", R"({"kind": "tan_d", "shift": 1e30})", "\"schedule.shift\""},
           {"ldlm.json", "schedule", "{}", "\"schedule.kind\""},
           {"ldlm.json", "model_type", "0", "\"model_type\""},
           {"ldlm.json", "model_type", "\"bert\"", "\"model_type\""},
           {"encoder/config.json", "pad_token_id", "300", "\"pad_token_id\""},
           {"decoder/config.json", "eos_token_id", "300", "\"eos_token_id\""},
           {"ldlm.json", "prediction", "\"y\"", "\"prediction\""},
           {"ldlm.json", "num_beams", "0", "num_beams"},
           {"ldlm.json", "num_beams", "9223372036854775807", "\"num_beams\" must be at most"},
           {"ldlm.json", "max_new_tokens", "-2", "max_new_tokens"},
           {"ldlm.json", "max_new_tokens", "9223372036854775807", "max_new_tokens must be at most"},
           {"ldlm.json", "max_new_tokens", "20", "max_new_tokens must be at most"},
           {"encoder/config.json", "vocab_size", "299", "(300, 16)"},
           {"encoder/config.json", "vocab_size", "1000000000000000",
            "\"vocab_size\" is 1000000000000000, but no"},
           {"encoder/config.json", "vocab_size", "4611686018427387904",
            "\"vocab_size\" is 4611686018427387904, but no"},
           {"encoder/config.json", "hidden_size", "17", "\"num_attention_heads\""},
           {"encoder/config.json", "hidden_size", "1000000000000000",
            "\"hidden_size\" is 1000000000000000, but no"},
           {"encoder/config.json", "num_hidden_layers", "2", "missing"},
           {"encoder/config.json", "num_hidden_layers", "1000000000", "1000000000 layers"},
           {"encoder/config.json", "max_position_embeddings", "13", "13 positions"},
           {"encoder/config.json", "hidden_act", "\"step\"", "\"hidden_act\""},
           {"encoder/config.json", "hidden_dropout_prob", "1", "\"hidden_dropout_prob\""},
           {"encoder/config.json", "layer_norm_eps", "\"x\"", "\"layer_norm_eps\""},
           {"encoder/config.json", "layer_norm_eps", "-1e-5", "\"layer_norm_eps\""},
           {"encoder/config.json", "initializer_range", "-0.02", "\"initializer_range\""},
           {"decoder/config.json", "layer_norm_epsilon", "0", "\"layer_norm_epsilon\""},
           {"denoiser/config.json", "layer_norm_eps", "-1", "\"layer_norm_eps\""},
           {"encoder/config.json", "model_type", "\"gpt2\"", "\"model_type\""},
           {"decoder/config.json", "n_positions", "27", "27 positions"},
           {"decoder/config.json", "n_positions", "1000000000000000",
            "\"n_positions\" is 1000000000000000, but no"},
           {"decoder/config.json", "n_head", "7", "\"n_head\""},
           {"decoder/config.json", "n_layer", "-1", "\"n_layer\""},
           {"decoder/config.json", "vocab_size", "10", "(300, 16)"},
           {"denoiser/config.json", "latent_dim", "9", "latent_dim"},
           {"denoiser/config.json", "width", "1000000000", "\"width\" is 1000000000, but no"},
           {"denoiser/config.json", "heads", "3", "\"heads\""},
           {"denoiser/config.json", "length", "13", "(14, 16)"},
           {"denoiser/config.json", "self_conditioning", "\"yes\"", "\"self_conditioning\""},
           {"denoiser/config.json", "time_conditioning", "5", "\"time_conditioning\""},
       }) {
    CAPTURE(value.key);
    CAPTURE(value.json);
    const fs::path file = fs::path(model) / value.file;
    ldlm::JsonValue json = ldlm::parse_json(read_file(file), value.file);
    json.set(value.key, ldlm::parse_json(value.json, "value"));
    check_with(file, ldlm::to_string(json), model, {model, value.part});
  }
  CHECK(run(sample_of(model)).status == 0);
}

TEST_CASE("a tokenizer that contradicts itself or the model is named") {
  const std::string model = copied_model("tokenized");
  const fs::path file = fs::path(model) / "tokenizer.json";
  const std::string good = read_file(file);
  struct Change {
    std::string from, to, part;
  };
  for (const Change& change : std::vector<Change>{
           {"\"type\": \"BPE\"", "\"type\": \"Unigram\"", "Unigram"},
           {"\"<|endoftext|>\": 0", "\"<|end|>\": 0", "<|end|>"},
           {"\"!\": 2", "\"!\": 3", "belongs to two pieces"},
           {"\"!\": 2", "\"!\": 2000000000", "2000000000"},
           {"\"!\": 2", "\"!\": -2", "-2"},
           {"\"!\": 2", "\"!\": 300", "300 rows"},
           {"\"!\": 2", "\"\\u001b[31m\\n\": 2, \"\\u001b[31m\\n\": 3", "twice"},
           {"\"id\":0", "\"id\":5", "id 5"},
           {"\"id\":0", "\"id\":4000000000", "4000000000"},
           {"\"merges\": [", "\"merges\": {}, \"x\": [", "merges"},
           {"\"merges\": [", "\"merges\": [\"zz zz\",", "zz"},
           {"\"vocab\": {", "\"vocab\": [], \"x\": {", "vocab"},
           {"\"normalizer\": null", "\"normalizer\": {\"type\": \"Nope\"}", "Nope"},
           {"\"added_tokens\": [", "\"added_tokens\": 5, \"x\": [", "added_tokens"},
       }) {
    CAPTURE(change.to);
    check_with(file, replaced(good, change.from, change.to), model, {model, change.part});
  }
  CHECK(run(sample_of(model)).status == 0);
}

TEST_CASE("weights that are no numbers are an error, not a crash") {
  const Workshop& w = workshop();
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e38F}) {
    for (const std::string part : {"encoder", "decoder", "denoiser", "latent"}) {
      const std::string model = copied_model("nan");
      fill_weights(fs::path(model) / part / "model.safetensors", value);
      CAPTURE(part);
      CAPTURE(value);
      const auto check = [&](Arguments command, const std::string& said) {
        command.insert(command.end(), {"--model", model});
        check_error(command, {said});
      };
      const std::string no_numbers = "the model's weights lead to values that are no numbers";
      const Arguments sample{"sample", "--count", "2", "--steps", "3"};
      const Arguments reconstruct{"reconstruct", cat_sentence};
      if (part == "encoder") {  // sample has no use for it
        CHECK(run(sample_of(model)).status == 0);
        check({"embed", cat_sentence}, no_numbers);
      } else {
        const std::string said = part == "denoiser" ? no_numbers : "NaN";
        check(sample, said);
        check({"sample", "--count", "2", "--steps", "3", "--temperature", "1"}, said);
      }
      const std::string said = part == "decoder" ? "NaN" : no_numbers;
      check(reconstruct, said);
      check({"reconstruct", "--beams", "1", cat_sentence}, said);
      if (part == "decoder") {
        check({"generate", cat_sentence}, "NaN");
        check({"generate", "--temperature", "0", cat_sentence}, "NaN");
      }
    }
  }
  // A training stops, and leaves the denoiser as it was.
  const std::string model = copied_model("nan");
  const fs::path denoiser = fs::path(model) / "denoiser" / "model.safetensors";
  fill_weights(fs::path(model) / "encoder" / "model.safetensors",
               std::numeric_limits<float>::quiet_NaN());
  check_error(w.stage("denoiser", model, 5), {"loss is nan", "step 1"});
  CHECK(read_file(denoiser) == read_file(fs::path(w.model) / "denoiser" / "model.safetensors"));
}

TEST_CASE("texts that hurt") {
  const Workshop& w = workshop();
  const auto model = [&](Arguments command) {
    command.insert(command.end(), {"--model", w.model});
    return command;
  };
  std::string words;
  while (words.size() < 1'000'000) {
    words += "word ";
  }
  for (const std::string& text :
       {std::string(1'000'000, 'a'), std::string(1'000'000, ' ') + ".", words}) {
    const RunOptions input{.input = text};
    check_error(model({"reconstruct"}), {"tokens, the model takes 13 at most"}, input);
    check_error(model({"embed"}), {"tokens, the model takes 13 at most"}, input);
    check_error(model({"generate"}), {"the prompt has", "tokens"}, input);
  }
  const auto tokens = json_lines(output_of(model({"tokenize", "--json"}), {.input = words}));
  REQUIRE(tokens.size() == 1);
  CHECK(tokens[0].find("ids")->items().size() > 200'000);

  for (const std::string& text :
       {std::string("\xc3 invalid \xff\xfe"), std::string("\xed\xa0\x80 \xf4\x90\x80\x80 \xc0\xaf"),
        std::string("a\0b \0", 5), std::string("tab\tand \x01\x7f control \x1b[31m"),
        std::string("\xf0\x9f\x99\x82 \xe6\x9d\xb1\xe4\xba\xac"), std::string("<|endoftext|>"),
        std::string("<|mask|> a <|endoftext|>"), std::string("\"quotes\" \\ and { braces }")}) {
    CAPTURE(text);
    ++wrong_inputs;
    const RunOptions input{.input = text};
    CHECK(json_lines(output_of(model({"tokenize", "--json"}), input)).size() == 1);
    CHECK(json_lines(output_of(model({"generate", "--json", "--max-new-tokens", "2"}), input))
              .size() == 1);
  }
  for (const std::string& nothing : {std::string(), std::string("\n\n"), std::string(" \t\r\n")}) {
    for (const std::string command : {"reconstruct", "vary", "embed", "generate", "tokenize"}) {
      check_error(model({command}), {"there is no text"}, {.input = nothing});
    }
  }
  std::string many;
  for (int i = 0; i < 300; ++i) {
    many += "The cat sat.\n";
  }
  CHECK(lines(output_of(model({"embed"}), {.input = many})).size() == 300);
}

TEST_CASE("arguments that hurt") {
  const Workshop& w = workshop();
  const std::string huge(100'000, 'x');
  check_usage({huge}, {"xxx"});
  check_usage({"sample", huge}, {"xxx"});
  check_usage({"sample", "--" + huge}, {"xxx"});
  check_usage({"sample", "--count", huge}, {"--count"});
  check_usage({"sample", "--\x1b[31m\n\n"}, {"[31m"});
  check_usage({"sample", "--sampler", "\xff\xfe\n"}, {"--sampler"});
  check_error({"sample", "--model", huge}, {"xxx"});
  check_error({"sample", "--model", "no\n\x1b[31mmodel"}, {"[31mmodel"});
  check_error({"sample", "--model", w.model, "--steps", "1000000"}, {"1000000 of 1000 steps"});
  check_error({"tokenize", "--tokenizer", huge, cat_sentence}, {"xxx"});
  check_error({"reconstruct", "--model", w.model, huge}, {"tokens, the model takes 13 at most"});
  check_error({"train", "autoencoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
               huge, "--out", (w.folder / "unused").string()},
              {"xxx"});
}

TEST_CASE("training options out of range are wrong usage") {
  const Workshop& w = workshop();
  const std::string out = (w.folder / "unused").string();
  const auto train = [&](const std::string& stage, const std::string& option,
                         const std::string& value) {
    return Arguments{"train", stage, "--corpus", w.corpus, "--out", out, option, value};
  };
  for (const std::string name : {"--encoder-mask-rows", "--encoder-mask-rate", "--clean-rows",
                                 "--wild-rows", "--decoder-mask-rows", "--decoder-mask-rate"}) {
    check_usage(train("autoencoder", name, "2"), {name});
    check_usage(train("autoencoder", name, "-0.1"), {name});
  }
  for (const std::string name : {"--learning-rate", "--weight-decay", "--warmup", "--ema"}) {
    check_usage(train("denoiser", name, "-1"), {name});
    check_usage(train("denoiser", name, "1e30"), {name});
  }
  for (const std::string name :
       {"--steps", "--batch-size", "--checkpoint-every", "--report-every", "--noise-shift"}) {
    check_usage(train("decoder", name, "0"), {name});
    check_usage(train("decoder", name, "99999999999999999999"), {name});
  }
  Arguments together = w.autoencoder(out, 2);
  together.insert(together.end(), {"--clean-rows", "0.6", "--wild-rows", "0.6"});
  check_error(together, {"add up to 1", "0.6"});
  Arguments silent = w.autoencoder(out, 2);
  silent.insert(silent.end(), {"--mild-noise", "0"});
  check_error(silent, {"mild noise"});
  CHECK_FALSE(fs::exists(out));
}

TEST_CASE("corpora that hurt") {
  const Workshop& w = workshop();
  const std::string file = (w.folder / "hurting.txt").string();
  const std::string out = (w.folder / "hurt").string();
  const auto check = [&](const std::string& corpus, const std::string& part) {
    make_file(file, corpus);
    check_error(
        {"train-tokenizer", "--corpus", file, "--out", out + ".json", "--vocab-size", "300"},
        {file, part});
    check_error({"train", "autoencoder", "--corpus", file, "--tokenizer", w.tokenizer, "--config",
                 w.config, "--out", out, "--steps", "1"},
                {file, part});
    check_error({"eval", "--model", w.model, "--text", file, "--train", w.corpus}, {file, part});
  };
  check("", "no sentence");
  check(std::string(100'000, '\0'), "no sentence");
  check("The " + std::string(1'000'000, 'x') + "\n", "no sentence");
  check(" = Title = \n = = Heading = = \n", "no sentence");
  check("\x1f\x8b\x08" + std::string(100, 'z'), "gzip");
  CHECK_FALSE(fs::exists(out + ".json"));
  CHECK_FALSE(fs::exists(out + "/ldlm.json"));
}

TEST_CASE("a checkpoint that is broken is named") {
  const Workshop& w = workshop();
  const std::string out = (w.folder / "resumed").string();
  const Arguments train = w.autoencoder(out, 2);
  output_of(train);
  const fs::path folder = out + ".checkpoints/autoencoder";
  const fs::path step = folder / "step-00000002";
  for (const std::string name : {"state.json", "model.safetensors", "optimizer.safetensors"}) {
    const std::string good = read_file(step / name);
    for (const std::string& bad : {std::string(), good.substr(0, good.size() / 2), good + "x",
                                   replaced(good, name == "state.json" ? "\"step\": 2" : "F32",
                                            name == "state.json" ? "\"step\": 3" : "F33")}) {
      make_file(step / name, bad);
      check_error(train, {folder.string()});
    }
    fs::remove(step / name);
    check_error(train, {folder.string()});
    make_file(step / name, good);
  }
  output_of(train);
}

TEST_CASE("output that cannot be written is an error that leaves nothing half done") {
  const Workshop& w = workshop();
  const std::string encoder = w.model + "/encoder/model.safetensors";
  for (const Arguments& command :
       {Arguments{"--help"}, Arguments{"sample", "--help"}, Arguments{"--version"},
        Arguments{"demo", "--model", w.model, cat_sentence},
        Arguments{"reconstruct", "--model", w.model, cat_sentence}, sample_of(w.model),
        Arguments{"generate", "--model", w.model, cat_sentence},
        Arguments{"embed", "--model", w.model, cat_sentence},
        Arguments{"tokenize", "--model", w.model, cat_sentence}, Arguments{"inspect", encoder},
        Arguments{"eval", "--model", w.model, "--text", w.corpus, "--train", w.corpus, "--samples",
                  "0", "--no-beam", "--t", "500"}}) {
    CAPTURE(joined(command));
    check_failed(run(command, {.output = "/dev/full"}), 1, 1,
                 {"standard output cannot be written"});
  }

  const auto eval_into = [&](const std::string& out) {
    return Arguments{"eval",      "--model", w.model, "--text", w.corpus,    "--train", w.corpus,
                     "--samples", "0",       "--out", out,      "--no-beam", "--t",     "500"};
  };
  const auto tokenizer_into = [&](const std::string& out) {
    return Arguments{"train-tokenizer", "--corpus", w.corpus, "--out", out, "--vocab-size", "300"};
  };
  const auto encoder_into = [&](const std::string& out) {
    return Arguments{"pretrain", "encoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer,
                     "--config", w.config,  "--out",    out,      "--steps",     "2"};
  };
  const auto check_folder = [&](const std::string& out) {
    check_error({"export", "--model", w.model, "--out", out}, {out});
    check_error(tokenizer_into(out), {out});
    check_error(w.autoencoder(out, 2), {out});
    check_error(encoder_into(out), {out});
    check_error(eval_into(out), {out});
  };
  check_folder(w.corpus +
               "/out");  // a path through a file cannot be made by anybody, root included
  check_folder("/dev/null/out");
  if (::geteuid() == 0) {
    MESSAGE("skipped: folders that root may not write to, as there are none");
  } else {
    const fs::path locked = w.folder / "locked";
    fs::create_directory(locked);
    fs::permissions(locked, fs::perms::owner_read | fs::perms::owner_exec);
    check_folder((locked / "out").string());
  }

  // A disk that is full after some bytes: every writer says so, and no partial file stays.
  const RunOptions small_disk{.largest_file = 4096};
  const auto check_full = [&](const Arguments& command, const std::string& out) {
    check_error(command, {out}, small_disk);
    if (fs::exists(out)) {
      for (const auto& entry : fs::recursive_directory_iterator(out)) {
        CHECK_MESSAGE(!entry.is_regular_file(), entry.path().native());
      }
    }
  };
  const std::string full = (w.folder / "full").string();
  check_full({"export", "--model", w.model, "--out", full + "-export"}, full + "-export");
  CHECK_FALSE(fs::exists(full + "-export"));
  check_full(encoder_into(full + "-encoder"), full + "-encoder");
  check_full(eval_into(full + "-eval"), full + "-eval");
  check_error(tokenizer_into(full + ".json"), {full + ".json"}, small_disk);
  CHECK_FALSE(fs::exists(full + ".json"));
  check_full(w.autoencoder(full, 3), full);
  CHECK_FALSE(fs::exists(full + "/ldlm.json"));
  output_of(w.autoencoder(full, 3));  // with room again, the same command does it
  CHECK(fs::exists(full + "/ldlm.json"));
}
