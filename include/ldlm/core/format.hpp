#pragma once
// Tensors as text: `std::cout << x` prints rows in brackets, as NumPy does.

#include <algorithm>
#include <cmath>
#include <concepts>
#include <iosfwd>
#include <sstream>
#include <string>
#include <vector>

#include <ldlm/core/tensor.hpp>

namespace ldlm {

struct FormatOptions {
  int precision = 4;              // significant digits of floats
  std::int64_t threshold = 1000;  // of more elements than this, only the ends of axes are shown
  std::int64_t edge = 3;          // positions at each such end
};

namespace detail {

template <Scalar T>
class TensorFormatter {
 public:
  TensorFormatter(const Tensor<T>& x, const FormatOptions& options)
      : x_(x), options_(options), shortened_(x.numel() > options.threshold) {
    each(0, x_.data(),
         [this](const T* element) { width_ = std::max(width_, text_of(*element).size()); });
  }

  [[nodiscard]] std::string operator()() {
    write(0, x_.data());
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::string text_of(T value) const {
    std::ostringstream text;
    text.precision(options_.precision);
    if constexpr (std::same_as<T, bool>) {
      text << (value ? "true" : "false");
    } else if constexpr (std::integral<T>) {
      text << +value;  // int8 is a number, not a character
    } else {
      const auto number = static_cast<double>(value);
      text << (std::isnan(number) ? std::fabs(number) : number);  // NaN has no sign
    }
    return text.str();
  }

  // Calls visit(pointer, position) for the shown positions of an axis, and gap() between its ends.
  template <class Visit, class Gap>
  void shown(int axis, const T* first, Visit&& visit, Gap&& gap) const {
    const std::int64_t extent = x_.shape()[axis];
    const bool cut = shortened_ && extent > 2 * options_.edge;
    for (std::int64_t i = 0; i < extent; ++i) {
      if (cut && i == options_.edge) {
        gap();
        i = extent - options_.edge;
      }
      visit(first + i * x_.layout().stride(axis), i);
    }
  }
  template <class Visit>
  void each(int axis, const T* first, Visit&& visit) const {
    if (axis == x_.rank()) {
      visit(first);
      return;
    }
    shown(
        axis, first, [&](const T* part, std::int64_t) { each(axis + 1, part, visit); }, [] {});
  }

  void write(int axis, const T* first) {
    if (axis == x_.rank()) {
      const std::string text = text_of(*first);
      out_.append(width_ - text.size(), ' ').append(text);
      return;
    }
    // Rows stand below each other, matrices with an empty line between them.
    const int inner = x_.rank() - axis - 1;
    const std::string separator = inner == 0
                                      ? ", "
                                      : "," + std::string(static_cast<std::size_t>(inner), '\n') +
                                            std::string(static_cast<std::size_t>(axis) + 1, ' ');
    out_ += '[';
    shown(
        axis, first,
        [&](const T* part, std::int64_t i) {
          out_ += i > 0 ? separator : "";
          write(axis + 1, part);
        },
        [&] { out_ += separator + "..."; });
    out_ += ']';
  }

  const Tensor<T>& x_;
  const FormatOptions& options_;
  bool shortened_;
  std::size_t width_ = 0;
  std::string out_;
};

}  // namespace detail

/// The elements in nested brackets, right-aligned; of a large tensor only the ends of each axis.
/// Waits for the device.
template <Scalar T>
[[nodiscard]] std::string to_string(const Tensor<T>& x, const FormatOptions& options = {}) {
  LDLM_CHECK(options.precision > 0 && options.edge > 0, "to_string",
             "precision and edge must be positive, got ", options.precision, " and ", options.edge);
  if (!x.defined()) {
    return "undefined";
  }
  return detail::TensorFormatter<T>(x.to(cpu), options)();
}
template <class Traits, Scalar T>
std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& stream,
                                             const Tensor<T>& x) {
  return stream << to_string(x);
}

}  // namespace ldlm
