#pragma once
// Loops over several strided views at once. Axes are first put in the order of memory and merged,
// so that most calls end as one contiguous run, split over threads in pieces of fixed size.

#include <array>
#include <tuple>

#include <ldlm_simd/cache_info.hpp>
#include <ldlm_simd/thread_pool.hpp>
#include <ldlm_simd/vector.hpp>

namespace ldlm::simd {

/// Elements of cheap work (a copy, an addition) worth a thread's while; dearer kernels divide it.
inline constexpr std::int64_t cheap_grain = 32768;

/// The common index space of N views: `lines` runs of `length` elements, and where they lie.
template <std::size_t N, class Arch>
class Loops {
 public:
  using Offsets = std::array<std::int64_t, N>;

  std::int64_t length = 1;  // of the innermost axis
  Offsets step{};           // of each view along it
  std::int64_t lines = 1;   // how many there are

  /// Walks `shape` in the order of memory of view number `leader`.
  Loops(const Shape& shape, const std::array<Strides, N>& strides, std::size_t leader) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] != 1) {
        insert(shape[axis], strides, static_cast<std::size_t>(axis), leader);
      }
    }
    merge();
    if (rank_ > 0) {
      --rank_;
      length = shape_[rank_];
      step = strides_[rank_];
    }
    for (std::size_t i = 0; i < rank_; ++i) {
      lines *= shape_[i];
    }
  }

  /// An axis outside the lines, and the steps of each view along it.
  struct Axis {
    std::int64_t extent;
    Offsets step;
  };
  [[nodiscard]] std::size_t outer_rank() const { return rank_; }
  [[nodiscard]] Axis axis(std::size_t i) const { return {shape_[i], strides_[i]}; }
  /// Takes that axis out, to be walked by the caller.
  Axis take_axis(std::size_t i) {
    const Axis taken = axis(i);
    lines /= taken.extent;
    for (--rank_; i < rank_; ++i) {
      shape_[i] = shape_[i + 1];
      strides_[i] = strides_[i + 1];
    }
    return taken;
  }

  /// Puts the longest axis inside where the innermost one is shorter than `enough`: whatever is
  /// done once for each line would otherwise count more than its elements.
  void lengthen(std::int64_t enough = 32) {
    std::size_t longest = rank_;
    for (std::size_t i = 0; i < rank_ && length < enough; ++i) {
      if (shape_[i] > (longest < rank_ ? shape_[longest] : length)) {
        longest = i;
      }
    }
    if (longest < rank_) {
      std::swap(length, shape_[longest]);
      std::swap(step, strides_[longest]);
      lines = 1;
      for (std::size_t i = 0; i < rank_; ++i) {
        lines *= shape_[i];
      }
    }
  }

  /// A line, and where it starts in each view.
  struct Cursor {
    Offsets offsets{};
    std::array<std::int64_t, max_rank> index{};
  };
  [[nodiscard]] Cursor at(std::int64_t line) const {
    Cursor cursor;
    if (rank_ > 0) {
      move(cursor, line);
    }
    return cursor;
  }
  void advance(Cursor& cursor) const {
    for (std::size_t axis = rank_; axis-- > 0;) {
      const bool within = ++cursor.index[axis] < shape_[axis];
      const std::int64_t move = within ? 1 : 1 - shape_[axis];
      for (std::size_t k = 0; k < N; ++k) {
        cursor.offsets[k] += move * strides_[axis][k];
      }
      if (within) {
        return;
      }
      cursor.index[axis] = 0;
    }
  }

 private:
  // Keeps the leader's larger strides outside; equal ones keep their order.
  void insert(std::int64_t extent, const std::array<Strides, N>& strides, std::size_t axis,
              std::size_t leader) {
    std::size_t at = rank_++;
    for (; at > 0 && strides_[at - 1][leader] < strides[leader][axis]; --at) {
      shape_[at] = shape_[at - 1];
      strides_[at] = strides_[at - 1];
    }
    shape_[at] = extent;
    for (std::size_t k = 0; k < N; ++k) {
      strides_[at][k] = strides[k][axis];
    }
  }
  // Of a cursor at the first line. (Out of line: every loop begins with it, and they are many.)
  [[gnu::noinline]] void move(Cursor& cursor, std::int64_t line) const {
    for (std::size_t axis = rank_; axis-- > 0;) {
      cursor.index[axis] = line % shape_[axis];
      line /= shape_[axis];
      for (std::size_t k = 0; k < N; ++k) {
        cursor.offsets[k] += cursor.index[axis] * strides_[axis][k];
      }
    }
  }
  // Two neighbours are one axis if stepping off the inner one's end is a step of the outer one.
  void merge() {
    std::size_t kept = 0;
    for (std::size_t axis = 1; axis < rank_; ++axis) {
      bool follows = true;
      for (std::size_t k = 0; k < N; ++k) {
        follows = follows && strides_[kept][k] == strides_[axis][k] * shape_[axis];
      }
      if (follows) {
        shape_[kept] *= shape_[axis];
      } else {
        shape_[++kept] = shape_[axis];
      }
      strides_[kept] = strides_[axis];
    }
    rank_ = rank_ > 0 ? kept + 1 : 0;
  }

  std::size_t rank_ = 0;  // of the axes outside the innermost, once constructed
  std::array<std::int64_t, max_rank> shape_{};
  std::array<Offsets, max_rank> strides_{};
};

