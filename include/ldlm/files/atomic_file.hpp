#pragma once
// AtomicFile: a file that appears whole or not at all.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include <ldlm/files/temporary.hpp>

namespace ldlm {

/// Writes to a temporary file beside the target; commit() makes it durable (fsync) and renames it
/// over the target. Without commit(), or after an Error, the target stays as it was and the
/// temporary file is removed; that of a process that was killed is removed when the next one writes
/// the same target. A target that is a symbolic link is replaced by the file; what it leads to
/// stays. Errors carry the path, the byte offset and the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  void commit();

  [[nodiscard]] const std::filesystem::path& target() const noexcept { return target_; }

 private:
  std::filesystem::path target_;
  detail::Temporary temporary_;  // an empty path: nothing to remove
  std::size_t written_ = 0;
};

/// Replaces a whole file, atomically.
void write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/files/impl/atomic_file.hpp>
#endif
