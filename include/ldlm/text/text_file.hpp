#pragma once
// Text files, read whole.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <ldlm/core/error.hpp>
#include <ldlm/text/file_kind.hpp>

namespace ldlm::text::detail {

/// The contents of a file of text; Error if it cannot be read, or is of another kind.
[[nodiscard]] inline std::string read_text_file(const std::filesystem::path& path) {
  constexpr std::uintmax_t max_bytes = std::uintmax_t{1} << 30;
  std::error_code error;
  LDLM_CHECK(std::filesystem::exists(path, error), "open", path.string(), ": no such file");
  LDLM_CHECK(!std::filesystem::is_directory(path, error), "open", path.string(),
             ": is a folder, not a file");
  LDLM_CHECK(std::filesystem::is_regular_file(path, error), "open", path.string(),
             ": is no regular file");
  LDLM_CHECK(std::filesystem::file_size(path, error) <= max_bytes, "open", path.string(),
             ": is larger than ", max_bytes, " bytes");
  std::ifstream file(path, std::ios::binary);
  LDLM_CHECK(file, "open", path.string(), ": cannot be opened");
  std::ostringstream contents;
  contents << file.rdbuf();
  LDLM_CHECK(file && !file.bad(), "open", path.string(), ": cannot be read");
  std::string text = std::move(contents).str();
  const FileDescription found = what_is(std::string_view(text).substr(0, file_head));
  LDLM_CHECK(found.message.empty(), "open", path.string(), ": ", found.message);
  return text;
}

}  // namespace ldlm::text::detail
