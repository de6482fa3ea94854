#pragma once
// Tensor<T>: a value handle of shared Storage plus a Layout; Tensor<> is one of floats. Eager:
// every op computes at once.
//
// Copies of a handle, and the views made by slice, transpose, reshape, ..., share the elements;
// clone() copies them. `const` is the handle's, as of a pointer `T* const`: a const Tensor stays on
// its elements and its shape, but whoever has one may write the elements, by data(), at(), copy_()
// and the ops in place (add_, +=, ...), and every other handle of them sees that. A View<const T>
// is what cannot be written through. The functions that compute are free functions in core/ops.

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/number.hpp>
#include <ldlm/core/overlap.hpp>
#include <ldlm/core/registry.hpp>
#include <ldlm/core/storage.hpp>

namespace ldlm {

/// "No bound" in Tensor::slice.
inline constexpr std::int64_t to_end = INT64_MAX;

namespace detail {
inline void check_same_device(std::string_view op, Device device, Device other) {
  LDLM_CHECK_DEVICE(other == device, op, "tensors are on ", device, " and ", other);
}
/// The device of all these tensors. Throws in the name of `op` if one is undefined, or on another.
template <class First, class... Tensors>
Device common_device(std::string_view op, const First& first, const Tensors&... others) {
  const Device device = first.device(op);
  (check_same_device(op, device, others.device(op)), ...);
  return device;
}
/// Throws if one of these that may be undefined is defined on another device.
template <class... Tensors>
void check_optional_devices(std::string_view op, Device device, const Tensors&... optional) {
  (check_same_device(op, device, optional.defined() ? optional.device(op) : device), ...);
}
}  // namespace detail

template <Scalar T = float>
class Tensor {
 public:
  using value_type = T;

  /// An undefined tensor: no storage, shape (0,). See defined(). Where one is not said to be
  /// allowed, ops throw a StateError.
  Tensor() : layout_(Shape{0}) {}
  /// A view of `storage`; for backends and readers. Unchecked.
  Tensor(Storage storage, const Layout& layout) : storage_(std::move(storage)), layout_(layout) {}

  Tensor(const Tensor&) = default;
  Tensor& operator=(const Tensor&) = default;
  ~Tensor() = default;
  /// What was moved from is undefined.
  Tensor(Tensor&& other) noexcept
      : storage_(std::move(other.storage_)),
        layout_(std::exchange(other.layout_, Layout(Shape{0}))) {}
  Tensor& operator=(Tensor&& other) noexcept {
    Tensor taken(std::move(other));
    std::swap(storage_, taken.storage_);
    layout_ = taken.layout_;
    return *this;
  }

  // ---- Making tensors. Each kind has a name, so that a shape is never mistaken for values. ----

