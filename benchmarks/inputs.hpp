#pragma once
// Inputs that ours and the peers share.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <vector>

#include <ldlm/core/tensor.hpp>

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

}  // namespace ldlm::bench
