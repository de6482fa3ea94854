#pragma once
// What enumerations share: a value that a program made from a number is refused, or named
// "unknown", and never an index that nobody checked.

#include <cstddef>
#include <string_view>
#include <type_traits>

#include <ldlm/core/error.hpp>

namespace ldlm::detail {

/// names[value], for the enumerators 0, 1, ...
template <class Enum, std::size_t N>
constexpr std::string_view name_in(const std::string_view (&names)[N], Enum value) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? names[index] : "unknown";
}

/// Throws "[type] 37 is none of its values".
template <class Enum>
requires std::is_enum_v<Enum>
[[noreturn, gnu::cold]] void fail_unknown(std::string_view type, Enum value) {
  fail(type, static_cast<int>(value), " is none of its values");
}

}  // namespace ldlm::detail

// A switch between these two does not compile, whatever the warnings of a build, unless it has a
// case for every enumerator.
#if defined(__GNUC__)
#define LDLM_COMPLETE_SWITCHES \
  _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic error \"-Wswitch\"")
#define LDLM_END_COMPLETE_SWITCHES _Pragma("GCC diagnostic pop")
#else
#define LDLM_COMPLETE_SWITCHES
#define LDLM_END_COMPLETE_SWITCHES
#endif
