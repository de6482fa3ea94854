#pragma once
// MappedFile: a file's bytes through a memory map (POSIX).

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sys/mman.h>

#include <ldlm/core/error.hpp>
#include <ldlm/files/regular_file.hpp>

namespace ldlm {

/// All bytes of a regular file. Handles share one map, which lives until the last of them, or of
/// the tensors made from it, is gone.
///
/// The pages are private: a write through them changes neither the file nor what others see. The
/// file itself must not be shortened in place while it is mapped (the system then ends the process
/// with SIGBUS); replacing it by renaming another file over it, as this library does, is safe.
class MappedFile {
 public:
  /// Throws Error with the path and the system's reason when it can't be opened or isn't a file.
  static MappedFile open(const std::filesystem::path& path) {
    const detail::RegularFile file = detail::open_regular_file(path);
    MappedFile out;
    out.path_ = path.native();
    const std::size_t size = file.size;
    if (size > 0) {
      void* const data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
                                file.descriptor.get(), 0);
      LDLM_CHECK_FILE(data != MAP_FAILED, "open", path.native(), ": ", detail::errno_text(errno));
      out.bytes_ = {static_cast<std::byte*>(data), size};
      out.owner_ = std::shared_ptr<void>(data, [size](void* start) { ::munmap(start, size); });
    }
    return out;
  }

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Keeps the map alive.
  [[nodiscard]] const std::shared_ptr<void>& owner() const noexcept { return owner_; }

 private:
  MappedFile() = default;

  std::string path_;
  std::shared_ptr<void> owner_;  // null for an empty file
  std::span<std::byte> bytes_;
};

}  // namespace ldlm
