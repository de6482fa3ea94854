#pragma once
// Philox4x32-10: counter-based random numbers (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). Element i of a stream depends on (seed, counter) alone, so every backend and
// every thread count draws the same numbers.

#include <array>
#include <cstdint>

namespace ldlm {

/// A stretch of a random stream: element i takes word i % 4 of block `offset + i / 4`.
struct PhiloxStream {
  std::uint64_t seed = 0;
  std::uint64_t offset = 0;
};

/// The four random words of one block.
constexpr std::array<std::uint32_t, 4> philox4x32(std::uint64_t seed, std::uint64_t block) {
  std::array<std::uint32_t, 4> c{static_cast<std::uint32_t>(block),
                                 static_cast<std::uint32_t>(block >> 32), 0, 0};
  auto k0 = static_cast<std::uint32_t>(seed);
  auto k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * c[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return c;
}

/// Uniform in [0, 1) on a grid of 2^-24: exact in float, the same value in double.
constexpr float uniform_from_bits(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24F;
}

/// Word of one element of a stream.
constexpr std::uint32_t philox_word(PhiloxStream stream, std::uint64_t i) {
  return philox4x32(stream.seed, stream.offset + i / 4)[i % 4];
}

}  // namespace ldlm
