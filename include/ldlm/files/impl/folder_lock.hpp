#pragma once
// The bodies of files/folder_lock.hpp.

#include <ldlm/files/folder_lock.hpp>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>

namespace ldlm {

LDLM_BODY FolderLock::FolderLock(const std::filesystem::path& folder)
    : path_(folder / ".ldlm-lock") {
  do {  // until the file that is locked is the one in the folder: its last holder removes it
    std::error_code error;
    created_ = std::filesystem::create_directories(folder, error) || created_;
    LDLM_CHECK_FILE(!error, "lock", folder.native(),
                    ": cannot be made a folder: ", error.message());
    open_file();
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
      LDLM_CHECK_FILE(errno == EWOULDBLOCK, "lock", path_.native(), ": ",
                      detail::errno_text(errno));
      std::array<char, 256> text{};
      const ssize_t size = ::pread(file_.get(), text.data(), text.size(), 0);
      const std::string holder(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
      detail::fail_at(ErrorCode::file, "lock", folder.native(), ": is in use by ",
                      holder.empty() ? "another process" : holder.substr(0, holder.find('\n')),
                      ", which holds ", path_.native());
    }
  } while (!detail::names_file(path_, file_));
  std::array<char, 256> host{};
  (void)::gethostname(host.data(), host.size() - 1);
  const std::string text = detail::concat("process ", holder_, " on ", host.data(), '\n');
  // For the message alone: where the disk is full, it has none.
  (void)(::ftruncate(file_.get(), 0) == 0 && ::write(file_.get(), text.data(), text.size()) > 0);
}

LDLM_BODY FolderLock::~FolderLock() {
  if (file_.is_open() && holder_ == ::getpid() && detail::names_file(path_, file_)) {
    ::unlink(path_.c_str());
    if (created_) {
      ::rmdir(path_.parent_path().c_str());  // does nothing if there is something in it
    }
  }
}

LDLM_BODY void FolderLock::open_file() {
  constexpr int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  file_ = detail::FileDescriptor(::open(path_.c_str(), flags, 0666));
  LDLM_CHECK_FILE(errno != ELOOP || file_.is_open(), "lock", path_.native(),
                  ": is a symbolic link");
  LDLM_CHECK_FILE(file_.is_open(), "lock", path_.native(), ": ", detail::errno_text(errno));
  struct stat status {};
  LDLM_CHECK_FILE(::fstat(file_.get(), &status) == 0 && S_ISREG(status.st_mode), "lock",
                  path_.native(), ": is not a regular file");
}

}  // namespace ldlm
