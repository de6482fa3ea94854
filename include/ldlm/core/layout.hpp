#pragma once
// Shape and Layout: index arithmetic in one small, trivially copyable place.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ldlm/core/error.hpp>

namespace ldlm {

inline constexpr int max_rank = 6;

/// Extents of up to six axes, stored inline. Rank 0 is a scalar (one element).
class Shape {
 public:
  constexpr Shape() = default;
  constexpr Shape(std::initializer_list<std::int64_t> dims)
      : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(const std::vector<std::int64_t>& dims)
      : Shape(std::span<const std::int64_t>(dims)) {}
  explicit constexpr Shape(std::span<const std::int64_t> dims) {
    LDLM_CHECK_SHAPE(dims.size() <= max_rank, "Shape", "at most ", max_rank, " axes, got ",
                     dims.size());
    for (const std::int64_t dim : dims) {
      LDLM_CHECK_SHAPE(dim >= 0, "Shape", "negative extent ", dim, " on axis ", rank_);
      dims_[static_cast<std::size_t>(rank_++)] = dim;
    }
    check_numel();
  }

  [[nodiscard]] constexpr int rank() const { return rank_; }
  /// Number of elements: the product of the extents, 1 for a scalar.
  [[nodiscard]] constexpr std::int64_t numel() const {
    std::int64_t n = 1;
    for (const std::int64_t dim : *this) {
      n *= dim;
    }
    return n;
  }
  /// Extent of an axis; unchecked, 0 <= axis < rank.
  constexpr std::int64_t operator[](int axis) const {
    return dims_[static_cast<std::size_t>(axis)];
  }
  constexpr std::int64_t& operator[](int axis) { return dims_[static_cast<std::size_t>(axis)]; }
  [[nodiscard]] constexpr std::int64_t back() const { return (*this)[rank_ - 1]; }

  constexpr void push_back(std::int64_t dim) {
    LDLM_CHECK_SHAPE(rank_ < max_rank, "Shape", "at most ", max_rank, " axes");
    dims_[static_cast<std::size_t>(rank_++)] = dim;
    check_numel();
  }
  constexpr void erase(int axis) {
    for (int i = axis; i + 1 < rank_; ++i) {
      (*this)[i] = (*this)[i + 1];
    }
    (*this)[--rank_] = 0;
  }
  constexpr void insert(int axis, std::int64_t dim) {
    push_back(dim);
    for (int i = rank_ - 1; i > axis; --i) {
      std::swap((*this)[i], (*this)[i - 1]);
    }
  }

  [[nodiscard]] constexpr const std::int64_t* begin() const { return dims_.data(); }
  [[nodiscard]] constexpr const std::int64_t* end() const { return dims_.data() + rank_; }
  [[nodiscard]] std::vector<std::int64_t> to_vector() const { return {begin(), end()}; }
  friend constexpr bool operator==(const Shape&, const Shape&) = default;

 private:
  constexpr void check_numel() const {
    std::int64_t n = 1;
    for (const std::int64_t dim : *this) {
      LDLM_CHECK_SHAPE(!__builtin_mul_overflow(n, dim, &n), "Shape",
                       "more than 2^63 - 1 elements with an extent of ", dim);
    }
  }

  std::array<std::int64_t, max_rank> dims_{};
  int rank_ = 0;
};

using Strides = std::array<std::int64_t, max_rank>;

/// "(4, 768)", as every error message prints a shape.
inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int i = 0; i < shape.rank(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + (shape.rank() == 1 ? ",)" : ")");
}
/// (A template, so that this header needs no streams.)
template <class Traits>
std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& stream,
                                             const Shape& shape) {
  return stream << to_string(shape);
}

/// Strides of a row-major array of this shape, in elements.
constexpr Strides row_major_strides(const Shape& shape) {
  Strides strides{};
  std::int64_t step = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[static_cast<std::size_t>(i)] = step;
    step *= shape[i];
  }
  return strides;
}

/// Where element (i0, i1, ...) lies: offset + sum(i * stride), in elements. A stride of 0 repeats.
struct Layout {
  Shape shape;
  Strides strides{};
  std::int64_t offset = 0;

  constexpr Layout() = default;
  explicit constexpr Layout(const Shape& s) : shape(s), strides(row_major_strides(s)) {}
  constexpr Layout(const Shape& s, const Strides& st, std::int64_t off)
      : shape(s), strides(st), offset(off) {}

