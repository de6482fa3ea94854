#pragma once
// Reads a text file line by line in bounded memory.

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/file_kind.hpp>

namespace ldlm::text {

/// The lines of a file, without "\n" or "\r\n" and without a byte order mark.
class LineReader {
 public:
  /// Longer lines are an Error, so that a file without line ends cannot fill the memory.
  static constexpr std::size_t default_max_line = std::size_t{64} << 20;

  /// Error if the file cannot be opened or is compressed.
  explicit LineReader(const std::filesystem::path& path, std::size_t max_line = default_max_line)
      : name_(path.string()), max_line_(max_line), buffer_(std::size_t{1} << 18) {
    std::error_code error;
    LDLM_CHECK(std::filesystem::exists(path, error), "corpus", name_, ": no such file");
    LDLM_CHECK(!std::filesystem::is_directory(path, error), "corpus", name_,
               ": is a folder, not a file");
    file_.open(path, std::ios::binary);
    LDLM_CHECK(file_.is_open(), "corpus", name_, ": cannot be opened");
    fill();
    const std::string_view start(buffer_.data(), size_);
    const std::string_view hint = what_is(start.substr(0, file_head)).message;
    LDLM_CHECK(hint.empty(), "corpus", name_, ": ", hint);
    if (start.starts_with("\xEF\xBB\xBF")) {
      at_ = 3;
    }
  }

  /// The next line, or nothing at the end. The view is valid until the next call.
  [[nodiscard]] std::optional<std::string_view> next() {
    line_.clear();
    bool any = false;
    while (at_ < size_ || fill()) {
      any = true;
      const std::string_view rest(buffer_.data() + at_, size_ - at_);
      const std::size_t end = rest.find('\n');
      const std::string_view part = rest.substr(0, end);
      at_ += part.size() + (end == std::string_view::npos ? 0 : 1);
      LDLM_CHECK(line_.size() + part.size() <= max_line_, "corpus", name_, ": line ", number_ + 1,
                 " is longer than ", max_line_, " bytes");
      if (end != std::string_view::npos && line_.empty()) {  // the usual case: no copy
        return finish(part);
      }
      line_.append(part);
      if (end != std::string_view::npos) {
        return finish(line_);
      }
    }
    return any ? std::optional<std::string_view>(finish(line_)) : std::nullopt;
  }

  /// The number of the line that `next` gave last, from 1.
  [[nodiscard]] std::size_t line_number() const noexcept { return number_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  bool fill() {
    if (!file_) {
      return false;
    }
    file_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    LDLM_CHECK(!file_.bad(), "corpus", name_, ": cannot be read after line ", number_);
    at_ = 0;
    size_ = static_cast<std::size_t>(file_.gcount());
    return size_ > 0;
  }

  std::string_view finish(std::string_view line) noexcept {
    ++number_;
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    return line;
  }

  std::string name_;
  std::size_t max_line_;
  std::ifstream file_;
  std::vector<char> buffer_;
  std::size_t at_ = 0;
  std::size_t size_ = 0;
  std::string line_;  // a line that spans buffers
  std::size_t number_ = 0;
};

}  // namespace ldlm::text
