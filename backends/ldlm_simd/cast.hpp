#pragma once
// Conversions between element types: contiguous loops that compilers turn into vectors. Views whose
// elements lie apart are copied to contiguous memory first, so that there is one loop for a pair.

#include <ldlm_simd/copy.hpp>

namespace ldlm::simd {

namespace detail {

template <class To, class From, class Arch>
void cast_run(const std::byte* in, To* out, std::int64_t n) {
  const auto* const x = reinterpret_cast<const From*>(in);
  parallel_for(0, n, cheap_grain, [&](std::int64_t lo, std::int64_t hi) {
    block_loop<Arch>(hi - lo, out + lo,
                     [from = x + lo](std::int64_t i) { return convert<To>(from[i]); });
  });
}

/// A copy between elements of `size` bytes.
template <class Arch>
void copy_elements(std::size_t size, const Shape& shape, const std::byte* in, const Strides& from,
                   std::byte* out, const Strides& to) {
  switch (size) {
    case 1:
      Copy<1, Arch>(shape, in, from, out, to);
      break;
    case 2:
      Copy<2, Arch>(shape, in, from, out, to);
      break;
    case 4:
      Copy<4, Arch>(shape, in, from, out, to);
      break;
    default:
      Copy<8, Arch>(shape, in, from, out, to);
  }
}

}  // namespace detail

template <class T, class Arch>
void cast(DType from, View<const void> in, View<T> out) {
  const std::int64_t n = out.numel();
  if (n == 0) {
    return;
  }
  const Shape& shape = out.shape();
  const auto size = static_cast<std::int64_t>(size_of(from));
  const auto* source = static_cast<const std::byte*>(in.data);
  const Loops<2, Arch> loops(shape, {out.layout.strides, in.layout.strides}, 0);
  const bool one_run =
      loops.outer_rank() == 0 && loops.step == typename Loops<2, Arch>::Offsets{1, 1};
  const bool in_order = one_run || in.layout.is_contiguous();
  const bool out_in_order = one_run || out.layout.is_contiguous();
  const Scratch<std::byte, Arch> packed(in_order ? 1 : n * size);
  if (!in_order) {
    detail::copy_elements<Arch>(size_of(from), shape, source, in.layout.strides, packed.data(),
                                row_major_strides(shape));
    source = packed.data();
  }
  const Scratch<T, Arch> converted(out_in_order ? 1 : n);
  T* const target = out_in_order ? out.data : converted.data();
  visit_dtype(from, [&]<class From>(std::type_identity<From>) {
    detail::cast_run<T, From, Arch>(source, target, n);
  });
  if (!out_in_order) {
    detail::copy_elements<Arch>(sizeof(T), shape, reinterpret_cast<const std::byte*>(target),
                                row_major_strides(shape), reinterpret_cast<std::byte*>(out.data),
                                out.layout.strides);
  }
}

}  // namespace ldlm::simd
