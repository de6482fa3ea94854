#pragma once
// What the tests of text/ share: temporary files, data outside of the repository, hashes.

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <system_error>

#include <ldlm/core/utf8.hpp>

#include "error_message.hpp"
#include "paths.hpp"

namespace ldlm_test {

/// A folder for one test, gone with everything in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<int> count{0};
    const auto here = reinterpret_cast<std::uintptr_t>(this);
    path_ = std::filesystem::temp_directory_path() /
            ("ldlm_text_" + std::to_string(here) + "_" + std::to_string(count++) + "_" +
             std::to_string(std::random_device{}()));
    std::filesystem::create_directories(path_);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view contents) const {
    std::ofstream(path_ / name, std::ios::binary) << contents;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.is_open(), path.string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// A file or folder of the data that lies outside of the repository, or nothing, said aloud.
inline std::optional<std::filesystem::path> shared_data(const std::string& name) {
  const char* folder = std::getenv("LDLM_SHARED_DIR");
  const std::filesystem::path root =
      folder != nullptr ? std::filesystem::path(folder)
                        : std::filesystem::path(ldlm_test::source_dir()) / "../shared";
  if (std::filesystem::exists(root / name)) {
    return root / name;
  }
  MESSAGE("skipped: " << (root / name).string() << " is not there (set LDLM_SHARED_DIR)");
  return std::nullopt;
}

/// FNV-1a 64 whose digits are 32-bit numbers, as the fixture makers in tools/ compute it.
class Fnv {
 public:
  void add(std::uint32_t value) { hash_ = (hash_ ^ value) * 0x100000001B3ULL; }
  /// A text as its code points and their number.
  void add(std::string_view text) {
    const std::u32string points = ldlm::to_utf32(text);
    for (const char32_t c : points) {
      add(static_cast<std::uint32_t>(c));
    }
    add(static_cast<std::uint32_t>(points.size()));
  }
  std::string hex() const {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash_));
    return digits;
  }

 private:
  std::uint64_t hash_ = 0xCBF29CE484222325ULL;
};

}  // namespace ldlm_test
