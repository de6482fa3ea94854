// Training steps of GPT-2 124M with AdamW, from random weights, without dropout, against PyTorch,
// eager and compiled, and llm.c; the same with products of bf16, against our own f32 and PyTorch's
// autocast. The losses of the first three steps are compared, but for llm.c, which reads tokens of
// its own. Rates are in tokens per second.
//
// curve/gpt2: 200 steps on text, in f32 and in bf16; `difference` is the largest relative one
// between their losses, each the mean of ten steps.

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/core/precision.hpp>
#include <ldlm/models/gpt2.hpp>
#include <ldlm/optim/optim.hpp>

#include "inputs.hpp"
#include "peer.hpp"

namespace {

using ldlm::Gpt2;
using ldlm::MatmulPrecision;

/// A model in training.
struct Training {
  Training(const std::string& folder, MatmulPrecision products)
      : precision(products),
        model(Gpt2<float>::from_pretrained(folder)),
        optimizer(ldlm::named_parameters(model), {.learning_rate = 1e-4}) {}

  float step(const ldlm::Tensor<std::int64_t>& ids) {
    ldlm::set_matmul_precision(precision);
    const ldlm::Variable<float> loss = model.loss({.ids = ids}, ids);
    loss.backward();
    optimizer.step();
    optimizer.zero_grad();
    ldlm::set_matmul_precision(MatmulPrecision::highest);
    return loss.value().item();
  }

  MatmulPrecision precision;
  Gpt2<float> model;
  ldlm::AdamW<float> optimizer;
};

std::string model_folder() {
  static const ldlm::bench::TemporaryFolder folder;
  return ldlm::bench::save_gpt2(folder.path);
}

ldlm::bench::Contender contender(const std::string& name, MatmulPrecision precision,
                                 const ldlm::Tensor<std::int64_t>& ids, int threads) {
  const auto training = std::make_shared<Training>(model_folder(), precision);
  return {
      name, [=] { return ldlm::bench::time_runs([&] { training->step(ids); }, threads, 0.05); },
      [=] {
        return std::vector<float>{training->step(ids), training->step(ids), training->step(ids)};
      }};
}

void add(std::int64_t rows, std::int64_t length, bool bf16) {
  const auto make = [=](int threads) {
    const auto ids = ldlm::bench::token_ids(rows, length, ldlm::Gpt2Config().vocab_size);
    ldlm::bench::Json settings{{"work", "train"},  {"folder", model_folder()}, {"rows", rows},
                               {"length", length}, {"compiled", false},        {"autocast", bf16}};
    ldlm::bench::Comparison how;
    how.work = static_cast<double>(rows * length);
    how.unit = "tokens/s";
    std::vector<ldlm::bench::Contender> contenders;
    if (bf16) {
      contenders.push_back(contender("ours", MatmulPrecision::medium, ids, threads));
      contenders.push_back(contender("ours_f32", MatmulPrecision::highest, ids, threads));
      ldlm::bench::add_peer(contenders, "pytorch_autocast", "torch_peer.py", settings, threads);
      how.relative = 1e-2F;
      return std::pair(contenders, how);
    }
    contenders.push_back(contender("ours", MatmulPrecision::highest, ids, threads));
    ldlm::bench::add_peer(contenders, "pytorch", "torch_peer.py", settings, threads);
    settings["compiled"] = true;
    ldlm::bench::add_peer(contenders, "pytorch_compiled", "torch_peer.py", settings, threads);
    if (rows == 4 && length == 64) {  // the only one that its program has
      ldlm::bench::add_peer(contenders, "llm.c", "llmc_peer.py", {{"folder", model_folder()}},
                            threads, false);
    }
    how.relative = 1e-4F;
    return std::pair(contenders, how);
  };
  ldlm::bench::add_benchmark((bf16 ? "train_bf16/gpt2/" : "train/gpt2/") + std::to_string(rows) +
                                 "x" + std::to_string(length),
                             make, 3);
}

/// The losses of 200 steps on the bytes of this project's documentation, each the mean of ten.
std::vector<float> loss_curve(MatmulPrecision precision) {
  constexpr std::int64_t steps = 200, rows = 4, length = 64;
  const std::vector<std::int64_t> bytes = ldlm::bench::documentation_bytes();
  ldlm::Generator generator(3);
  Training training(model_folder(), precision);
  std::vector<float> losses, means;
  for (std::int64_t step = 0; step < steps; ++step) {
    auto ids = ldlm::Tensor<std::int64_t>::empty({rows, length});
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto most = static_cast<std::int64_t>(bytes.size()) - length;
      std::copy_n(bytes.begin() + generator.below(most), length, ids.data() + row * length);
    }
    losses.push_back(training.step(ids));
    if (losses.size() == 10) {
      means.push_back(std::accumulate(losses.begin(), losses.end(), 0.0F) / 10);
      losses.clear();
    }
  }
  return means;
}

void compare_curves(benchmark::State& state) {
  ldlm::set_num_threads(2);
  for ([[maybe_unused]] auto _ : state) {
    const std::vector<float> exact = loss_curve(MatmulPrecision::highest);
    const std::vector<float> rounded = loss_curve(MatmulPrecision::medium);
    float largest = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      largest = std::max(largest, std::abs(rounded[i] / exact[i] - 1));
    }
    state.counters["difference"] = largest;
    state.counters["first"] = exact.front();
    state.counters["last"] = exact.back();
    state.counters["last_bf16"] = rounded.back();
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const bool bf16 : {false, true}) {
    add(4, 64, bf16);
    add(2, 256, bf16);
  }
  benchmark::RegisterBenchmark("curve/gpt2/200_steps/threads:2", compare_curves)->Iterations(1);
  return ldlm::bench::run_benchmarks(argc, argv);
}
