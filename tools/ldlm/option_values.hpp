#pragma once
// Values of options, read more strictly than CLI11 does.

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <system_error>
#include <type_traits>

#include <CLI/CLI.hpp>

namespace ldlm::command {

inline const CLI::Validator not_empty(
    [](const std::string& text) { return std::string(text.empty() ? "is empty" : ""); }, "");

/// Rewrites a number as CLI11 reads it; returns what is wrong with one that it would take for
/// another: -1 without a sign for 2^64 - 1, 1e30 as an integer for 2^63 - 1, 010 for 8. It would
/// also find nan to be in every range.
template <class T>
std::string normalize_number(std::string& text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && stopped == end) {
    if constexpr (std::is_integral_v<T>) {
      if (value == 0 && text.front() == '-') {
        return text + " is no number of things";
      }
      text = std::to_string(value);
      return {};
    } else if (std::isfinite(value)) {
      return {};
    }
  }
  return text + (std::is_unsigned_v<T>   ? " is not a whole number from 0 to 2^64 - 1"
                 : std::is_integral_v<T> ? " is not a whole number below 2^63"
                                         : " is not a finite number");
}

/// Has the numbers of all options, those of subcommands included, read so, and refuses "" as a name
/// of a file, a model or a way: a script whose variable is not set would get the default.
inline void read_values_strictly(CLI::App& app) {
  for (CLI::Option* const option : app.get_options()) {
    const std::string type = option->get_type_name();  // "INT:POSITIVE"
    const auto read = [&](auto normalize) { option->transform(CLI::Validator(normalize, "")); };
    if (type.starts_with("UINT")) {
      read(normalize_number<std::uint64_t>);
    } else if (type.starts_with("INT")) {
      read(normalize_number<std::int64_t>);
    } else if (type.starts_with("FLOAT")) {
      read(normalize_number<double>);
    } else if (type.starts_with("TEXT") && !option->get_positional()) {
      option->check(not_empty);
    }
  }
  for (CLI::App* const command : app.get_subcommands([](CLI::App*) { return true; })) {
    read_values_strictly(*command);
  }
}

}  // namespace ldlm::command
