#pragma once
// JSON files.

#include <filesystem>

#include <ldlm/files/atomic_file.hpp>
#include <ldlm/io/foreign_files.hpp>
#include <ldlm/io/mapped_file.hpp>
#include <ldlm/text/json.hpp>

namespace ldlm {

[[nodiscard]] inline JsonValue read_json(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::open(path);
  detail::check_no_foreign_file(file.text(), "json", file.path());
  return parse_json(file.text(), file.path());
}
/// Writes an indented document, atomically.
inline void write_json(const std::filesystem::path& path, const JsonValue& value) {
  write_file(path, to_pretty_string(value));
}

}  // namespace ldlm
