#pragma once
// Files that hold a model in a format which this library does not read: told apart by their first
// bytes or their names, so that an error says what they are and what to do.

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/files/file_kind.hpp>

namespace ldlm::detail {

inline constexpr const char* save_as_safetensors =
    "load it with the program that made it (transformers: from_pretrained, then save_pretrained) "
    "and save it as model.safetensors";

/// Throws if a file's contents begin as those of another format do.
void check_no_foreign_file(std::string_view contents, std::string_view op, std::string_view origin);

/// What a folder without model.safetensors holds instead: "; it has pytorch_model.bin, a ...", or
/// nothing.
[[nodiscard]] std::string describe_foreign_weights(const std::filesystem::path& folder);

}  // namespace ldlm::detail

#ifndef LDLM_LINKED
#include <ldlm/io/impl/foreign_files.hpp>
#endif
