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

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include <ldlm/core/error.hpp>
#include <ldlm/files/atomic_file.hpp>

namespace ldlm {

namespace detail {

/// What tells two states of a folder apart.
struct FolderState {
  std::uintmax_t node = 0;
  std::filesystem::file_time_type written;
  friend bool operator==(const FolderState&, const FolderState&) = default;
};
[[nodiscard]] FolderState state_of(const std::filesystem::path& folder);

/// After `old` and `now` have changed places: brings to `now` what other processes have written to
/// `old`, or removed there, since `linked` was made of it, except for the names of `own`. What they
/// have written to `now`, or removed there, is later and stays.
/// linked: what both had then, with the inode that their files shared.
void take_over_changes(const std::filesystem::path& old, const std::filesystem::path& now,
                       const std::map<std::filesystem::path, std::uintmax_t>& linked,
                       const std::set<std::filesystem::path>& own);

}  // namespace detail

/// Moves the files of an update that was cut short (see above) to their places. Nothing to do,
/// nearly always. Throws where this process may not.
void finish_update(const std::filesystem::path& folder);

/// What read() makes of a folder, out of one state of it: where an update came meanwhile, it is
/// read again. Throws where one came each of ten times.
template <class Read>
auto read_folder(const std::filesystem::path& folder, Read&& read) {
  constexpr int attempts = 10;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    finish_update(folder);
    const auto before = detail::state_of(folder);
    try {
      auto out = read();
      if (detail::state_of(folder) == before) {
        return out;
      }
    } catch (const Error&) {
      if (detail::state_of(folder) == before) {
        throw;
      }
    }
  }
  detail::fail_at(ErrorCode::file, "open", folder.native(), ": was written to each of the ",
                  attempts, " times that it was read");
}

class FolderUpdate {
 public:
  /// Begins an update of a folder, which commit() makes if need be. A link to a folder is followed;
  /// links in it are replaced where a new file or folder has their name.
  explicit FolderUpdate(const std::filesystem::path& folder);
  FolderUpdate(const FolderUpdate&) = delete;
  FolderUpdate& operator=(const FolderUpdate&) = delete;
  ~FolderUpdate();

  /// Has write(path) write the file, or the files of the folder, that will have this name in the
  /// folder, to a path whose parents are there. Errors name the file as if it were in its place.
  template <class Write>
  void add(const std::filesystem::path& name, Write&& write) {
    const std::filesystem::path path = place_of(name);
    try {
      write(path);
    } catch (const Error& failure) {
      fail_as_shown(failure);
    }
  }
  /// The folder as it is so far.
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return target_; }
  /// Has the new state lack a file of the old one, unless it is written anew.
  void remove(const std::filesystem::path& name);

  /// Makes the new state durable and puts it in place of the old one. After an Error the folder is
  /// as it was.
  void commit();

 private:
  static constexpr std::string_view inner_prefix = ".ldlm-new-";

  /// Where the file of this name is written; its parents are made.
  [[nodiscard]] std::filesystem::path place_of(const std::filesystem::path& name) const;
  /// Throws the Error again, about the file in its place if it is about one in the hidden folder.
  [[noreturn]] void fail_as_shown(const Error& failure) const;

  [[nodiscard]] std::string outer_prefix() const;

  /// Whether this process works in the folder: a folder that is exchanged would be gone for it.
  [[nodiscard]] bool is_working_folder() const;
  /// Whether the hidden folder can be moved into the folder and out again: not across mounts.
  [[nodiscard]] bool may_enter() const;

  /// Throws if a new file would take the place of a folder, or a folder that of a file.
  void check_names() const;

  /// False, with everything as it was, where this is not possible.
  bool commit_beside();

  /// Links everything that is neither new nor removed from the old folder into the new one.
  bool link_others();

  void commit_in_place();

  std::filesystem::path shown_;                          // as the caller names the folder
  std::filesystem::path target_;                         // without links
  detail::Temporary staging_;                            // an empty path: nothing to remove
  std::set<std::filesystem::path> new_, removed_, own_;  // own_: both
  std::map<std::filesystem::path, std::uintmax_t> linked_;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/files/impl/folder_update.hpp>
#endif
