#pragma once
// Temporary files and folders: new ones under names of their own, and the removal of those that
// killed processes have left. Who uses one holds a lock on it, which ends with the process.

#include <filesystem>
#include <string_view>

#include <ldlm/files/file_descriptor.hpp>

namespace ldlm::detail {

/// Removes the files and folders with temporary names in `folder` that no process holds.
void remove_leftovers(const std::filesystem::path& folder, std::string_view prefix);

/// A file or folder under a temporary name, open; not open, with errno, where it cannot be made.
struct Temporary {
  std::filesystem::path path;
  FileDescriptor file{-1};
};

/// A new one in `folder`. Follows no link, as nothing of its name may be there.
Temporary make_temporary_file(const std::filesystem::path& folder, std::string_view prefix);
Temporary make_temporary_folder(const std::filesystem::path& folder, std::string_view prefix);

}  // namespace ldlm::detail

#ifndef LDLM_LINKED
#include <ldlm/files/impl/temporary.hpp>
#endif
