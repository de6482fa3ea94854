#pragma once
// Elementwise kernels over any views. A kernel knows contiguous runs only: long lines are such
// runs, and short or scattered ones are gathered into them, many lines at a time.

#include <tuple>

#include <ldlm_simd/loops.hpp>
#include <ldlm_simd/tile.hpp>

namespace ldlm::simd {

/// Calls kernel(n, y, x...) on contiguous runs that cover all elements of the views.
template <class Arch, class Kernel, class Out, class... In>
class Map {
  static constexpr std::size_t operands = 1 + sizeof...(In);
  static constexpr std::int64_t capacity = 1024;  // elements of a buffer
  static constexpr auto each = std::index_sequence_for<In...>{};
  using Walk = Loops<operands, Arch>;
  using Offsets = typename Walk::Offsets;

 public:
  Map(std::int64_t grain, const Kernel& kernel, const View<Out>& out, const View<const In>&... in)
      : kernel_(kernel),
        out_(out.data),
        in_(in.data...),
        loops_(order(out.shape(), {out.layout.strides, in.layout.strides...})) {
    contiguous_ = scattered(loops_) == 0;
    streams_ = contiguous_ && goes_past_caches<Arch>(out, in...);
    if (loops_.outer_rank() > 0 && choose_tiles()) {
      run_tiles(grain);
    } else {
      for_stretches<Arch>(loops_, grain,
                          [&](const Offsets& at, std::int64_t n) { run_stretch(at, n, each); });
    }
  }

 private:
  /// How many operands are not contiguous along the lines.
  static int scattered(const Walk& loops) {
    int count = 0;
    for (const std::int64_t step : loops.step) {
      count += step != 1 ? 1 : 0;
    }
    return count;
  }
  /// In the order of the result's memory, or of the first operand's if fewer are scattered then.
  static Walk order(const Shape& shape, const std::array<Strides, operands>& strides) {
    Walk by_result(shape, strides, 0);
    if constexpr (operands > 2) {
      if (scattered(by_result) > 1) {
        const Walk by_operand(shape, strides, 1);
        return scattered(by_operand) < scattered(by_result) ? by_operand : by_result;
      }
    }
    return by_result;
  }

  // (Out of line: a kernel's loop is compiled once.)
  [[gnu::noinline]] void run(std::int64_t n, Out* y, const In*... x) const { kernel_(n, y, x...); }

  // ---- Long lines. ----

  template <std::size_t... I>
  void run_stretch(const Offsets& at, std::int64_t n, std::index_sequence<I...>) {
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

  // ---- Short or scattered lines: tiles of `rows_` lines of `columns_` elements are one run. ----

  /// Whether tiles are worth it; takes the axis that their rows are stepped along out of the loops.
  bool choose_tiles() {
    constexpr std::int64_t short_line = 64, square = 32;
    std::size_t axis = loops_.outer_rank() - 1;
    bool crossing = false;  // an operand is contiguous across the lines
    for (std::size_t k = 0; k < operands; ++k) {
      for (std::size_t i = 0; i < loops_.outer_rank() && loops_.step[k] > 1 && !crossing; ++i) {
        if (loops_.axis(i).step[k] == 1 && loops_.axis(i).extent >= 8) {
          axis = i;
          crossing = true;
        }
      }
    }
    if (loops_.length > (streams_      ? capacity / 2
                         : contiguous_ ? short_line
                                       : capacity / 4) &&
        !crossing) {
      return false;
    }
    for (std::size_t i = 0; i < loops_.outer_rank() && !crossing; ++i) {
      if (loops_.axis(axis).extent * loops_.length < capacity / 4 &&
          loops_.axis(i).extent > loops_.axis(axis).extent) {
        axis = i;
      }
    }
    across_ = loops_.take_axis(axis);
    columns_ = loops_.length <= (crossing ? short_line : capacity) ? loops_.length : square;
    rows_ = std::min(across_.extent, capacity / columns_);
    if (rows_ > 16) {
      rows_ -= rows_ % 16;  // whole cache lines
    }
    return true;
  }

  void run_tiles(std::int64_t grain) {
    const std::int64_t bands = (across_.extent + rows_ - 1) / rows_;
    const std::int64_t pieces = (loops_.length + columns_ - 1) / columns_;
    parallel_for(0, loops_.lines * bands * pieces,
                 std::max<std::int64_t>(1, grain / (rows_ * columns_)),
                 [&](std::int64_t lo, std::int64_t hi) {
                   Tile<Out, capacity, Arch> y;
                   std::tuple<Tile<In, capacity, Arch>...> x;
                   for (std::int64_t task = lo; task < hi; ++task) {
                     auto at = loops_.at(task / pieces / bands).offsets;
                     const std::int64_t row = task / pieces % bands * rows_;
                     const std::int64_t column = task % pieces * columns_;
                     for (std::size_t k = 0; k < operands; ++k) {
                       at[k] += row * across_.step[k] + column * loops_.step[k];
                     }
                     run_tile(at, std::min(rows_, across_.extent - row),
                              std::min(columns_, loops_.length - column), y, x, each);
                   }
                   finish_streaming<Arch>();
                 });
  }
  template <std::size_t... I>
  void run_tile(const Offsets& at, std::int64_t rows, std::int64_t columns,
                Tile<Out, capacity, Arch>& y, std::tuple<Tile<In, capacity, Arch>...>& x,
                std::index_sequence<I...>) {
    const auto steps = [&](std::size_t k) {
      return TileSteps{across_.step[k], loops_.step[k], rows, columns};
    };
    Out* const target = out_ + at[0];
    const bool in_place = Tile<Out, capacity, Arch>::in_place(steps(0));
    const TileRows<Out> to = in_place && !streams_ ? TileRows<Out>{target, across_.step[0]}
                                                   : TileRows<Out>{y.data(), columns};
    [[maybe_unused]] const auto from =
        std::make_tuple(std::get<I>(x).rows(std::get<I>(in_) + at[I + 1], steps(I + 1))...);
    if (to.step == columns && (... && (std::get<I>(from).step == columns))) {
      run(rows * columns, to.first, std::get<I>(from).first...);
    } else {
      for (std::int64_t i = 0; i < rows; ++i) {
        run(columns, to.first + i * to.step,
            (std::get<I>(from).first + i * std::get<I>(from).step)...);
      }
    }
    if constexpr (std::is_floating_point_v<Out>) {
      if (streams_ && steps(0).one_run()) {
        stream<Out, Arch>(rows * columns, y.data(), target);
        return;
      }
    }
    if (to.first != target) {
      y.scatter(target, steps(0));
    }
  }

  const Kernel& kernel_;
  Out* out_;
  std::tuple<const In*...> in_;
  Walk loops_;
  typename Walk::Axis across_{};
  std::int64_t rows_ = 1, columns_ = 1;
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
