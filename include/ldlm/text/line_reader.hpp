#pragma once
// Reads text line by line in bounded memory: files, pipes, standard input.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/files/file_descriptor.hpp>

namespace ldlm {

/// The lines of a text without their ends, "\n", "\r\n" or "\r", and without a byte order mark. A
/// line is given as soon as it is there, also where more of it comes later, as from a terminal.
class LineReader {
 public:
  /// Longer lines are an Error, so that a file without line ends cannot fill the memory.
  static constexpr std::size_t default_max_line = std::size_t{64} << 20;

  /// A regular file, a pipe or a device of characters. Error `[op] path: ...` if it is something
  /// else, cannot be opened, or is of another kind than text (compressed, a table, UTF-16, ...).
  explicit LineReader(const std::filesystem::path& path, std::size_t max_line = default_max_line,
                      std::string_view op = "corpus");
  /// Standard input, which is looked at when it is first read.
  [[nodiscard]] static LineReader standard_input(std::string_view op,
                                                 std::size_t max_line = default_max_line);

  /// The next line, or nothing at the end. The view is valid until the next call.
  [[nodiscard]] std::optional<std::string_view> next();

  /// The next line as a string of its own: a long one is handed over, not copied.
  [[nodiscard]] std::optional<std::string> next_string();

  /// The same as `next`, but an Error for a line that is not UTF-8.
  [[nodiscard]] std::optional<std::string_view> next_utf8();

  /// The first line that is not blank, which `next` still gives; "" if that is too far from the
  /// start for the buffer. Before the first call of `next` only.
  [[nodiscard]] std::string_view first_text();

  /// Whether the next line has been read whole, so that `next` will not wait for it.
  [[nodiscard]] bool has_line() const noexcept;

  /// The number of the line that `next` gave last, from 1.
  [[nodiscard]] std::size_t line_number() const noexcept { return number_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  LineReader(detail::FileDescriptor file, std::string name, std::size_t max_line,
             std::string_view op);

  static detail::FileDescriptor open(const std::filesystem::path& path, std::string_view op);

  /// Looks at what it is, and reads as much as that takes.
  void start();

  /// Reads into an empty buffer.
  bool fill();
  bool read_more();

  void skip_newline() noexcept;

  /// Where the line from at_ ends in the buffer: at "\n", "\r", or at size_. The place of the next
  /// "\n" is kept, so that a buffer full of "\r" takes no quadratic time.
  std::size_t line_end() noexcept;

  std::string_view count(std::string_view line) noexcept;

  std::string name_;
  std::string_view op_;  // of errors
  std::size_t max_line_;
  detail::FileDescriptor file_;
  std::vector<char> buffer_;  // empty until start()
  std::size_t at_ = 0;
  std::size_t size_ = 0;
  std::size_t newline_ = 0;    // of the buffer's rest the first "\n", where it is beyond at_
  bool after_return_ = false;  // a "\n" that follows belongs to the line before
  std::string line_;           // a line that spans buffers
  std::size_t number_ = 0;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/line_reader.hpp>
#endif
