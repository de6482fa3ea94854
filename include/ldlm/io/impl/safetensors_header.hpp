#pragma once
// Bodies of io/safetensors_header.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/stable_sort.hpp>
#include <ldlm/io/foreign_files.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors_dtype.hpp>
#include <ldlm/io/safetensors_header.hpp>
#include <ldlm/json/quote.hpp>

namespace ldlm::detail {

/// The format's own limit.
inline constexpr std::uint64_t max_safetensors_header = 100'000'000;

LDLM_BODY std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i == 8) {
      return text + concat(", ...] of rank ", shape.size());
    }
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + ']';
}

/// Reads one file's header; `fail` in each method says the file and the byte.
class SafetensorsHeaderParser {
 public:
  SafetensorsHeaderParser(std::span<const std::byte> file, std::string_view origin)
      : file_(file), origin_(origin) {}

  SafetensorsHeader parse() {
    const std::string_view text = header_text();
    const JsonValue root = parse_json(text, origin_, {.first_byte = 8});
    SafetensorsHeader out;
    for (const auto& [name, value] : root.members()) {
      if (name == "__metadata__") {
        out.metadata = metadata(value);
      } else {
        out.tensors.push_back(tensor(name, value));
      }
    }
    check_coverage(out.tensors);
    return out;
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(std::size_t byte, const Parts&... parts) const {
    fail_at(ErrorCode::file, "safetensors", origin_, ": byte ", byte, ": ", parts...);
  }

  std::string_view header_text() {
    if (file_.size() < 8) {
      refuse(0, "the file has ", file_.size(), " bytes, the header length alone takes 8");
    }
    std::uint64_t length = 0;
    for (std::size_t i = 8; i-- > 0;) {
      length = length << 8 | std::to_integer<std::uint64_t>(file_[i]);
    }
    if (length > max_safetensors_header) {
      refuse(0, "header length ", length, " exceeds the format's limit of ",
             max_safetensors_header);
    }
    if (length > file_.size() - 8) {
      refuse(0, "header length ", length, " reaches beyond the end of the file at byte ",
             file_.size());
    }
    data_ = 8 + static_cast<std::size_t>(length);
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + 8, data_ - 8);
    if (text.empty() || text.front() != '{') {
      refuse(8, "the header must begin with '{'");
    }
    return text;
  }

  std::vector<std::pair<std::string, std::string>> metadata(const JsonValue& value) const {
    if (!value.is_object()) {
      refuse(value.offset(), "\"__metadata__\" must be an object, got ", value.preview());
    }
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& [key, entry] : value.members()) {
      if (!entry.is_string()) {
        refuse(entry.offset(), "\"__metadata__\": key ", quote(key), " must be a string, got ",
               entry.preview());
      }
      out.emplace_back(key, entry.as<std::string>());
    }
    return out;
  }

  TensorInfo tensor(const std::string& name, const JsonValue& value) const {
    const auto refuse_tensor = [&](const JsonValue& at, const auto&... parts) {
      refuse(at.offset(), "tensor ", quote(name), ": ", parts...);
    };
    const auto field = [&](std::string_view key) -> const JsonValue& {
      const JsonValue* const found = value.find(key);
      if (found == nullptr) {
        refuse_tensor(value, "no ", quote(key));
      }
      return *found;
    };
    if (!value.is_object()) {
      refuse_tensor(value, "must be an object, got ", value.preview());
    }

    TensorInfo out;
    out.name = name;
    const JsonValue& dtype = field("dtype");
    const auto known = dtype.is_string() ? parse_file_dtype(dtype.as<std::string>()) : std::nullopt;
    if (!known) {
      refuse_tensor(dtype, "unknown dtype ", dtype.preview());
    }
    out.dtype = *known;

    const JsonValue& shape = field("shape");
    if (!shape.is_array()) {
      refuse_tensor(shape, "shape must be an array, got ", shape.preview());
    }
    std::int64_t bits = bits_of(out.dtype);  // of the non-zero extents: strides must not overflow
    bool empty = false;
    for (const JsonValue& item : shape.items()) {
      const auto extent = item.get_if<std::int64_t>();
      if (!extent || *extent < 0) {
        refuse_tensor(item, "extents must be integers of at least 0, got ", item.preview());
      }
      out.shape.push_back(*extent);
      empty = empty || *extent == 0;
      if (__builtin_mul_overflow(bits, std::max<std::int64_t>(*extent, 1), &bits)) {
        refuse_tensor(shape, "the size of shape ",
                      shape_text(shape.as<std::vector<std::int64_t>>()), " overflows");
      }
    }
    if (!empty && bits % 8 != 0) {
      refuse_tensor(shape, "shape ", shape_text(out.shape), " of ", name_of(out.dtype),
                    " does not fill whole bytes");
    }

    const JsonValue& offsets = field("data_offsets");
    const auto range = offsets.get_if<std::vector<std::uint64_t>>();
    if (!range || range->size() != 2) {
      refuse_tensor(offsets, "data_offsets must be two integers of at least 0");
    }
    const std::uint64_t begin = (*range)[0], end = (*range)[1];
    if (begin > end || end > file_.size() - data_) {
      refuse_tensor(offsets, "data_offsets [", begin, ", ", end,
                    "] do not lie in order within the ", file_.size() - data_, " bytes of data");
    }
    const auto bytes = empty ? 0 : static_cast<std::uint64_t>(bits) / 8;
    if (end - begin != bytes) {
      refuse_tensor(offsets, "data_offsets [", begin, ", ", end, "] span ", end - begin,
                    " bytes, but shape ", shape_text(out.shape), " of ", name_of(out.dtype),
                    " takes ", bytes);
    }
    out.begin = data_ + static_cast<std::size_t>(begin);
    out.end = data_ + static_cast<std::size_t>(end);
    return out;
  }

  // Sorts by position; every byte of the data must belong to exactly one tensor.
  void check_coverage(std::vector<TensorInfo>& tensors) const {
    detail::stable_sort(tensors.begin(), tensors.end(),
                        [](const TensorInfo& a, const TensorInfo& b) {
                          return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
                        });
    std::size_t covered = data_;
    const TensorInfo* previous = nullptr;
    for (const TensorInfo& tensor : tensors) {
      if (tensor.begin < covered) {
        refuse(tensor.begin, "tensor ", quote(tensor.name), " overlaps tensor ",
               quote(previous->name), ", which ends at byte ", covered);
      }
      if (tensor.begin > covered) {
        refuse(covered, tensor.begin - covered, " bytes before tensor ", quote(tensor.name),
               " belong to no tensor");
      }
      covered = tensor.end;
      previous = &tensor;
    }
    if (covered != file_.size()) {
      refuse(covered, file_.size() - covered, " bytes at the end belong to no tensor");
    }
  }

  std::span<const std::byte> file_;
  std::string_view origin_;
  std::size_t data_ = 0;  // where the data begin
};

}  // namespace ldlm::detail

namespace ldlm {

LDLM_BODY SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                                     std::string_view origin) {
  detail::check_no_foreign_file({reinterpret_cast<const char*>(file.data()), file.size()},
                                "safetensors", origin);
  return detail::SafetensorsHeaderParser(file, origin).parse();
}

}  // namespace ldlm
