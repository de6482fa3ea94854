#pragma once
// Inputs that ours and the peers share.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <ldlm/models/gpt2.hpp>

namespace ldlm::bench {

/// Token ids (rows, length) without randomness; peers/torch_peer.py makes the same.
inline Tensor<std::int64_t> token_ids(std::int64_t rows, std::int64_t length,
                                      std::int64_t vocabulary) {
  auto ids = Tensor<std::int64_t>::empty({rows, length});
  for (std::int64_t i = 0; i < rows * length; ++i) {
    ids.data()[i] = (i * 7919 + 13) % vocabulary;
  }
  return ids;
}

/// Raw float32, as numpy.fromfile reads it.
inline void write_values(const std::filesystem::path& file, const std::vector<float>& values) {
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(float)));
}

/// Writes GPT-2 124M with random weights and no dropout into an empty folder; its path.
inline std::string save_gpt2(const std::filesystem::path& folder) {
  if (std::filesystem::is_empty(folder)) {
    Generator generator(1);
    Gpt2Config config;
    config.embd_pdrop = config.resid_pdrop = config.attn_pdrop = 0;
    Gpt2<float>(config, generator).save_pretrained(folder);
  }
  return folder;
}

/// The bytes of this project's own texts, README.md and docs/*.md, as tokens.
inline std::vector<std::int64_t> documentation_bytes() {
  std::vector<std::filesystem::path> files{LDLM_BENCH_ROOT "/README.md"};
  for (const auto& entry : std::filesystem::directory_iterator(LDLM_BENCH_ROOT "/docs")) {
    if (entry.path().extension() == ".md") {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<std::int64_t> bytes;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    std::transform(std::istreambuf_iterator<char>(in), {}, std::back_inserter(bytes),
                   [](char c) { return static_cast<unsigned char>(c); });
  }
  return bytes;
}

}  // namespace ldlm::bench
