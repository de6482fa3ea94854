#pragma once
// Whether views lie on one another in memory. An op that writes into a tensor it was given must
// know: with overlapping operands its result would depend on the order in which elements are done,
// and so on the vector width and the threads.

#include <cstddef>
#include <cstdint>

#include <ldlm/core/view.hpp>

namespace ldlm::detail {

/// Of numbers that are not negative. (<numeric> and <algorithm> take long to compile.)
constexpr std::int64_t greatest_divisor(std::int64_t a, std::int64_t b) {
  while (b != 0) {
    a %= b;
    std::swap(a, b);
  }
  return a;
}
constexpr std::int64_t smaller_of(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
constexpr std::int64_t larger_of(std::int64_t a, std::int64_t b) {
  return a > b ? a : b;
}

/// Sums of steps through memory: c0 x0 + c1 x1 + ... with whole 0 <= x <= limit, each c positive.
class StepSums {
 public:
  /// Adds a term. (Of one with c < 0, c (limit - x) is taken: the caller shifts what it looks for.)
  void add(std::int64_t step, std::int64_t limit) {
    const std::int64_t size = step < 0 ? -step : step;
    if (size == 0 || limit == 0) {
      return;
    }
    std::size_t at = 0;  // in falling order of size
    while (at < count_ && steps_[at] > size) {
      ++at;
    }
    if (at < count_ && steps_[at] == size) {
      limits_[at] += limit;
      return;
    }
    for (std::size_t i = count_++; i > at; --i) {
      steps_[i] = steps_[i - 1];
      limits_[i] = limits_[i - 1];
    }
    steps_[at] = size;
    limits_[at] = limit;
  }
  /// Whether one of the sums is `target`: a bounded linear Diophantine equation. Strides of one
  /// array are nested, which leaves a choice of a few x at each step.
  [[nodiscard]] bool reach(std::int64_t target) {
    std::int64_t most = 0;
    std::int64_t divisor = 0;
    for (std::size_t i = count_; i-- > 0;) {
      most_[i] = most += steps_[i] * limits_[i];
      divisor_[i] = divisor = greatest_divisor(divisor, steps_[i]);
    }
    return reach(0, target);
  }

 private:
  [[nodiscard]] bool reach(std::size_t term, std::int64_t target) const {
    if (target == 0) {
      return true;
    }
    if (term == count_ || target < 0 || target > most_[term] || target % divisor_[term] != 0) {
      return false;
    }
    if (term + 1 == count_) {
      return true;  // a multiple of the last step, and not too large
    }
    const std::int64_t step = steps_[term];
    const std::int64_t rest = most_[term + 1];
    const std::int64_t least = target > rest ? (target - rest - 1) / step + 1 : 0;
    std::int64_t x = smaller_of(limits_[term], target / step);
    if (term + 2 == count_) {  // beyond a period of the last step remainders repeat
      const std::int64_t period = steps_[term + 1] / divisor_[term];
      return search(term, target, x, larger_of(least, x - period + 1));
    }
    return search(term, target, x, least);
  }
  [[nodiscard]] bool search(std::size_t term, std::int64_t target, std::int64_t x,
                            std::int64_t least) const {
    for (; x >= least; --x) {
      if (reach(term + 1, target - x * steps_[term])) {
        return true;
      }
    }
    return false;
  }

  static constexpr std::size_t most_terms = 2 * max_rank;
  std::size_t count_ = 0;
  std::array<std::int64_t, most_terms> steps_{}, limits_{};
  // Of the terms from i on: their largest sum, and what divides all of their sums.
  std::array<std::int64_t, most_terms> most_{}, divisor_{};
};

/// Whether two indices of a layout are one element, as after expand().
[[nodiscard]] inline bool overlaps_itself(const Layout& layout) {
  if (layout.numel() == 0) {
    return false;
  }
  // Mostly each step is longer than all that the axes behind it span.
  bool nested = true;
  std::int64_t span = 0;
  for (int axis = layout.rank() - 1; axis >= 0 && nested; --axis) {
    nested = layout.shape[axis] == 1 || layout.stride(axis) > span;
    span += (layout.shape[axis] - 1) * layout.stride(axis);
  }
  if (nested) {
    return false;
  }
  // Two indices that first differ on `axis`, by 1 + x there and by any amount on the axes behind.
  for (int axis = 0; axis < layout.rank(); ++axis) {
    if (layout.shape[axis] == 1) {
      continue;
    }
    StepSums differences;
    const std::int64_t first = layout.stride(axis);
    std::int64_t target = -first;
    const auto add = [&](std::int64_t step, std::int64_t limit) {
      differences.add(step, limit);
      target += step < 0 ? -step * limit : 0;
    };
    add(first, layout.shape[axis] - 2);
    for (int i = axis + 1; i < layout.rank(); ++i) {
      const std::int64_t limit = layout.shape[i] - 1;
      add(layout.stride(i), 2 * limit);
      target += layout.stride(i) * limit;
    }
    if (differences.reach(target)) {
      return true;
    }
  }
  return false;
}

enum class Overlap : std::uint8_t { none, same, partial };

/// First and last byte of a view that has elements, relative to its data.
struct ByteRange {
  std::int64_t first = 0, last = 0;
};
inline ByteRange byte_range(const Layout& layout, std::int64_t element_size) {
  ByteRange range{0, element_size - 1};
  for (int i = 0; i < layout.rank(); ++i) {
    const std::int64_t reach = (layout.shape[i] - 1) * layout.stride(i) * element_size;
    (reach < 0 ? range.first : range.last) += reach;
  }
  return range;
}

/// How two views lie to each other, the second `distance` bytes after the first: apart, being the
/// very same elements in the same order, or anything else.
[[nodiscard]] inline Overlap overlap_of(const Layout& a, std::int64_t a_size, const Layout& b,
                                        std::int64_t b_size, std::int64_t distance) {
  if (a.numel() == 0 || b.numel() == 0) {
    return Overlap::none;
  }
  const ByteRange x = byte_range(a, a_size);
  const ByteRange y = byte_range(b, b_size);
  if (x.last < y.first + distance || y.last + distance < x.first) {
    return Overlap::none;
  }
  if (a_size != b_size || distance % a_size != 0) {
    return Overlap::partial;
  }
  bool same = distance == 0 && a.shape == b.shape;
  for (int i = 0; i < a.rank() && same; ++i) {
    same = a.shape[i] == 1 || a.stride(i) == b.stride(i);
  }
  if (same) {
    return Overlap::same;
  }
  // Is there an element at a's offset = b's offset + distance?
  StepSums sums;
  std::int64_t target = distance / a_size;
  const auto add = [&](std::int64_t step, std::int64_t limit) {
    sums.add(step, limit);
    target += step < 0 ? -step * limit : 0;
  };
  for (int i = 0; i < a.rank(); ++i) {
    add(a.stride(i), a.shape[i] - 1);
  }
  for (int i = 0; i < b.rank(); ++i) {
    add(-b.stride(i), b.shape[i] - 1);
  }
  return sums.reach(target) ? Overlap::partial : Overlap::none;
}

template <class T, class U>
[[nodiscard]] Overlap overlap_of(const View<T>& a, const View<U>& b) {
  const auto distance = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(b.data) -
                                                  reinterpret_cast<std::uintptr_t>(a.data));
  return overlap_of(a.layout, sizeof(T), b.layout, sizeof(U), distance);
}

inline std::string describe(const Layout& layout) {
  const Shape strides(std::span<const std::int64_t>(layout.strides.data(),
                                                    static_cast<std::size_t>(layout.rank())));
  return to_string(layout.shape) + " with strides " + to_string(strides);
}

/// What check_in_place and check_into say of one operand.
template <class T, class U>
void check_operand(std::string_view op, bool may_be_same, const View<T>& out, const View<U>& in) {
  const Overlap overlap = overlap_of(out, in);
  LDLM_CHECK_SHAPE(overlap == Overlap::none || (overlap == Overlap::same && may_be_same), op,
                   "what it reads, ", describe(in.layout), ", overlaps what it writes, ",
                   describe(out.layout), ", in memory; clone() it first");
}

/// Of every op that writes into a tensor it was given: throws, with the layouts, if an element of
/// `out` would be written twice.
template <class T>
void check_writable(std::string_view op, const View<T>& out) {
  LDLM_CHECK_SHAPE(!overlaps_itself(out.layout), op, "cannot write into ", describe(out.layout),
                   ", where elements share memory; clone() it first");
}
/// Of ops that make element i of `out` from element i of each operand (all of one shape), which may
/// therefore be the very same view as `out`, but must not overlap it otherwise.
template <class T, class... In>
void check_in_place(std::string_view op, const View<T>& out, const View<In>&... in) {
  check_writable(op, out);
  (check_operand(op, true, out, in), ...);
}
/// Of ops that read their operands in another order: none may overlap `out`.
template <class T, class... In>
void check_into(std::string_view op, const View<T>& out, const View<In>&... in) {
  check_writable(op, out);
  (check_operand(op, false, out, in), ...);
}

}  // namespace ldlm::detail
