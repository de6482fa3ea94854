#pragma once
// Variables as text: `std::cout << x` prints the value, and whether gradients flow to it.

#include <iosfwd>
#include <string>

#include <ldlm/autograd/variable.hpp>
#include <ldlm/core/format.hpp>

namespace ldlm {

/// The value as to_string of a Tensor, then ", requires_grad" for a leaf that has a gradient, or
/// what function it is a result of: "[2, 4], result of 'mul'".
template <Floating T>
[[nodiscard]] std::string to_string(const Variable<T>& x, const FormatOptions& options = {}) {
  if (!x.defined()) {
    return "undefined";
  }
  std::string text = to_string(x.value(), options);
  if (x.requires_grad()) {
    text +=
        x.is_leaf() ? ", requires_grad" : ", result of '" + std::string(x.node()->name()) + '\'';
  }
  return text;
}
template <class Traits, Floating T>
std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& stream,
                                             const Variable<T>& x) {
  return stream << to_string(x);
}

}  // namespace ldlm
