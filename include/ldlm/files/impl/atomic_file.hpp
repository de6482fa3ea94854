#pragma once
// The bodies of files/atomic_file.hpp.

#include <ldlm/files/atomic_file.hpp>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>

namespace ldlm {

namespace detail {

/// Throws unless a file may be put at `target`: nothing, a regular file, or a link to one of those.
/// The link itself is replaced, never what it leads to.
LDLM_BODY void check_replaceable(const std::filesystem::path& target) {
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

LDLM_BODY AtomicFile::AtomicFile(std::filesystem::path target)
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

LDLM_BODY AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : target_(std::move(other.target_)),
      temporary_{std::exchange(other.temporary_.path, {}), std::move(other.temporary_.file)},
      written_(other.written_) {}

LDLM_BODY AtomicFile::~AtomicFile() {
  if (!temporary_.path.empty()) {
    ::unlink(temporary_.path.c_str());
  }
}

LDLM_BODY void AtomicFile::write(std::span<const std::byte> bytes) {
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

LDLM_BODY void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

LDLM_BODY void AtomicFile::commit() {
  detail::check_write(::fsync(temporary_.file.get()) == 0, target_);
  detail::check_write(::rename(temporary_.path.c_str(), target_.c_str()) == 0, target_);
  temporary_.path.clear();
  temporary_.file.close();
  detail::sync_folder(detail::folder_of(target_));
}

LDLM_BODY void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace ldlm
