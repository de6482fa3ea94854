#pragma once
// JSON files.

#include <filesystem>
#include <string>

#include <ldlm/json/reader.hpp>

namespace ldlm {

/// A file's document. Throws Error with the path: it can't be read, is of another kind, or is no
/// JSON (parse_json).
[[nodiscard]] JsonValue read_json(const std::filesystem::path& path);
/// The same as a reader, whose errors name the file.
[[nodiscard]] JsonReader open_json(const std::filesystem::path& path);
/// Writes an indented document, atomically.
void write_json(const std::filesystem::path& path, const JsonValue& value);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/io/impl/json.hpp>
#endif
