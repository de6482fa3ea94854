#pragma once
// What the tests of io/ share: temporary folders, error messages, safetensors made by hand.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <unistd.h>

#include <ldlm/core/tensor.hpp>

#include "error_message.hpp"

namespace io_support {

namespace fs = std::filesystem;

/// A fresh folder, removed at the end of the scope.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (fs::temp_directory_path() / "ldlm-test-XXXXXX").native();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw std::runtime_error("cannot make " + pattern);
    }
    path_ = pattern;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  /// Names of what lies in the folder, sorted and separated by spaces.
  std::string listing() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_)) {
      names.push_back(entry.path().filename().native());
    }
    std::sort(names.begin(), names.end());
    std::string out;
    for (const std::string& name : names) {
      out += (out.empty() ? "" : " ") + name;
    }
    return out;
  }

 private:
  fs::path path_;
};

using ldlm_test::message_of;

inline std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}
inline void write_text(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary)
      .write(text.data(), static_cast<std::ptrdiff_t>(text.size()));
}

/// start, start + 1, ...
template <ldlm::Scalar T>
ldlm::Tensor<T> counting(const ldlm::Shape& shape, float start = 0) {
  ldlm::Tensor<T> out = ldlm::Tensor<T>::empty(shape);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.data()[i] = ldlm::convert<T>(start + static_cast<float>(i));
  }
  return out;
}

/// A header length, a header as it is given, and `data_bytes` zero bytes.
inline std::string safetensors_bytes(std::string_view header, std::size_t data_bytes = 0) {
  std::string out;
  for (int i = 0; i < 8; ++i) {
    out += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i));
  }
  return out.append(header).append(data_bytes, '\0');
}

}  // namespace io_support
