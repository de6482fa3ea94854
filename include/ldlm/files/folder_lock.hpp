#pragma once
// FolderLock: one process at a time works on a folder.

#include <filesystem>

#include <sys/types.h>
#include <unistd.h>

#include <ldlm/files/file_descriptor.hpp>

namespace ldlm {

/// Holds a folder as long as this lives; one that is made for it, and has nothing in it in the end,
/// is removed again. The lock is one of the system's on the file ".ldlm-lock" there, which names
/// its process; it ends with the process, however that ends. Throws, without waiting, if another
/// holder has it.
class FolderLock {
 public:
  [[nodiscard]] explicit FolderLock(const std::filesystem::path& folder);
  FolderLock(FolderLock&& other) noexcept = default;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  void open_file();

  std::filesystem::path path_;
  bool created_ = false;  // the folder, which goes with the lock if nothing is in it then
  detail::FileDescriptor file_{-1};
  pid_t holder_ = ::getpid();
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/files/impl/folder_lock.hpp>
#endif
