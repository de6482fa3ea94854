#pragma once
// What all files of this folder need of the system (POSIX).

#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ldlm/core/error.hpp>

namespace ldlm::detail {

/// Closes a file descriptor at the end of its scope.
class FileDescriptor {
 public:
  explicit FileDescriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileDescriptor() { close(); }
  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
  void close() noexcept {
    if (descriptor_ >= 0) {
      ::close(std::exchange(descriptor_, -1));
    }
  }

 private:
  int descriptor_;
};

/// The message of an errno value. std::strerror is not thread-safe; this is.
inline std::string errno_text(int code) {
  return std::error_code(code, std::system_category()).message();
}

/// Throws "[write] path: reason" with the system's reason unless `ok`.
inline void check_write(bool ok, const std::filesystem::path& path) {
  LDLM_CHECK_FILE(ok, "write", path.native(), ": ", errno_text(errno));
}

/// Makes what was created, renamed and removed in a folder durable.
inline void sync_folder(const std::filesystem::path& folder) {
  const FileDescriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // EINVAL: the file system has no such operation on folders.
  check_write(handle.is_open() && (::fsync(handle.get()) == 0 || errno == EINVAL), folder);
}

inline std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

/// Whether a path, its last link not followed, names the file that is open.
inline bool names_file(const std::filesystem::path& path, const FileDescriptor& file) {
  struct stat at_path {};
  struct stat opened {};
  return ::lstat(path.c_str(), &at_path) == 0 && ::fstat(file.get(), &opened) == 0 &&
         at_path.st_dev == opened.st_dev && at_path.st_ino == opened.st_ino;
}

}  // namespace ldlm::detail