  /// Uninitialised elements.
  static Tensor empty(const Shape& shape, Device device = cpu) {
    const auto bytes = checked_bytes(shape);
    return {Storage::allocate(bytes, device), Layout(shape)};
  }
  /// Uninitialised elements without gaps, the axes in memory in the order of `like`'s.
  static Tensor empty_like(const Layout& like, Device device = cpu) {
    return {Storage::allocate(checked_bytes(like.shape), device), dense_like(like)};
  }
  static Tensor full(const Shape& shape, Number<T> value, Device device = cpu) {
    Tensor out = empty(shape, device);
    out.fill_(value);
    return out;
  }
  static Tensor zeros(const Shape& shape, Device device = cpu) {
    return full(shape, ComputeType<T>{}, device);
  }
  static Tensor ones(const Shape& shape, Device device = cpu) {
    return full(shape, convert<ComputeType<T>>(1.0F), device);
  }
  /// A tensor of rank 0.
  static Tensor scalar(Number<T> value, Device device = cpu) {
    return full(Shape{}, value, device);
  }
  /// Row-major values; their number must be the shape's.
  static Tensor from_values(const Shape& shape, std::span<const T> values) {
    LDLM_CHECK_SHAPE(static_cast<std::int64_t>(values.size()) == shape.numel(), "from_values",
                     to_string(shape), " has ", shape.numel(), " elements, got ", values.size());
    Tensor out = empty(shape);
    T* to = out.data();
    for (const T& value : values) {
      *to++ = value;
    }
    return out;
  }
  /// The same of numbers, which for bf16 are rounded: {1, 0.5}.
  static Tensor from_values(const Shape& shape, std::initializer_list<ComputeType<T>> values) {
    if constexpr (std::same_as<T, ComputeType<T>>) {
      return from_values(shape, std::span<const T>(values.begin(), values.size()));
    } else {
      return from_values(shape, std::vector<T>(values.begin(), values.end()));
    }
  }
  /// Uses memory that the caller owns; `release()`, if any, runs when the last handle is gone. Null
  /// has no elements.
  static Tensor from_blob(T* data, const Shape& shape, detail::Release release = {},
                          Device device = cpu) {
    LDLM_CHECK(data != nullptr || shape.numel() == 0, "from_blob", "null has no elements, but ",
               to_string(shape), " has ", shape.numel());
    return {Storage::borrow(data, checked_bytes(shape), device, std::move(release)), Layout(shape)};
  }
  /// start, start + step, ... up to but not including stop.
  static Tensor arange(ComputeType<T> start, ComputeType<T> stop,
                       ComputeType<T> step = 1) requires(std::integral<T> || Floating<T>) {
    LDLM_CHECK(step != 0, "arange", "step must not be 0");
    const std::int64_t count = count_steps(start, stop, step);
    Tensor out = empty({count});
    for (std::int64_t i = 0; i < count; ++i) {
      if constexpr (std::integral<T>) {  // unsigned: no product overflows on its way into range
        out.data()[i] =
            static_cast<T>(static_cast<std::uint64_t>(start) +
                           static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>(step));
      } else {
        out.data()[i] = static_cast<T>(start + static_cast<ComputeType<T>>(i) * step);
      }
    }
    return out;
  }
  /// `count` evenly spaced values, both ends included.
  static Tensor linspace(ComputeType<T> start, ComputeType<T> stop,
                         std::int64_t count) requires Floating<T> {
    using C = ComputeType<T>;
    LDLM_CHECK(count >= 0, "linspace", "count must not be negative, got ", count);
    Tensor out = empty({count});
    for (std::int64_t i = 0; i < count; ++i) {
      const C weight = count > 1 ? static_cast<C>(i) / static_cast<C>(count - 1) : C{0};
      out.data()[i] = static_cast<T>(weight == C{1} ? stop : start + (stop - start) * weight);
    }
    return out;
  }

  // ---- Looking at them. ----

  [[nodiscard]] bool defined() const noexcept { return static_cast<bool>(storage_); }
  [[nodiscard]] const Shape& shape() const noexcept { return layout_.shape; }
  [[nodiscard]] int rank() const noexcept { return layout_.rank(); }
  [[nodiscard]] std::int64_t numel() const noexcept { return layout_.numel(); }
  /// Extent of an axis; a negative axis counts from the end.
  [[nodiscard]] std::int64_t size(int axis) const {
    return layout_.shape[normalize_axis(axis, rank(), "size")];
  }
  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
  [[nodiscard]] const Storage& storage() const noexcept { return storage_; }
  /// Where the elements are. Throws, in the name of `op`, if there are none: of an undefined
  /// tensor.
  [[nodiscard]] Device device(std::string_view op = "device") const {
    LDLM_CHECK_STATE(defined(), op, "the tensor is undefined");
    return storage_.device();
  }
  [[nodiscard]] bool is_contiguous() const noexcept { return layout_.is_contiguous(); }

  /// Pointer to element (0, ..., 0); the others lie as layout() says. Writing through it is not
  /// seen by autograd's version check.
  [[nodiscard]] T* data() const noexcept {
    T* const first = defined() ? static_cast<T*>(storage_.data()) : nullptr;
    return first != nullptr ? first + layout_.offset : nullptr;  // no memory for no elements
  }
  /// What kernels take.
  [[nodiscard]] View<T> view() const noexcept { return {data(), layout_}; }

