#pragma once
// Text files, read whole.

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

}  // namespace ldlm::text::detail
