#pragma once
// Opening files that must be regular ones, and reading what may come in pieces (POSIX).

#include <cstddef>
#include <filesystem>

#include <sys/types.h>

#include <ldlm/files/file_descriptor.hpp>

namespace ldlm::detail {

/// A regular file opened for reading, and its size.
struct RegularFile {
  FileDescriptor descriptor{-1};
  std::size_t size = 0;
};

/// Throws Error with the path and the system's reason when it can't be opened or isn't a file.
[[nodiscard]] RegularFile open_regular_file(const std::filesystem::path& path);

/// Reads at most `count` bytes, as many as there are now; 0 at the end, -1 with errno for an error.
/// Waits where there are none yet, and goes on where a signal came.
[[nodiscard]] ::ssize_t read_some(int descriptor, char* out, std::size_t count) noexcept;

}  // namespace ldlm::detail

#ifndef LDLM_LINKED
#include <ldlm/files/impl/regular_file.hpp>
#endif
