#pragma once
// Reading one safetensors file, or the bytes of one. For folders with shards:
// safetensors_model.hpp.

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

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/named_tensors.hpp>
#include <ldlm/io/mapped_file.hpp>
#include <ldlm/io/safetensors_header.hpp>

namespace ldlm {

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian");

/// A checked file and its tensors by name. Cheap to open: elements are read when they are used.
class SafetensorsFile {
 public:
  /// Maps and checks a file. Throws Error as parse_safetensors_header and MappedFile::open do.
  static SafetensorsFile open(const std::filesystem::path& path);
  /// The same over memory, which `owner` keeps alive. `origin` names it in errors.
  static SafetensorsFile from_bytes(std::span<std::byte> bytes, std::shared_ptr<void> owner,
                                    std::string origin);

  /// All tensors, in the order of their bytes in the file.
  [[nodiscard]] const std::vector<TensorInfo>& tensors() const noexcept { return header_.tensors; }
  /// Their names, in the same order.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] bool contains(std::string_view name) const;
  /// Dtype, shape and place of one tensor. Throws if there is none of that name.
  [[nodiscard]] const TensorInfo& info(std::string_view name) const;
  /// The elements as they lie in the file.
  [[nodiscard]] std::span<const std::byte> bytes(std::string_view name) const;

  /// A tensor whose dtype in the file is T's; throws for another. Zero-copy where the elements are
  /// aligned (files of this library and of Python's are): the tensor then keeps the map alive, and
  /// writing to it changes this process's view of the file only.
  template <Scalar T>
  [[nodiscard]] Tensor<T> tensor(std::string_view name) const {
    const TensorInfo& at = info(name);
    LDLM_CHECK_FILE(at.dtype == to_file_dtype(dtype_of<T>), "safetensors", origin_, ": tensor ",
                    detail::quote(name), " is ", name_of(at.dtype), ", not ",
                    name_of(to_file_dtype(dtype_of<T>)));
    check_elements(at);
    const Shape shape = shape_of(at);
    std::byte* const data = bytes_.data() + at.begin;
    if (reinterpret_cast<std::uintptr_t>(data) % alignof(T) == 0) {
      return Tensor<T>::from_blob(reinterpret_cast<T*>(data), shape, [owner = owner_] {});
    }
    Tensor<T> out = Tensor<T>::empty(shape);
    if (at.end > at.begin) {
      std::memcpy(out.data(), data, at.end - at.begin);
    }
    return out;
  }

  /// A tensor converted to T: as tensor<T> if it is stored as T, else a copy. Everything but the
  /// types of 4 and 6 bits and complex numbers becomes a float type (rounding to nearest); integers
  /// become other integers if every value fits; nothing else converts. Throws otherwise.
  template <Scalar T>
  [[nodiscard]] Tensor<T> load(std::string_view name) const {
    const TensorInfo& at = info(name);
    if (at.dtype == to_file_dtype(dtype_of<T>)) {
      return tensor<T>(name);
    }
    check_elements(at);
    Tensor<T> out = Tensor<T>::empty(shape_of(at));
    const std::span<T> elements(out.data(), static_cast<std::size_t>(out.numel()));
    bool converted = false;
    if (const auto dtype = to_dtype(at.dtype)) {
      converted = visit_dtype(*dtype, [&]<class From>(std::type_identity<From>) {
        return convert_elements<From>(at, elements);
      });
    } else if (detail::is_float8(at.dtype)) {
      converted = convert_float8(at, elements);
    }
    LDLM_CHECK_FILE(converted, "safetensors", origin_, ": tensor ", detail::quote(name), " is ",
                    name_of(at.dtype), ", which does not convert to ",
                    name_of(to_file_dtype(dtype_of<T>)));
    return out;
  }

  /// The file's "__metadata__".
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& metadata() const noexcept;
  /// The path, or what from_bytes was told.
  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }

 private:
  SafetensorsFile(std::span<std::byte> bytes, std::shared_ptr<void> owner, std::string origin);

  [[nodiscard]] std::span<const std::byte> bytes_of(const TensorInfo& at) const;

  [[nodiscard]] Shape shape_of(const TensorInfo& at) const;

  // A bool with another byte than 0 or 1 must never be made.
  void check_elements(const TensorInfo& at) const;

  // Returns whether the types convert at all. The source may be misaligned.
  template <Scalar From, Scalar To>
  bool convert_elements(const TensorInfo& at, std::span<To> out) const {
    constexpr bool to_float = !std::integral<To>;
    constexpr bool to_integer = std::integral<From> && !std::same_as<To, bool>;
    if constexpr (to_float || to_integer) {
      const std::byte* source = bytes_.data() + at.begin;
      for (std::size_t i = 0; i < out.size(); ++i, source += sizeof(From)) {
        From value;
        std::memcpy(&value, source, sizeof(From));
        if constexpr (!to_float && !std::same_as<From, bool>) {
          LDLM_CHECK_FILE(std::in_range<To>(value), "safetensors", origin_, ": byte ",
                          at.begin + i * sizeof(From), ": tensor ", detail::quote(at.name), ": ",
                          +value, " does not fit ", name_of(to_file_dtype(dtype_of<To>)));
        }
        out[i] = convert<To>(value);
      }
      return true;
    } else {
      return false;
    }
  }

  template <Scalar To>
  bool convert_float8(const TensorInfo& at, std::span<To> out) const {
    if constexpr (!std::integral<To>) {
      const std::span<const std::byte> codes = bytes_of(at);
      for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] =
            convert<To>(detail::from_float8(at.dtype, std::to_integer<std::uint8_t>(codes[i])));
      }
      return true;
    } else {
      return false;
    }
  }

  std::string origin_;
  std::shared_ptr<void> owner_;
  std::span<std::byte> bytes_;
  SafetensorsHeader header_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

/// All tensors of a file, converted to T as SafetensorsFile::load does, in the file's order.
template <Scalar T>
[[nodiscard]] NamedTensors<T> load_safetensors(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  NamedTensors<T> out;
  for (const TensorInfo& tensor : file.tensors()) {
    out.emplace_back(tensor.name, file.load<T>(tensor.name));
  }
  return out;
}

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/io/impl/safetensors.hpp>
#endif
