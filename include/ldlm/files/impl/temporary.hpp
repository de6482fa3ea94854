#pragma once
// The bodies of files/temporary.hpp.

#include <ldlm/files/temporary.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>

namespace ldlm::detail {

/// Whether a name is `prefix`, a process's number, '-' and a count.
LDLM_BODY bool is_temporary_name(std::string_view name, std::string_view prefix) {
  const auto is_number = [](std::string_view digits) {
    return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (!name.starts_with(prefix)) {
    return false;
  }
  name.remove_prefix(prefix.size());
  const std::size_t dash = std::min(name.find('-'), name.size());
  return is_number(name.substr(0, dash)) && is_number(name.substr(std::min(dash + 1, name.size())));
}

LDLM_BODY void remove_leftovers(const std::filesystem::path& folder, std::string_view prefix) {
  std::error_code ignored;  // what can't be listed or removed stays
  std::vector<std::filesystem::path> found;
  for (std::filesystem::directory_iterator entry(folder, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    if (is_temporary_name(entry->path().filename().native(), prefix)) {
      found.push_back(entry->path());
    }
  }
  for (const auto& path : found) {
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file.is_open() && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      std::filesystem::remove_all(path, ignored);
    }
  }
}

/// A name comes once in a process: where a folder changes places under a file that is being
/// written, an earlier one of its name would be renamed instead.
LDLM_BODY unsigned long long next_temporary() {
  static std::atomic<unsigned long long> count{0};
  return count++;
}

/// A new file or folder in `folder` under a temporary name, which `create(path)` makes and opens,
/// or fails to with errno.
template <class Create>
Temporary make_temporary(const std::filesystem::path& folder, std::string_view prefix,
                         Create&& create) {
  remove_leftovers(folder, prefix);
  for (;;) {
    Temporary out;
    out.path = folder / concat(prefix, ::getpid(), '-', next_temporary());
    out.file = create(out.path);
    if (!out.file.is_open()) {
      if (errno != EEXIST) {
        const int reason = errno;
        out.path.clear();
        errno = reason;
        return out;
      }
      continue;
    }
    // A process that removes leftovers may have come before the lock.
    if ((::flock(out.file.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
        names_file(out.path, out.file)) {
      return out;
    }
  }
}

LDLM_BODY Temporary make_temporary_file(const std::filesystem::path& folder,
                                        std::string_view prefix) {
  return make_temporary(folder, prefix, [](const std::filesystem::path& path) {
    return FileDescriptor(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  });
}

LDLM_BODY Temporary make_temporary_folder(const std::filesystem::path& folder,
                                          std::string_view prefix) {
  return make_temporary(folder, prefix, [](const std::filesystem::path& path) {
    return FileDescriptor(
        ::mkdir(path.c_str(), 0777) == 0
            ? ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            : -1);
  });
}

}  // namespace ldlm::detail
