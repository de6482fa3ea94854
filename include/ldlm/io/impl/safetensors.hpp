#pragma once
// Bodies of io/safetensors.hpp.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ldlm/core/named_tensors.hpp>
#include <ldlm/io/mapped_file.hpp>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/io/safetensors_header.hpp>

namespace ldlm {

LDLM_BODY SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::open(path);
  return {file.bytes(), file.owner(), file.path()};
}

LDLM_BODY SafetensorsFile SafetensorsFile::from_bytes(std::span<std::byte> bytes,
                                                      std::shared_ptr<void> owner,
                                                      std::string origin) {
  return {bytes, std::move(owner), std::move(origin)};
}

LDLM_BODY std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> out;
  for (const TensorInfo& tensor : header_.tensors) {
    out.push_back(tensor.name);
  }
  return out;
}

LDLM_BODY bool SafetensorsFile::contains(std::string_view name) const {
  return by_name_.find(name) != by_name_.end();
}

LDLM_BODY const TensorInfo& SafetensorsFile::info(std::string_view name) const {
  const auto found = by_name_.find(name);
  LDLM_CHECK_FILE(found != by_name_.end(), "safetensors", origin_, ": no tensor ",
                  detail::quote(name));
  return header_.tensors[found->second];
}

LDLM_BODY std::span<const std::byte> SafetensorsFile::bytes(std::string_view name) const {
  return bytes_of(info(name));
}

LDLM_BODY const std::vector<std::pair<std::string, std::string>>& SafetensorsFile::metadata()
    const noexcept {
  return header_.metadata;
}

LDLM_BODY SafetensorsFile::SafetensorsFile(std::span<std::byte> bytes, std::shared_ptr<void> owner,
                                           std::string origin)
    : origin_(std::move(origin)),
      owner_(std::move(owner)),
      bytes_(bytes),
      header_(parse_safetensors_header(bytes, origin_)) {
  for (std::size_t i = 0; i < header_.tensors.size(); ++i) {
    by_name_.emplace(header_.tensors[i].name, i);
  }
}

LDLM_BODY std::span<const std::byte> SafetensorsFile::bytes_of(const TensorInfo& at) const {
  return bytes_.subspan(at.begin, at.end - at.begin);
}

LDLM_BODY Shape SafetensorsFile::shape_of(const TensorInfo& at) const {
  LDLM_CHECK_FILE(at.shape.size() <= max_rank, "safetensors", origin_, ": tensor ",
                  detail::quote(at.name), ": shape ", detail::shape_text(at.shape), " has ",
                  at.shape.size(), " axes, a tensor has at most ", max_rank);
  return Shape(at.shape);
}

LDLM_BODY void SafetensorsFile::check_elements(const TensorInfo& at) const {
  if (at.dtype == FileDType::boolean) {
    for (std::size_t i = at.begin; i < at.end; ++i) {
      LDLM_CHECK_FILE(std::to_integer<unsigned>(bytes_[i]) <= 1, "safetensors", origin_, ": byte ",
                      i, ": tensor ", detail::quote(at.name), ": a BOOL must be 0 or 1, got ",
                      std::to_integer<unsigned>(bytes_[i]));
    }
  }
}

}  // namespace ldlm
