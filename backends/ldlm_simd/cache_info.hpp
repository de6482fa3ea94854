#pragma once
// The sizes of the processor's caches, asked once.

#include <cstdint>
#include <cstdio>
#include <string_view>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace ldlm::simd {

/// Bytes of data cache that one core sees. L3 may be shared with other cores, or absent (then it
/// equals L2).
struct CacheSizes {
  std::int64_t l1 = 32 << 10, l2 = 512 << 10, l3 = 4 << 20;
};

namespace detail {

/// The first word of a small text file, or "" if it can't be read.
struct Word {
  char text[64] = "";

  explicit Word(const char* path) {
    if (std::FILE* const file = std::fopen(path, "r"); file != nullptr) {
      if (std::fscanf(file, "%63s", text) != 1) {
        text[0] = '\0';
      }
      std::fclose(file);
    }
  }
};

/// "48K" -> 49152; 0 if there is no number.
inline std::int64_t parse_size(std::string_view text) {
  std::int64_t value = 0;
  for (const char c : text) {
    if (c >= '0' && c <= '9' && value < (std::int64_t{1} << 40)) {
      value = value * 10 + (c - '0');
    } else {
      return c == 'K' ? value << 10 : c == 'M' ? value << 20 : value;
    }
  }
  return value;
}

inline CacheSizes find_cache_sizes() {
  std::int64_t found[4] = {};  // by level
#if defined(__APPLE__)
  const char* const names[4] = {"", "hw.l1dcachesize", "hw.l2cachesize", "hw.l3cachesize"};
  for (int level = 1; level <= 3; ++level) {
    std::size_t size = sizeof(found[level]);
    if (sysctlbyname(names[level], &found[level], &size, nullptr, 0) != 0) {
      found[level] = 0;
    }
  }
#elif defined(__linux__)
  for (int index = 0; index < 8; ++index) {
    const auto read = [index](const char* name) {
      char path[96];
      std::snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index,
                    name);
      return Word(path);
    };
    const std::int64_t level = parse_size(read("level").text);
    if (level >= 1 && level <= 3 && std::string_view(read("type").text) != "Instruction") {
      found[level] = parse_size(read("size").text);
    }
  }
#endif
  // What is missing, or absurd, keeps its default.
  CacheSizes sizes;
  const auto plausible = [](std::int64_t size, std::int64_t low, std::int64_t high) {
    return size >= low && size <= high;
  };
  if (plausible(found[1], 8 << 10, 1 << 20)) {
    sizes.l1 = found[1];
  }
  if (plausible(found[2], 64 << 10, 64 << 20)) {
    sizes.l2 = found[2];
    sizes.l3 = found[2];
  }
  if (plausible(found[3], sizes.l2, std::int64_t{4} << 30)) {
    sizes.l3 = found[3];
  }
  return sizes;
}

}  // namespace detail

inline const CacheSizes& cache_sizes() {
  static const CacheSizes sizes = detail::find_cache_sizes();
  return sizes;
}

}  // namespace ldlm::simd
