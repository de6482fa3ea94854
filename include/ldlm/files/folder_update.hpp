#pragma once
// FolderUpdate: files of a folder that are replaced together, so that whoever opens the folder, and
// whatever is killed, finds all of the old ones or all of the new ones.
//
// The new files are written to a hidden folder beside the old one, ".NAME.new-...". Everything else
// that the old folder has is linked into it, and then the two change places in one system call.
// Where that cannot be (no such call or no hard links on this file system, a mount point, the
// working folder of this process, a folder of another user), the hidden folder goes into the old
// one, and its renaming to ".ldlm-commit" is the moment at which the new files are the ones that
// count: from there they are moved to their places, by this process or by the next that opens the
// folder (finish_update).

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include <ldlm/files/atomic_file.hpp>

namespace ldlm {

namespace detail {

inline constexpr std::string_view committed_name = ".ldlm-commit";
inline constexpr std::string_view removed_name = ".ldlm-removed";

/// The paths in a folder, relative to it, every folder before what is in it; links not followed.
/// What goes away meanwhile is left out.
inline std::vector<std::filesystem::path> paths_below(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::vector<fs::path> out;
  std::vector<fs::path> open{""};
  std::error_code error;
  while (!open.empty()) {
    const fs::path name = std::move(open.back());
    open.pop_back();
    fs::directory_iterator entry(folder / name, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      out.push_back(name / entry->path().filename());
      std::error_code gone;
      if (entry->symlink_status(gone).type() == fs::file_type::directory) {
        open.push_back(out.back());
      }
    }
    LDLM_CHECK_FILE(!error || error == std::errc::no_such_file_or_directory, "open",
                    (folder / name).native(), ": ", error.message());
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// lstat; false if there is nothing.
inline bool look_at(const std::filesystem::path& path, struct stat& out) {
  return ::lstat(path.c_str(), &out) == 0;
}
inline bool is_real_folder(const std::filesystem::path& path) {
  struct stat status {};
  return look_at(path, status) && S_ISDIR(status.st_mode);
}

/// Lets two paths change places. False, with errno, where there is no such operation.
inline bool exchange_paths([[maybe_unused]] const std::filesystem::path& a,
                           [[maybe_unused]] const std::filesystem::path& b) {
#if defined(__linux__) && defined(SYS_renameat2)
  constexpr unsigned exchange = 2;  // RENAME_EXCHANGE, which not every C library names
  return ::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), exchange) == 0;
#elif defined(__APPLE__)
  return ::renamex_np(a.c_str(), b.c_str(), RENAME_SWAP) == 0;
#else
  errno = ENOSYS;
  return false;
#endif
}

}  // namespace detail

/// Moves the files of an update that was cut short (see above) to their places. Nothing to do,
/// nearly always. Throws where this process may not.
inline void finish_update(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  const fs::path committed = folder / detail::committed_name;
  detail::FileDescriptor lock(-1);
  do {  // one process at a time, and only while the update that it holds is the one that is there
    lock = detail::FileDescriptor(
        ::open(committed.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!lock.is_open()) {
      return;
    }
    while (::flock(lock.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
  } while (!detail::names_file(committed, lock));
  // What is gone has been moved by a process that was killed.
  const auto check = [&folder](bool ok) {
    LDLM_CHECK_FILE(ok || errno == ENOENT, "open", folder.native(),
                    ": an update of this folder was cut short and cannot be finished: ",
                    detail::errno_text(errno));
  };
  std::set<fs::path> changed{folder};
  for (const fs::path& name : detail::paths_below(committed)) {
    const fs::path target = folder / name;
    if (detail::is_real_folder(committed / name)) {
      if (!detail::is_real_folder(target)) {
        check(::unlink(target.c_str()) == 0);  // a link: the folder takes its place
        check(::mkdir(target.c_str(), 0777) == 0 || errno == EEXIST);
      }
      changed.insert(target);
    } else if (name != fs::path(detail::removed_name)) {
      check(::rename((committed / name).c_str(), target.c_str()) == 0);
    }
  }
  std::ifstream list(committed / detail::removed_name);
  for (std::string name; std::getline(list, name);) {
    check(::unlink((folder / name).c_str()) == 0);
    changed.insert(detail::folder_of(folder / name));
  }
  for (const fs::path& path : changed) {
    if (detail::is_real_folder(path)) {
      detail::sync_folder(path);
    }
  }
  std::error_code error;
  fs::remove_all(committed, error);
  errno = error.value();
  check(!error);
}

/// What read() makes of a folder, out of one state of it: where an update came meanwhile, it is
/// read again. Throws where one came each of ten times.
template <class Read>
auto read_folder(const std::filesystem::path& folder, Read&& read) {
  const auto state = [&folder] {
    std::error_code ignored;
    struct stat status {};
    const bool there = ::stat(folder.c_str(), &status) == 0;
    return std::tuple(there ? status.st_ino : 0, std::filesystem::last_write_time(folder, ignored));
  };
  constexpr int attempts = 10;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    finish_update(folder);
    const auto before = state();
    try {
      auto out = read();
      if (state() == before) {
        return out;
      }
    } catch (const Error&) {
      if (state() == before) {
        throw;
      }
    }
  }
  detail::fail_as(ErrorCode::file, "open", folder.native(), ": was written to each of the ",
                  attempts, " times that it was read");
}

class FolderUpdate {
 public:
  /// Begins an update of a folder, which commit() makes if need be. A link to a folder is followed;
  /// links in it are replaced where a new file or folder has their name.
  explicit FolderUpdate(const std::filesystem::path& folder) : shown_(folder) {
    std::error_code error;
    const auto kind = std::filesystem::status(folder, error).type();
    LDLM_CHECK_FILE(kind == std::filesystem::file_type::not_found ||
                        kind == std::filesystem::file_type::directory,
                    "write", folder.native(), ": exists and is not a folder");
    target_ = std::filesystem::weakly_canonical(std::filesystem::absolute(folder, error), error);
    LDLM_CHECK_FILE(!error, "write", folder.native(), ": ", error.message());
    if (!target_.has_filename() && target_.has_relative_path()) {
      target_ = target_.parent_path();  // "folder/"
    }
    finish_update(target_);
    std::filesystem::create_directories(target_.parent_path(), error);
    LDLM_CHECK_FILE(!error, "write", folder.native(), ": ", error.message());
    detail::remove_leftovers(target_, inner_prefix);
    detail::remove_leftovers(target_.parent_path(), outer_prefix());
    const bool exists = detail::is_real_folder(target_);
    if (!exists || !is_working_folder()) {
      staging_ = detail::make_temporary_folder(target_.parent_path(), outer_prefix());
    }
    if (exists && staging_.file.is_open() && !may_enter()) {
      ::rmdir(staging_.path.c_str());
      staging_.file.close();
    }
    if (exists && !staging_.file.is_open()) {
      staging_ = detail::make_temporary_folder(target_, inner_prefix);
    }
    detail::check_write(staging_.file.is_open(), shown_);
  }
  FolderUpdate(const FolderUpdate&) = delete;
  FolderUpdate& operator=(const FolderUpdate&) = delete;
  ~FolderUpdate() {
    std::error_code ignored;
    if (!staging_.path.empty()) {
      std::filesystem::remove_all(staging_.path, ignored);
    }
  }

  /// Has write(path) write the file, or the files of the folder, that will have this name in the
  /// folder, to a path whose parents are there. Errors name the file as if it were in its place.
  template <class Write>
  void add(const std::filesystem::path& name, Write&& write) {
    const std::filesystem::path path = staging_.path / name;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    LDLM_CHECK_FILE(!error, "write", (shown_ / name).native(), ": ", error.message());
    try {
      write(path);
    } catch (const Error& failure) {
      std::string message = failure.what();
      const std::string& hidden = staging_.path.native();
      for (std::size_t i = 0; (i = message.find(hidden, i)) != std::string::npos;) {
        message.replace(i, hidden.size(), shown_.native());
      }
      detail::throw_error(failure.code(), message);
    }
  }
  /// The folder as it is so far.
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return target_; }
  /// Has the new state lack a file of the old one, unless it is written anew.
  void remove(const std::filesystem::path& name) { removed_.insert(name); }

  /// Makes the new state durable and puts it in place of the old one. After an Error the folder is
  /// as it was.
  void commit() {
    new_ = detail::paths_below(staging_.path);
    check_names();
    detail::sync_folder(staging_.path);
    for (const auto& name : new_) {
      if (detail::is_real_folder(staging_.path / name)) {
        detail::sync_folder(staging_.path / name);
      }
    }
    const bool beside = staging_.path.parent_path() == target_.parent_path();
    if (!beside || !commit_beside()) {
      commit_in_place();
    }
  }

 private:
  static constexpr std::string_view inner_prefix = ".ldlm-new-";

  [[nodiscard]] std::string outer_prefix() const {
    constexpr std::size_t longest = 200;
    return detail::concat('.', target_.filename().native().substr(0, longest), ".new-");
  }

  /// Whether this process works in the folder: a folder that is exchanged would be gone for it.
  [[nodiscard]] bool is_working_folder() const {
    std::error_code error;
    const std::filesystem::path working = std::filesystem::current_path(error);
    const auto end =
        std::mismatch(target_.begin(), target_.end(), working.begin(), working.end()).first;
    return error || end == target_.end();
  }
  /// Whether the hidden folder can be moved into the folder and out again: not across mounts.
  [[nodiscard]] bool may_enter() const {
    const std::string number = staging_.path.filename().native().substr(outer_prefix().size());
    const std::filesystem::path inside = target_ / detail::concat(inner_prefix, number);
    return ::rename(staging_.path.c_str(), inside.c_str()) == 0 &&
           ::rename(inside.c_str(), staging_.path.c_str()) == 0;
  }

  /// Throws if a new file would take the place of a folder, or a folder that of a file.
  void check_names() const {
    for (const auto& name : new_) {
      const bool is_folder = detail::is_real_folder(staging_.path / name);
      struct stat old {};
      if (!detail::look_at(target_ / name, old) || S_ISLNK(old.st_mode)) {
        continue;
      }
      LDLM_CHECK_FILE(is_folder ? S_ISDIR(old.st_mode) : S_ISREG(old.st_mode), "write",
                      (shown_ / name).native(), ": exists and is not a ",
                      is_folder ? "folder" : "regular file");
    }
  }

  /// False, with everything as it was, where this is not possible.
  bool commit_beside() {
    struct stat old {};
    if (!detail::look_at(target_, old) && ::rename(staging_.path.c_str(), target_.c_str()) == 0) {
      staging_.path.clear();
      detail::sync_folder(target_.parent_path());
      return true;
    }
    const bool done = link_others() && detail::exchange_paths(staging_.path, target_);
    if (!done) {
      for (auto name = linked_.rbegin(); name != linked_.rend(); ++name) {
        (void)(::unlink((staging_.path / *name).c_str()) == 0 ||
               ::rmdir((staging_.path / *name).c_str()) == 0);
      }
      return false;
    }
    detail::sync_folder(target_.parent_path());
    take_over_changes();
    return true;
  }

  /// Links everything that is neither new nor removed from the old folder into the new one.
  bool link_others() {
    const auto like = [](const std::filesystem::path& to, const struct stat& from) {
      struct stat made {};
      return detail::look_at(to, made) &&
             ((made.st_uid == from.st_uid && made.st_gid == from.st_gid) ||
              ::chown(to.c_str(), from.st_uid, from.st_gid) == 0) &&
             ::chmod(to.c_str(), from.st_mode & 07777U) == 0;
    };
    struct stat top {};
    struct stat old {};
    bool ok = detail::look_at(target_, top) && like(staging_.path, top);
    for (const auto& name : detail::paths_below(target_)) {
      const std::filesystem::path from = target_ / name;
      const std::filesystem::path to = staging_.path / name;
      if (!ok) {
        break;
      }
      if (!detail::look_at(from, old)) {
        continue;
      }
      const bool is_folder = S_ISDIR(old.st_mode);
      if (!is_new(name) && removed_.count(name) == 0) {
        ok = old.st_dev == top.st_dev &&
             (is_folder ? ::mkdir(to.c_str(), 0777)
                        : ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0)) == 0;
        if (ok) {
          linked_.push_back(name);
        }
      }
      ok = ok && (!is_folder || like(to, old));
    }
    return ok;
  }

  /// After the exchange: what another process has put into the old folder since it was read.
  void take_over_changes() const {
    for (const auto& name : detail::paths_below(staging_.path)) {
      struct stat old {};
      struct stat now {};
      if (!is_new(name) && removed_.count(name) == 0 &&
          detail::look_at(staging_.path / name, old) &&
          (!detail::look_at(target_ / name, now) ||
           (!S_ISDIR(now.st_mode) && now.st_ino != old.st_ino))) {
        (void)::rename((staging_.path / name).c_str(), (target_ / name).c_str());
      }
    }
  }

  void commit_in_place() {
    std::string list;
    for (const auto& name : removed_) {
      if (!is_new(name)) {
        list += name.native() + '\n';
      }
    }
    write_file(staging_.path / detail::removed_name, list);
    const std::filesystem::path committed = target_ / detail::committed_name;
    while (::rename(staging_.path.c_str(), committed.c_str()) != 0) {
      const bool other = errno == ENOTEMPTY || errno == EEXIST;  // another process's update
      detail::check_write(other, shown_);
      finish_update(target_);
    }
    staging_.path.clear();
    staging_.file.close();  // which held a lock on it
    detail::sync_folder(target_);
    finish_update(target_);
  }

  [[nodiscard]] bool is_new(const std::filesystem::path& name) const {
    return std::binary_search(new_.begin(), new_.end(), name);
  }

  std::filesystem::path shown_;   // as the caller names the folder
  std::filesystem::path target_;  // without links
  detail::Temporary staging_;     // an empty path: nothing to remove
  std::vector<std::filesystem::path> new_, linked_;
  std::set<std::filesystem::path> removed_;
};

}  // namespace ldlm
