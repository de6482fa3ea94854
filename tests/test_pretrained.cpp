// Model folders: what we save loads again and in transformers; what others save loads here, under
// the names of every age; wrong folders are told apart.

#include <cstdlib>
#include <fstream>
#include <functional>

#include <sys/wait.h>

#include <doctest/doctest.h>
#include <ldlm/models/bert.hpp>
#include <ldlm/models/gpt2.hpp>

#include "io_support.hpp"
#include "model_support.hpp"
#include "paths.hpp"

using io_support::message_of;
using io_support::TempFolder;
using ldlm::Bert;
using ldlm::BertForMaskedLM;
using ldlm::Generator;
using ldlm::Gpt2;
using ldlm::Gpt2Config;
using ldlm::JsonReader;
using ldlm::NamedTensors;
using ldlm::Tensor;
using ldlm::Variable;
using model_support::contains;
using model_support::golden_folder;
namespace fs = std::filesystem;

namespace {

/// The tensors of a golden model under other names, in a folder with its config.json.
void write_renamed(const fs::path& from, const fs::path& to,
                   const std::function<std::string(std::string)>& rename,
                   const std::function<void(ldlm::SafetensorsWriter&)>& add_more = {}) {
  fs::create_directories(to);
  fs::copy_file(from / "config.json", to / "config.json", fs::copy_options::overwrite_existing);
  ldlm::SafetensorsWriter writer;
  for (const auto& [name, tensor] : ldlm::load_safetensors<float>(from / "model.safetensors")) {
    const std::string renamed = rename(name);
    if (!renamed.empty()) {
      writer.add(renamed, tensor);
    }
  }
  if (add_more) {
    add_more(writer);
  }
  writer.write(to / "model.safetensors");
}

std::string with_replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

template <class M>
void check_same(const M& actual, const M& expected) {
  const auto a = ldlm::state_dict(actual);
  const auto e = ldlm::state_dict(expected);
  REQUIRE(a.size() == e.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].first == e[i].first);
    CHECK(equal(a[i].second, e[i].second));
  }
}

Gpt2Config one_layer_gpt2() {
  Gpt2Config config;
  config.vocab_size = 12;
  config.n_positions = 8;
  config.n_embd = 8;
  config.n_layer = 1;
  config.n_head = 2;
  return config;
}

}  // namespace

