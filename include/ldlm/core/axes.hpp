#pragma once
// Axes: the set of axes that a reduction runs over.

#include <cstdint>
#include <initializer_list>

#include <ldlm/core/layout.hpp>

namespace ldlm {

/// One axis, several `{0, 2}`, or `all_axes`. Negative ones count from the end.
class Axes {
 public:
  Axes(int axis) : Axes({axis}) {}  // NOLINT(google-explicit-constructor): sum(x, 1)
  Axes(std::initializer_list<int> axes) {
    LDLM_CHECK_INDEX(axes.size() <= max_rank, "axes", "at most ", max_rank, " axes");
    for (const int axis : axes) {
      axes_[static_cast<std::size_t>(count_++)] = axis;
    }
  }
  static Axes all() {
    Axes axes{};
    axes.all_ = true;
    return axes;
  }

  /// Bit i is set if axis i is meant. Throws on an axis out of range or named twice.
  [[nodiscard]] unsigned mask(int rank, std::string_view op) const {
    if (all_) {
      return (1U << rank) - 1U;
    }
    unsigned bits = 0;
    for (int i = 0; i < count_; ++i) {
      const unsigned bit = 1U << normalize_axis(axes_[static_cast<std::size_t>(i)], rank, op);
      LDLM_CHECK_INDEX((bits & bit) == 0, op, "axis ", axes_[static_cast<std::size_t>(i)],
                       " is named twice");
      bits |= bit;
    }
    return bits;
  }

 private:
  std::array<int, max_rank> axes_{};
  int count_ = 0;
  bool all_ = false;
};

inline const Axes all_axes = Axes::all();

/// `shape` with extent 1 on the axes of the mask, or without them.
constexpr Shape reduced_shape(const Shape& shape, unsigned mask, bool keep) {
  Shape out;
  for (int i = 0; i < shape.rank(); ++i) {
    const bool reduced = (mask >> i & 1U) != 0;
    if (!reduced || keep) {
      out.push_back(reduced ? 1 : shape[i]);
    }
  }
  return out;
}

}  // namespace ldlm
