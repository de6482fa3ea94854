// Folders of every Bert* and GPT2* class as transformers saves them, and folders that it loads by
// rules of its own (tools/make_class_folders.py): the base model and the language model's head load
// and agree, other heads are named, what cannot be computed is refused by name.

#include <algorithm>
#include <fstream>

#include <doctest/doctest.h>
#include <ldlm/io/json.hpp>
#include <ldlm/models/bert.hpp>
#include <ldlm/models/gpt2.hpp>

#include "io_support.hpp"
#include "model_support.hpp"

using io_support::TempFolder;
using ldlm::Bert;
using ldlm::BertForMaskedLM;
using ldlm::Gpt2;
using ldlm::PretrainedReport;
using ldlm::SafetensorsModel;
using model_support::contains;
using model_support::Golden;
using model_support::golden_folder;
using model_support::message_of;
namespace fs = std::filesystem;

namespace {

bool is_bert(const fs::path& folder) {
  return ldlm::open_json(folder / "config.json").get<std::string>("model_type") == "bert";
}
std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}
/// The tensors of a folder that are no part of the base model or of a language model's head.
std::vector<std::string> other_tensors(const fs::path& folder) {
  return ldlm::read_json(folder / "golden.json").find("other")->as<std::vector<std::string>>();
}
void without(std::vector<std::string>& names, std::string_view prefix) {
  std::erase_if(names, [prefix](const std::string& name) { return name.starts_with(prefix); });
}

/// Loads a folder both as base model and as language model, and compares.
template <class T>
void check_folder(const fs::path& folder) {
  CAPTURE(folder.filename().native());
  const ldlm::NoGrad scope;
  Golden golden(folder);
  const auto ids = golden.ids("input_ids");
  const auto mask = golden.mask("attention_mask");
  const bool has_logits = SafetensorsModel::open(folder / "golden.safetensors").contains("logits");
  PretrainedReport report;
  // Padding has no meaning to compare.
  const auto real = [&](const ldlm::Variable<T>& states) {
    return states.value() * ldlm::cast<T>(mask).unsqueeze(2);
  };
  const auto check = [&](const ldlm::Variable<T>& states, const std::string& name) {
    golden.compare(real(states), real(ldlm::Variable<T>(golden.get<T>(name))), name);
  };
  if (is_bert(folder)) {
    const auto bert = Bert<T>::from_pretrained(folder, &report);
    check(bert({.ids = ids, .mask = mask}).hidden, "hidden");
    std::vector<std::string> unused = sorted(report.unused);
    without(unused, "cls.predictions.");
    CHECK(unused == other_tensors(folder));
    if (has_logits) {
      const auto masked = BertForMaskedLM<T>::from_pretrained(folder, &report);
      check(masked({.ids = ids, .mask = mask}), "logits");
      unused = sorted(report.unused);
      without(unused, "bert.pooler.");
      CHECK(unused == other_tensors(folder));
      const TempFolder again;  // what is saved has the same head
      masked.save_pretrained(again.path());
      const auto reloaded = BertForMaskedLM<T>::from_pretrained(again.path());
      check(reloaded({.ids = ids, .mask = mask}), "logits");
    } else {
      CHECK(contains(message_of([&] { (void)BertForMaskedLM<T>::from_pretrained(folder); }),
                     "holds no head for masked tokens"));
    }
    return;
  }
  const auto gpt2 = Gpt2<T>::from_pretrained(folder, &report);
  check(gpt2.hidden({.ids = ids, .mask = mask}), "hidden");
  CHECK(sorted(report.unused) == other_tensors(folder));
  if (has_logits) {
    check(gpt2({.ids = ids, .mask = mask}), "logits");
  }
  const TempFolder again;
  gpt2.save_pretrained(again.path());
  const auto reloaded = Gpt2<T>::from_pretrained(again.path());
  check(reloaded.hidden({.ids = ids, .mask = mask}), "hidden");
  CHECK(reloaded.has_head() == gpt2.has_head());
  if (has_logits) {
    check(reloaded({.ids = ids, .mask = mask}), "logits");
  }
}

