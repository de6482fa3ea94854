#pragma once
// The k largest of each row. One pass keeps what is above the k-th largest seen so far, and from
// time to time cuts that down to k again, so that the cost hardly depends on k.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/loops.hpp>

namespace ldlm::simd {

namespace detail {

/// An element's place in the order wanted: falling values, equal ones by rising index.
template <class Arch>
struct Ranked {
  std::int64_t key;  // as an integer in the same order
  std::int64_t index;

  /// NaN is larger than all numbers, and 0 equals -0.
  template <class T>
  static std::int64_t key_of(T x) {
    using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
    if (x != x) {
      return std::numeric_limits<std::int64_t>::max();
    }
    const auto bits = std::bit_cast<Bits>(x == T{0} ? T{0} : x);
    return bits < 0 ? bits ^ std::numeric_limits<Bits>::max() : bits;
  }
  bool operator<(const Ranked& other) const {
    return key != other.key ? key > other.key : index < other.index;
  }
  // (Out of line: sorting is the same for all types, and much to compile.)
  /// The first k of `count` elements to the front, the k-th at its place.
  [[gnu::noinline]] static void select(Ranked* elements, std::int64_t k, std::int64_t count) {
    std::nth_element(elements, elements + k - 1, elements + count);
  }
  [[gnu::noinline]] static void sort(Ranked* elements, std::int64_t count) {
    std::sort(elements, elements + count);
  }
};

/// The first k of n elements, `step` apart, in that order; `kept` has room for room_for(n, k).
template <class T, class Arch>
class TopOfRow {
  using R = Ranked<Arch>;

 public:
  static std::int64_t room_for(std::int64_t n, std::int64_t k) { return std::min(n, 2 * k + 256); }
  static void run(const T* x, std::int64_t n, std::int64_t step, std::int64_t k, R* kept) {
    constexpr std::int64_t W = width<T, Arch>;
    const std::int64_t room = room_for(n, k);
    std::int64_t count = 0, i = 0;
    T least{};  // the k-th largest so far, once it is known
    const auto take = [&](std::int64_t at) {
      kept[count++] = {R::key_of(x[at * step]), at};
      if (count == room && at + 1 < n) {
        R::select(kept, k, count);
        count = k;
        least = x[kept[k - 1].index * step];
        return true;
      }
      return false;
    };
    while (i < n && !take(i++)) {
    }
    // From here on an element that is not above the least has k before it. (NaN is above numbers,
    // and nothing is above NaN.)
    while (i < n && least == least) {
      if (step == 1 && i + W <= n) {
        const auto v = load<T, Arch>(x + i);
        if (!xsimd::any(!(v <= Batch<T, Arch>(least)))) {
          i += W;
          continue;
        }
      }
      for (const std::int64_t end = std::min(n, i + W); i < end; ++i) {
        if (!(x[i * step] <= least)) {
          take(i);
        }
      }
    }
    if (count > k) {
      R::select(kept, k, count);
    }
    R::sort(kept, k);
  }
};

}  // namespace detail

/// in (..., V), values and indices (..., k).
template <class T, class Arch>
void top_k(View<const T> in, View<T> values, View<std::int64_t> indices) {
  using Row = detail::TopOfRow<T, Arch>;
  if (values.numel() == 0) {
    return;
  }
  const int last = in.rank() - 1;
  const std::int64_t n = in.size(last), k = values.size(last);
  const std::int64_t step = in.stride(last);
  const std::int64_t value_step = values.stride(last), index_step = indices.stride(last);
  Shape rows = in.shape();
  rows.erase(last);
  const Loops<3, Arch> loops(rows,
                             {in.layout.strides, values.layout.strides, indices.layout.strides}, 0);
  parallel_for(0, rows.numel(), std::max<std::int64_t>(1, cheap_grain / 8 / n),
               [&](std::int64_t lo, std::int64_t hi) {
                 const Scratch<detail::Ranked<Arch>, Arch> kept(Row::room_for(n, k));
                 auto cursor = loops.at(lo / loops.length);
                 std::int64_t i = lo % loops.length;
                 for (std::int64_t row = lo; row < hi; ++row) {
                   const auto& at = cursor.offsets;
                   const T* const x = in.data + at[0] + i * loops.step[0];
                   Row::run(x, n, step, k, kept.data());
                   T* const value = values.data + at[1] + i * loops.step[1];
                   std::int64_t* const index = indices.data + at[2] + i * loops.step[2];
                   for (std::int64_t j = 0; j < k; ++j) {
                     value[j * value_step] = x[kept[j].index * step];
                     index[j * index_step] = kept[j].index;
                   }
                   if (++i == loops.length) {
                     i = 0;
                     loops.advance(cursor);
                   }
                 }
               });
}

}  // namespace ldlm::simd
