#pragma once
// The bodies of io/mapped_file.hpp.

#include <ldlm/io/mapped_file.hpp>

#include <cerrno>

#include <sys/mman.h>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/files/regular_file.hpp>

namespace ldlm {

LDLM_BODY MappedFile MappedFile::open(const std::filesystem::path& path) {
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

}  // namespace ldlm
