// Peak memory of a training step and of generation with GPT-2 124M: the most that a process has in
// memory while it works, less what it had before it loaded the model. Rates are in runs per GB, so
// that a larger one is better here too.

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/optim/optim.hpp>

#include "inputs.hpp"
#include "peer.hpp"

namespace {

using ldlm::Gpt2;

constexpr std::int64_t prompt = 1, tokens = 64;

/// A field of /proc/self/status, in bytes.
double status_bytes(std::string_view field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field)) {
      return 1024 * std::strtod(line.c_str() + field.size() + 1, nullptr);
    }
  }
  return 0;
}

/// Bytes that run() takes at most, over `idle`.
template <class F>
double peak_of(const F& run, double idle) {
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak so far is forgotten
  for (int i = 0; i < 3; ++i) {
    run();
  }
  return status_bytes("VmHWM") - idle;
}

double peak_of_training(const std::string& folder, std::int64_t rows, std::int64_t length) {
  const double idle = status_bytes("VmRSS");
  auto model = Gpt2<float>::from_pretrained(folder);
  ldlm::AdamW<float> optimizer(ldlm::named_parameters(model), {.learning_rate = 1e-4});
  const auto ids = ldlm::bench::token_ids(rows, length, model.config.vocab_size);
  return peak_of(
      [&] {
        model.loss({.ids = ids}, ids).backward();
        optimizer.step();
        optimizer.zero_grad();
      },
      idle);
}

double peak_of_generation(const std::string& folder) {
  const double idle = status_bytes("VmRSS");
  const auto model = Gpt2<float>::from_pretrained(folder);
  const auto ids = ldlm::bench::token_ids(1, prompt, model.config.vocab_size);
  return peak_of(
      [&] {
        ldlm::Gpt2Session<float> session(model);
        benchmark::DoNotOptimize(ldlm::greedy(session, ids, {.max_new_tokens = tokens}));
      },
      idle);
}

/// What this program prints when it is run with these arguments.
double ask_myself(const std::string& arguments) {
  const std::string command = std::filesystem::read_symlink("/proc/self/exe").string() + arguments;
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  double bytes = 0;
  if (pipe == nullptr || std::fscanf(pipe, "%lf", &bytes) != 1 || ::pclose(pipe) != 0) {
    throw std::runtime_error("cannot run" + arguments);
  }
  return bytes;
}

/// Ours runs in a process of its own, as the peer does.
void add(const std::string& name, const std::string& folder, const std::string& arguments,
         const std::string& peer, const std::string& script, const ldlm::bench::Json& settings) {
  const auto run = [=](benchmark::State& state) {
    for ([[maybe_unused]] auto _ : state) {
      const double ours = ask_myself(" --measure 2 " + folder + arguments);
      state.counters["ours"] = 1e9 / ours;
      if (const auto process = ldlm::bench::start_peer(peer, script, settings, 2)) {
        const double theirs = process->ask({{"peak", true}})["bytes"].get<double>();
        state.counters[peer] = 1e9 / theirs;
        for (const char* const part : {"", "_low", "_high"}) {
          state.counters["vs_" + peer + part] = theirs / ours;
        }
      }
    }
    state.SetLabel("runs/GB");
  };
  benchmark::RegisterBenchmark(("peak/" + name + "/threads:2").c_str(), run)->Iterations(1);
}

std::string quantized_folder(const std::string& plain, const std::filesystem::path& folder,
                             ldlm::WeightFormat format) {
  auto model = Gpt2<float>::from_pretrained(plain);
  ldlm::pack(model, format);
  model.save_pretrained(folder);
  return folder;
}

void add_all(const std::filesystem::path& root) {
  std::filesystem::create_directory(root / "plain");
  const std::string plain = ldlm::bench::save_gpt2(root / "plain");
  for (const auto& [rows, length] : {std::pair(4, 64), {2, 256}}) {
    const std::string size = std::to_string(rows) + " " + std::to_string(length);
    add("train/" + std::to_string(rows) + "x" + std::to_string(length), plain, " " + size,
        "pytorch", "torch_peer.py",
        {{"work", "train"},
         {"folder", plain},
         {"rows", rows},
         {"length", length},
         {"compiled", false}});
  }
  using enum ldlm::WeightFormat;
  const std::array<std::pair<ldlm::WeightFormat, std::string>, 3> formats{
      {{bf16, "bf16"}, {int8, "q8_0"}, {int4, "q4_0"}}};
  const auto add_generation = [&](const std::string& name, const std::string& folder,
                                  const std::string& theirs) {
    add("generate/" + name, folder, "", "llama.cpp_" + theirs, "llama_peer.py",
        {{"work", "generate"},
         {"folder", plain},
         {"format", theirs},
         {"prompt", prompt},
         {"tokens", tokens}});
  };
  add_generation("f32", plain, "f32");
  for (const auto& [format, theirs] : formats) {
    const std::string name(name_of(format));
    add_generation(name, quantized_folder(plain, root / name, format), theirs);
  }
}

}  // namespace

/// bench_peak --measure THREADS FOLDER [ROWS LENGTH]: the bytes of one measurement.
int main(int argc, char** argv) {
  if (argc >= 4 && std::string_view(argv[1]) == "--measure") {
    ldlm::set_num_threads(std::atoi(argv[2]));
    std::printf("%.0f\n", argc == 6
                              ? peak_of_training(argv[3], std::atoi(argv[4]), std::atoi(argv[5]))
                              : peak_of_generation(argv[3]));
    return 0;
  }
  const ldlm::bench::TemporaryFolder root;
  add_all(root.path);
  return ldlm::bench::run_benchmarks(argc, argv);
}