  [[nodiscard]] constexpr int rank() const { return shape.rank(); }
  [[nodiscard]] constexpr std::int64_t numel() const { return shape.numel(); }
  [[nodiscard]] constexpr std::int64_t stride(int axis) const {
    return strides[static_cast<std::size_t>(axis)];
  }
  /// Row-major without gaps; axes of extent 1 may have any stride.
  [[nodiscard]] constexpr bool is_contiguous() const {
    std::int64_t step = 1;
    for (int i = rank() - 1; i >= 0; --i) {
      if (shape[i] != 1 && stride(i) != step) {
        return numel() == 0;
      }
      step *= shape[i];
    }
    return true;
  }
};
static_assert(std::is_trivially_copyable_v<Layout>);

/// Without gaps, the axes in memory in the order of `like`'s: the smaller its stride, the further
/// inside. Row-major where `like` repeats elements, which leaves the order open.
constexpr Layout dense_like(const Layout& like) {
  Layout out(like.shape);
  std::array<std::int64_t, max_rank> distances{};
  for (int i = 0; i < like.rank(); ++i) {
    const std::int64_t distance = like.stride(i) < 0 ? -like.stride(i) : like.stride(i);
    if (distance == 0 && like.shape[i] > 1) {
      return out;
    }
    distances[static_cast<std::size_t>(i)] = like.shape[i] > 1 ? distance : 0;
  }
  if (like.is_contiguous()) {
    return out;
  }
  std::int64_t step = 1;
  std::array<bool, max_rank> placed{};
  for (int i = 0; i < like.rank(); ++i) {
    std::size_t inner = max_rank;
    for (auto axis = static_cast<std::size_t>(like.rank()); axis-- > 0;) {
      if (!placed[axis] && (inner == max_rank || distances[axis] < distances[inner])) {
        inner = axis;
      }
    }
    placed[inner] = true;
    out.strides[inner] = step;
    step *= like.shape[static_cast<int>(inner)];
  }
  return out;
}

/// Axis in [0, rank), where a negative one counts from the end. Throws when out of range.
constexpr int normalize_axis(int axis, int rank, std::string_view op) {
  LDLM_CHECK_INDEX(axis >= -rank && axis < rank, op, "axis ", axis, " is out of range for rank ",
                   rank);
  return axis < 0 ? axis + rank : axis;
}

/// Whether broadcasting can make the one shape the other.
constexpr bool broadcasts_to(const Shape& from, const Shape& to) noexcept {
  const int shift = to.rank() - from.rank();
  for (int i = 0; i < from.rank() && shift >= 0; ++i) {
    if (from[i] != 1 && from[i] != to[i + shift]) {
      return false;
    }
  }
  return shift >= 0;
}

/// NumPy's rule: align at the right, extents must agree or be 1. Throws with both shapes.
constexpr Shape broadcast_shapes(const Shape& a, const Shape& b, std::string_view op) {
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  Shape out = longer;
  const int shift = longer.rank() - shorter.rank();
  for (int i = 0; i < shorter.rank(); ++i) {
    const std::int64_t x = longer[i + shift];
    const std::int64_t y = shorter[i];
    LDLM_CHECK_SHAPE(x == y || x == 1 || y == 1, op, "shapes do not broadcast: ", to_string(a),
                     " and ", to_string(b));
    out[i + shift] = x == 1 ? y : x;
  }
  return out;
}

/// The same elements seen with a larger shape: broadcast axes get stride 0. Throws with both
/// shapes.
constexpr Layout broadcast_to(const Layout& layout, const Shape& shape, std::string_view op) {
  Layout out(shape, {}, layout.offset);
  const int shift = shape.rank() - layout.rank();
  LDLM_CHECK_SHAPE(shift >= 0, op, "cannot broadcast ", to_string(layout.shape), " to ",
                   to_string(shape));
  for (int i = 0; i < layout.rank(); ++i) {
    LDLM_CHECK_SHAPE(layout.shape[i] == shape[i + shift] || layout.shape[i] == 1, op,
                     "cannot broadcast ", to_string(layout.shape), " to ", to_string(shape));
    out.strides[static_cast<std::size_t>(i + shift)] = layout.shape[i] == 1 ? 0 : layout.stride(i);
  }
  return out;
}

}  // namespace ldlm
