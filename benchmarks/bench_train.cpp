// Training steps of GPT-2 124M with AdamW, from random weights, without dropout, against PyTorch,
// eager and compiled. The losses of the first three steps are compared. Rates are in tokens per
// second.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/models/gpt2.hpp>
#include <ldlm/optim/optim.hpp>

#include "inputs.hpp"
#include "peer.hpp"

namespace {

using ldlm::Gpt2;

/// A model in training.
struct Training {
  explicit Training(const std::string& folder, std::int64_t rows, std::int64_t length)
      : model(Gpt2<float>::from_pretrained(folder)),
        optimizer(ldlm::nn::named_parameters(model), {.learning_rate = 1e-4}),
        ids(ldlm::bench::token_ids(rows, length, model.config.vocab_size)) {}

  float step() {
    const ldlm::Variable<float> loss = model.loss({.ids = ids}, ids);
    loss.backward();
    optimizer.step();
    optimizer.zero_grad();
    return loss.value().item();
  }

  Gpt2<float> model;
  ldlm::optim::AdamW<float> optimizer;
  ldlm::Tensor<std::int64_t> ids;
};

std::string model_folder() {
  static const ldlm::bench::TemporaryFolder folder;
  if (std::filesystem::is_empty(folder.path)) {
    ldlm::Generator generator(1);
    ldlm::Gpt2Config config;
    config.embd_pdrop = config.resid_pdrop = config.attn_pdrop = 0;
    Gpt2<float>(config, generator).save_pretrained(folder.path);
  }
  return folder.path;
}

void add(std::int64_t rows, std::int64_t length) {
  const auto make = [=](int threads) {
    const std::string folder = model_folder();
    const auto training = std::make_shared<Training>(folder, rows, length);
    std::vector<ldlm::bench::Contender> contenders{
        {"ours", [=] { return ldlm::bench::time_runs([&] { training->step(); }, threads, 0.05); },
         [=] {
           return std::vector<float>{training->step(), training->step(), training->step()};
         }}};
    for (const bool compiled : {false, true}) {
      if (auto peer =
              ldlm::bench::make_peer(compiled ? "pytorch_compiled" : "pytorch", "torch_peer.py",
                                     {{"work", "train"},
                                      {"folder", folder},
                                      {"rows", rows},
                                      {"length", length},
                                      {"compiled", compiled}},
                                     threads)) {
        contenders.push_back(*std::move(peer));
      }
    }
    ldlm::bench::Comparison how;
    how.work = static_cast<double>(rows * length);
    how.unit = "tokens/s";
    how.relative = 1e-4F;
    return std::pair(contenders, how);
  };
  ldlm::bench::add_benchmark("train/gpt2/" + std::to_string(rows) + "x" + std::to_string(length),
                             make, 5);
}

}  // namespace

int main(int argc, char** argv) {
  add(4, 64);
  add(2, 256);
  return ldlm::bench::run_benchmarks(argc, argv);
}
