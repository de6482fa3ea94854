#pragma once
// Error, the base of all exceptions of the library, its kinds, and the checks that throw them.
//
// A message reads `[op] rule, with both shapes or file, key and byte offset`, e.g.
// `[matmul] inner sizes differ: (4, 768) x (512, 30)`. Checks stay on in release builds.
// A program catches the kind it can do something about, or Error, and switches over its code():
//
//   try { model(x); } catch (const ldlm::ShapeError& error) { ... error.op() ... }

// Under -ffast-math a NaN compares as a number does, and rounding tricks are folded away.
#if !defined(LDLM_ALLOW_FAST_MATH) && (defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || \
                                       (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__))
#error \
    "-ffast-math, -Ofast and the like take LDLM's checks for NaN, and digits of its results: \
compile without, or define LDLM_ALLOW_FAST_MATH"
#endif

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace ldlm {

/// What an Error is about. Each value has a class of that name: ErrorCode::shape is a ShapeError.
enum class ErrorCode : std::uint8_t {
  value,   // an argument, option or setting that is not allowed
  shape,   // shapes, ranks or strides that do not fit
  index,   // an axis, position, index or id out of range
  dtype,   // a function that elements of this type do not have
  device,  // a device without kernels, or tensors on two devices
  memory,  // there is none left
  state,   // a call at the wrong time: of an undefined Variable, a graph that was used or changed
  file,    // a file that cannot be read or written, or does not hold what it should
};

/// Thrown for every mistake that a caller or a file can make; always as one of the classes below.
class Error : public std::runtime_error {
 public:
  /// An error with a message of any form.
  explicit Error(const std::string& message, ErrorCode code = ErrorCode::value)
      : std::runtime_error(message), code_(code) {}
  /// "[op] reason"
  Error(ErrorCode code, std::string_view op, std::string_view reason)
      : Error(code, op, std::string_view(), reason) {}
  /// "[op] path" and then the reason, which begins with ": "
  Error(ErrorCode code, std::string_view op, std::string_view path, std::string_view reason)
      : std::runtime_error(message_of(op, path, reason)),
        code_(code),
        op_size_(op.size() + 3),
        path_size_(path.size()) {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  /// The operation that was called, as "matmul"; empty if the message names none. Lives as long as
  /// this.
  [[nodiscard]] std::string_view op() const noexcept {
    return op_size_ == 0 ? std::string_view() : std::string_view(what() + 1, op_size_ - 3);
  }
  /// The file or folder that the message is about, as it was given; empty if it is about none.
  /// Lives as long as this.
  [[nodiscard]] std::string_view path() const noexcept {
    return std::string_view(what() + op_size_, path_size_);
  }
  /// The message without the operation. Lives as long as this.
  [[nodiscard]] std::string_view reason() const noexcept { return what() + op_size_; }

 private:
  // Never inlined: units of other instruction sets take the copy that every processor runs.
  [[gnu::noinline]] static std::string message_of(std::string_view op, std::string_view path,
                                                  std::string_view reason) {
    std::string text = "[";
    return text.append(op).append("] ").append(path).append(reason);
  }

  ErrorCode code_;
  std::size_t op_size_ = 0;  // of "[op] "
  std::size_t path_size_ = 0;
};

namespace detail {
template <ErrorCode Code>
class ErrorOf : public Error {
 public:
  explicit ErrorOf(const std::string& message) : Error(message, Code) {}
  ErrorOf(std::string_view op, std::string_view reason) : Error(Code, op, reason) {}
  ErrorOf(std::string_view op, std::string_view path, std::string_view reason)
      : Error(Code, op, path, reason) {}
};
}  // namespace detail

// clang-format off
/// An argument, option or setting that is not allowed.
class ValueError final : public detail::ErrorOf<ErrorCode::value> { public: using ErrorOf::ErrorOf; };
/// Shapes, ranks or strides that do not fit.
class ShapeError final : public detail::ErrorOf<ErrorCode::shape> { public: using ErrorOf::ErrorOf; };
/// An axis, position, index or id out of range.
class IndexError final : public detail::ErrorOf<ErrorCode::index> { public: using ErrorOf::ErrorOf; };
/// A function that elements of this type do not have.
class DTypeError final : public detail::ErrorOf<ErrorCode::dtype> { public: using ErrorOf::ErrorOf; };
/// A device without kernels, or tensors on two devices.
class DeviceError final : public detail::ErrorOf<ErrorCode::device> { public: using ErrorOf::ErrorOf; };
/// There is no memory left.
class MemoryError final : public detail::ErrorOf<ErrorCode::memory> { public: using ErrorOf::ErrorOf; };
/// A call at the wrong time: of an undefined Variable, or a graph that was used or changed.
class StateError final : public detail::ErrorOf<ErrorCode::state> { public: using ErrorOf::ErrorOf; };
/// A file that cannot be read or written, or does not hold what it should.
class FileError final : public detail::ErrorOf<ErrorCode::file> { public: using ErrorOf::ErrorOf; };
// clang-format on

namespace detail {

/// Throws the class that belongs to the code, made of these arguments.
template <class... Text>
[[noreturn, gnu::cold]] void throw_error(ErrorCode code, const Text&... text) {
  switch (code) {
    case ErrorCode::value:
      break;
    case ErrorCode::shape:
      throw ShapeError(text...);
    case ErrorCode::index:
      throw IndexError(text...);
    case ErrorCode::dtype:
      throw DTypeError(text...);
    case ErrorCode::device:
      throw DeviceError(text...);
    case ErrorCode::memory:
      throw MemoryError(text...);
    case ErrorCode::state:
      throw StateError(text...);
    case ErrorCode::file:
      throw FileError(text...);
  }
  throw ValueError(text...);
}

/// The value as a stream would print it, without one: their header takes long to compile, and
/// their locale may group digits. Types of one's own need a to_string.
template <class T>
void append_text(std::string& out, const T& value) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    out.append(std::string_view(value));
  } else if constexpr (std::is_same_v<T, char>) {
    out.push_back(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%g", static_cast<double>(value));
    out.append(value == value ? digits : "nan");  // without a sign
  } else if constexpr (std::is_integral_v<T>) {
    out.append(std::to_string(+value));
  } else {
    out.append(to_string(value));
  }
}

/// A part of a message with its type erased: there are hundreds of messages, and this way they
/// share one function that writes them and what little they say of each type.
struct MessagePart {
  MessagePart(const char* text)  // also for each length of literal, which a template would repeat
      : value(text),
        append([](std::string& out, const void* v) { out.append(static_cast<const char*>(v)); }) {}
  template <class T>
  MessagePart(const T& part)
      : value(&part), append([](std::string& out, const void* v) {
          append_text(out, *static_cast<const T*>(v));
        }) {}

  const void* value;
  void (*append)(std::string& out, const void* value);
};
using MessageParts = std::initializer_list<MessagePart>;

inline std::string concat_parts(MessageParts parts) {
  std::string out;
  for (const MessagePart& part : parts) {
    part.append(out, part.value);
  }
  return out;
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_parts(ErrorCode code, std::string_view op,
                                                              MessageParts parts) {
  throw_error(code, op, std::string_view(concat_parts(parts)));
}
[[noreturn, gnu::cold, gnu::noinline]] inline void fail_parts_at(ErrorCode code,
                                                                 std::string_view op,
                                                                 std::string_view path,
                                                                 MessageParts parts) {
  throw_error(code, op, path, std::string_view(concat_parts(parts)));
}

/// The parts in one string.
template <class... Parts>
[[nodiscard]] std::string concat(const Parts&... parts) {
  return concat_parts({parts...});
}

/// Throws the Error of a kind, "[op] parts...".
template <class... Parts>
[[noreturn, gnu::cold]] void fail_as(ErrorCode code, std::string_view op, const Parts&... parts) {
  fail_parts(code, op, {parts...});
}
/// The same about a file or folder: "[op] PATHparts...".
template <class... Parts>
[[noreturn, gnu::cold]] void fail_at(ErrorCode code, std::string_view op, std::string_view path,
                                     const Parts&... parts) {
  fail_parts_at(code, op, path, {parts...});
}
template <class... Parts>
[[noreturn, gnu::cold]] void fail(std::string_view op, const Parts&... parts) {
  fail_parts(ErrorCode::value, op, {parts...});
}

}  // namespace detail
}  // namespace ldlm

/// Throws the Error of a kind, "[op] parts...", unless the condition holds; the parts are built
/// only then. (nvcc takes a nameless list that starts with a member for a block of statements.)
#define LDLM_CHECK_AS(kind, condition, op, ...)                              \
  do {                                                                       \
    if (!(condition)) [[unlikely]] {                                         \
      ::ldlm::detail::fail_parts(::ldlm::ErrorCode::kind, op,                \
                                 ::ldlm::detail::MessageParts{__VA_ARGS__}); \
    }                                                                        \
  } while (false)

/// The kinds that are checked for all over: what has no word of its own is a ValueError.
#define LDLM_CHECK(condition, op, ...) LDLM_CHECK_AS(value, condition, op, __VA_ARGS__)
#define LDLM_CHECK_SHAPE(condition, op, ...) LDLM_CHECK_AS(shape, condition, op, __VA_ARGS__)
#define LDLM_CHECK_INDEX(condition, op, ...) LDLM_CHECK_AS(index, condition, op, __VA_ARGS__)
#define LDLM_CHECK_DEVICE(condition, op, ...) LDLM_CHECK_AS(device, condition, op, __VA_ARGS__)
#define LDLM_CHECK_STATE(condition, op, ...) LDLM_CHECK_AS(state, condition, op, __VA_ARGS__)
/// LDLM_CHECK_FILE(condition, op, path, ": ...").
#define LDLM_CHECK_FILE(condition, op, path, ...)                               \
  do {                                                                          \
    if (!(condition)) [[unlikely]] {                                            \
      ::ldlm::detail::fail_parts_at(::ldlm::ErrorCode::file, op, path,          \
                                    ::ldlm::detail::MessageParts{__VA_ARGS__}); \
    }                                                                           \
  } while (false)
