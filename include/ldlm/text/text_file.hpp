#pragma once
// Text files, read and written whole.

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <ldlm/core/error.hpp>

namespace ldlm::text::detail {

/// The contents of a file; Error if it cannot be read.
[[nodiscard]] inline std::string read_text_file(const std::filesystem::path& path) {
  std::error_code error;
  LDLM_CHECK(std::filesystem::exists(path, error), "open", path.string(), ": no such file");
  LDLM_CHECK(!std::filesystem::is_directory(path, error), "open", path.string(),
             ": is a folder, not a file");
  std::ifstream file(path, std::ios::binary);
  LDLM_CHECK(file, "open", path.string(), ": cannot be opened");
  std::ostringstream contents;
  contents << file.rdbuf();
  LDLM_CHECK(file && !file.bad(), "open", path.string(), ": cannot be read");
  return std::move(contents).str();
}

/// Writes a file beside `path` and renames it, so that a reader never sees half of it.
inline void write_text_file(const std::filesystem::path& path, std::string_view contents) {
  std::filesystem::path part = path;
  part += ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  LDLM_CHECK(file, "save", part.string(), ": cannot be opened for writing");
  file.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  file.close();
  std::error_code error;
  if (!file) {
    std::filesystem::remove(part, error);
    ::ldlm::detail::fail("save", path.string(), ": cannot be written: no space left?");
  }
  std::filesystem::rename(part, path, error);
  if (error) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    ::ldlm::detail::fail("save", path.string(), ": ", error.message());
  }
}

}  // namespace ldlm::text::detail
