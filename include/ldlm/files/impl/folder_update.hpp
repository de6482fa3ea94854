#pragma once
// The bodies of files/folder_update.hpp.

#include <ldlm/files/folder_update.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>

namespace ldlm {

namespace detail {

inline constexpr std::string_view committed_name = ".ldlm-commit";

inline constexpr std::string_view removed_name = ".ldlm-removed";

/// The paths in a folder, relative to it, every folder before what is in it; links not followed.
/// What goes away meanwhile is left out.
LDLM_BODY std::vector<std::filesystem::path> paths_below(const std::filesystem::path& folder) {
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
LDLM_BODY bool look_at(const std::filesystem::path& path, struct stat& out) {
  return ::lstat(path.c_str(), &out) == 0;
}

LDLM_BODY bool is_real_folder(const std::filesystem::path& path) {
  struct stat status {};
  return look_at(path, status) && S_ISDIR(status.st_mode);
}

/// Lets two paths change places. False, with errno, where there is no such operation.
LDLM_BODY bool exchange_paths([[maybe_unused]] const std::filesystem::path& a,
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

LDLM_BODY FolderState state_of(const std::filesystem::path& folder) {
  std::error_code ignored;
  struct stat status {};
  const bool there = ::stat(folder.c_str(), &status) == 0;
  return {there ? status.st_ino : 0, std::filesystem::last_write_time(folder, ignored)};
}

LDLM_BODY void take_over_changes(const std::filesystem::path& old, const std::filesystem::path& now,
                                 const std::map<std::filesystem::path, std::uintmax_t>& linked,
                                 const std::set<std::filesystem::path>& own) {
  struct stat before {};
  struct stat after {};
  for (const auto& name : paths_below(old)) {
    if (own.count(name) != 0 || !look_at(old / name, before)) {
      continue;
    }
    const bool there = look_at(now / name, after);
    const auto at = linked.find(name);
    const bool changed =
        at == linked.end() || (!S_ISDIR(before.st_mode) && before.st_ino != at->second);
    const bool changed_later =
        at == linked.end() ? there : !there || S_ISDIR(after.st_mode) || after.st_ino != at->second;
    if (changed && !changed_later) {
      (void)::rename((old / name).c_str(), (now / name).c_str());
    }
  }
  for (auto at = linked.rbegin(); at != linked.rend(); ++at) {  // files before their folders
    const auto& [name, node] = *at;
    if (look_at(old / name, before) || !look_at(now / name, after)) {
      continue;
    }
    if (S_ISDIR(after.st_mode)) {
      (void)::rmdir((now / name).c_str());  // unless something is in it
    } else if (after.st_ino == node) {
      (void)::unlink((now / name).c_str());
    }
  }
}

}  // namespace detail

LDLM_BODY void finish_update(const std::filesystem::path& folder) {
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

LDLM_BODY FolderUpdate::FolderUpdate(const std::filesystem::path& folder) : shown_(folder) {
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

LDLM_BODY FolderUpdate::~FolderUpdate() {
  std::error_code ignored;
  if (!staging_.path.empty()) {
    std::filesystem::remove_all(staging_.path, ignored);
  }
}

LDLM_BODY void FolderUpdate::remove(const std::filesystem::path& name) {
  removed_.insert(name);
}

LDLM_BODY void FolderUpdate::commit() {
  const auto names = detail::paths_below(staging_.path);
  new_.insert(names.begin(), names.end());
  own_ = new_;
  own_.insert(removed_.begin(), removed_.end());
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

LDLM_BODY std::filesystem::path FolderUpdate::place_of(const std::filesystem::path& name) const {
  std::filesystem::path path = staging_.path / name;
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  LDLM_CHECK_FILE(!error, "write", (shown_ / name).native(), ": ", error.message());
  return path;
}

LDLM_BODY void FolderUpdate::fail_as_shown(const Error& failure) const {
  const std::string_view path = failure.path();
  const std::string& hidden = staging_.path.native();
  if (!path.starts_with(hidden)) {
    throw;
  }
  const std::string shown = shown_.native() + std::string(path.substr(hidden.size()));
  detail::throw_error(failure.code(), failure.op(), std::string_view(shown),
                      failure.reason().substr(path.size()));
}

LDLM_BODY std::string FolderUpdate::outer_prefix() const {
  constexpr std::size_t longest = 200;
  return detail::concat('.', target_.filename().native().substr(0, longest), ".new-");
}

LDLM_BODY bool FolderUpdate::is_working_folder() const {
  std::error_code error;
  const std::filesystem::path working = std::filesystem::current_path(error);
  const auto end =
      std::mismatch(target_.begin(), target_.end(), working.begin(), working.end()).first;
  return error || end == target_.end();
}

LDLM_BODY bool FolderUpdate::may_enter() const {
  const std::string number = staging_.path.filename().native().substr(outer_prefix().size());
  const std::filesystem::path inside = target_ / detail::concat(inner_prefix, number);
  return ::rename(staging_.path.c_str(), inside.c_str()) == 0 &&
         ::rename(inside.c_str(), staging_.path.c_str()) == 0;
}

LDLM_BODY void FolderUpdate::check_names() const {
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

LDLM_BODY bool FolderUpdate::commit_beside() {
  struct stat old {};
  if (!detail::look_at(target_, old) && ::rename(staging_.path.c_str(), target_.c_str()) == 0) {
    staging_.path.clear();
    detail::sync_folder(target_.parent_path());
    return true;
  }
  const bool done = link_others() && detail::exchange_paths(staging_.path, target_);
  if (!done) {
    for (auto name = linked_.rbegin(); name != linked_.rend(); ++name) {
      (void)(::unlink((staging_.path / name->first).c_str()) == 0 ||
             ::rmdir((staging_.path / name->first).c_str()) == 0);
    }
    return false;
  }
  detail::sync_folder(target_.parent_path());
  detail::take_over_changes(staging_.path, target_, linked_, own_);
  return true;
}

LDLM_BODY bool FolderUpdate::link_others() {
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
    if (own_.count(name) == 0) {
      ok = old.st_dev == top.st_dev &&
           (is_folder ? ::mkdir(to.c_str(), 0777)
                      : ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0)) == 0;
      if (ok) {
        linked_.emplace(name, old.st_ino);
      }
    }
    ok = ok && (!is_folder || like(to, old));
  }
  return ok;
}

LDLM_BODY void FolderUpdate::commit_in_place() {
  std::string list;
  for (const auto& name : removed_) {
    if (new_.count(name) == 0) {
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

}  // namespace ldlm