  /// The only element of a one-element tensor. Waits for the device.
  [[nodiscard]] T item() const {
    LDLM_CHECK_STATE(defined(), "item", "the tensor is undefined");
    LDLM_CHECK_SHAPE(numel() == 1, "item", "needs exactly one element, shape is ",
                     to_string(shape()));
    return is_host_memory(device()) ? *data() : *to(cpu).data();
  }
  /// One element; negative indices count from the end. Slow: for tests and printing. Throws unless
  /// the memory is the host's.
  [[nodiscard]] T& at(std::initializer_list<std::int64_t> index) const {
    LDLM_CHECK_DEVICE(is_host_memory(device("at")), "at",
                      "needs elements in host memory, these are on ", device(),
                      "; copy them with to(cpu)");
    LDLM_CHECK_SHAPE(static_cast<int>(index.size()) == rank(), "at", index.size(),
                     " indices for shape ", to_string(shape()));
    std::int64_t position = 0;
    int axis = 0;
    for (std::int64_t i : index) {
      const std::int64_t extent = shape()[axis];
      LDLM_CHECK_INDEX(i >= -extent && i < extent, "at", "index ", i, " is out of range on axis ",
                       axis, " of ", to_string(shape()));
      position += (i < 0 ? i + extent : i) * layout_.stride(axis++);
    }
    return data()[position];
  }
  /// All elements in row-major order. Waits for the device.
  [[nodiscard]] std::vector<T> to_vector() const {
    const Tensor source = is_host_memory(device("to_vector")) ? contiguous() : to(cpu);
    return std::vector<T>(source.data(), source.data() + numel());
  }

  // ---- Views: no element is copied. ----

  /// Elements start, start + step, ... < stop of an axis; negative bounds count from the end, and
  /// bounds beyond the extent are clipped, as in Python.
  [[nodiscard]] Tensor slice(int axis, std::int64_t start, std::int64_t stop = to_end,
                             std::int64_t step = 1) const {
    axis = normalize_axis(axis, rank(), "slice");
    LDLM_CHECK(step > 0, "slice", "step must be positive, got ", step);
    const std::int64_t extent = shape()[axis];
    const auto clip = [extent](std::int64_t at, std::int64_t least) {
      at = at < 0 ? at + extent : at;
      return at < least ? least : at > extent ? extent : at;
    };
    start = clip(start, 0);
    stop = clip(stop, start);
    Layout out = layout_;
    out.offset += start * out.stride(axis);
    out.shape[axis] = stop > start ? (stop - start - 1) / step + 1 : 0;
    if (out.shape[axis] > 1) {  // else the stride means nothing, and a huge step might overflow it
      out.strides[static_cast<std::size_t>(axis)] *= step;
    }
    return {storage_, out};
  }
  /// One position of an axis, which goes away.
  [[nodiscard]] Tensor select(int axis, std::int64_t index) const {
    axis = normalize_axis(axis, rank(), "select");
    const std::int64_t extent = shape()[axis];
    LDLM_CHECK_INDEX(index >= -extent && index < extent, "select", "index ", index,
                     " is out of range on axis ", axis, " of ", to_string(shape()));
    Layout out = layout_;
    out.offset += (index < 0 ? index + extent : index) * out.stride(axis);
    out.shape.erase(axis);
    for (auto i = static_cast<std::size_t>(axis); i + 1 < max_rank; ++i) {
      out.strides[i] = layout_.strides[i + 1];
    }
    return {storage_, out};
  }
  /// Axis i of the result is axis order[i] of this.
  [[nodiscard]] Tensor permute(std::span<const int> order) const {
    LDLM_CHECK_SHAPE(static_cast<int>(order.size()) == rank(), "permute", order.size(),
                     " axes for shape ", to_string(shape()));
    Layout out = layout_;
    unsigned seen = 0;
    for (int i = 0; i < rank(); ++i) {
      const int axis = normalize_axis(order[static_cast<std::size_t>(i)], rank(), "permute");
      LDLM_CHECK_INDEX((seen & (1U << axis)) == 0, "permute", "axis ", axis, " named twice");
      seen |= 1U << axis;
      out.shape[i] = shape()[axis];
      out.strides[static_cast<std::size_t>(i)] = layout_.stride(axis);
    }
    return {storage_, out};
  }
  [[nodiscard]] Tensor permute(std::initializer_list<int> order) const {
    return permute(std::span<const int>(order.begin(), order.size()));
  }
  [[nodiscard]] Tensor transpose(int a, int b) const {
    a = normalize_axis(a, rank(), "transpose");
    b = normalize_axis(b, rank(), "transpose");
    Layout out = layout_;
    std::swap(out.shape[a], out.shape[b]);
    std::swap(out.strides[static_cast<std::size_t>(a)], out.strides[static_cast<std::size_t>(b)]);
    return {storage_, out};
  }
  /// Broadcasts axes of extent 1 (and new leading ones) to `shape`.
  [[nodiscard]] Tensor expand(const Shape& shape) const {
    return {storage_, broadcast_to(layout_, shape, "expand")};
  }
  /// Inserts an axis of extent 1 before `axis` (-1: at the end).
  [[nodiscard]] Tensor unsqueeze(int axis) const {
    LDLM_CHECK_SHAPE(rank() < max_rank, "unsqueeze", "at most ", max_rank, " axes, and ",
                     to_string(shape()), " has them");
    axis = normalize_axis(axis, rank() + 1, "unsqueeze");
    Layout out = layout_;
    out.shape.insert(axis, 1);
    for (auto i = static_cast<std::size_t>(axis); i + 1 < max_rank; ++i) {
      out.strides[i + 1] = layout_.strides[i];
    }
    out.strides[static_cast<std::size_t>(axis)] = 1;
    return {storage_, out};
  }
  /// Removes an axis of extent 1.
  [[nodiscard]] Tensor squeeze(int axis) const {
    axis = normalize_axis(axis, rank(), "squeeze");
    LDLM_CHECK_SHAPE(shape()[axis] == 1, "squeeze", "axis ", axis, " of ", to_string(shape()),
                     " has extent ", shape()[axis]);
    return select(axis, 0);
  }
  /// The same elements in row-major order under another shape; one extent may be -1. A view where
  /// strides allow, else a copy.
  [[nodiscard]] Tensor reshape(std::span<const std::int64_t> dims) const {
    const Shape target = resolve_shape(dims);
    Layout out(target, {}, layout_.offset);
    if (reshape_strides(layout_, out)) {
      return {storage_, out};
    }
    return {contiguous().storage_, Layout(target)};
  }
  [[nodiscard]] Tensor reshape(std::initializer_list<std::int64_t> dims) const {
    return reshape(std::span<const std::int64_t>(dims.begin(), dims.size()));
  }
  [[nodiscard]] Tensor reshape(const Shape& shape) const {
    return reshape(std::span<const std::int64_t>(shape.begin(), shape.end()));
  }
  /// Merges axes first..last into one.
  [[nodiscard]] Tensor flatten(int first = 0, int last = -1) const {
    if (rank() == 0) {
      return reshape({1});
    }
    first = normalize_axis(first, rank(), "flatten");
    last = normalize_axis(last, rank(), "flatten");
    LDLM_CHECK_INDEX(first <= last, "flatten", "axis ", first, " lies after axis ", last);
    Shape target;
    for (int i = 0; i < rank(); ++i) {
      if (i > first && i <= last) {
        target[target.rank() - 1] *= shape()[i];
      } else {
        target.push_back(shape()[i]);
      }
    }
    return reshape(target);
  }

