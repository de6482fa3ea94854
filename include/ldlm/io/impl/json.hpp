#pragma once
// Bodies of io/json.hpp.

#include <ldlm/files/atomic_file.hpp>
#include <ldlm/io/foreign_files.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/mapped_file.hpp>

namespace ldlm {

LDLM_BODY JsonValue read_json(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::open(path);
  detail::check_no_foreign_file(file.text(), "json", file.path());
  return parse_json(file.text(), file.path());
}
LDLM_BODY JsonReader open_json(const std::filesystem::path& path) {
  return JsonReader(read_json(path), path.native());
}
LDLM_BODY void write_json(const std::filesystem::path& path, const JsonValue& value) {
  write_file(path, to_pretty_string(value));
}

}  // namespace ldlm
