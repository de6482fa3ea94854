#pragma once
// Elementwise kernels over any views. A kernel knows contiguous runs only: long lines are such
// runs, and short or scattered ones are gathered into them, many lines at a time. How that is done
// depends on the number of operands and the sizes of their elements, so that it is compiled once
// for all kernels.

#include <array>

#include <ldlm_simd/loops.hpp>
#include <ldlm_simd/tile.hpp>

namespace ldlm::simd {

/// What a Map works on: a result and N - 1 operands, all of one shape.
template <std::size_t N>
struct MapOperands {
  std::array<std::byte*, N> data;    // of the result first
  std::array<std::int64_t, N> size;  // of an element in bytes
  std::array<Strides, N> strides;
  bool past_caches;  // the result is too large for the caches, and no operand
};

/// A kernel of any type, called for n contiguous elements at `at`.
template <std::size_t N>
struct MapKernel {
  using Pointers = std::array<std::byte*, N>;
  const void* kernel;
  void (*call)(const void* kernel, std::int64_t n, const Pointers& at);
};

/// Calls kernel(n, y, x...) on contiguous runs that cover all elements of the views.
template <std::size_t N, class Arch>
class Map {
  static constexpr std::int64_t capacity = 1024;  // elements of a buffer
  using Walk = Loops<N, Arch>;
  using Offsets = typename Walk::Offsets;
  using Pointers = typename MapKernel<N>::Pointers;
  using Buffer = Tile<capacity, Arch>;

