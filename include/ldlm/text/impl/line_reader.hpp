#pragma once
// The bodies of text/line_reader.hpp.

#include <ldlm/text/line_reader.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/files/file_kind.hpp>
#include <ldlm/files/regular_file.hpp>

namespace ldlm {

LDLM_BODY LineReader::LineReader(const std::filesystem::path& path, std::size_t max_line,
                                 std::string_view op)
    : LineReader(open(path, op), path.string(), max_line, op) {
  start();
}

LDLM_BODY LineReader LineReader::standard_input(std::string_view op, std::size_t max_line) {
  return {detail::FileDescriptor(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)), "standard input",
          max_line, op};
}

LDLM_BODY std::optional<std::string_view> LineReader::next() {
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
    LDLM_CHECK_FILE(line_.size() + part.size() <= max_line_, op_, name_, ": line ", number_ + 1,
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

LDLM_BODY std::optional<std::string> LineReader::next_string() {
  const auto line = next();
  if (!line) {
    return std::nullopt;
  }
  return line->data() == line_.data() ? std::move(line_) : std::string(*line);
}

LDLM_BODY std::optional<std::string_view> LineReader::next_utf8() {
  const auto line = next();
  if (line) {
    const std::size_t valid = valid_prefix(*line);
    LDLM_CHECK_FILE(
        valid == line->size(), op_, name_, ": line ", number_, ", byte ", valid,
        ": not UTF-8; convert the file first (from Latin-1: iconv -f LATIN1 -t UTF-8 FILE)");
  }
  return line;
}

LDLM_BODY std::string_view LineReader::first_text() {
  start();
  while (true) {
    const std::string_view head(buffer_.data() + at_, size_ - at_);
    const std::size_t begin = head.find_first_not_of(" \t\r\n");
    const std::size_t end = head.find_first_of("\r\n", begin);
    const bool whole = begin != std::string_view::npos && end != std::string_view::npos;
    if (whole || size_ == buffer_.size() || !read_more()) {
      return begin == std::string_view::npos ? std::string_view() : head.substr(begin, end - begin);
    }
  }
}

LDLM_BODY bool LineReader::has_line() const noexcept {
  const char* const rest = buffer_.data() + at_;
  return size_ > at_ && (std::memchr(rest, '\n', size_ - at_) != nullptr ||
                         std::memchr(rest, '\r', size_ - at_) != nullptr);
}

LDLM_BODY LineReader::LineReader(detail::FileDescriptor file, std::string name,
                                 std::size_t max_line, std::string_view op)
    : name_(std::move(name)), op_(op), max_line_(max_line), file_(std::move(file)) {}

LDLM_BODY detail::FileDescriptor LineReader::open(const std::filesystem::path& path,
                                                  std::string_view op) {
  detail::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  LDLM_CHECK_FILE(file.is_open() || errno != ENOENT, op, path.string(), ": no such file");
  LDLM_CHECK_FILE(file.is_open(), op, path.string(),
                  ": cannot be opened: ", detail::errno_text(errno));
  return file;
}

LDLM_BODY void LineReader::start() {
  if (!buffer_.empty()) {
    return;
  }
  struct stat status {};
  LDLM_CHECK_FILE(::fstat(file_.get(), &status) == 0, op_, name_,
                  ": cannot be read: ", detail::errno_text(errno));
  LDLM_CHECK_FILE(!S_ISDIR(status.st_mode), op_, name_, ": is a folder, not a file");
  LDLM_CHECK_FILE(!S_ISBLK(status.st_mode), op_, name_, ": is a block device, not a file");
  buffer_.resize(std::size_t{1} << 18);
  while (size_ < file_head && std::memchr(buffer_.data(), '\n', size_) == nullptr && read_more()) {
  }
  const std::string_view head(buffer_.data(), size_);
  const FileDescription is = what_is(head.substr(0, file_head));
  LDLM_CHECK_FILE(is.kind == FileKind::other || is.kind == FileKind::web_page, op_, name_, ": ",
                  is.message);
  if (head.starts_with("\xEF\xBB\xBF")) {
    at_ = 3;
  }
  newline_ = at_;
}

LDLM_BODY bool LineReader::fill() {
  at_ = size_ = newline_ = 0;
  return read_more();
}

LDLM_BODY bool LineReader::read_more() {
  const ::ssize_t got =
      detail::read_some(file_.get(), buffer_.data() + size_, buffer_.size() - size_);
  LDLM_CHECK_FILE(got >= 0, op_, name_, ": cannot be read after line ", number_, ": ",
                  detail::errno_text(errno));
  size_ += static_cast<std::size_t>(got);
  newline_ = std::min(newline_, at_);
  return got > 0;
}

LDLM_BODY void LineReader::skip_newline() noexcept {
  at_ += after_return_ && buffer_[at_] == '\n' ? 1 : 0;
  after_return_ = false;
}

LDLM_BODY std::size_t LineReader::line_end() noexcept {
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

LDLM_BODY std::string_view LineReader::count(std::string_view line) noexcept {
  ++number_;
  return line;
}

}  // namespace ldlm