/// Calls body(offsets, n) in parallel for contiguous stretches of all lines: long lines are cut at
/// multiples of `grain` elements.
template <class Arch, std::size_t N, class Body>
void for_stretches(const Loops<N, Arch>& loops, std::int64_t grain, const Body& body) {
  const std::int64_t piece = loops.length <= 2 * grain ? loops.length : grain;
  const std::int64_t pieces = (loops.length + piece - 1) / piece;
  const std::int64_t together = std::max<std::int64_t>(1, grain / piece);
  parallel_for(0, loops.lines * pieces, together, [&](std::int64_t lo, std::int64_t hi) {
    auto cursor = loops.at(lo / pieces);
    std::int64_t first = lo % pieces * piece;
    for (std::int64_t i = lo; i < hi; ++i) {
      auto offsets = cursor.offsets;
      for (std::size_t k = 0; k < N; ++k) {
        offsets[k] += first * loops.step[k];
      }
      body(offsets, std::min(piece, loops.length - first));
      first += piece;
      if (first >= loops.length) {
        first = 0;
        loops.advance(cursor);
      }
    }
    finish_streaming<Arch>();  // of results that went past the caches
  });
}

/// Whether a result whose runs are contiguous should be written past the caches: it is larger than
/// they are, and no operand.
template <class Arch, class Out, class... In>
bool goes_past_caches(const View<Out>& out, const View<const In>&... in) {
  if constexpr (std::is_floating_point_v<Out>) {
    const auto apart = [&](const void* x) { return x != out.data; };
    return out.numel() * static_cast<std::int64_t>(sizeof(Out)) > 4 * cache_sizes().l2 &&
           (... && apart(in.data));
  }
  return false;
}
/// The same of a result that is written row by row.
template <class Arch, class Out, class... In>
bool rows_go_past_caches(const View<Out>& out, const View<const In>&... in) {
  return has_special_loops<Out> && goes_past_caches<Arch>(out, in...) &&
         out.layout.stride(out.shape().rank() - 1) == 1;
}

/// Calls body(p...) in parallel for every row of views (..., C), with pointers to their rows; of
/// views (...) to their elements. Absent views yield null. `grain`: rows worth a thread's while.
template <class Arch, class Body, class... T>
void for_rows(const Shape& rows, std::int64_t grain, const Body& body, const View<T>&... views) {
  if (rows.numel() == 0) {
    return;
  }
  const Loops<sizeof...(T), Arch> loops(rows,
                                        {(views.empty() ? Strides{} : views.layout.strides)...}, 0);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    parallel_for(0, loops.lines * loops.length, grain, [&](std::int64_t lo, std::int64_t hi) {
      auto cursor = loops.at(lo / loops.length);
      std::int64_t i = lo % loops.length;
      for (std::int64_t row = lo; row < hi; ++row) {
        body((views.data + (cursor.offsets[I] + i * loops.step[I]))...);
        if (++i == loops.length) {
          i = 0;
          loops.advance(cursor);
        }
      }
      finish_streaming<Arch>();  // of rows that went past the caches
    });
  }
  (std::index_sequence_for<T...>{});
}

/// y[i] = f(i) in blocks of a constant number of iterations, which compilers turn into vectors of
/// mixed element sizes better than a vector library can say it.
template <class Arch, class Y, class F>
void block_loop(std::int64_t n, Y* y, F&& f) {
  constexpr std::int64_t block = 64;
  std::int64_t i = 0;
  for (; i + block <= n; i += block) {
    Y out[block];
    for (std::int64_t j = 0; j < block; ++j) {
      out[j] = f(i + j);
    }
    std::memcpy(y + i, out, sizeof(out));
  }
  for (; i < n; ++i) {
    y[i] = f(i);
  }
}

/// Copies n elements that lie `step` apart.
template <class T, class Arch>
void pack(const T* from, std::int64_t step, T* to, std::int64_t n) {
  if (step == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
  } else {
    std::int64_t i = 0;
    for (; i + 4 <= n; i += 4) {  // (compilers do not unroll this by themselves)
      const T a = from[i * step], b = from[(i + 1) * step];
      const T c = from[(i + 2) * step], d = from[(i + 3) * step];
      to[i] = a;
      to[i + 1] = b;
      to[i + 2] = c;
      to[i + 3] = d;
    }
    for (; i < n; ++i) {
      to[i] = from[i * step];
    }
  }
}
/// n times the same element.
template <class T, class Arch>
void repeat(T value, T* to, std::int64_t n) {
  if constexpr (std::is_floating_point_v<T>) {
    transform<Arch>(
        n, [v = Batch<T, Arch>(value)] { return v; }, to);
  } else {
    std::fill(to, to + n, value);
  }
}
template <class T, class Arch>
void unpack(const T* from, T* to, std::int64_t step, std::int64_t n) {
  if (step == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
  } else {
    for (std::int64_t i = 0; i < n; ++i) {
      to[i * step] = from[i];
    }
  }
}

}  // namespace ldlm::simd
