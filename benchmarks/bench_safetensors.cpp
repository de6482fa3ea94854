// Opening a safetensors file of 500 MB that is not in memory, and looking at every tensor, against
// Python's safetensors. Rates are in files per second; `megabytes` is how much memory of the file
// came to be in use (resident) by it: the elements are neither read nor copied.

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/core/random.hpp>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/io/safetensors_writer.hpp>

#include "peer.hpp"

namespace {

using ldlm::Tensor;

/// Drops the file's pages from memory.
void evict(const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY);
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
}

/// Opens the file and every tensor of it, which go to `tensors`; returns their extents.
std::vector<float> open_all(const std::string& file, std::vector<Tensor<float>>* tensors) {
  const auto opened = ldlm::SafetensorsFile::open(file);
  std::vector<float> sizes;
  for (const ldlm::TensorInfo& info : opened.tensors()) {
    tensors->push_back(opened.tensor<float>(info.name));
    for (int axis = 0; axis < tensors->back().rank(); ++axis) {
      sizes.push_back(static_cast<float>(tensors->back().size(axis)));
    }
  }
  return sizes;
}

double resident_megabytes() {
  std::int64_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) * 1e-6;
}

void run(benchmark::State& state, const std::string& file) {
  std::vector<ldlm::bench::Contender> contenders{
      {"ours",
       [=] {
         std::vector<Tensor<float>> tensors;
         evict(file);
         const double start = ldlm::bench::now(2);  // wall time: most of it waits for the disk
         open_all(file, &tensors);
         return ldlm::bench::now(2) - start;
       },
       [=] {
         std::vector<Tensor<float>> tensors;
         std::vector<float> sizes = open_all(file, &tensors);
         std::sort(sizes.begin(), sizes.end());
         return sizes;
       }}};
  ldlm::bench::add_peer(contenders, "safetensors", "safetensors_peer.py", {{"file", file}}, 1);
  ldlm::bench::Comparison how;
  how.unit = "files/s";
  ldlm::bench::compare(state, contenders, how);
  const double before = resident_megabytes();
  std::vector<Tensor<float>> tensors;
  open_all(file, &tensors);
  state.counters["megabytes"] = resident_megabytes() - before;
}

}  // namespace

int main(int argc, char** argv) {
  const ldlm::bench::TemporaryFolder folder;
  const std::string file = folder.path / "model.safetensors";
  {
    const auto values = Tensor<float>::zeros({768, 1024});
    ldlm::SafetensorsWriter writer;
    for (int i = 0; i < 159; ++i) {
      writer.add("layers." + std::to_string(i) + ".weight", values);
    }
    writer.write(file);
  }
  benchmark::RegisterBenchmark("open/500MB/threads:1",
                               [&](benchmark::State& state) { run(state, file); })
      ->UseManualTime()
      ->Iterations(11)
      ->Unit(benchmark::kMillisecond);
  return ldlm::bench::run_benchmarks(argc, argv);
}
