#pragma once
// AtomicFile: a file that appears whole or not at all.

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <ldlm/io/mapped_file.hpp>

namespace ldlm {

namespace detail {

/// Makes the renames in a folder durable.
inline void sync_folder(const std::filesystem::path& folder) {
  const FileDescriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // EINVAL: the file system has no such operation on folders.
  LDLM_CHECK(handle.is_open() && (::fsync(handle.get()) == 0 || errno == EINVAL), "write",
             folder.native(), ": ", errno_text(errno));
}

inline std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace detail

/// Writes to a temporary file beside the target; commit() makes it durable (fsync) and renames it
/// over the target. Without commit(), or after an Error, the target stays as it was and the
/// temporary file is removed. Errors carry the path, the byte offset and the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target) : target_(std::move(target)) {
    std::error_code ignored;
    const auto status = std::filesystem::status(target_, ignored);
    LDLM_CHECK(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status),
               "write", target_.native(), ": exists and is not a regular file");
    for (int attempt = 0; !file_.is_open(); ++attempt) {
      temporary_ = detail::folder_of(target_) / detail::concat('.', target_.filename().native(),
                                                               ".tmp-", ::getpid(), '-', attempt);
      file_ = detail::FileDescriptor(
          ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (!file_.is_open() && errno != EEXIST) {
        const int reason = errno;
        temporary_.clear();
        detail::fail("write", target_.native(), ": ", detail::errno_text(reason));
      }
    }
  }
  AtomicFile(AtomicFile&& other) noexcept
      : target_(std::move(other.target_)),
        temporary_(std::exchange(other.temporary_, {})),
        file_(std::move(other.file_)),
        written_(other.written_) {}
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile() {
    if (!temporary_.empty()) {
      ::unlink(temporary_.c_str());
    }
  }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(file_.get(), bytes.data(), bytes.size());
      if (count < 0) {
        LDLM_CHECK(errno == EINTR, "write", target_.native(), ": ", detail::errno_text(errno),
                   " (at byte ", written_, ')');
        continue;
      }
      written_ += static_cast<std::size_t>(count);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }
  void write(std::string_view text) {
    write(std::as_bytes(std::span<const char>(text.data(), text.size())));
  }

  /// Makes the contents durable, without showing them yet.
  void sync() {
    LDLM_CHECK(::fsync(file_.get()) == 0, "write", target_.native(), ": ",
               detail::errno_text(errno));
  }
  void commit() {
    sync();
    file_.close();
    LDLM_CHECK(::rename(temporary_.c_str(), target_.c_str()) == 0, "write", target_.native(), ": ",
               detail::errno_text(errno));
    temporary_.clear();
    detail::sync_folder(detail::folder_of(target_));
  }

  [[nodiscard]] const std::filesystem::path& target() const noexcept { return target_; }

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty: nothing to remove
  detail::FileDescriptor file_{-1};
  std::size_t written_ = 0;
};

/// Replaces a whole file, atomically.
inline void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace ldlm
