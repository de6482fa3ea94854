#pragma once
// walk(): the one loop over index space that every reference kernel is written with, and the small
// arithmetic that they share.

#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <utility>

#include <ldlm/core/kernel_table.hpp>

namespace ldlm::reference {

/// Runs an index over the axes of a shape before the last, in row-major order, and keeps track of
/// where these lines along the last axis start in N arrays.
template <std::size_t N>
struct LineWalk {
  Shape shape;
  std::array<Strides, N> strides;
  std::array<std::int64_t, N> offsets{};  // of the current line in each array
  std::array<std::int64_t, max_rank> index{};

  /// On to the next line; false after the last. (Kept out of line: it is in every kernel.)
  [[gnu::noinline]] bool next() {
    for (int axis = shape.rank() - 2; axis >= 0; --axis) {
      const auto a = static_cast<std::size_t>(axis);
      const bool within = ++index[a] < shape[axis];
      // One step along this axis, or back to its start and on to the axis before it.
      const std::int64_t step = within ? 1 : 1 - shape[axis];
      for (std::size_t i = 0; i < N; ++i) {
        offsets[i] += step * strides[i][a];
      }
      if (within) {
        return true;
      }
      index[a] = 0;
    }
    return false;
  }
};

/// Calls function(p...) for every index of `shape` in row-major order, where each p points at that
/// element of its view. Only the first shape.rank() axes of a view are walked, so a view of rank
/// r + 1 yields pointers to rows. An absent view (null data) yields null.
template <class Function, class... T>
void walk(const Shape& shape, Function&& function, const View<T>&... views) {
  if (shape.numel() == 0) {
    return;
  }
  LineWalk<sizeof...(T)> line{shape, {(views.empty() ? Strides{} : views.layout.strides)...}};
  const int last = shape.rank() - 1;
  const std::int64_t length = last < 0 ? 1 : shape[last];
  const auto a = static_cast<std::size_t>(last < 0 ? 0 : last);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    do {
      for (std::int64_t i = 0; i < length; ++i) {
        function((views.data + (line.offsets[I] + i * line.strides[I][a]))...);
      }
    } while (line.next());
  }
  (std::index_sequence_for<T...>{});
}

/// Shape of the axes before the last.
inline Shape row_shape(const Shape& shape) {
  return Shape(std::span<const std::int64_t>(shape.begin(), shape.end() - 1));
}

/// The axes of `shape` for which keep(axis) holds, and a view of `data` over them.
template <class T, class Keep>
View<T> select_axes(const View<T>& view, Keep&& keep) {
  View<T> out;
  out.data = view.data;
  for (int axis = 0; axis < view.rank(); ++axis) {
    if (keep(axis)) {
      out.layout.strides[static_cast<std::size_t>(out.rank())] = view.stride(axis);
      out.layout.shape.push_back(view.size(axis));
    }
  }
  return out;
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
