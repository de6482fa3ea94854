#pragma once
// The one exception type of the library, and the checks that throw it.
//
// A message reads `[op] rule, with both shapes or file, key and byte offset`, e.g.
// `[matmul] inner sizes differ: (4, 768) x (512, 30)`. Checks stay on in release builds.

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

template <class... Parts>
[[nodiscard]] std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

template <class... Parts>
[[noreturn]] void fail(std::string_view op, const Parts&... parts) {
  throw Error(concat('[', op, "] ", parts...));
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
