#pragma once
// MappedFile: a file's bytes through a memory map (POSIX).

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <sys/mman.h>
#include <sys/stat.h>

#include <ldlm/files/file_descriptor.hpp>

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
    const auto check = [&path](bool ok) {
      LDLM_CHECK(ok, "open", path.native(), ": ", detail::errno_text(errno));
    };
    // O_NONBLOCK: opening a named pipe must fail below rather than wait for its other end.
    const detail::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    check(file.is_open());
    struct stat status {};
    check(::fstat(file.get(), &status) == 0);
    LDLM_CHECK(!S_ISDIR(status.st_mode), "open", path.native(), ": is a folder, not a file");
    LDLM_CHECK(S_ISREG(status.st_mode), "open", path.native(), ": is not a regular file");

    MappedFile out;
    out.path_ = path.native();
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size > 0) {
      void* const data =
          ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.get(), 0);
      check(data != MAP_FAILED);
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