  // ---- Copies and in-place changes. ----

  /// A row-major copy with storage of its own.
  [[nodiscard]] Tensor clone() const {
    Tensor out = empty(shape(), device("clone"));
    out.copy_(*this);
    return out;
  }
  /// This if row-major, else a row-major copy.
  [[nodiscard]] Tensor contiguous() const { return is_contiguous() ? *this : clone(); }
  /// This if it is on that device, else a row-major copy there. To the host it waits for the
  /// device.
  [[nodiscard]] Tensor to(Device target) const {
    if (device("to") == target) {
      return *this;
    }
    Tensor out = empty(shape(), target);
    out.copy_(*this);
    return out;
  }

  /// Overwrites every element. Throws, as all ops in place do, if elements share memory.
  void fill_(Number<T> value) const {
    const Device on = device("fill_");
    if (numel() > 0) {
      detail::check_writable("fill_", view());
      detail::kernel(on, &KernelTable<T>::fill, "fill_")(
          view(), convert<T>(static_cast<ComputeType<T>>(value)));
      storage_.bump_version();
    }
  }
  void zero_() const { fill_(ComputeType<T>{}); }
  /// Overwrites with another tensor, of any device, broadcast to this shape. Throws if the two
  /// overlap in memory without being the same view.
  void copy_(const Tensor& source) const {
    const Device on = device("copy_");
    const Device there = source.device("copy_");
    const Layout from = broadcast_to(source.layout_, shape(), "copy_");
    if (there != on) {
      copy_from_elsewhere(source);
    } else if (numel() > 0) {
      const View<const T> elements(source.data(), from);
      detail::check_in_place("copy_", view(), elements);
      detail::kernel(on, &KernelTable<T>::copy, "copy_")(elements, view());
      storage_.bump_version();
    }
  }