 public:
  Map(std::int64_t grain, const MapKernel<N>& kernel, const Shape& shape,
      const MapOperands<N>& operands)
      : kernel_(kernel),
        data_(operands.data),
        size_(operands.size),
        loops_(order(shape, operands.strides)),
        contiguous_(scattered(loops_) == 0),
        streams_(contiguous_ && operands.past_caches) {
    if (loops_.outer_rank() > 0 && choose_tiles()) {
      run_tiles(grain);
    } else {
      for_stretches<Arch>(loops_, grain,
                          [&](const Offsets& at, std::int64_t n) { run_stretch(at, n); });
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
  static Walk order(const Shape& shape, const std::array<Strides, N>& strides) {
    Walk by_result(shape, strides, 0);
    if constexpr (N > 2) {
      if (scattered(by_result) > 1) {
        const Walk by_operand(shape, strides, 1);
        return scattered(by_operand) < scattered(by_result) ? by_operand : by_result;
      }
    }
    return by_result;
  }

  void run(std::int64_t n, const Pointers& at) const { kernel_.call(kernel_.kernel, n, at); }
  [[nodiscard]] Pointers pointers(const Offsets& at) const {
    Pointers to;
    for (std::size_t k = 0; k < N; ++k) {
      to[k] = data_[k] + at[k] * size_[k];
    }
    return to;
  }
  // ---- Long lines. ----

  void run_stretch(const Offsets& offsets, std::int64_t n) {
    Pointers at = pointers(offsets);
    if (streams_) {
      return stream_stretch(at, n);
    }
    if (contiguous_) {
      return run(n, at);
    }
    std::array<Buffer, N> buffers;
    for (std::int64_t first = 0; first < n; first += capacity) {
      const std::int64_t count = std::min(capacity, n - first);
      Pointers here = at;
      for (std::size_t k = 0; k < N; ++k) {
        here[k] = loops_.step[k] == 1 ? at[k] : buffers[k].data();
        if (k > 0 && loops_.step[k] != 1 && (loops_.step[k] != 0 || first == 0)) {
          buffers[k].gather_row(at[k], loops_.step[k], count, size_[k]);
        }
      }
      run(count, here);
      if (loops_.step[0] != 1) {
        buffers[0].scatter_row(at[0], loops_.step[0], count, size_[0]);
      }
      for (std::size_t k = 0; k < N; ++k) {
        at[k] += capacity * loops_.step[k] * size_[k];
      }
    }
  }
  void stream_stretch(Pointers at, std::int64_t n) {
    constexpr std::int64_t block = 128, ahead = 4 * block;
    alignas(64) std::byte y[block * max_element];
    for (std::int64_t first = 0; first < n; first += block) {
      const std::int64_t count = std::min(block, n - first);
      for (std::size_t k = 1; k < N; ++k) {
        for (std::int64_t i = 0; i < block * size_[k]; i += 64) {
          prefetch(at[k] + ahead * size_[k] + i);
        }
      }
      std::byte* const target = std::exchange(at[0], y);
      run(count, at);
      stream_bytes<Arch>(count * size_[0], y, target);
      at[0] = target;
      for (std::size_t k = 0; k < N; ++k) {
        at[k] += block * size_[k];
      }
    }
  }

  // ---- Short or scattered lines: tiles of `rows_` lines of `columns_` elements are one run. ----

  /// Whether tiles are worth it; takes the axis that their rows are stepped along out of the loops.
  bool choose_tiles() {
    constexpr std::int64_t short_line = 64, square = 32;
    std::size_t axis = loops_.outer_rank() - 1;
    bool crossing = false;  // an operand is contiguous across the lines
    for (std::size_t k = 0; k < N; ++k) {
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
                   std::array<Buffer, N> buffers;
                   for (std::int64_t task = lo; task < hi; ++task) {
                     auto at = loops_.at(task / pieces / bands).offsets;
                     const std::int64_t row = task / pieces % bands * rows_;
                     const std::int64_t column = task % pieces * columns_;
                     for (std::size_t k = 0; k < N; ++k) {
                       at[k] += row * across_.step[k] + column * loops_.step[k];
                     }
                     run_tile(pointers(at), std::min(rows_, across_.extent - row),
                              std::min(columns_, loops_.length - column), buffers);
                   }
                   finish_streaming<Arch>();
                 });
  }
  void run_tile(const Pointers& at, std::int64_t rows, std::int64_t columns,
                std::array<Buffer, N>& buffers) {
    const auto steps = [&](std::size_t k) {
      return TileSteps{across_.step[k], loops_.step[k], rows, columns, size_[k]};
    };
    const bool in_place = Buffer::in_place(steps(0)) && !streams_;
    Pointers first;
    std::array<std::int64_t, N> step;  // between rows
    first[0] = in_place ? at[0] : buffers[0].data();
    step[0] = in_place ? across_.step[0] : columns;
    bool one_run = step[0] == columns;
    for (std::size_t k = 1; k < N; ++k) {
      const TileRows from = buffers[k].rows(at[k], steps(k));
      first[k] = from.first;
      step[k] = from.step;
      one_run = one_run && step[k] == columns;
    }
    if (one_run) {
      run(rows * columns, first);
    } else {
      Pointers row = first;
      for (std::int64_t i = 0; i < rows; ++i) {
        run(columns, row);
        for (std::size_t k = 0; k < N; ++k) {
          row[k] += step[k] * size_[k];
        }
      }
    }
    if (in_place) {
      return;
    }
    if (streams_ && Buffer::one_run(steps(0))) {
      stream_bytes<Arch>(rows * columns * size_[0], buffers[0].data(), at[0]);
    } else {
      buffers[0].scatter(at[0], steps(0));
    }
  }

  MapKernel<N> kernel_;
  Pointers data_;
  std::array<std::int64_t, N> size_;
  Walk loops_;
  typename Walk::Axis across_{};
  std::int64_t rows_ = 1, columns_ = 1;
  bool contiguous_;  // along lines
  bool streams_;     // past the caches
};

/// Runs kernel(n, y, x...) over all elements of views of one shape, in parallel.
template <class Arch, class Kernel, class Out, class... In>
void map(std::int64_t grain, const Kernel& kernel, const View<Out>& out,
         const View<const In>&... in) {
  constexpr std::size_t N = 1 + sizeof...(In);
  if (out.numel() == 0) {
    return;
  }
  const auto call = [](const void* k, std::int64_t n, const std::array<std::byte*, N>& at) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (*static_cast<const Kernel*>(k))(n, reinterpret_cast<Out*>(at[0]),
                                       reinterpret_cast<const In*>(at[I + 1])...);
    }
    (std::index_sequence_for<In...>{});
  };
  const MapOperands<N> operands{{reinterpret_cast<std::byte*>(out.data),
                                 reinterpret_cast<std::byte*>(const_cast<In*>(in.data))...},
                                {element_size<Out>, element_size<In>...},
                                {out.layout.strides, in.layout.strides...},
                                goes_past_caches<Arch>(out, in...)};
  Map<N, Arch>(grain, {&kernel, call}, out.shape(), operands);
}

}  // namespace ldlm::simd