TEST_CASE("what is saved loads, whole or in shards") {
  const TempFolder folder;
  const auto gpt2 = Gpt2<float>::from_pretrained(golden_folder("gpt2"));
  gpt2.save_pretrained(folder / "new" / "gpt2");
  CHECK(io_support::fs::exists(folder / "new" / "gpt2" / "model.safetensors"));
  const auto again = Gpt2<float>::from_pretrained(folder / "new" / "gpt2");
  check_same(again, gpt2);
  CHECK(again.config.to_json() == gpt2.config.to_json());

  ldlm::save_pretrained(gpt2, gpt2.config.to_json(), folder / "sharded", 40'000);
  CHECK(fs::exists(folder / "sharded" / "model.safetensors.index.json"));
  CHECK_FALSE(fs::exists(folder / "sharded" / "model.safetensors"));
  check_same(Gpt2<float>::from_pretrained(folder / "sharded"), gpt2);

  const auto bert = Bert<float>::from_pretrained(golden_folder("bert"));
  bert.save_pretrained(folder / "bert");
  check_same(Bert<float>::from_pretrained(folder / "bert"), bert);
  const auto masked = BertForMaskedLM<float>::from_pretrained(golden_folder("bert"));
  masked.save_pretrained(folder / "masked");
  check_same(BertForMaskedLM<float>::from_pretrained(folder / "masked"), masked);
  // An encoder can be taken out of a model with heads; here there is no pooler to take.
  CHECK_FALSE(Bert<float>::from_pretrained(folder / "masked").pooler.weight.defined());
}

TEST_CASE("GPT-2 loads under the names of every age") {
  const TempFolder folder;
  const auto expected = Gpt2<float>::from_pretrained(golden_folder("gpt2"));
  // As the first files are: no prefix, the masks of attention as buffers, the head written out.
  write_renamed(
      golden_folder("gpt2"), folder.path(),
      [](const std::string& name) { return with_replaced(name, "transformer.", ""); },
      [&](ldlm::SafetensorsWriter& writer) {
        for (int i = 0; i < 2; ++i) {
          const std::string layer = "h." + std::to_string(i);
          writer.add(layer + ".attn.bias", Tensor<float>::ones({1, 1, 64, 64}));
          writer.add(layer + ".attn.masked_bias", Tensor<float>::scalar(-10000));
        }
        writer.add("lm_head.weight", expected.wte.value());
      });
  check_same(Gpt2<float>::from_pretrained(folder.path()), expected);
}

TEST_CASE("BERT loads under the names of every age") {
  const TempFolder folder;
  const auto expected = Bert<float>::from_pretrained(golden_folder("bert"));
  const auto masked = BertForMaskedLM<float>::from_pretrained(golden_folder("bert"));
  const auto old_name = [](const std::string& name) {
    return with_replaced(with_replaced(name, "LayerNorm.weight", "LayerNorm.gamma"),
                         "LayerNorm.bias", "LayerNorm.beta");
  };
  const auto positions = [](const std::string& name) {
    return [name](ldlm::SafetensorsWriter& writer) {
      writer.add(name, Tensor<std::int64_t>::arange(0, 24).unsqueeze(0));
    };
  };
  write_renamed(golden_folder("bert"), folder.path(), old_name,
                positions("bert.embeddings.position_ids"));
  check_same(Bert<float>::from_pretrained(folder.path()), expected);
  check_same(BertForMaskedLM<float>::from_pretrained(folder.path()), masked);
  // As BertModel saves itself: without the prefix.
  write_renamed(
      golden_folder("bert"), folder.path(),
      [](const std::string& name) {
        return contains(name, "cls.") ? "" : with_replaced(name, "bert.", "");
      },
      positions("embeddings.position_ids"));
  check_same(Bert<float>::from_pretrained(folder.path()), expected);
}

TEST_CASE("checkpoints of another dtype are converted") {
  const TempFolder folder;
  const auto expected = Gpt2<float>::from_pretrained(golden_folder("gpt2"));
  const auto write_as = [&]<class T>(T) {
    ldlm::SafetensorsWriter writer;
    for (const auto& [name, tensor] : ldlm::state_dict(expected)) {
      writer.add(name, ldlm::cast<T>(tensor));
    }
    writer.write(folder / "model.safetensors");
    return Gpt2<float>::from_pretrained(folder.path());
  };
  fs::copy_file(golden_folder("gpt2") / "config.json", folder / "config.json");
  check_same(write_as(double{}), expected);
  const auto half = write_as(ldlm::bf16{});
  const Tensor<float> difference = half.wte.value() - expected.wte.value();
  CHECK(max(abs(difference)).item() > 0);
  CHECK(max(abs(difference)).item() < 0.004F);
}

TEST_CASE("wrong folders are told apart") {
  const TempFolder folder;
  const auto load_gpt2 = [&](const std::string& name) {
    return message_of([&] { (void)Gpt2<float>::from_pretrained(folder / name); }, folder.path());
  };
  const auto golden = golden_folder("gpt2");
  const auto keep = [](const std::string& name) { return name; };

  CHECK(contains(load_gpt2("none"), "none/config.json"));
  fs::create_directories(folder / "empty");
  fs::copy_file(golden / "config.json", folder / "empty" / "config.json");
  CHECK(contains(load_gpt2("empty"), "neither model.safetensors nor"));

  write_renamed(golden, folder / "missing",
                [](const std::string& name) { return contains(name, "h.1.mlp") ? "" : name; });
  CHECK(load_gpt2("missing") ==
        "[from_pretrained] missing/model.safetensors: [load_state_dict] missing: "
        "transformer.h.1.mlp.c_fc.weight, transformer.h.1.mlp.c_fc.bias, "
        "transformer.h.1.mlp.c_proj.weight, transformer.h.1.mlp.c_proj.bias");
  write_renamed(golden, folder / "unexpected", keep, [](ldlm::SafetensorsWriter& writer) {
    writer.add("transformer.h.2.ln_1.weight", Tensor<float>::ones({32}));
  });
  CHECK(contains(load_gpt2("unexpected"), "unexpected: transformer.h.2.ln_1.weight"));
  write_renamed(
      golden, folder / "shape",
      [](const std::string& name) { return contains(name, "ln_f.bias") ? "" : name; },
      [](ldlm::SafetensorsWriter& writer) {
        writer.add("transformer.ln_f.bias", Tensor<float>::ones({31}));
      });
  CHECK(contains(load_gpt2("shape"),
                 "of another shape: transformer.ln_f.bias is (32,), given (31,)"));
  write_renamed(golden, folder / "layers", keep);
  std::ofstream(folder / "layers" / "config.json") << R"({"n_layer": 1000000000000})";
  CHECK(load_gpt2("layers") ==
        "[from_pretrained] layers/model.safetensors: holds 28 tensors, too few for the "
        "1000000000000 layers of config.json");
  // Before memory is taken for them.
  for (const char* const key : {"vocab_size", "n_positions", "n_embd", "n_inner"}) {
    ldlm::JsonValue config = ldlm::read_json(fs::path(golden) / "config.json");
    config.set(key, 10'000'000);
    ldlm::write_json(folder / "layers" / "config.json", config);
    const std::string message = load_gpt2("layers");
    CHECK_MESSAGE(contains(message, "[config] layers/config.json: key \"" + std::string(key) +
                                        "\" is 10000000, but no tensor of "
                                        "layers/model.safetensors has an extent above "),
                  message);
  }
  // Both spellings of one parameter.
  write_renamed(golden, folder / "twice", keep, [](ldlm::SafetensorsWriter& writer) {
    writer.add("ln_f.bias", Tensor<float>::ones({32}));
  });
  CHECK(contains(load_gpt2("twice"), "transformer.ln_f.bias (a second time)"));

  CHECK(contains(message_of([&] { (void)Bert<float>::from_pretrained(golden); }),
                 "key \"model_type\" must be \"bert\", got \"gpt2\""));
  Generator generator;
  const Gpt2<float> model(one_layer_gpt2(), generator);
  CHECK(contains(message_of([&] { model.save_pretrained("/proc/no/such/folder"); }),
                 "[write] /proc/no/such/folder: "));
}

TEST_CASE("wrong configurations are told apart") {
  const auto gpt2 = [](const std::string& json) {
    return message_of([&] { (void)Gpt2Config::from_json(JsonReader::parse(json, "config.json")); });
  };
  CHECK(gpt2("{}") == "no error");
  CHECK(
      gpt2(R"({"n_head": 7})") ==
      R"([config] config.json: key "n_head" is 7, which does not divide n_embd 768 (at byte 11))");
  CHECK(
      gpt2(R"({"n_embd": 100, "n_heads": 10})") ==
      "[config] config.json: key \"n_head\" (absent, so its default) is 12, which does not divide "
      "n_embd 100");
  CHECK(contains(gpt2(R"({"n_layer": 0})"), "key \"n_layer\" must be at least 1, got 0"));
  CHECK(contains(gpt2(R"({"vocab_size": "many"})"), "must be an integer, got \"many\""));
  CHECK(contains(gpt2(R"({"attn_pdrop": 1})"), "must lie in [0, 1), got 1"));
  CHECK(contains(gpt2(R"({"activation_function": "tanh"})"), "got \"tanh\""));
  CHECK(contains(gpt2(R"({"scale_attn_weights": false})"), "must be true"));
  CHECK(contains(gpt2(R"({"scale_attn_by_inverse_layer_idx": true})"), "must be false"));
  const auto bert = [](const std::string& json) {
    return message_of(
        [&] { (void)ldlm::BertConfig::from_json(JsonReader::parse(json, "config.json")); });
  };
  CHECK(bert("{}") == "no error");
  CHECK(contains(bert(R"({"num_attention_heads": 5})"), "does not divide hidden_size 768"));
  CHECK(contains(bert(R"({"position_embedding_type": "relative_key"})"), "must be \"absolute\""));
  CHECK(contains(bert(R"({"is_decoder": true})"), "must be false"));
  CHECK(contains(bert(R"({"hidden_size": -3})"), "must be at least 1, got -3"));
}

TEST_CASE("transformers loads what we save") {
  const TempFolder folder;
  Generator generator(9);
  const auto ids = Tensor<std::int64_t>::from_values({2, 5}, {1, 7, 3, 11, 2, 5, 5, 0, 9, 10});
  ldlm::SafetensorsWriter outputs;
  outputs.add("ids", ids);
  const ldlm::NoGrad scope;

  const auto bert = Bert<double>::from_pretrained(golden_folder("bert"));
  bert.save_pretrained(folder / "bert");
  outputs.add("bert.hidden", bert({.ids = ids}).hidden.value());
  outputs.add("bert.pooled", bert({.ids = ids}).pooled.value());
  const auto masked = BertForMaskedLM<double>::from_pretrained(golden_folder("bert"));
  masked.save_pretrained(folder / "masked");
  outputs.add("masked", masked({.ids = ids}).value());

  const auto gpt2 = Gpt2<double>::from_pretrained(golden_folder("gpt2"));
  gpt2.save_pretrained(folder / "gpt2");
  outputs.add("gpt2", gpt2({.ids = ids}).value());
  const Gpt2<double> fresh(one_layer_gpt2(), generator);
  ldlm::save_pretrained(fresh, fresh.config.to_json(), folder / "sharded", 2000);
  outputs.add("sharded", fresh({.ids = ids}).value());
  Gpt2Config config = one_layer_gpt2();
  config.tie_word_embeddings = false;
  config.n_inner = 20;
  const Gpt2<double> untied(config, generator);
  untied.save_pretrained(folder / "untied");
  outputs.add("untied", untied({.ids = ids}).value());

  const auto cross = Gpt2<double>::from_pretrained(golden_folder("gpt2_cross"));
  cross.save_pretrained(folder / "cross");
  const auto states = ldlm::randn<double>({2, 3, 32}, generator);
  outputs.add("states", states);
  outputs.add("cross", cross({.ids = ids, .memory = Variable<double>(states)}).value());
  outputs.write(folder / "outputs.safetensors");

  const char* const chosen = std::getenv("LDLM_PYTHON");
  const std::string python = chosen != nullptr ? chosen : "python3";
  const std::string command = "'" + python + "' '" + ldlm_test::data_dir() +
                              "/interop/check_pretrained.py' '" + folder.path().native() + "'";
  const int status = std::system(command.c_str());
  REQUIRE(WIFEXITED(status));
  const int code = WEXITSTATUS(status);
  if (code == 77 || code == 127) {
    const std::string reason = code == 77 ? " has no transformers" : " is not installed";
    MESSAGE("skipped: ", python, reason, "; name one that has it in LDLM_PYTHON");
    return;
  }
  CHECK(code == 0);
}

TEST_CASE("models of the published shapes load and agree") {
  const char* const named = std::getenv("LDLM_PRETRAINED_DIR");
  if (named == nullptr) {
    MESSAGE("skipped: LDLM_PRETRAINED_DIR names no folder; see tools/make_pretrained_folders.py");
    return;
  }
  const ldlm::NoGrad scope;
  const fs::path root = named;
  {
    model_support::Golden golden(root / "bert-base-uncased");
    const auto bert = Bert<float>::from_pretrained(root / "bert-base-uncased");
    const auto out = bert({.ids = golden.ids("input_ids"), .mask = golden.mask("attention_mask")});
    golden.check(out.hidden.value(), "hidden");
    golden.check(out.pooled.value(), "pooled");
    golden.report<float>("bert-base-uncased");
  }
  for (const std::string name : {"gpt2", "distilgpt2", "gpt2-sharded"}) {
    model_support::Golden golden(root / name);
    const auto gpt2 = Gpt2<float>::from_pretrained(root / name);
    const auto ids = golden.ids("input_ids");
    golden.check(gpt2.head(gpt2.hidden({.ids = ids}).slice(1, -2)).value(), "logits");
    golden.check(gpt2.loss({.ids = ids}, ids).value(), "loss");
    golden.report<float>(name);
  }
}
