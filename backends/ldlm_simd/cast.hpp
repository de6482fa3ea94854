#pragma once
// Conversions between element types: contiguous loops that compilers turn into vectors. Views whose
// elements lie apart are copied to contiguous memory first, so that there is one loop for a pair;
// pairs whose bits come out alike share it.

#include <array>
#include <concepts>

#include <ldlm_simd/copy.hpp>

namespace ldlm::simd {

namespace detail {

/// How n contiguous elements become others: all at once, or `by_float` and from there.
struct CastLoops {
  using Loop = void (*)(const std::byte* in, std::byte* out, std::int64_t n);
  Loop last = nullptr;
  Loop by_float = nullptr;
};

template <class T>
concept Half = std::same_as<T, f16> || std::same_as<T, bf16>;
template <class T>
concept Whole = std::integral<T> && !std::same_as<T, bool>;

template <class To, class From, class Arch>
void convert_run(const std::byte* in, std::byte* out, std::int64_t n) {
  const auto* const x = reinterpret_cast<const From*>(in);
  block_loop<Arch>(n, reinterpret_cast<To*>(out),
                   [x](std::int64_t i) { return convert<To>(x[i]); });
}

template <class To, class From, class Arch>
constexpr CastLoops cast_loops() {
  if constexpr (!std::same_as<To, From> && !std::same_as<To, float> && !std::same_as<From, float> &&
                (Half<To> || Half<From>)) {
    // By the definition of convert, what 16 bits hold becomes what its float does, and the other
    // way round.
    return {cast_loops<To, float, Arch>().last, cast_loops<float, From, Arch>().last};
  } else if constexpr (std::same_as<From, bool>) {
    return {convert_run<To, unsigned char, Arch>};  // 0 or 1
  } else if constexpr (Whole<From> && std::same_as<To, bool>) {
    return {convert_run<To, std::make_unsigned_t<From>, Arch>};
  } else if constexpr (Whole<From> && Whole<To>) {
    // The low bits; a sign counts only where it is spread over more of them.
    using Value = std::conditional_t<sizeof(To) <= sizeof(From), std::make_unsigned_t<From>, From>;
    return {convert_run<std::make_unsigned_t<To>, Value, Arch>};
  } else {
    return {convert_run<To, From, Arch>};
  }
}

/// The loops to To from every type, by its number.
template <class To, class Arch>
inline constexpr auto cast_table = [] {
  std::array<CastLoops, 13> table{};
  visit_dtypes([&]<class From>(std::type_identity<From>) {
    table[static_cast<std::size_t>(dtype_of<From>)] = cast_loops<To, From, Arch>();
  });
  return table;
}();

/// The bytes of an element.
struct CastSizes {
  std::int64_t from, to;
};

template <class Arch>
void cast_run(const CastLoops& loops, const CastSizes& size, const std::byte* in, std::byte* out,
              std::int64_t n) {
  if (loops.by_float == nullptr) {
    return loops.last(in, out, n);
  }
  constexpr std::int64_t block = 512;
  alignas(64) std::byte part[block * sizeof(float)];
  for (std::int64_t i = 0; i < n; i += block) {
    const std::int64_t count = std::min(block, n - i);
    loops.by_float(in + i * size.from, part, count);
    loops.last(part, out + i * size.to, count);
  }
}

/// A copy between elements of `size` bytes.
template <class Arch>
void copy_elements(std::int64_t size, const Shape& shape, const std::byte* in, const Strides& from,
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

template <class Arch>
void cast_views(const CastLoops& loops, const CastSizes& size, View<const void> in, std::byte* out,
                const Layout& layout) {
  const Shape& shape = layout.shape;
  const std::int64_t n = shape.numel();
  const auto* source = static_cast<const std::byte*>(in.data);
  const Loops<2, Arch> walk(shape, {layout.strides, in.layout.strides}, 0);
  const bool one_run =
      walk.outer_rank() == 0 && walk.step == typename Loops<2, Arch>::Offsets{1, 1};
  const bool in_order = one_run || in.layout.is_contiguous();
  const bool out_in_order = one_run || layout.is_contiguous();
  const Scratch<std::byte, Arch> packed(in_order ? 1 : n * size.from);
  if (!in_order) {
    copy_elements<Arch>(size.from, shape, source, in.layout.strides, packed.data(),
                        row_major_strides(shape));
    source = packed.data();
  }
  const Scratch<std::byte, Arch> converted(out_in_order ? 1 : n * size.to);
  std::byte* const target = out_in_order ? out : converted.data();
  parallel_for(0, n, cheap_grain, [&](std::int64_t lo, std::int64_t hi) {
    cast_run<Arch>(loops, size, source + lo * size.from, target + lo * size.to, hi - lo);
  });
  if (!out_in_order) {
    copy_elements<Arch>(size.to, shape, target, row_major_strides(shape), out, layout.strides);
  }
}

}  // namespace detail

template <class T, class Arch>
void cast(DType from, View<const void> in, View<T> out) {
  if (out.numel() == 0) {
    return;
  }
  visit_dtype(from, [](auto) {});  // throws unless it is one
  const detail::CastSizes size{static_cast<std::int64_t>(size_of(from)), sizeof(T)};
  detail::cast_views<Arch>(detail::cast_table<T, Arch>[static_cast<std::size_t>(from)], size, in,
                           reinterpret_cast<std::byte*>(out.data), out.layout);
}

}  // namespace ldlm::simd
