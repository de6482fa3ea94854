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

  /// A line, and where it starts in each view.
  struct Cursor {
    Offsets offsets{};
    std::array<std::int64_t, max_rank> index{};
  };
  [[nodiscard]] Cursor at(std::int64_t line) const {
    Cursor cursor;
    for (std::size_t axis = rank_; axis-- > 0;) {
      cursor.index[axis] = line % shape_[axis];
      line /= shape_[axis];
      for (std::size_t k = 0; k < N; ++k) {
        cursor.offsets[k] += cursor.index[axis] * strides_[axis][k];
      }
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
  });
}

/// Whether a result should be written past the caches: it is larger than they are, its rows are
/// contiguous, and it is no operand.
template <class Arch, class Out, class... In>
bool goes_past_caches(const View<Out>& out, const View<const In>&... in) {
  if constexpr (std::is_floating_point_v<Out>) {
    const auto apart = [&](const void* x) { return x != out.data; };
    const auto last = static_cast<std::size_t>(out.shape().rank()) - 1;
    return out.numel() * static_cast<std::int64_t>(sizeof(Out)) > 4 * cache_sizes().l2 &&
           out.layout.strides[last] == 1 && (... && apart(in.data));
  }
  return false;
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

/// Elementwise kernels over any views: calls kernel(n, y, x...) on contiguous runs. What is not
/// contiguous goes through small buffers, so a kernel knows one kind of loop only.
template <class Arch, class Kernel, class Out, class... In>
class Map {
  static constexpr std::size_t operands = 1 + sizeof...(In);
  static constexpr std::int64_t capacity = 1024;  // elements of a buffer
  static constexpr auto each = std::index_sequence_for<In...>{};
  using Walk = Loops<operands, Arch>;

 public:
  Map(std::int64_t grain, const Kernel& kernel, const View<Out>& out, const View<const In>&... in)
      : kernel_(kernel),
        out_(out.data),
        in_(in.data...),
        loops_(out.shape(), {out.layout.strides, in.layout.strides...}, 0) {
    for (const std::int64_t step : loops_.step) {
      contiguous_ = contiguous_ && step == 1;
    }
    streams_ = contiguous_ && goes_past_caches<Arch>(out, in...);
    if (!contiguous_ && 4 * loops_.length <= capacity && loops_.lines > 1) {
      const std::int64_t group = capacity / loops_.length;
      parallel_for(0, loops_.lines, std::max<std::int64_t>(1, grain / loops_.length),
                   [&](std::int64_t lo, std::int64_t hi) {
                     auto cursor = loops_.at(lo);
                     for (std::int64_t line = lo; line < hi; line += group) {
                       run_group(cursor, std::min(group, hi - line), each);
                     }
                   });
    } else {
      for_stretches<Arch>(loops_, grain, [&](const typename Walk::Offsets& at, std::int64_t n) {
        run_stretch(at, n, each);
      });
    }
  }

 private:
  // (Out of line: a kernel's loop is compiled once.)
  [[gnu::noinline]] void run(std::int64_t n, Out* y, const In*... x) const { kernel_(n, y, x...); }

  template <std::size_t... I>
  void run_stretch(const typename Walk::Offsets& at, std::int64_t n, std::index_sequence<I...>) {
    if constexpr (std::is_floating_point_v<Out>) {
      if (streams_) {
        constexpr std::int64_t block = 128, ahead = 4 * block;
        alignas(64) Out y[block];
        for (std::int64_t first = 0; first < n; first += block) {
          const std::int64_t count = std::min(block, n - first);
          (ask_for(std::get<I>(in_) + at[I + 1] + first + ahead, block), ...);
          run(count, y, (std::get<I>(in_) + at[I + 1] + first)...);
          stream<Out, Arch>(count, y, out_ + at[0] + first);
        }
        finish_streaming<Arch>();
        return;
      }
    }
    if (contiguous_) {
      run(n, out_ + at[0], (std::get<I>(in_) + at[I + 1])...);
      return;
    }
    alignas(64) Out y[capacity];
    std::tuple<Buffer<In>...> x;
    for (std::int64_t first = 0; first < n; first += capacity) {
      const std::int64_t count = std::min(capacity, n - first);
      Out* const target = out_ + at[0] + first * loops_.step[0];
      run(count, loops_.step[0] == 1 ? target : y,
          source(std::get<I>(in_) + at[I + 1] + first * loops_.step[I + 1], loops_.step[I + 1],
                 std::get<I>(x).data, count, first)...);
      if (loops_.step[0] != 1) {
        unpack<Out, Arch>(y, target, loops_.step[0], count);
      }
    }
  }
  template <class T>
  static void ask_for(const T* from, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += 64 / static_cast<std::int64_t>(sizeof(T))) {
      prefetch(from + i);
    }
  }
  // Several short lines as one run.
  template <std::size_t... I>
  void run_group(typename Walk::Cursor& cursor, std::int64_t lines, std::index_sequence<I...>) {
    const std::int64_t n = loops_.length;
    alignas(64) Out y[capacity];
    std::tuple<Buffer<In>...> x;
    typename Walk::Cursor reader = cursor;
    for (std::int64_t line = 0; line < lines; ++line, loops_.advance(reader)) {
      (pack<In, Arch>(std::get<I>(in_) + reader.offsets[I + 1], loops_.step[I + 1],
                      std::get<I>(x).data + line * n, n),
       ...);
    }
    run(lines * n, y, std::get<I>(x).data...);
    for (std::int64_t line = 0; line < lines; ++line, loops_.advance(cursor)) {
      unpack<Out, Arch>(y + line * n, out_ + cursor.offsets[0], loops_.step[0], n);
    }
  }

  template <class T>
  struct Buffer {
    alignas(64) T data[capacity];
  };
  // The elements themselves if contiguous, else a packed copy. A repeated one is copied once.
  template <class T>
  static const T* source(const T* from, std::int64_t step, T* buffer, std::int64_t n,
                         std::int64_t first) {
    if (step == 1) {
      return from;
    }
    if (step != 0) {
      pack<T, Arch>(from, step, buffer, n);
    } else if (first == 0) {
      repeat<T, Arch>(*from, buffer, n);
    }
    return buffer;
  }

  const Kernel& kernel_;
  Out* out_;
  std::tuple<const In*...> in_;
  Walk loops_;
  bool contiguous_ = true;  // along lines
  bool streams_ = false;    // the result is too large for the caches, and no operand
};

/// Runs kernel(n, y, x...) over all elements of views of one shape, in parallel.
template <class Arch, class Kernel, class Out, class... In>
void map(std::int64_t grain, const Kernel& kernel, const View<Out>& out,
         const View<const In>&... in) {
  if (out.numel() > 0) {
    Map<Arch, Kernel, Out, In...>(grain, kernel, out, in...);
  }
}

}  // namespace ldlm::simd
