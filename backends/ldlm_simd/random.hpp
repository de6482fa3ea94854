#pragma once
// Random numbers from Philox streams, many blocks at a time; the same words as core/philox.hpp.

#include <cmath>
#include <numbers>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/fma.hpp>
#include <ldlm_simd/loops.hpp>
#include <ldlm_simd/philox.hpp>

namespace ldlm::simd {

namespace detail {

/// Calls body(first element, n, u) in parallel, where u are the uniform numbers of elements
/// first .. first + n - 1, and those that complete the last block of four.
template <class T, class Arch, class Body>
void for_uniform(PhiloxStream stream, std::int64_t n, const Body& body) {
  constexpr std::int64_t stretch = 2048;
  static_assert(stretch % (4 * philox_group<4, Arch>) == 0);
  parallel_for(0, (n + stretch - 1) / stretch, 4, [&](std::int64_t lo, std::int64_t hi) {
    alignas(64) std::uint32_t words[stretch];
    alignas(64) float u[stretch];
    alignas(64) T numbers[std::is_same_v<T, float> ? 1 : stretch];
    for (std::int64_t first = lo * stretch; first < std::min(n, hi * stretch); first += stretch) {
      const std::int64_t count = std::min(stretch, n - first);
      philox_words<4, Arch>(stream, static_cast<std::uint64_t>(first / 4), (count + 3) / 4, words);
      uniform_from_words<Arch>(words, count, u);
      if constexpr (std::is_same_v<T, float>) {
        body(first, count, static_cast<const T*>(u));
      } else {
        std::copy(u, u + (count + 3) / 4 * 4, numbers);
        body(first, count, static_cast<const T*>(numbers));
      }
    }
  });
}

}  // namespace detail

/// low + (high - low) u, never rounded up to high.
template <class T, class Arch>
void uniform(PhiloxStream stream, T low, T high, View<T> out) {
  using B = Batch<T, Arch>;
  const B base(low), range(high - low), top(high), below(std::nextafter(high, low));
  detail::for_uniform<T, Arch>(stream, out.numel(),
                               [&](std::int64_t first, std::int64_t n, const T* u) {
                                 transform<Arch>(
                                     n,
                                     [&](const B& v) {
                                       const B value = simd::fma(range, v, base);
                                       return xsimd::select(value < top, value, below);
                                     },
                                     out.data + first, u);
                               });
}

namespace detail {

/// Lanes number First, First + 2, ... of two vectors in a row.
template <std::size_t First, class B, std::size_t... Lane>
B every_second(const B& a, const B& b, std::index_sequence<Lane...>) {
  using Register = typename B::register_type;
  return B(__builtin_shufflevector(static_cast<Register>(a), static_cast<Register>(b),
                                   (First + 2 * Lane)...));
}

/// cos(2 pi u) and sin(2 pi u) for u in [0, 1). Taking out quarter turns is exact, so both keep
/// their digits near their zeros.
template <class T, class Arch>
std::pair<Batch<T, Arch>, Batch<T, Arch>> unit_circle(const Batch<T, Arch>& u) {
  using B = Batch<T, Arch>;
  const B quarter = xsimd::nearbyint(u * B(T{4}));  // 0 .. 4
  const auto [s, c] = xsimd::sincos((u - quarter * B(T{0.25})) * B(2 * std::numbers::pi_v<T>));
  const auto first = quarter == B(T{1});
  const auto second = quarter == B(T{2});
  const auto third = quarter == B(T{3});
  const B x = xsimd::select(first || third, s, c);
  const B y = xsimd::select(first || third, c, s);
  return {xsimd::select(first || second, negative(x), x),
          xsimd::select(second || third, negative(y), y)};
}

}  // namespace detail

/// Box-Muller on pairs of elements: r cos(2 pi u1), r sin(2 pi u1), r = sqrt(-2 log(1 - u0)).
template <class T, class Arch>
void normal(PhiloxStream stream, T mean, T stddev, View<T> out) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  constexpr auto lanes = std::make_index_sequence<B::size>{};
  const B centre(mean), spread(stddev);
  detail::for_uniform<T, Arch>(
      stream, out.numel(), [&](std::int64_t first, std::int64_t n, const T* u) {
        for (std::int64_t i = 0; i < n; i += 2 * W) {
          // The numbers of a pair lie side by side, here and in the output.
          const B front = load<T, Arch>(u + i);
          const B back = load<T, Arch>(u + i + W);
          const B u0 = detail::every_second<0>(front, back, lanes);
          const B u1 = detail::every_second<1>(front, back, lanes);
          const B r = spread * xsimd::sqrt(B(T{-2}) * simd::log_of_normal(B(T{1}) - u0));
          const auto [c, s] = detail::unit_circle<T, Arch>(u1);
          const B x = simd::fma(r, c, centre);
          const B y = simd::fma(r, s, centre);
          T* const to = out.data + first + i;
          const std::int64_t left = n - i;
          const auto put = [&](T* p, const B& v, std::int64_t count) {
            count >= W ? v.store_unaligned(p) : store_first<T, Arch>(p, v, count);
          };
          put(to, detail::interleave<false>(x, y, lanes), left);
          if (left > W) {
            put(to + W, detail::interleave<true>(x, y, lanes), left - W);
          }
        }
      });
}

/// 1 where the uniform element is below `probability`, else 0.
template <class T, class Arch>
void bernoulli(PhiloxStream stream, T probability, View<T> out) {
  using B = Batch<T, Arch>;
  detail::for_uniform<T, Arch>(
      stream, out.numel(), [&](std::int64_t first, std::int64_t n, const T* u) {
        transform<Arch>(
            n, [p = B(probability)](const B& v) { return xsimd::select(v < p, B(T{1}), B(T{0})); },
            out.data + first, u);
      });
}

/// y = x / (1 - p) where the uniform element is at least p, else 0. y may be x.
template <class T, class Arch>
void dropout(PhiloxStream stream, T p, View<const T> x, View<T> y) {
  using B = Batch<T, Arch>;
  detail::for_uniform<T, Arch>(
      stream, y.numel(), [&](std::int64_t first, std::int64_t n, const T* u) {
        transform<Arch>(
            n,
            [bound = B(p), factor = B(1 / (1 - p))](const B& v, const B& in) {
              return xsimd::select(v >= bound, in * factor, B(T{0}));
            },
            y.data + first, u, x.data + first);
      });
}

}  // namespace ldlm::simd
