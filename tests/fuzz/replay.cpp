// Runs a fuzz target without libFuzzer: over every file of the given folders, every truncation of
// the short ones, and a few thousand mutations drawn from a fixed seed. A finding crashes or
// throws.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t truncation_limit = 512;
constexpr int mutations_per_file = 300;

using Bytes = std::vector<std::uint8_t>;

Bytes read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void mutate(Bytes& bytes, std::mt19937& random) {
  const auto below = [&](std::size_t limit) { return random() % limit; };
  const std::size_t at = below(bytes.size());
  switch (below(4)) {
    case 0:  // flip a bit
      bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ (1U << below(8)));
      break;
    case 1:  // any byte
      bytes[at] = static_cast<std::uint8_t>(below(256));
      break;
    case 2:  // remove some
      bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                  bytes.begin() + static_cast<std::ptrdiff_t>(
                                      at + below(std::min<std::size_t>(8, bytes.size() - at))));
      break;
    default: {  // repeat some
      const std::size_t count = std::min<std::size_t>(1 + below(16), bytes.size() - at);
      const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(at);
      const Bytes piece(first, first + static_cast<std::ptrdiff_t>(count));
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())), piece.begin(),
                   piece.end());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t files = 0, runs = 0;
  const auto run = [&runs](const Bytes& bytes, std::size_t size) {
    const Bytes exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
    ++runs;
  };

  run({}, 0);
  for (int i = 1; i < argc; ++i) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) {
      const Bytes seed = read(path);
      ++files;
      run(seed, seed.size());
      for (std::size_t size = 0; size < std::min(seed.size(), truncation_limit); ++size) {
        run(seed, size);
      }
      std::mt19937 random(static_cast<std::uint32_t>(seed.size()));
      for (int m = 0; m < mutations_per_file && !seed.empty(); ++m) {
        Bytes bytes = seed;
        for (std::size_t count = 1 + random() % 4; count > 0 && !bytes.empty(); --count) {
          mutate(bytes, random);
        }
        run(bytes, bytes.size());
      }
    }
  }
  std::printf("%zu seeds, %zu inputs\n", files, runs);
  return files > 0 ? 0 : 1;
}
