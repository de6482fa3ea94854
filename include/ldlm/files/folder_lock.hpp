#pragma once
// FolderLock: one process at a time works on a folder.

#include <array>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include <ldlm/files/file_descriptor.hpp>

namespace ldlm {

/// Holds a folder, which is made if need be, as long as this lives. The lock is one of the system's
/// on the file ".ldlm-lock" there, which names its process; it ends with the process, however that
/// ends. Throws, without waiting, if another holder has it.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder) : path_(folder / ".ldlm-lock") {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    LDLM_CHECK_FILE(!error, "lock", folder.native(),
                    ": cannot be made a folder: ", error.message());
    do {  // until the file that is locked is the one in the folder: its last holder removes it
      open_file();
      if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
        LDLM_CHECK_FILE(errno == EWOULDBLOCK, "lock", path_.native(), ": ",
                        detail::errno_text(errno));
        std::array<char, 256> text{};
        const ssize_t size = ::pread(file_.get(), text.data(), text.size(), 0);
        const std::string holder(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
        detail::fail_as(ErrorCode::file, "lock", folder.native(), ": is in use by ",
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
  FolderLock(FolderLock&& other) noexcept = default;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock() {
    if (file_.is_open() && holder_ == ::getpid() && detail::names_file(path_, file_)) {
      ::unlink(path_.c_str());
    }
  }

 private:
  void open_file() {
    constexpr int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    file_ = detail::FileDescriptor(::open(path_.c_str(), flags, 0666));
    LDLM_CHECK_FILE(errno != ELOOP || file_.is_open(), "lock", path_.native(),
                    ": is a symbolic link");
    LDLM_CHECK_FILE(file_.is_open(), "lock", path_.native(), ": ", detail::errno_text(errno));
    struct stat status {};
    LDLM_CHECK_FILE(::fstat(file_.get(), &status) == 0 && S_ISREG(status.st_mode), "lock",
                    path_.native(), ": is not a regular file");
  }

  std::filesystem::path path_;
  detail::FileDescriptor file_{-1};
  pid_t holder_ = ::getpid();
};

}  // namespace ldlm
