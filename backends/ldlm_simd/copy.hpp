#pragma once
// Copies between any views, for elements of any type: what counts is their size.

#include <cstddef>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/loops.hpp>
#include <ldlm_simd/transpose.hpp>

namespace ldlm::simd {

namespace detail {

/// Copies between two element strides, in units of elements of `Size` bytes.
template <std::size_t Size, class Arch>
class Copy {
  static constexpr auto size = static_cast<std::int64_t>(Size);
  using Walk = Loops<2, Arch>;

 public:
  Copy(const Shape& shape, const std::byte* in, const Strides& in_strides, std::byte* out,
       const Strides& out_strides)
      : in_(in), out_(out), loops_(shape, {out_strides, in_strides}, 0) {
    for (std::size_t axis = 0; axis < loops_.outer_rank() && loops_.step[0] == 1; ++axis) {
      if (loops_.step[1] > 1 && loops_.axis(axis).step[1] == 1 && loops_.length >= tile &&
          loops_.axis(axis).extent >= tile) {
        transpose(loops_.take_axis(axis));
        return;
      }
    }
    loops_.lengthen(8);
    for_stretches<Arch>(loops_, cheap_grain, [&](const typename Walk::Offsets& at, std::int64_t n) {
      line(out_ + at[0] * size, loops_.step[0], in_ + at[1] * size, loops_.step[1], n);
    });
  }

  /// n elements, out_step and in_step elements apart.
  static void line(std::byte* out, std::int64_t out_step, const std::byte* in, std::int64_t in_step,
                   std::int64_t n) {
    if (out_step == 1 && in_step == 1) {
      contiguous(out, in, n * size);
      return;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      std::memcpy(out + i * out_step * size, in + i * in_step * size, Size);
    }
  }

 private:
  static constexpr std::int64_t tile = Size == 8   ? width<double, Arch>
                                       : Size == 4 ? width<float, Arch>
                                                   : 32;

  // Short runs are common (the channels of one head), and a call of memcpy costs as much as they
  // do.
  static void contiguous(std::byte* out, const std::byte* in, std::int64_t bytes) {
    constexpr std::int64_t block = 64;
    std::int64_t i = 0;
    if (bytes <= 16 * block) {
      for (; i + block <= bytes; i += block) {
        std::memcpy(out + i, in + i, block);
      }
      for (; i + size <= bytes; i += size) {
        std::memcpy(out + i, in + i, Size);
      }
      return;
    }
    std::memcpy(out, in, static_cast<std::size_t>(bytes));
  }

  // Planes whose rows (`across`) are contiguous in the input and whose columns (the lines) are
  // contiguous in the output go through squares that fill whole cache lines of both. A band is a
  // few squares high, so that the lines of the input are used while they are there.
  void transpose(const typename Walk::Axis& across) {
    constexpr std::int64_t band = 4 * tile;
    const std::int64_t bands = (across.extent + band - 1) / band;
    const std::int64_t grain = std::max<std::int64_t>(1, cheap_grain / (band * loops_.length));
    parallel_for(0, loops_.lines * bands, grain, [&](std::int64_t lo, std::int64_t hi) {
      for (std::int64_t task = lo; task < hi; ++task) {
        const auto at = loops_.at(task / bands).offsets;
        const std::int64_t first = task % bands * band;
        const std::int64_t last = std::min(across.extent, first + band);
        for (std::int64_t j = 0; j < loops_.length; j += tile) {
          for (std::int64_t i = first; i < last; i += tile) {
            transpose_tile(out_ + (at[0] + i * across.step[0] + j) * size, across.step[0],
                           in_ + (at[1] + i + j * loops_.step[1]) * size, loops_.step[1],
                           std::min(tile, last - i), std::min(tile, loops_.length - j));
          }
        }
      }
    });
  }

  static void transpose_tile(std::byte* out, std::int64_t out_step, const std::byte* in,
                             std::int64_t in_step, std::int64_t rows, std::int64_t columns) {
    if (rows < tile || columns < tile) {
      for (std::int64_t i = 0; i < rows; ++i) {
        line(out + i * out_step * size, 1, in + i * size, in_step, columns);
      }
      return;
    }
    if constexpr (Size == 4 || Size == 8) {  // in registers: the type does not matter
      using T = std::conditional_t<Size == 4, float, double>;
      Batch<T, Arch> square[tile];
      for (std::int64_t j = 0; j < tile; ++j) {
        square[j] = load<T, Arch>(reinterpret_cast<const T*>(in + j * in_step * size));
      }
      simd::transpose<T, Arch>(square);
      for (std::int64_t i = 0; i < tile; ++i) {
        square[i].store_unaligned(reinterpret_cast<T*>(out + i * out_step * size));
      }
    } else {
      alignas(64) std::byte square[tile][tile * size];
      for (std::int64_t j = 0; j < tile; ++j) {
        std::memcpy(square[j], in + j * in_step * size, tile * size);
      }
      for (std::int64_t i = 0; i < tile; ++i) {
        for (std::int64_t j = 0; j < tile; ++j) {
          std::memcpy(out + (i * out_step + j) * size, square[j] + i * size, Size);
        }
      }
    }
  }

  const std::byte* in_;
  std::byte* out_;
  Walk loops_;
};

}  // namespace detail

template <class T, class Arch>
void copy(View<const T> in, View<T> out) {
  if (out.numel() > 0) {
    detail::Copy<sizeof(T), Arch>(out.shape(), reinterpret_cast<const std::byte*>(in.data),
                                  in.layout.strides, reinterpret_cast<std::byte*>(out.data),
                                  out.layout.strides);
  }
}

}  // namespace ldlm::simd
