#pragma once
// The header of a safetensors file: parsed and checked as a whole before any element is used.
//
// Format: 8 bytes N (unsigned, little-endian), N bytes of JSON, then the data. The JSON maps each
// tensor's name to {"dtype", "shape", "data_offsets": [begin, end)}, relative to the data, and
// "__metadata__" to strings. https://github.com/huggingface/safetensors#format

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/io/foreign_files.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors_dtype.hpp>
#include <ldlm/json/quote.hpp>

namespace ldlm {

/// What a file says about one tensor.
struct TensorInfo {
  std::string name;
  FileDType dtype = FileDType::f32;
  std::vector<std::int64_t> shape;  // any rank
  std::size_t begin = 0;            // first byte of the elements, from the start of the file
  std::size_t end = 0;              // one past the last byte
};

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in the order of their bytes in the file
  std::vector<std::pair<std::string, std::string>> metadata;
};

namespace detail {

std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace detail

/// Checks a whole file, given as bytes, and describes its tensors. Throws Error with `origin`, the
/// tensor's name, the byte of the file and the rule that it breaks.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                                         std::string_view origin);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/io/impl/safetensors_header.hpp>
#endif