 private:
  /// copy_ from another device: the elements cross in a row-major tensor of the source's shape.
  void copy_from_elsewhere(const Tensor& source) const {
    if (numel() == 0) {
      return;
    }
    const Device from = source.device();
    if (is_host_memory(device()) && is_host_memory(from)) {  // the same memory, other kernels
      copy_(Tensor(Storage::borrow(source.data(), source.storage_.bytes(), device(), {}),
                   Layout(source.shape(), source.layout_.strides, 0)));
      return;
    }
    const Tensor dense = source.contiguous();
    const bool direct = is_contiguous() && shape() == source.shape();
    const Tensor landed = direct ? *this : empty(source.shape(), device());
    const std::size_t bytes = static_cast<std::size_t>(source.numel()) * sizeof(T);
    if (is_host_memory(from)) {
      device_memory(device()).from_host(device(), landed.data(), dense.data(), bytes);
    } else if (is_host_memory(device())) {
      device_memory(from).to_host(from, landed.data(), dense.data(), bytes);
    } else {  // two cards, by way of the host
      copy_(source.to(cpu));
      return;
    }
    if (direct) {
      storage_.bump_version();
    } else {
      copy_(landed);
    }
  }

  static std::size_t checked_bytes(const Shape& shape) {
    std::size_t bytes = sizeof(T);
    for (const std::int64_t dim : shape) {
      std::size_t product = 0;
      LDLM_CHECK_SHAPE(!__builtin_mul_overflow(bytes, static_cast<std::size_t>(dim), &product) &&
                           product <= static_cast<std::size_t>(INT64_MAX),
                       "tensor", "shape ", to_string(shape), " is too large");
      bytes = product;
    }
    return bytes;
  }

  // How many of start, start + step, ... lie before stop.
  static std::int64_t count_steps(ComputeType<T> start, ComputeType<T> stop, ComputeType<T> step) {
    if (step > 0 ? start >= stop : start <= stop) {
      return 0;
    }
    if constexpr (std::integral<T>) {  // unsigned differences: no overflow, no rounding
      const bool up = step > 0;
      const auto first = static_cast<std::uint64_t>(start);
      const auto last = static_cast<std::uint64_t>(stop);
      const auto stride = static_cast<std::uint64_t>(step);
      const std::uint64_t span = up ? last - first : first - last;
      return static_cast<std::int64_t>((span - 1) / (up ? stride : 0 - stride) + 1);
    } else {
      const double steps =
          (static_cast<double>(stop) - static_cast<double>(start)) / static_cast<double>(step);
      LDLM_CHECK(steps < 0x1p62, "arange", "cannot count from ", start, " to ", stop, " by ", step);
      const auto whole = static_cast<std::int64_t>(steps);
      return whole + (static_cast<double>(whole) < steps ? 1 : 0);
    }
  }

  Shape resolve_shape(std::span<const std::int64_t> dims) const {
    Shape target;
    int open = -1;
    for (const std::int64_t dim : dims) {
      if (dim == -1) {
        LDLM_CHECK_SHAPE(open < 0, "reshape", "only one extent may be -1");
        open = target.rank();
      } else {
        LDLM_CHECK_SHAPE(dim >= 0, "reshape", "negative extent ", dim);
      }
      target.push_back(dim == -1 ? 1 : dim);
    }
    const std::int64_t known = target.numel();
    if (open >= 0 && known > 0) {
      target[open] = numel() / known;
    }
    LDLM_CHECK_SHAPE(target.numel() == numel() && (open < 0 || known > 0), "reshape",
                     to_string(shape()), " has ", numel(), " elements and does not fit ",
                     to_string(target));
    return target;
  }

  // Splits and merges axes of `from` into out.shape without a copy, if its strides allow.
  static bool reshape_strides(const Layout& from, Layout& out) {
    if (from.is_contiguous()) {
      out.strides = row_major_strides(out.shape);
      return true;
    }
    int target = out.rank() - 1;
    int axis = from.rank() - 1;
    while (axis >= 0) {
      std::int64_t block = from.shape[axis];
      const std::int64_t inner = from.stride(axis);
      while (axis > 0 && (from.shape[axis - 1] == 1 || from.stride(axis - 1) == block * inner)) {
        block *= from.shape[--axis];
      }
      --axis;
      std::int64_t filled = 1;
      while (target >= 0 && (filled < block || out.shape[target] == 1)) {
        out.strides[static_cast<std::size_t>(target)] = filled * inner;
        filled *= out.shape[target--];
      }
      if (filled != block) {
        return false;
      }
    }
    return true;
  }

  Storage storage_;
  Layout layout_;
};

}  // namespace ldlm
