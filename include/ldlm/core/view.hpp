#pragma once
// View: what a kernel sees of a tensor. A pointer and a layout, trivially copyable.

#include <type_traits>

#include <ldlm/core/layout.hpp>

namespace ldlm {

/// `data` points at element (0, ..., 0): the layout's offset is already added and is 0 here.
template <class T>
struct View {
  T* data = nullptr;
  Layout layout;

  View() = default;
  View(T* pointer, const Layout& l) : data(pointer), layout(l.shape, l.strides, 0) {}
  /// A View<T> is also a View<const T>.
  template <class U>
  requires std::is_same_v<T, const U> View(const View<U>& view)
      : data(view.data), layout(view.layout) {}

  [[nodiscard]] const Shape& shape() const { return layout.shape; }
  [[nodiscard]] int rank() const { return layout.rank(); }
  [[nodiscard]] std::int64_t size(int axis) const { return layout.shape[axis]; }
  [[nodiscard]] std::int64_t stride(int axis) const { return layout.stride(axis); }
  [[nodiscard]] std::int64_t numel() const { return layout.numel(); }
  [[nodiscard]] bool is_contiguous() const { return layout.is_contiguous(); }
  [[nodiscard]] bool empty() const { return data == nullptr; }
};

}  // namespace ldlm
