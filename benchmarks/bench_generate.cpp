// Text from GPT-2 124M: 64 tokens one by one at batch 1, and reading a prompt of 512 tokens, with
// weights of 32, 16, 8 and 4 bits. Random weights: their values do not change the time. Rates are
// in tokens per second.

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>

#include "inputs.hpp"
#include "peer.hpp"

namespace {

using ldlm::Gpt2;

std::string model_folder() {
  static const ldlm::bench::TemporaryFolder folder;
  return ldlm::bench::save_gpt2(folder.path);
}

/// The model in this format; the last one is kept.
std::shared_ptr<Gpt2<float>> model_of(const std::string& format) {
  static std::string kept;
  static std::shared_ptr<Gpt2<float>> model;
  if (kept != format) {
    model = std::make_shared<Gpt2<float>>(Gpt2<float>::from_pretrained(model_folder()));
    for (const auto candidate :
         {ldlm::WeightFormat::bf16, ldlm::WeightFormat::int8, ldlm::WeightFormat::int4}) {
      if (name_of(candidate) == format) {
        ldlm::pack(*model, candidate);
      }
    }
    kept = format;
  }
  return model;
}

void add(const std::string& work, const std::string& format, const std::vector<std::string>& peers,
         std::int64_t prompt, std::int64_t tokens) {
  const auto make = [=](int threads) {
    const auto model = model_of(format);
    const auto ids = ldlm::bench::token_ids(1, prompt, model->config.vocab_size);
    const auto run = [=] {
      ldlm::Gpt2Session<float> session(*model);
      benchmark::DoNotOptimize(ldlm::greedy(session, ids, {.max_new_tokens = tokens}));
    };
    std::vector<ldlm::bench::Contender> contenders{
        {"ours", [=] { return ldlm::bench::time_runs(run, threads, 0.05); },
         [=] {
           ldlm::Gpt2Session<float> session(*model);
           return session.step(ids).to_vector();
         }}};
    for (const std::string& theirs : peers) {
      ldlm::bench::add_peer(contenders, "llama.cpp_" + theirs, "llama_peer.py",
                            {{"work", "generate"},
                             {"folder", model_folder()},
                             {"format", theirs},
                             {"repacks", prompt == 1 || theirs == "f32"},
                             {"prompt", prompt},
                             {"tokens", tokens}},
                            threads, theirs == "f32");
    }
    ldlm::bench::Comparison how;
    how.work = static_cast<double>(prompt + tokens - 1);
    how.unit = "tokens/s";
    how.absolute = 2e-3F;
    return std::pair(contenders, how);
  };
  ldlm::bench::add_benchmark(work + "/" + format, make, 3);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> formats{
      {"f32", {"f32"}}, {"bf16", {"bf16", "f16"}}, {"int8", {"q8_0"}}, {"int4", {"q4_0"}}};
  for (const auto& [format, peers] : formats) {
    add("generate", format, peers, 1, 64);
    if (format == "f32" || format == "int8") {
      add("prompt", format, peers, 512, 1);
    }
  }
  return ldlm::bench::run_benchmarks(argc, argv);
}