/// A copy of a golden folder whose config.json has another value under a key.
void copy_with_key(const fs::path& from, const fs::path& to, const std::string& key,
                   const std::string& value) {
  fs::copy(from, to);
  ldlm::JsonValue json = ldlm::read_json(from / "config.json");
  json.set(key, ldlm::parse_json(value, "value"));
  ldlm::write_json(to / "config.json", json);
}

}  // namespace

TEST_CASE("folders of every Bert and GPT2 class load, and other heads are named") {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(golden_folder("classes"))) {
    if (entry.path().filename() != "BertLMHeadModel-decoder") {
      check_folder<double>(entry.path());
      check_folder<float>(entry.path());
      ++count;
    }
  }
  CHECK(count == 19);
  CHECK(contains(message_of([] {
                   (void)Bert<float>::from_pretrained(
                       golden_folder("classes/BertLMHeadModel-decoder"));
                 }),
                 "key \"is_decoder\" must be false"));
}

TEST_CASE("folders load by the rules of transformers: aliases, shards, differing heads") {
  for (const std::string name : {"bert_classifier", "bert_qa", "gpt2_score", "gpt2_alias_keys",
                                 "gpt2_eos_list", "mlm_untied", "embed_plain"}) {
    check_folder<double>(golden_folder("cases") / name);
  }
  // Where tie_word_embeddings is true, but the file has another head, that is used with a warning.
  for (const std::string name : {"gpt2_tied_other_head", "gpt2_shards_stray"}) {
    check_folder<double>(golden_folder("cases") / name);
    PretrainedReport report;
    const auto gpt2 = Gpt2<float>::from_pretrained(golden_folder("cases") / name, &report);
    CHECK(gpt2.lm_head.defined());
    CHECK_FALSE(gpt2.config.tie_word_embeddings);
    REQUIRE(report.warnings.size() == 1);
    CHECK(contains(report.warnings[0], "lm_head.weight differs from transformer.wte.weight"));
  }
  const auto ends = Gpt2<float>::from_pretrained(golden_folder("cases/gpt2_eos_list")).config;
  CHECK(ends.end_tokens() == std::vector<std::int64_t>{0, 3});
  CHECK(ldlm::Gpt2Config::from_json(ldlm::JsonReader(ends.to_json())).end_tokens() ==
        ends.end_tokens());
}

TEST_CASE("an embedding that only the output matrix holds is that matrix") {
  const TempFolder folder;
  const fs::path from = golden_folder("classes/GPT2LMHeadModel");
  fs::copy_file(from / "config.json", folder / "config.json");
  ldlm::SafetensorsWriter writer;
  for (const auto& [name, tensor] : ldlm::load_safetensors<float>(from / "model.safetensors")) {
    writer.add(name == "transformer.wte.weight" ? "lm_head.weight" : name, tensor);
  }
  writer.write(folder / "model.safetensors");
  const auto expected = Gpt2<float>::from_pretrained(from);
  const auto gpt2 = Gpt2<float>::from_pretrained(folder.path());
  CHECK(equal(gpt2.wte.value(), expected.wte.value()));
  CHECK_FALSE(gpt2.lm_head.defined());
}

TEST_CASE("heads of another kind can be had as tensors") {
  const fs::path folder = golden_folder("classes/BertForTokenClassification");
  PretrainedReport report;
  (void)Bert<float>::from_pretrained(folder, &report);
  const auto head = SafetensorsModel::open(folder).load<float>(report.unused);
  REQUIRE(head.size() == 2);
  CHECK((find(head, "classifier.weight")->shape() == ldlm::Shape{2, 8}));
}

