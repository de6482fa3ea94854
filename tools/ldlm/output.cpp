// What is printed: results to standard output, messages to standard error.

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <sstream>

#include <sys/ioctl.h>
#include <unistd.h>

#include <ldlm/core/printable.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/files/file_descriptor.hpp>

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
  std::cout << (output_is_terminal() ? ldlm::printable(line, "\n\t") : line) << '\n';
  check_output();
}
void print_json(const JsonValue& value) {
  print_json_part(to_string(value));
  print_json_part("\n");
}
void print_json_part(std::string_view part) {
  std::cout << ldlm::printable(part, "\n");
  check_output();
}
void flush_output() {
  std::cout.flush();
  check_output();
}
void say(const Common& common, const std::string& line) {
  if (!common.quiet) {
    std::cerr << ldlm::printable(line) << '\n';
  }
}

void say_error(std::string_view message) {
  constexpr std::size_t longest = 900;
  std::string line(message.substr(0, longest));
  std::replace_if(
      line.begin(), line.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; }, ' ');
  line = ldlm::printable(ldlm::repair_utf8(line));
  if (message.size() > longest || line.size() > longest) {
    line = ldlm::repair_utf8(std::string_view(line).substr(0, longest)) + " ...";
  }
  std::cerr << "ldlm: " << line << '\n';
}

namespace {

/// Whether the terminal can go back to lines above.
bool knows_controls() {
  const char* const name = std::getenv("TERM");
  return name == nullptr || std::string_view(name) != "dumb";
}

}  // namespace

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

LiveTexts::LiveTexts(const Common& common)
    : active_(!common.quiet && isatty(STDERR_FILENO) != 0 && knows_controls()) {}
LiveTexts::~LiveTexts() {
  clear();
}
void LiveTexts::show(const std::vector<std::string>& lines) {
  if (!active_) {
    return;
  }
  winsize window{};
  const bool known =
      ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0 && window.ws_col > 0;
  const std::size_t height = known ? window.ws_row : 24;
  const std::size_t width = known ? window.ws_col : 80;
  clear();
  for (; shown_ < lines.size() && shown_ + 1 < height; ++shown_) {
    std::string line = ldlm::printable(lines[shown_]);
    while (width_of(line) >= width) {
      line.resize(line.size() - 1);
    }
    std::cerr << ldlm::repair_utf8(line) << '\n';
  }
  std::cerr << std::flush;
}
void LiveTexts::clear() {
  if (shown_ > 0) {
    std::cerr << "\x1b[" << shown_ << "A\x1b[J" << std::flush;
    shown_ = 0;
  }
}

namespace {

/// Calls use(text) for each line of a table.
template <class EachRow, class Use>
void for_each_line(const EachRow& each_row, const Use& use) {
  const auto shown = [](std::string cell) {
    return output_is_terminal() ? ldlm::printable(cell) : cell;
  };
  std::vector<std::size_t> widths;
  each_row([&](const std::vector<std::string>& cells) {
    widths.resize(std::max(widths.size(), cells.size()));
    for (std::size_t k = 0; k < cells.size(); ++k) {
      widths[k] = std::max(widths[k], width_of(shown(cells[k])));
    }
  });
  each_row([&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t k = 0; k < cells.size(); ++k) {
      const std::string cell = shown(cells[k]);
      line += cell;
      if (k + 1 < cells.size()) {
        line.append(widths[k] - width_of(cell) + 2, ' ');
      }
    }
    use(line);
  });
}

}  // namespace

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::string out;
  for_each_line([&rows](const auto& take) { std::for_each(rows.begin(), rows.end(), take); },
                [&out](const std::string& line) { out += line + '\n'; });
  return out;
}
void print_table(const std::function<void(const TakeRow&)>& each_row) {
  for_each_line(each_row, [](const std::string& line) { print(line); });
}

std::string fixed(double value, int digits) {
  std::ostringstream stream;
  stream << std::fixed << std::setprecision(digits) << value;
  return stream.str();
}

}  // namespace ldlm::command
