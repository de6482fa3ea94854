#pragma once
// AtomicFile: a file that appears whole or not at all.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <ldlm/files/temporary.hpp>

namespace ldlm {

namespace detail {

/// Throws unless a file may be put at `target`: nothing, a regular file, or a link to one of those.
/// The link itself is replaced, never what it leads to.
inline void check_replaceable(const std::filesystem::path& target) {
  std::error_code ignored;
  const auto status = std::filesystem::status(target, ignored);
  LDLM_CHECK_FILE(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status),
                  "write", target.native(), ": exists and is not a regular file");
  const auto link = std::filesystem::read_symlink(target, ignored);
  // /dev/stdout, say: it belongs to the system.
  LDLM_CHECK_FILE(!link.native().starts_with("/proc/"), "write", target.native(),
                  ": is a link of the system's to ", link.native());
}

}  // namespace detail

/// Writes to a temporary file beside the target; commit() makes it durable (fsync) and renames it
/// over the target. Without commit(), or after an Error, the target stays as it was and the
/// temporary file is removed; that of a process that was killed is removed when the next one writes
/// the same target. A target that is a symbolic link is replaced by the file; what it leads to
/// stays. Errors carry the path, the byte offset and the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target)
      : target_(std::move(target)), temporary_{{}, detail::FileDescriptor(-1)} {
    detail::check_replaceable(target_);
    constexpr std::size_t longest = 200;  // of 255 bytes that a name may have
    const std::string name = target_.filename().native().substr(0, longest);
    temporary_ =
        detail::make_temporary_file(detail::folder_of(target_), detail::concat('.', name, ".tmp-"));
    detail::check_write(temporary_.file.is_open(), target_);
    struct stat before {};
    if (::lstat(target_.c_str(), &before) == 0 && S_ISREG(before.st_mode)) {
      ::fchmod(temporary_.file.get(), before.st_mode & 0777U);  // who may read it stays the same
    }
  }
  AtomicFile(AtomicFile&& other) noexcept
      : target_(std::move(other.target_)),
        temporary_{std::exchange(other.temporary_.path, {}), std::move(other.temporary_.file)},
        written_(other.written_) {}
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile() {
    if (!temporary_.path.empty()) {
      ::unlink(temporary_.path.c_str());
    }
  }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(temporary_.file.get(), bytes.data(), bytes.size());
      if (count < 0) {
        LDLM_CHECK_FILE(errno == EINTR, "write", target_.native(), ": ", detail::errno_text(errno),
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

  void commit() {
    detail::check_write(::fsync(temporary_.file.get()) == 0, target_);
    detail::check_write(::rename(temporary_.path.c_str(), target_.c_str()) == 0, target_);
    temporary_.path.clear();
    temporary_.file.close();
    detail::sync_folder(detail::folder_of(target_));
  }

  [[nodiscard]] const std::filesystem::path& target() const noexcept { return target_; }

 private:
  std::filesystem::path target_;
  detail::Temporary temporary_;  // an empty path: nothing to remove
  std::size_t written_ = 0;
};

/// Replaces a whole file, atomically.
inline void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace ldlm
