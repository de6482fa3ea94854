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

/// The kernels that widen and round.
struct Casts {
  decltype(KernelTable<float>::cast) to_float = nullptr;
  decltype(KernelTable<bf16>::cast) to_bf16 = nullptr;
};

/// The casts of `Tables`, which has the kernels: of_float() and of_bf16().
template <class Tables>
Casts casts_of() {
  return {Tables::of_float().cast, Tables::of_bf16().cast};
}

// None of these is inlined: they are called once for an operand, and there are some hundred calls.

/// A copy in floats, laid out as the operand is, but without gaps. An axis that the operand repeats
/// is repeated here, too.
class FloatCopy {
 public:
  [[gnu::noinline]] FloatCopy(const Casts& casts, const View<const bf16>& operand) {
    if (operand.empty()) {
      view_.layout = operand.layout;  // of no elements, but perhaps of some axes
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
    casts.to_float(DType::bf16, View<const void>(operand.data, once), View<float>(data, dense));
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
  FloatCopy(const FloatCopy&) = delete;
  FloatCopy& operator=(const FloatCopy&) = delete;
  [[gnu::noinline]] ~FloatCopy() = default;

  [[nodiscard]] const View<const float>& get() const { return view_; }
  void finish() {}

 private:
  Storage storage_;
  View<const float> view_;
};

/// Floats that become the operand's elements when finish() is called.
class FloatResult {
 public:
  FloatResult(const Casts& casts, const View<bf16>& operand) : FloatResult(casts, operand, false) {}
  FloatResult(const Casts& casts, const InOut& operand) : FloatResult(casts, operand.view, true) {}
  FloatResult(const FloatResult&) = delete;
  FloatResult& operator=(const FloatResult&) = delete;
  [[gnu::noinline]] ~FloatResult() = default;

  [[nodiscard]] const View<float>& get() const { return view_; }
  [[gnu::noinline]] void finish() {
    if (!operand_.empty()) {
      to_bf16_(DType::f32, View<const void>(view_.data, view_.layout), operand_);
    }
  }

 private:
  [[gnu::noinline]] FloatResult(const Casts& casts, const View<bf16>& operand, bool is_read)
      : to_bf16_(casts.to_bf16), operand_(operand) {
    if (operand.empty()) {
      view_.layout = operand.layout;  // of no elements, but perhaps of some axes
      return;
    }
    const Layout dense = dense_like(operand.layout);
    storage_ = Storage::allocate(static_cast<std::size_t>(dense.numel()) * sizeof(float), cpu);
    view_ = {static_cast<float*>(storage_.data()), dense};
    if (is_read) {
      casts.to_float(DType::bf16, View<const void>(operand.data, operand.layout), view_);
    }
  }

  decltype(Casts::to_bf16) to_bf16_;
  View<bf16> operand_;
  Storage storage_;
  View<float> view_;
};

/// An argument that is of no bf16.
template <class Argument>
class AsItIs {
 public:
  AsItIs(const Casts& /*casts*/, const Argument& argument) : argument_(argument) {}
  [[nodiscard]] const Argument& get() const { return argument_; }
  void finish() {}

 private:
  const Argument& argument_;
};

namespace detail {
template <class Argument>
struct WidenedOf : std::type_identity<AsItIs<Argument>> {};
template <>
struct WidenedOf<View<const bf16>> : std::type_identity<FloatCopy> {};
template <>
struct WidenedOf<View<bf16>> : std::type_identity<FloatResult> {};
template <>
struct WidenedOf<InOut> : std::type_identity<FloatResult> {};
}  // namespace detail

/// An argument of a kernel of bf16 as the kernel of floats takes it.
template <class Argument>
using Widened = typename detail::WidenedOf<Argument>::type;

/// Calls the kernel of floats with these, which then become their operands' elements.
template <class Function, class... Operands>
void run_widened(Function* kernel, Operands&&... widened) {
  kernel(widened.get()...);
  (widened.finish(), ...);
}
/// The same with arguments to be widened.
template <class Tables, class Function, class... Arguments>
void run(Function* KernelTable<float>::*entry, const Arguments&... arguments) {
  const Casts casts = casts_of<Tables>();
  run_widened(Tables::of_float().*entry, Widened<Arguments>(casts, arguments)...);
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
    part.data = whole.data + cut(whole.layout, part.layout);
    return part;
  }

 private:
  /// Sets the part's layout; returns the offset of its first element.
  [[gnu::noinline]] std::int64_t cut(const Layout& whole, Layout& part) const {
    std::int64_t offset = first * whole.stride(axis);
    for (int i = 0; i < axis; ++i) {
      offset += index[i] * whole.stride(i);
    }
    for (int i = axis; i < whole.rank(); ++i) {
      part.shape.push_back(i == axis ? count : whole.shape[i]);
      part.strides[static_cast<std::size_t>(i - axis)] = whole.stride(i);
    }
    return offset;
  }
};

namespace detail {

/// Parts that cover operands of a shape, by number.
struct Parts {
  std::int64_t number = 0;  // of parts
  std::int64_t grain = 1;   // how many are worth a thread
  int axis = -1;
  std::int64_t count = 0, pieces = 1;  // of the axis: positions in a part, parts

  [[gnu::noinline]] Parts(const Shape& shape, int kept) {
    constexpr std::int64_t elements = 8192;  // 32 KiB of floats for each operand
    const int cut = shape.rank() - kept;
    if (shape.numel() == 0) {
      return;
    }
    number = 1;
    if (cut == 0) {
      return;
    }
    std::int64_t inner = shape.numel();
    while (axis < 0 || (inner > elements && axis + 1 < cut)) {
      inner /= shape[++axis];
    }
    count = std::clamp<std::int64_t>(elements / inner, 1, shape[axis]);
    pieces = (shape[axis] + count - 1) / count;
    number = pieces;
    for (int i = 0; i < axis; ++i) {
      number *= shape[i];
    }
    grain = std::max<std::int64_t>(1, 4 * elements / (count * inner));
  }

  [[nodiscard, gnu::noinline]] Part part(const Shape& shape, std::int64_t i) const {
    Part part;
    part.axis = axis;
    if (axis < 0) {
      return part;
    }
    part.first = i % pieces * count;
    part.count = std::min(count, shape[axis] - part.first);
    std::int64_t rest = i / pieces;
    for (int outer = axis - 1; outer >= 0; --outer) {
      part.index[outer] = rest % shape[outer];
      rest /= shape[outer];
    }
    return part;
  }
};

/// call(f, part) for each part.
template <class Tables>
[[gnu::noinline]] void for_parts(const Shape& shape, int kept, const void* f,
                                 void (*call)(const void*, const Part&)) {
  const Parts parts(shape, kept);
  Tables::parallel_for(0, parts.number, parts.grain, [&](std::int64_t lo, std::int64_t hi) {
    for (std::int64_t i = lo; i < hi; ++i) {
      call(f, parts.part(shape, i));
    }
  });
}

}  // namespace detail

/// Calls f(part) for parts that cover operands of this shape, small enough that their floats stay
/// in a cache. The last `kept` axes are in no part cut, and f is called once for all if there are
/// no others.
template <class Tables, class F>
void for_parts(const Shape& shape, int kept, const F& f) {
  detail::for_parts<Tables>(shape, kept, &f, [](const void* function, const Part& part) {
    (*static_cast<const F*>(function))(part);
  });
}

}  // namespace ldlm::bf16_backend
