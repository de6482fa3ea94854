#pragma once
// What all files of this folder need of the system (POSIX).

#include <filesystem>
#include <string>
#include <utility>

#include <unistd.h>

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
std::string errno_text(int code);

/// Throws "[write] path: reason" with the system's reason unless `ok`.
void check_write(bool ok, const std::filesystem::path& path);

/// Makes what was created, renamed and removed in a folder durable.
void sync_folder(const std::filesystem::path& folder);

std::filesystem::path folder_of(const std::filesystem::path& path);

/// Whether a path, its last link not followed, names the file that is open.
bool names_file(const std::filesystem::path& path, const FileDescriptor& file);

}  // namespace ldlm::detail

#ifndef LDLM_LINKED
#include <ldlm/files/impl/file_descriptor.hpp>
#endif
