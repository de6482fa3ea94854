#pragma once
// Text files, read whole.

#include <filesystem>
#include <string>

namespace ldlm::detail {

/// The contents of a regular file; Error if it cannot be read or is of a known other kind than
/// plain text and JSON.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path);

}  // namespace ldlm::detail

#ifndef LDLM_LINKED
#include <ldlm/text/impl/text_file.hpp>
#endif
