#pragma once
// The one exception type of the library, and the checks that throw it.
//
// A message reads `[op] rule, with both shapes or file, key and byte offset`, e.g.
// `[matmul] inner sizes differ: (4, 768) x (512, 30)`. Checks stay on in release builds.

#include <cstddef>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace ldlm {

/// Thrown for every mistake that a caller or a file can make.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

/// A part of a message with its type erased: there are thousands of messages, and this way each
/// costs a few instructions where it is checked instead of a stream's worth of code.
struct MessagePart {
  const void* value;
  void (*append)(std::ostream& stream, const void* value);
};

template <class T>
MessagePart message_part(const T& value) {
  if constexpr (std::is_convertible_v<const T&, const char*>) {
    return {static_cast<const char*>(value), [](std::ostream& stream, const void* text) {
              stream << static_cast<const char*>(text);
            }};
  } else {
    return {&value,
            [](std::ostream& stream, const void* v) { stream << *static_cast<const T*>(v); }};
  }
}

[[nodiscard]] inline std::string join_message(const MessagePart* parts, std::size_t count) {
  std::ostringstream text;
  for (std::size_t i = 0; i < count; ++i) {
    parts[i].append(text, parts[i].value);
  }
  return text.str();
}

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_error(const MessagePart* parts,
                                                               std::size_t count) {
  throw Error(join_message(parts, count));
}

/// The parts, as a stream prints them, in one string.
template <class... Parts>
[[nodiscard]] std::string concat(const Parts&... parts) {
  if constexpr (sizeof...(Parts) == 0) {
    return {};
  } else {
    const MessagePart list[] = {message_part(parts)...};
    return join_message(list, sizeof...(Parts));
  }
}

template <class... Parts>
[[noreturn, gnu::cold]] void fail(std::string_view op, const Parts&... parts) {
  const MessagePart list[] = {message_part("["), message_part(op), message_part("] "),
                              message_part(parts)...};
  throw_error(list, sizeof...(Parts) + 3);
}

}  // namespace detail
}  // namespace ldlm

/// Throws ldlm::Error "[op] parts..." unless the condition holds; the parts are built only then.
#define LDLM_CHECK(condition, op, ...)       \
  do {                                       \
    if (!(condition)) [[unlikely]] {         \
      ::ldlm::detail::fail(op, __VA_ARGS__); \
    }                                        \
  } while (false)
