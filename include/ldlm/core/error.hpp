#pragma once
// The one exception type of the library, and the checks that throw it.
//
// A message reads `[op] rule, with both shapes or file, key and byte offset`, e.g.
// `[matmul] inner sizes differ: (4, 768) x (512, 30)`. Checks stay on in release builds.

// Under -ffast-math a NaN compares as a number does, and rounding tricks are folded away.
#if !defined(LDLM_ALLOW_FAST_MATH) && (defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || \
                                       (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__))
#error \
    "-ffast-math, -Ofast and the like take LDLM's checks for NaN, and digits of its results: \
compile without, or define LDLM_ALLOW_FAST_MATH"
#endif

#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ldlm {

/// Thrown for every mistake that a caller or a file can make.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

/// A part of a message with its type erased: there are hundreds of messages, and this way they
/// share one function that writes them and what little they say of each type.
struct MessagePart {
  MessagePart(const char* text)  // also for each length of literal, which a template would repeat
      : value(text),
        append([](std::ostream& stream, const void* v) { stream << static_cast<const char*>(v); }) {
  }
  template <class T>
  MessagePart(const T& part)
      : value(&part),
        append([](std::ostream& stream, const void* v) { stream << *static_cast<const T*>(v); }) {}

  const void* value;
  void (*append)(std::ostream& stream, const void* value);
};
using MessageParts = std::initializer_list<MessagePart>;

inline void append_parts(std::ostream& stream, MessageParts parts) {
  for (const MessagePart& part : parts) {
    part.append(stream, part.value);
  }
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_parts(std::string_view op,
                                                              MessageParts parts) {
  std::ostringstream text;
  append_parts(text, {"[", op, "] "});
  append_parts(text, parts);
  throw Error(text.str());
}

/// The parts, as a stream prints them, in one string.
template <class... Parts>
[[nodiscard]] std::string concat(const Parts&... parts) {
  std::ostringstream text;
  append_parts(text, {parts...});
  return text.str();
}

template <class... Parts>
[[noreturn, gnu::cold]] void fail(std::string_view op, const Parts&... parts) {
  fail_parts(op, {parts...});
}

}  // namespace detail
}  // namespace ldlm

/// Throws ldlm::Error "[op] parts..." unless the condition holds; the parts are built only then.
#define LDLM_CHECK(condition, op, ...)               \
  do {                                               \
    if (!(condition)) [[unlikely]] {                 \
      ::ldlm::detail::fail_parts(op, {__VA_ARGS__}); \
    }                                                \
  } while (false)
