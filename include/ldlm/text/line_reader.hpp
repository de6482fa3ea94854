#pragma once
// Reads text line by line in bounded memory: files, pipes, standard input.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ldlm/core/error.hpp>
#include <ldlm/files/regular_file.hpp>
#include <ldlm/text/file_kind.hpp>
#include <ldlm/text/utf8.hpp>

namespace ldlm::text {

/// The lines of a text without their ends, "\n", "\r\n" or "\r", and without a byte order mark. A
/// line is given as soon as it is there, also where more of it comes later, as from a terminal.
class LineReader {
 public:
  /// Longer lines are an Error, so that a file without line ends cannot fill the memory.
  static constexpr std::size_t default_max_line = std::size_t{64} << 20;

  /// A regular file, a pipe or a device of characters. Error `[op] path: ...` if it is something
  /// else, cannot be opened, or is of another kind than text (compressed, a table, UTF-16, ...).
  explicit LineReader(const std::filesystem::path& path, std::size_t max_line = default_max_line,
                      std::string_view op = "corpus")
      : LineReader(open(path, op), path.string(), max_line, op) {
    start();
  }
  /// Standard input, which is looked at when it is first read.
  [[nodiscard]] static LineReader standard_input(std::string_view op,
                                                 std::size_t max_line = default_max_line) {
    return {::ldlm::detail::FileDescriptor(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)),
            "standard input", max_line, op};
  }

  /// The next line, or nothing at the end. The view is valid until the next call.
  [[nodiscard]] std::optional<std::string_view> next() {
    start();
    line_.clear();
    if (after_return_ && (at_ < size_ || fill())) {
      skip_newline();
    }
    bool any = false;
    while (at_ < size_ || fill()) {
      any = true;
      const std::size_t end = line_end();
      const std::string_view part(buffer_.data() + at_, end - at_);
      LDLM_CHECK(line_.size() + part.size() <= max_line_, op_, name_, ": line ", number_ + 1,
                 " is longer than ", max_line_, " bytes");
      at_ = end;
      const bool ended = end < size_;
      if (ended) {
        after_return_ = buffer_[at_++] == '\r';
        if (at_ < size_) {
          skip_newline();
        }
        if (line_.empty()) {  // the usual case: no copy
          return count(part);
        }
      }
      line_.append(part);
      if (ended) {
        return count(line_);
      }
    }
    return any ? std::optional<std::string_view>(count(line_)) : std::nullopt;
  }

  /// The next line as a string of its own: a long one is handed over, not copied.
  [[nodiscard]] std::optional<std::string> next_string() {
    const auto line = next();
    if (!line) {
      return std::nullopt;
    }
    return line->data() == line_.data() ? std::move(line_) : std::string(*line);
  }

  /// The same as `next`, but an Error for a line that is not UTF-8.
  [[nodiscard]] std::optional<std::string_view> next_utf8() {
    const auto line = next();
    if (line) {
      const std::size_t valid = valid_prefix(*line);
      LDLM_CHECK(
          valid == line->size(), op_, name_, ": line ", number_, ", byte ", valid,
          ": not UTF-8; convert the file first (from Latin-1: iconv -f LATIN1 -t UTF-8 FILE)");
    }
    return line;
  }

  /// The first line that is not blank, which `next` still gives; "" if that is too far from the
  /// start for the buffer. Before the first call of `next` only.
  [[nodiscard]] std::string_view first_text() {
    start();
    while (true) {
      const std::string_view head(buffer_.data() + at_, size_ - at_);
      const std::size_t begin = head.find_first_not_of(" \t\r\n");
      const std::size_t end = head.find_first_of("\r\n", begin);
      const bool whole = begin != std::string_view::npos && end != std::string_view::npos;
      if (whole || size_ == buffer_.size() || !read_more()) {
        return begin == std::string_view::npos ? std::string_view()
                                               : head.substr(begin, end - begin);
      }
    }
  }