TEST_CASE("a GPT-2 without an output matrix has states and no logits") {
  const auto gpt2 = Gpt2<float>::from_pretrained(golden_folder("classes/GPT2Model-untied"));
  const auto ids = ldlm::Tensor<std::int64_t>::from_values({1, 2}, {1, 2});
  CHECK_FALSE(gpt2.has_head());
  CHECK(gpt2.hidden({.ids = ids}).size(1) == 2);
  CHECK(contains(message_of([&] { (void)gpt2({.ids = ids}); }), "has no output matrix"));
  CHECK(contains(message_of([&] { (void)gpt2.loss({.ids = ids}, ids); }), "has no output matrix"));
}

TEST_CASE("messages about tensors have the names of the file") {
  const TempFolder folder;
  const auto load = [&](const std::string& source, const std::string& dropped) {
    const fs::path from = golden_folder("classes") / source;
    fs::copy_file(from / "config.json", folder / "config.json",
                  fs::copy_options::overwrite_existing);
    ldlm::SafetensorsWriter writer;
    for (const auto& [name, tensor] : ldlm::load_safetensors<float>(from / "model.safetensors")) {
      if (name != dropped) {
        writer.add(name, tensor);
      }
    }
    writer.write(folder / "model.safetensors");
    return message_of([&] {
      if (is_bert(folder.path())) {
        (void)Bert<float>::from_pretrained(folder.path());
      } else {
        (void)Gpt2<float>::from_pretrained(folder.path());
      }
    });
  };
  for (const auto& [folder_name, dropped] :
       {std::pair<std::string, std::string>{"GPT2Model", "h.0.ln_1.bias"},
        {"GPT2LMHeadModel", "transformer.h.0.ln_1.bias"},
        {"BertModel", "encoder.layer.0.output.dense.bias"},
        {"BertForQuestionAnswering", "bert.encoder.layer.0.output.dense.bias"}}) {
    const std::string source = folder_name;  // (clang captures no structured bindings)
    CAPTURE(source);
    const std::string message = load(source, dropped);
    CHECK(contains(message, "missing: " + dropped));
    CHECK(contains(message, (folder / "model.safetensors").native()));
  }
}

TEST_CASE("values of a configuration that would change results are refused by name") {
  const TempFolder folder;
  int number = 0;
  const auto refused = [&](const std::string& source, const std::string& key,
                           const std::string& value) {
    const fs::path to = folder / std::to_string(number++);
    copy_with_key(golden_folder("classes") / source, to, key, value);
    return message_of([&] {
      if (is_bert(to)) {
        (void)Bert<float>::from_pretrained(to);
      } else {
        (void)Gpt2<float>::from_pretrained(to);
      }
    });
  };
  struct Value {
    std::string key, json;
  };
  for (const Value& value : std::vector<Value>{{"position_embedding_type", "\"relative_key\""},
                                               {"is_decoder", "true"},
                                               {"add_cross_attention", "true"},
                                               {"pruned_heads", "{\"0\": [1]}"},
                                               {"hidden_act", "\"quick_gelu\""},
                                               {"hidden_act", "\"gelu_10\""},
                                               {"hidden_act", "\"tanh\""},
                                               {"pad_token_id", "20"},
                                               {"pad_token_id", "-1"},
                                               {"quantization_config", "{\"quant_method\": \"x\"}"},
                                               {"model_type", "0"}}) {
    CAPTURE(value.key);
    const std::string message = refused("BertModel", value.key, value.json);
    const bool inner = value.key == "quantization_config";
    CHECK(contains(message, inner ? "quantization_config.quant_method" : "\"" + value.key + "\""));
    CHECK(contains(message, "config.json"));
  }
  for (const Value& value : std::vector<Value>{{"scale_attn_weights", "false"},
                                               {"scale_attn_by_inverse_layer_idx", "true"},
                                               {"pruned_heads", "{\"0\": [1]}"},
                                               {"activation_function", "\"quick_gelu\""},
                                               {"hidden_size", "16"},
                                               {"num_attention_heads", "4"},
                                               {"eos_token_id", "20"},
                                               {"eos_token_id", "[0, 20]"},
                                               {"eos_token_id", "\"0\""},
                                               {"bos_token_id", "-1"},
                                               {"bos_token_id", "[0, 1]"}}) {
    CAPTURE(value.key);
    const std::string message = refused("GPT2Model", value.key, value.json);
    CHECK(contains(message, "\"" + value.key + "\""));
    CHECK(contains(message, "config.json"));
  }
  CHECK(contains(refused("BertModel", "hidden_act", "\"quick_gelu\""),
                 "must be one of gelu, gelu_python, gelu_new, gelu_fast, gelu_accurate, "
                 "gelu_pytorch_tanh, gelu_python_tanh, relu, silu, swish and linear, got"));
  // And those that change nothing are not.
  for (const Value& value : std::vector<Value>{{"chunk_size_feed_forward", "4"},
                                               {"use_cache", "false"},
                                               {"classifier_dropout", "0.5"},
                                               {"pruned_heads", "{}"},
                                               {"hidden_act", "\"gelu_python\""},
                                               {"pad_token_id", "null"}}) {
    CAPTURE(value.key);
    CHECK(refused("BertModel", value.key, value.json) == "no error");
  }
  for (const Value& value : std::vector<Value>{{"reorder_and_upcast_attn", "true"},
                                               {"n_ctx", "99"},
                                               {"eos_token_id", "null"},
                                               {"eos_token_id", "50256"},  // nobody set it
                                               {"activation_function", "\"gelu_fast\""}}) {
    CAPTURE(value.key);
    CHECK(refused("GPT2Model", value.key, value.json) == "no error");
  }
}

