// What a tokenizer or model in a folder gives, for tools/compare_folders.py to compare.
//
//   folder_outputs tokenizer PATH TEXTS.json OUT.json
//   folder_outputs model FOLDER INPUTS.safetensors OUT.safetensors
//
// PATH is a folder or a tokenizer.json; TEXTS an array of strings. OUT is an array of objects with
// ids, offsets (code points), plain (ids without special tokens), decoded and decoded_skip, or with
// "error" alone. INPUTS holds ids and mask, both (B, T) of int64; OUT gets hidden, pooled, logits.

#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/ops/elementwise.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/io/safetensors_writer.hpp>
#include <ldlm/models/bert.hpp>
#include <ldlm/models/gpt2.hpp>
#include <ldlm/text/impl/tokenizer_files.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace {

using ldlm::JsonValue;

template <class Ids>
JsonValue numbers(const Ids& ids) {
  JsonValue out = JsonValue::array();
  for (const auto id : ids) {
    out.push_back(static_cast<std::int64_t>(id));
  }
  return out;
}

JsonValue encoded(const ldlm::Tokenizer& tokenizer, const std::string& text) {
  JsonValue out;
  try {
    const ldlm::Encoding encoding = tokenizer.encode(text);
    JsonValue offsets = JsonValue::array();
    for (const auto& span : encoding.offsets) {
      offsets.push_back(numbers(std::vector{span.begin, span.end}));
    }
    out.set("ids", numbers(encoding.ids));
    out.set("offsets", std::move(offsets));
    out.set("plain", numbers(tokenizer.encode(text, {.add_special_tokens = false}).ids));
    out.set("decoded", tokenizer.decode(encoding.ids, false));
    out.set("decoded_skip", tokenizer.decode(encoding.ids, true));
  } catch (const ldlm::Error& error) {
    out = JsonValue::object();
    out.set("error", std::string(error.what()));
  }
  return out;
}

void run_tokenizer(const std::filesystem::path& path, const char* texts, const char* output) {
  const auto tokenizer = std::filesystem::is_directory(path) ? ldlm::Tokenizer::from_folder(path)
                                                             : ldlm::Tokenizer::from_file(path);
  JsonValue out = JsonValue::array();
  const JsonValue input = ldlm::read_json(texts);
  for (const JsonValue& text : input.items()) {
    out.push_back(encoded(tokenizer, text.string()));
  }
  ldlm::write_json(output, out);
}

bool has_masked_head(const JsonValue& config) {
  const JsonValue* const names = config.find("architectures");
  for (const JsonValue& name : names != nullptr ? names->items() : JsonValue::Array{}) {
    if (name.string() == "BertForMaskedLM") {
      return true;
    }
  }
  return false;
}

void run_model(const std::filesystem::path& folder, const char* inputs, const char* output) {
  const auto file = ldlm::SafetensorsFile::open(inputs);
  const auto ids = file.tensor<std::int64_t>("ids");
  const auto mask = ldlm::cast<bool>(file.tensor<std::int64_t>("mask"));
  const JsonValue config = ldlm::read_json(folder / "config.json");
  const JsonValue* const type = config.find("model_type");
  const ldlm::NoGrad no_grad;
  ldlm::SafetensorsWriter writer;
  if (type != nullptr && type->string() == "gpt2") {
    const auto gpt2 = ldlm::Gpt2<float>::from_pretrained(folder);
    const auto hidden = gpt2.hidden({.ids = ids, .mask = mask});
    writer.add("hidden", hidden.value());
    writer.add("logits", gpt2.head(hidden).value());
  } else {
    const auto bert = ldlm::Bert<float>::from_pretrained(folder);
    const auto out = bert({.ids = ids, .mask = mask});
    writer.add("hidden", out.hidden.value());
    if (out.pooled.defined()) {
      writer.add("pooled", out.pooled.value());
    }
    if (has_masked_head(config)) {
      const auto masked = ldlm::BertForMaskedLM<float>::from_pretrained(folder);
      writer.add("logits", masked({.ids = ids, .mask = mask}).value());
    }
  }
  writer.write(output);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string_view kind = argc == 5 ? argv[1] : "";
    if (kind == "tokenizer") {
      run_tokenizer(argv[2], argv[3], argv[4]);
    } else if (kind == "model") {
      run_model(argv[2], argv[3], argv[4]);
    } else {
      std::fprintf(stderr, "usage: folder_outputs tokenizer|model PATH INPUTS OUT\n");
      return 2;
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
