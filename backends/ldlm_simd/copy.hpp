#pragma once
// Copies between any views, for elements of any type: what counts is their size.

#include <cstddef>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/loops.hpp>

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
  static constexpr std::int64_t tile = 16;

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
  // contiguous in the output go through tiles that fill whole cache lines of both.
  void transpose(const typename Walk::Axis& across) {
    const std::int64_t bands = (across.extent + tile - 1) / tile;
    const std::int64_t grain = std::max<std::int64_t>(1, cheap_grain / (tile * loops_.length));
    parallel_for(0, loops_.lines * bands, grain, [&](std::int64_t lo, std::int64_t hi) {
      for (std::int64_t band = lo; band < hi; ++band) {
        const auto at = loops_.at(band / bands).offsets;
        const std::int64_t i = band % bands * tile;
        const std::int64_t rows = std::min(tile, across.extent - i);
        for (std::int64_t j = 0; j < loops_.length; j += tile) {
          transpose_tile(out_ + (at[0] + i * across.step[0] + j) * size, across.step[0],
                         in_ + (at[1] + i + j * loops_.step[1]) * size, loops_.step[1], rows,
                         std::min(tile, loops_.length - j));
        }
      }
    });
  }
  static void transpose_tile(std::byte* out, std::int64_t out_step, const std::byte* in,
                             std::int64_t in_step, std::int64_t rows, std::int64_t columns) {
    alignas(64) std::byte buffer[tile][tile * size];
    if (rows == tile && columns == tile) {
      for (std::int64_t j = 0; j < tile; ++j) {
        std::memcpy(buffer[j], in + j * in_step * size, tile * size);
      }
      for (std::int64_t i = 0; i < tile; ++i) {
        alignas(64) std::byte line[tile * size];
        for (std::int64_t j = 0; j < tile; ++j) {
          std::memcpy(line + j * size, buffer[j] + i * size, Size);
        }
        std::memcpy(out + i * out_step * size, line, tile * size);
      }
      return;
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        std::memcpy(out + (i * out_step + j) * size, in + (i + j * in_step) * size, Size);
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