  /// Whether the next line has been read whole, so that `next` will not wait for it.
  [[nodiscard]] bool has_line() const noexcept {
    const char* const rest = buffer_.data() + at_;
    return size_ > at_ && (std::memchr(rest, '\n', size_ - at_) != nullptr ||
                           std::memchr(rest, '\r', size_ - at_) != nullptr);
  }

  /// The number of the line that `next` gave last, from 1.
  [[nodiscard]] std::size_t line_number() const noexcept { return number_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  LineReader(::ldlm::detail::FileDescriptor file, std::string name, std::size_t max_line,
             std::string_view op)
      : name_(std::move(name)), op_(op), max_line_(max_line), file_(std::move(file)) {}

  static ::ldlm::detail::FileDescriptor open(const std::filesystem::path& path,
                                             std::string_view op) {
    ::ldlm::detail::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    LDLM_CHECK(file.is_open() || errno != ENOENT, op, path.string(), ": no such file");
    LDLM_CHECK(file.is_open(), op, path.string(),
               ": cannot be opened: ", ::ldlm::detail::errno_text(errno));
    return file;
  }

  /// Looks at what it is, and reads as much as that takes.
  void start() {
    if (!buffer_.empty()) {
      return;
    }
    struct stat status {};
    LDLM_CHECK(::fstat(file_.get(), &status) == 0, op_, name_,
               ": cannot be read: ", ::ldlm::detail::errno_text(errno));
    LDLM_CHECK(!S_ISDIR(status.st_mode), op_, name_, ": is a folder, not a file");
    LDLM_CHECK(!S_ISBLK(status.st_mode), op_, name_, ": is a block device, not a file");
    buffer_.resize(std::size_t{1} << 18);
    while (size_ < file_head && std::memchr(buffer_.data(), '\n', size_) == nullptr &&
           read_more()) {
    }
    const std::string_view head(buffer_.data(), size_);
    const FileDescription is = what_is(head.substr(0, file_head));
    LDLM_CHECK(is.kind == FileKind::other || is.kind == FileKind::web_page, op_, name_, ": ",
               is.message);
    if (head.starts_with("\xEF\xBB\xBF")) {
      at_ = 3;
    }
    newline_ = at_;
  }

  /// Reads into an empty buffer.
  bool fill() {
    at_ = size_ = newline_ = 0;
    return read_more();
  }
  bool read_more() {
    const ::ssize_t got =
        ::ldlm::detail::read_some(file_.get(), buffer_.data() + size_, buffer_.size() - size_);
    LDLM_CHECK(got >= 0, op_, name_, ": cannot be read after line ", number_, ": ",
               ::ldlm::detail::errno_text(errno));
    size_ += static_cast<std::size_t>(got);
    newline_ = std::min(newline_, at_);
    return got > 0;
  }

  void skip_newline() noexcept {
    at_ += after_return_ && buffer_[at_] == '\n' ? 1 : 0;
    after_return_ = false;
  }

  /// Where the line from at_ ends in the buffer: at "\n", "\r", or at size_. The place of the next
  /// "\n" is kept, so that a buffer full of "\r" takes no quadratic time.
  std::size_t line_end() noexcept {
    const auto find = [this](char c, std::size_t end) {
      const void* const found = std::memchr(buffer_.data() + at_, c, end - at_);
      return found == nullptr
                 ? end
                 : static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
    };
    if (newline_ <= at_) {
      newline_ = find('\n', size_);
    }
    return find('\r', newline_);
  }

  std::string_view count(std::string_view line) noexcept {
    ++number_;
    return line;
  }

  std::string name_;
  std::string_view op_;  // of errors
  std::size_t max_line_;
  ::ldlm::detail::FileDescriptor file_;
  std::vector<char> buffer_;  // empty until start()
  std::size_t at_ = 0;
  std::size_t size_ = 0;
  std::size_t newline_ = 0;    // of the buffer's rest the first "\n", where it is beyond at_
  bool after_return_ = false;  // a "\n" that follows belongs to the line before
  std::string line_;           // a line that spans buffers
  std::size_t number_ = 0;
};

}  // namespace ldlm::text
