// BERT's last hidden states, of MiniLM-L6's and BERT-base's shapes, against PyTorch (eager, with
// its fused attention) and onnxruntime (with its own fused kernels). Matrices are laid out for
// products beforehand, as onnxruntime does when it loads a model. Random weights: their values
// do not change the time. Rates are in tokens per second.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/models/bert.hpp>
#include <ldlm/nn/pack.hpp>

#include "inputs.hpp"
#include "peer.hpp"

namespace {

using ldlm::Bert;
using ldlm::BertConfig;

BertConfig config_of(const std::string& name) {
  BertConfig config;
  if (name == "minilm") {
    config.hidden_size = 384;
    config.num_hidden_layers = 6;
    config.intermediate_size = 1536;
  }
  return config;
}

/// The folder of a model, which is made where it's first asked for.
std::string folder_of(const std::string& name) {
  static const ldlm::bench::TemporaryFolder root;
  const std::filesystem::path folder = root.path / name;
  if (!std::filesystem::exists(folder)) {
    ldlm::Generator generator(1);
    Bert<float>(config_of(name), generator).save_pretrained(folder);
  }
  return folder;
}

void add(const std::string& name, std::int64_t rows, std::int64_t length) {
  const auto make = [=](int threads) {
    const std::string folder = folder_of(name);
    const auto bert = std::make_shared<Bert<float>>(Bert<float>::from_pretrained(folder));
    ldlm::pack(*bert, ldlm::WeightFormat::f32);
    const auto ids = ldlm::bench::token_ids(rows, length, bert->config.vocab_size);
    const auto encode = [bert, ids] {
      const ldlm::NoGrad scope;
      return (*bert)({.ids = ids}).hidden.value();
    };
    std::vector<ldlm::bench::Contender> contenders{
        {"ours", [=] { return ldlm::bench::time_runs(encode, threads, 0.05); },
         [=] { return encode().to_vector(); }}};
    const ldlm::bench::Json settings{
        {"work", "encode"}, {"folder", folder}, {"rows", rows}, {"length", length}};
    for (const auto& [peer, script] :
         {std::pair("pytorch", "torch_peer.py"), {"onnxruntime", "onnx_peer.py"}}) {
      ldlm::bench::add_peer(contenders, peer, script, settings, threads);
    }
    ldlm::bench::Comparison how;
    how.work = static_cast<double>(rows * length);
    how.unit = "tokens/s";
    how.absolute = 1e-3F;
    return std::pair(contenders, how);
  };
  ldlm::bench::add_benchmark(
      "encode/" + name + "/" + std::to_string(rows) + "x" + std::to_string(length), make, 5);
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::string name : {"minilm", "bert-base"}) {
    add(name, 1, 16);
    add(name, 32, 32);
    add(name, 8, 256);
  }
  return ldlm::bench::run_benchmarks(argc, argv);
}
