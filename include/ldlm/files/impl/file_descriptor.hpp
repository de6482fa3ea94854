#pragma once
// The bodies of files/file_descriptor.hpp.

#include <ldlm/files/file_descriptor.hpp>

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>

namespace ldlm::detail {

LDLM_BODY std::string errno_text(int code) {
  return std::error_code(code, std::system_category()).message();
}

LDLM_BODY void check_write(bool ok, const std::filesystem::path& path) {
  LDLM_CHECK_FILE(ok, "write", path.native(), ": ", errno_text(errno));
}

LDLM_BODY void sync_folder(const std::filesystem::path& folder) {
  const FileDescriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // EINVAL: the file system has no such operation on folders.
  check_write(handle.is_open() && (::fsync(handle.get()) == 0 || errno == EINVAL), folder);
}

LDLM_BODY std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

LDLM_BODY bool names_file(const std::filesystem::path& path, const FileDescriptor& file) {
  struct stat at_path {};
  struct stat opened {};
  return ::lstat(path.c_str(), &at_path) == 0 && ::fstat(file.get(), &opened) == 0 &&
         at_path.st_dev == opened.st_dev && at_path.st_ino == opened.st_ino;
}

}  // namespace ldlm::detail
