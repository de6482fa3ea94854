#pragma once
// Operands of bf16 as floats for the time of one call: what a kernel reads is widened, which is
// exact, and what it writes is rounded to bf16 when it is done.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm/core/storage.hpp>

namespace ldlm::bf16_backend {

/// An operand that a kernel also reads, or leaves parts of as they were.
struct InOut {
  View<bf16> view;
};

/// An argument of a kernel of bf16 as the kernel of floats takes it: itself, if it is of no bf16.
/// `Tables` has the kernels: of_float() and of_bf16().
template <class Tables, class Argument>
class Widened {
 public:
  explicit Widened(const Argument& argument) : argument_(argument) {}
  [[nodiscard]] const Argument& get() const { return argument_; }
  void finish() {}

 private:
  Argument argument_;
};

/// A copy in floats, laid out as the operand is, but without gaps. An axis that the operand repeats
/// is repeated here, too.
template <class Tables>
class Widened<Tables, View<const bf16>> {
 public:
  explicit Widened(const View<const bf16>& operand) {
    if (operand.empty()) {
      return;
    }
    Layout once = operand.layout;
    bool repeats = false;
    for (int axis = 0; axis < once.rank(); ++axis) {
      if (once.stride(axis) == 0 && once.shape[axis] > 1) {
        once.shape[axis] = 1;
        repeats = true;
      }
    }
    Layout dense = dense_like(once);
    storage_ = Storage::allocate(static_cast<std::size_t>(dense.numel()) * sizeof(float), cpu);
    auto* const data = static_cast<float*>(storage_.data());
    Tables::of_float().cast(DType::bf16, View<const void>(operand.data, once),
                            View<float>(data, dense));
    if (repeats) {
      for (int axis = 0; axis < dense.rank(); ++axis) {
        if (dense.shape[axis] != operand.size(axis)) {
          dense.strides[static_cast<std::size_t>(axis)] = 0;
        }
      }
      dense.shape = operand.shape();
    }
    view_ = {data, dense};
  }
  [[nodiscard]] View<const float> get() const { return view_; }
  void finish() {}

 private:
  Storage storage_;
  View<float> view_;
};

/// Floats that become the operand's elements when finish() is called.
template <class Tables>
class Widened<Tables, View<bf16>> {
 public:
  explicit Widened(const View<bf16>& operand) : operand_(operand) {
    if (operand.empty()) {
      return;
    }
    const Layout dense = dense_like(operand.layout);
    storage_ = Storage::allocate(static_cast<std::size_t>(dense.numel()) * sizeof(float), cpu);
    view_ = {static_cast<float*>(storage_.data()), dense};
  }
  [[nodiscard]] const View<float>& get() const { return view_; }
  void finish() {
    if (!operand_.empty()) {
      Tables::of_bf16().cast(DType::f32, View<const void>(view_.data, view_.layout), operand_);
    }
  }

 private:
  View<bf16> operand_;
  Storage storage_;
  View<float> view_;
};

template <class Tables>
class Widened<Tables, InOut> : public Widened<Tables, View<bf16>> {
 public:
  explicit Widened(const InOut& operand) : Widened<Tables, View<bf16>>(operand.view) {
    if (!operand.view.empty()) {
      Tables::of_float().cast(DType::bf16, View<const void>(operand.view.data, operand.view.layout),
                              this->get());
    }
  }
};

/// Calls the kernel of floats with these, which then become their operands' elements.
template <class Tables, class Entry, class... Operands>
void run_widened(Entry entry, Operands&&... widened) {
  (Tables::of_float().*entry)(widened.get()...);
  (widened.finish(), ...);
}
/// The same with arguments to be widened.
template <class Tables, class Entry, class... Arguments>
void run(Entry entry, const Arguments&... arguments) {
  run_widened<Tables>(entry, Widened<Tables, Arguments>(arguments)...);
}

/// A part of operands whose first axes are of one shape: of axis number `axis` the positions from
/// `first` on, and one position of each axis before it. All of them, without an axis.
struct Part {
  int axis = -1;
  std::int64_t index[max_rank] = {};
  std::int64_t first = 0, count = 0;

  template <class T>
  [[nodiscard]] View<T> of(const View<T>& whole) const {
    if (whole.empty() || axis < 0) {
      return whole;
    }
    View<T> part;
    part.data = whole.data + first * whole.stride(axis);
    for (int i = 0; i < axis; ++i) {
      part.data += index[i] * whole.stride(i);
    }
    for (int i = axis; i < whole.rank(); ++i) {
      part.layout.shape.push_back(i == axis ? count : whole.size(i));
      part.layout.strides[static_cast<std::size_t>(i - axis)] = whole.stride(i);
    }
    return part;
  }
};

/// Calls f(part) for parts that cover operands of this shape, small enough that their floats stay
/// in a cache. The last `kept` axes are in no part cut, and f is called once for all if there are
/// no others.
template <class Tables, class F>
void for_parts(const Shape& shape, int kept, const F& f) {
  constexpr std::int64_t elements = 8192;  // 32 KiB of floats for each operand
  const int cut = shape.rank() - kept;
  if (shape.numel() == 0) {
    return;
  }
  if (cut == 0) {
    f(Part{});
    return;
  }
  std::int64_t inner = shape.numel();
  int axis = -1;
  while (axis < 0 || (inner > elements && axis + 1 < cut)) {
    inner /= shape[++axis];
  }
  const std::int64_t count = std::clamp<std::int64_t>(elements / inner, 1, shape[axis]);
  const std::int64_t pieces = (shape[axis] + count - 1) / count;
  std::int64_t parts = pieces;
  for (int i = 0; i < axis; ++i) {
    parts *= shape[i];
  }
  const std::int64_t grain = std::max<std::int64_t>(1, 4 * elements / (count * inner));
  Tables::parallel_for(0, parts, grain, [&](std::int64_t lo, std::int64_t hi) {
    for (std::int64_t number = lo; number < hi; ++number) {
      Part part;
      part.axis = axis;
      part.first = number % pieces * count;
      part.count = std::min(count, shape[axis] - part.first);
      std::int64_t rest = number / pieces;
      for (int i = axis - 1; i >= 0; --i) {
        part.index[i] = rest % shape[i];
        rest /= shape[i];
      }
      f(part);
    }
  });
}

}  // namespace ldlm::bf16_backend
