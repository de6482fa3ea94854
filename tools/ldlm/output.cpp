// What is printed: results to standard output, messages to standard error.

#include <algorithm>
#include <cerrno>
#include <iomanip>
#include <iostream>
#include <sstream>

#include <unistd.h>

#include <ldlm/files/file_descriptor.hpp>
#include <ldlm/text/printable.hpp>

#include "command.hpp"

namespace ldlm::command {

namespace {

bool output_is_terminal() {
  static const bool is = ::isatty(STDOUT_FILENO) != 0;
  return is;
}

void check_output() {
  if (!std::cout.good()) {
    throw OutputError("standard output cannot be written: " + ldlm::detail::errno_text(errno));
  }
}

// Characters that a terminal shows: bytes that do not continue a UTF-8 sequence.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

}  // namespace

void print(const std::string& line) {
  std::cout << (output_is_terminal() ? text::printable(line, "\n\t") : line) << '\n';
  check_output();
}
void print_json(const JsonValue& value) {
  std::cout << text::printable(to_string(value)) << '\n';
  check_output();
}
void flush_output() {
  std::cout.flush();
  check_output();
}
void say(const Common& common, const std::string& line) {
  if (!common.quiet) {
    std::cerr << text::printable(line) << '\n';
  }
}

void say_error(std::string_view message) {
  constexpr std::size_t longest = 900;
  std::string line(message.substr(0, longest));
  std::replace_if(
      line.begin(), line.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; }, ' ');
  line = text::printable(text::repair_utf8(line));
  if (message.size() > longest || line.size() > longest) {
    line = text::repair_utf8(std::string_view(line).substr(0, longest)) + " ...";
  }
  std::cerr << "ldlm: " << line << '\n';
}

ProgressLine::ProgressLine(const Common& common)
    : active_(!common.quiet && isatty(STDERR_FILENO) != 0) {}
ProgressLine::~ProgressLine() {
  if (dirty_) {
    std::cerr << '\n';
  }
}
void ProgressLine::show(const std::string& line) {
  if (active_) {
    std::cerr << "\r\x1b[K" << line << std::flush;
    dirty_ = true;
  }
}

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> cells = rows;
  std::vector<std::size_t> widths;
  for (auto& row : cells) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = output_is_terminal() ? text::printable(row[i]) : row[i];
      widths[i] = std::max(widths[i], width_of(row[i]));
    }
  }
  std::string out;
  for (const auto& row : cells) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) {
        out.append(widths[i] - width_of(row[i]) + 2, ' ');
      }
    }
    out += '\n';
  }
  return out;
}

std::string fixed(double value, int digits) {
  std::ostringstream stream;
  stream << std::fixed << std::setprecision(digits) << value;
  return stream.str();
}

}  // namespace ldlm::command