TEST_CASE("weights of another kind are named with what to do") {
  const TempFolder folder;
  const fs::path golden = golden_folder("classes/GPT2Model");
  int number = 0;
  // What is said of a folder that has a file of this name and contents instead of the weights.
  const auto said = [&](const std::string& file, const std::string& contents) {
    const fs::path to = folder / std::to_string(number++);
    fs::create_directories((to / file).parent_path());
    if (file != "config.json") {
      fs::copy_file(golden / "config.json", to / "config.json");
    }
    std::ofstream(to / file, std::ios::binary) << contents;
    const std::string message = message_of([&] { (void)Gpt2<float>::from_pretrained(to); });
    CHECK(contains(message, to.native()));
    CHECK(contains(message, file));
    return message;
  };
  const std::string lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n";
  CHECK(contains(said("model.safetensors", lfs), "git lfs pull"));
  CHECK(contains(said("model.safetensors.index.json", lfs), "git lfs pull"));
  CHECK(contains(said("config.json", lfs), "git lfs pull"));
  CHECK(contains(said("model.safetensors", "GGUF\3"), "GGUF"));
  CHECK(contains(said("pytorch_model.bin", "x"), "save it as model.safetensors"));
  CHECK(contains(said("pytorch_model-00001-of-00002.bin", "x"), "PyTorch"));
  CHECK(contains(said("tf_model.h5", "x"), "Keras"));
  CHECK(contains(said("flax_model.msgpack", "x"), "Flax"));
  CHECK(contains(said("weights.Q4_K.gguf", "x"), "llama.cpp"));
  CHECK(contains(said("adapter_model.safetensors", "x"), "merge"));
  CHECK(contains(said("onnx/model.onnx", "x"), "ONNX"));
  CHECK(contains(said("other.safetensors", "x"), "another name than model.safetensors"));
  // Without a config.json too, and where a file is given for a folder.
  fs::create_directories(folder / "bare");
  std::ofstream(folder / "bare" / "a.gguf") << "GGUF";
  CHECK(
      contains(message_of([&] { (void)Bert<float>::from_pretrained(folder / "bare"); }), "a.gguf"));
  CHECK(contains(message_of([&] { (void)Bert<float>::from_pretrained(folder / "bare/a.gguf"); }),
                 "is a file; a model is a folder"));
}
