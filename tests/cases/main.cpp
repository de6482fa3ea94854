// torch_cases FILE...: runs files of cases (case.hpp) and exits with 1 if any fails.
// torch_cases --list: the ops that cases may call, "tensors NAME" and "variables NAME".
// --cuda: on the card.
// --progress: says which case runs, so that one which crashes is known.

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include "case.hpp"
#include "table.hpp"

namespace {

void list_ops() {
  using ldlm::test::Of;
  for (const auto& [name, entry] : ldlm::test::table().entries()) {
    if (entry.of != Of::variables) {
      std::printf("tensors %s\n", name.c_str());
    }
    if (entry.of != Of::tensors) {
      std::printf("variables %s\n", name.c_str());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  bool progress = false;
  ldlm::Device device = ldlm::cpu;
  ldlm::test::CaseCounts total;
  try {
    for (int i = 1; i < argc; ++i) {
      const std::string_view argument = argv[i];
      if (argument == "--list") {
        list_ops();
        return 0;
      }
      if (argument == "--progress") {
        progress = true;
        continue;
      }
      if (argument == "--cuda") {
        device = ldlm::cuda;
        continue;
      }
      const auto report = [&](std::string_view line) {
        if (progress || !line.starts_with("RUN ")) {
          std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
          std::fflush(stdout);
        }
      };
      const auto counts = ldlm::test::run_cases(argument, report, device);
      total.run += counts.run;
      total.failed += counts.failed;
      total.zeros += counts.zeros;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "torch_cases: %s\n", error.what());
    return 2;
  }
  std::printf("%d cases, %d failed, %d with zeros of another sign\n", total.run, total.failed,
              total.zeros);
  return total.run == 0 || total.failed > 0 ? 1 : 0;
}
