#pragma once
// Hashing of short byte strings and of id pairs, for the tables of this folder.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace ldlm::detail {

/// Spreads a 64-bit value's entropy over all its bits (the finalizer of MurmurHash3).
[[nodiscard]] inline std::uint64_t mix(std::uint64_t x) noexcept {
  x ^= x >> 33;
  x *= 0xFF51AFD7ED558CCDU;
  x ^= x >> 33;
  x *= 0xC4CEB9FE1A85EC53U;
  return x ^ x >> 33;
}

/// Hashes bytes, eight at a time. (Forced inline, as is WordCache::find: a unit as large as that of
/// all bodies is past what compilers inline by themselves.)
[[nodiscard, gnu::always_inline]] inline std::uint64_t hash_bytes(std::string_view bytes) noexcept {
  std::uint64_t h = 0x9E3779B97F4A7C15U ^ bytes.size();
  const char* p = bytes.data();
  std::size_t n = bytes.size();
  std::uint64_t word = 0;
  for (; n >= 8; n -= 8, p += 8) {
    std::memcpy(&word, p, 8);
    h = (h ^ word) * 0xFF51AFD7ED558CCDU;
    h ^= h >> 32;
  }
  word = 0;
  for (std::size_t k = 0; k < n; ++k) {
    word |= std::uint64_t{static_cast<unsigned char>(p[k])} << (8 * k);
  }
  return mix(h ^ word);
}

/// The smallest power of two that is at least `n`.
[[nodiscard]] inline std::size_t power_of_two(std::size_t n) noexcept {
  std::size_t size = 1;
  while (size < n) {
    size *= 2;
  }
  return size;
}

}  // namespace ldlm::detail
