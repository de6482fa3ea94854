#pragma once
// The bodies of text/text_file.hpp.

#include <ldlm/text/text_file.hpp>

#include <cerrno>
#include <cstddef>
#include <system_error>

#include <sys/types.h>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/files/file_kind.hpp>
#include <ldlm/files/regular_file.hpp>

namespace ldlm::detail {

LDLM_BODY std::string read_text_file(const std::filesystem::path& path) {
  constexpr std::size_t max_bytes = std::size_t{1} << 30;
  std::error_code error;
  LDLM_CHECK_FILE(std::filesystem::exists(path, error) || error, "open", path.string(),
                  ": no such file");
  const detail::RegularFile file = detail::open_regular_file(path);
  LDLM_CHECK_FILE(file.size <= max_bytes, "open", path.string(), ": is larger than ", max_bytes,
                  " bytes");
  std::string contents(file.size, '\0');
  std::size_t size = 0;
  while (size < contents.size()) {
    const ::ssize_t got =
        detail::read_some(file.descriptor.get(), contents.data() + size, contents.size() - size);
    LDLM_CHECK_FILE(got >= 0, "open", path.string(), ": ", detail::errno_text(errno));
    if (got == 0) {
      break;  // it became shorter meanwhile
    }
    size += static_cast<std::size_t>(got);
  }
  contents.resize(size);
  refuse_known_kinds("open", path.string(), contents);
  return contents;
}

}  // namespace ldlm::detail
