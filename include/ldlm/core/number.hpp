#pragma once
// Number<T>: a number beside a tensor of T in an op's parameters; of bf16 and f16 a float.

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include <ldlm/core/dtype.hpp>
#include <ldlm/core/error.hpp>

namespace ldlm {

namespace detail {

/// Made of any number that T can stand for. A fraction beside integers does not compile, since it
/// would lose what is behind its point; an integer that T cannot hold is a ValueError.
template <class T>
struct NumberOf {
  T value;

  template <class U>
  requires std::is_arithmetic_v<U> || std::same_as<U, T> ||
      (std::floating_point<T> && (std::same_as<U, bf16> || std::same_as<U, f16>))
      // NOLINTNEXTLINE(google-explicit-constructor): numbers are written as they are
      constexpr NumberOf(U number)
      : value(static_cast<T>(number)) {
    if constexpr (is_integer<T> && is_integer<U>) {
      LDLM_CHECK(std::in_range<T>(number), "Number", number, " is outside of the elements' range");
    }
  }
  template <std::floating_point U>
  requires std::integral<T> NumberOf(U fraction)
  = delete;

  // NOLINTNEXTLINE(google-explicit-constructor): it is that number
  constexpr operator T() const { return value; }

  friend std::string to_string(NumberOf number) { return concat(number.value); }

 private:
  template <class I>
  static constexpr bool is_integer =
      std::integral<I> && !std::same_as<I, bool> && !std::same_as<I, char>;
};

}  // namespace detail

/// Not deduced: T is the tensor's.
template <class T>
using Number = std::type_identity_t<detail::NumberOf<ComputeType<T>>>;

}  // namespace ldlm
