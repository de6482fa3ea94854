#include "command.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>

#include <unistd.h>

#include <ldlm/text/utf8.hpp>

namespace ldlm::command {

namespace {

volatile std::sig_atomic_t signal_seen = 0;

void on_interrupt(int signal) {
  signal_seen = signal;
}

std::vector<std::string> lines_of(std::istream& stream) {
  std::vector<std::string> out;
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty() && line.back() == '\r') {
      line.pop_back();
    }
    if (line.find_first_not_of(" \t") != std::string::npos) {
      out.push_back(line);
    }
  }
  return out;
}

// Characters that a terminal shows: bytes that do not continue a UTF-8 sequence.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

}  // namespace

CLI::App* add_subcommand(CLI::App& app, const std::string& name, const std::string& description,
                         const std::string& example, std::function<void()> action) {
  CLI::App* const command = app.add_subcommand(name, description);
  command->footer("Example:\n  " + example);
  command->fallthrough();
  command->callback(std::move(action));
  return command;
}

void TextInput::add_to(CLI::App& command) {
  command.add_option("text", texts, "Texts; without them the lines of --file or standard input");
  command.add_option("--file", file, "A file with a text a line");
}

std::vector<std::string> TextInput::read() const {
  std::vector<std::string> out = texts;
  if (out.empty() && !file.empty()) {
    std::ifstream stream(file);
    out = lines_of(stream);
    LDLM_CHECK(stream.eof() && !stream.bad(), "input", file, ": cannot be read");
  } else if (out.empty()) {
    out = lines_of(std::cin);
  }
  LDLM_CHECK(!out.empty(), "input", "there is no text",
             file.empty() ? std::string() : " in " + file);
  for (std::string& text : out) {
    text = text::repair_utf8(text);
  }
  return out;
}

void print(const std::string& line) {
  std::cout << line << '\n';
}
void print_json(const JsonValue& value) {
  std::cout << to_string(value) << '\n';
}
void say(const Common& common, const std::string& line) {
  if (!common.quiet) {
    std::cerr << line << '\n';
  }
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

std::string one_line(std::string_view message) {
  constexpr std::size_t longest = 900;
  std::string out = text::repair_utf8(message.substr(0, longest));
  for (char& c : out) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == '\x7f';
    c = control ? ' ' : c;
  }
  return message.size() > longest ? out + " ..." : out;
}

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(row[i]));
    }
  }
  std::string out;
  for (const auto& row : rows) {
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

void catch_interrupts() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_IGN) {
      action = {};
      action.sa_handler = on_interrupt;
      action.sa_flags = SA_RESTART | SA_RESETHAND;
      ::sigaction(signal, &action, nullptr);
    }
  }
}
bool interrupted() {
  return signal_seen != 0;
}
int interrupt_signal() {
  return signal_seen;
}

}  // namespace ldlm::command
