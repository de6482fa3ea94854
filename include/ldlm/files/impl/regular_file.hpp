#pragma once
// The bodies of files/regular_file.hpp.

#include <ldlm/files/regular_file.hpp>

#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>

namespace ldlm::detail {

LDLM_BODY RegularFile open_regular_file(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a named pipe must fail below rather than wait for its other end.
  RegularFile out{FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))};
  struct stat status {};
  LDLM_CHECK_FILE(out.descriptor.is_open() && ::fstat(out.descriptor.get(), &status) == 0, "open",
                  path.native(), ": ", errno_text(errno));
  LDLM_CHECK_FILE(!S_ISDIR(status.st_mode), "open", path.native(), ": is a folder, not a file");
  LDLM_CHECK_FILE(S_ISREG(status.st_mode), "open", path.native(), ": is not a regular file");
  out.size = static_cast<std::size_t>(status.st_size);
  return out;
}

LDLM_BODY ::ssize_t read_some(int descriptor, char* out, std::size_t count) noexcept {
  while (true) {
    const ::ssize_t got = ::read(descriptor, out, count);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      pollfd wanted{descriptor, POLLIN, 0};
      ::poll(&wanted, 1, -1);
    } else if (got >= 0 || errno != EINTR) {
      return got;
    }
  }
}

}  // namespace ldlm::detail
