#pragma once
// walk(): the one loop over index space that every reference kernel is written with, and the small
// arithmetic that they share.

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <ldlm/core/kernel_table.hpp>

namespace ldlm::reference {

/// An operand of a walk: where it begins, its strides, and the bytes of an element.
struct WalkOperand {
  std::byte* data;
  const Strides* strides;
  std::int64_t size;
};

/// What walks over a view: nothing moves in an absent one.
template <class T>
WalkOperand walk_operand(const View<T>& view) {
  static constexpr Strides none{};
  return {reinterpret_cast<std::byte*>(const_cast<std::remove_const_t<T>*>(view.data)),
          view.empty() ? &none : &view.layout.strides, sizeof(T)};
}

/// Up to eight of them; those without a size are not there.
using WalkOperands = std::array<WalkOperand, 8>;

/// Calls line(context, n, at, step) for every line along the last axis of `shape`, in row-major
/// order: n elements of each operand, the first at at[k], the next step[k] elements further on.
/// (Out of line: every kernel walks with this function; what differs is the line.)
[[gnu::noinline]] inline void walk_lines(
    const Shape& shape, const WalkOperands& operands, void* context,
    void (*line)(void* context, std::int64_t n, std::byte* const* at, const std::int64_t* step)) {
  std::size_t count = 0;
  while (count < operands.size() && operands[count].size > 0) {
    ++count;
  }
  const int last = shape.rank() - 1;
  if (shape.numel() == 0) {
    return;
  }
  std::array<std::byte*, 8> at{};
  std::array<std::int64_t, 8> step{};
  for (std::size_t k = 0; k < count; ++k) {
    at[k] = operands[k].data;
    step[k] = last < 0 ? 0 : (*operands[k].strides)[static_cast<std::size_t>(last)];
  }
  std::array<std::int64_t, max_rank> index{};
  for (;;) {
    line(context, last < 0 ? 1 : shape[last], at.data(), step.data());
    // On to the next line: one step along the last of the other axes that has one left, and back
    // to the start of those behind it.
    int axis = last - 1;
    for (; axis >= 0; --axis) {
      const auto a = static_cast<std::size_t>(axis);
      const bool within = ++index[a] < shape[axis];
      for (std::size_t k = 0; k < count; ++k) {
        at[k] += (within ? 1 : 1 - shape[axis]) * (*operands[k].strides)[a] * operands[k].size;
      }
      if (within) {
        break;
      }
      index[a] = 0;
    }
    if (axis < 0) {
      return;
    }
  }
}

/// Calls function(p...) for every index of `shape` in row-major order, where each p points at that
/// element of its view. Only the first shape.rank() axes of a view are walked, so a view of rank
/// r + 1 yields pointers to rows. An absent view (null data) yields null.
template <class Function, class... T>
void walk(const Shape& shape, Function&& function, const View<T>&... views) {
  const auto line = [](void* context, std::int64_t n, std::byte* const* at,
                       const std::int64_t* step) {
    auto& f = *static_cast<std::remove_reference_t<Function>*>(context);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      for (std::int64_t i = 0; i < n; ++i) {
        f((reinterpret_cast<T*>(at[I]) + i * step[I])...);
      }
    }
    (std::index_sequence_for<T...>{});
  };
  walk_lines(shape, {{walk_operand(views)...}},
             const_cast<void*>(static_cast<const void*>(std::addressof(function))), line);
}

/// Shape of the axes before the last.
inline Shape row_shape(const Shape& shape) {
  return Shape(std::span<const std::int64_t>(shape.begin(), shape.end() - 1));
}

/// The axes of a layout for which keep[axis] holds. (Out of line, as walk_lines.)
using AxisMask = std::array<bool, max_rank>;
[[gnu::noinline]] inline Layout select_axes(const Layout& layout, const AxisMask& keep) {
  Layout out;
  for (int axis = 0; axis < layout.rank(); ++axis) {
    if (keep[static_cast<std::size_t>(axis)]) {
      out.strides[static_cast<std::size_t>(out.rank())] = layout.stride(axis);
      out.shape.push_back(layout.shape[axis]);
    }
  }
  return out;
}
/// All of them but one.
inline Layout without_axis(const Layout& layout, int axis) {
  AxisMask keep;
  keep.fill(true);
  keep[static_cast<std::size_t>(axis)] = false;
  return select_axes(layout, keep);
}

/// What sums and functions are computed in: double for float, so that float results are as good as
/// their rounding; any other type itself.
template <class T>
using Wide = std::conditional_t<std::same_as<T, float>, double, T>;

/// Sum and product: of integers modulo 2^bits, of bool "or" and "and".
template <class T>
T plus(T a, T b) {
  if constexpr (std::same_as<T, bool>) {
    return a || b;
  } else if constexpr (std::integral<T>) {
    return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  } else {
    return a + b;
  }
}
template <class T>
T times(T a, T b) {
  if constexpr (std::same_as<T, bool>) {
    return a && b;
  } else if constexpr (std::integral<T>) {
    return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  } else {
    return a * b;
  }
}

template <class T>
bool is_nan(T x) {
  if constexpr (std::floating_point<T>) {
    return std::isnan(x);
  } else {
    return false;
  }
}

/// Whether a comes before b when the largest is wanted; NaN is larger than all numbers.
template <class T>
bool larger(T a, T b) {
  return is_nan(a) ? !is_nan(b) : a > b;
}
/// The same for the smallest; NaN comes first here too.
template <class T>
bool smaller(T a, T b) {
  return is_nan(a) ? !is_nan(b) : a < b;
}

}  // namespace ldlm::reference
