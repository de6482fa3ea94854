#pragma once
// Arguments in square brackets as they stand: CLI11 takes "[a, b]" for a list of two.

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace ldlm::command {

inline constexpr char literal_mark = '\x1f';

/// Whether this is "[...]", perhaps with marks behind it.
inline bool is_bracketed(const std::string& text) {
  const std::size_t last = text.find_last_not_of(literal_mark);
  return last != std::string::npos && text.front() == '[' && text[last] == ']';
}

/// The arguments, with a mark behind each that is in brackets.
inline std::vector<std::string> mark_brackets(int argc, const char* const* argv) {
  std::vector<std::string> out(argv, argv + argc);
  for (std::string& argument : out) {
    argument.append(is_bracketed(argument) ? 1 : 0, literal_mark);
  }
  return out;
}

/// Has all options, those of subcommands included, take such a mark away.
inline void read_brackets_literally(CLI::App& app) {
  const auto unmark = [](std::string& text) {
    if (is_bracketed(text) && text.back() == literal_mark) {
      text.pop_back();
    }
    return std::string();
  };
  for (CLI::Option* const option : app.get_options()) {
    option->transform(CLI::Validator(unmark, ""));
  }
  for (CLI::App* const command : app.get_subcommands([](CLI::App*) { return true; })) {
    read_brackets_literally(*command);
  }
}

}  // namespace ldlm::command
