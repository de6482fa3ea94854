#pragma once
// Random numbers from Philox streams, many blocks at a time; the same words as core/philox.hpp.

#include <cmath>
#include <numbers>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/fma.hpp>
#include <ldlm_simd/loops.hpp>

namespace ldlm::simd {

namespace detail {

/// Uniform numbers in [0, 1) of elements 4 * first_block, ...: `blocks` times four of them. The
/// loops over lanes have constant counts, which compilers turn into vectors.
template <class Arch>
void uniform_blocks(PhiloxStream stream, std::uint64_t first_block, std::int64_t blocks,
                    float* out) {
  constexpr std::size_t lanes = 16;
  using Words = std::array<std::uint32_t, lanes>;
  for (std::int64_t done = 0; done < blocks; done += lanes) {
    Words c0, c1, c2{}, c3{};
    for (std::size_t i = 0; i < lanes; ++i) {
      const std::uint64_t block =
          stream.offset + first_block + static_cast<std::uint64_t>(done) + i;
      c0[i] = static_cast<std::uint32_t>(block);
      c1[i] = static_cast<std::uint32_t>(block >> 32);
    }
    auto k0 = static_cast<std::uint32_t>(stream.seed);
    auto k1 = static_cast<std::uint32_t>(stream.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      for (std::size_t i = 0; i < lanes; ++i) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * c0[i];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * c2[i];
        c0[i] = static_cast<std::uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
        c1[i] = static_cast<std::uint32_t>(p1);
        c2[i] = static_cast<std::uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
        c3[i] = static_cast<std::uint32_t>(p0);
      }
      k0 += 0x9E3779B9U;
      k1 += 0xBB67AE85U;
    }
    float four[4 * lanes];
    for (std::size_t i = 0; i < lanes; ++i) {
      four[4 * i] = uniform_from_bits(c0[i]);
      four[4 * i + 1] = uniform_from_bits(c1[i]);
      four[4 * i + 2] = uniform_from_bits(c2[i]);
      four[4 * i + 3] = uniform_from_bits(c3[i]);
    }
    const auto count = std::min<std::int64_t>(lanes, blocks - done);
    std::memcpy(out + 4 * done, four, static_cast<std::size_t>(4 * count) * sizeof(float));
  }
}

/// Calls body(first element, n, u) in parallel, where u are the uniform numbers of elements
/// first .. first + n - 1 (and of those that complete the last block of four).
template <class T, class Arch, class Body>
void for_uniform(PhiloxStream stream, std::int64_t n, const Body& body) {
  constexpr std::int64_t stretch = 2048;
  parallel_for(0, (n + stretch - 1) / stretch, 2, [&](std::int64_t lo, std::int64_t hi) {
    alignas(64) float words[stretch];
    alignas(64) T u[stretch];
    for (std::int64_t first = lo * stretch; first < std::min(n, hi * stretch); first += stretch) {
      const std::int64_t count = std::min(stretch, n - first);
      uniform_blocks<Arch>(stream, static_cast<std::uint64_t>(first / 4), (count + 3) / 4, words);
      std::copy(words, words + (count + 3) / 4 * 4, u);
      body(first, count, static_cast<const T*>(u));
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
  return {xsimd::select(first || second, -x, x), xsimd::select(second || third, -y, y)};
}

}  // namespace detail

/// Box-Muller on pairs of elements: r cos(2 pi u1), r sin(2 pi u1), r = sqrt(-2 log(1 - u0)).
template <class T, class Arch>
void normal(PhiloxStream stream, T mean, T stddev, View<T> out) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const B centre(mean), spread(stddev);
  detail::for_uniform<T, Arch>(
      stream, out.numel(), [&](std::int64_t first, std::int64_t n, const T* u) {
        for (std::int64_t i = 0; i < n; i += 2 * W) {
          alignas(64) T u0[B::size], u1[B::size], pairs[2 * B::size];
          for (std::int64_t lane = 0; lane < W; ++lane) {
            const bool inside = i + 2 * lane < n;
            u0[lane] = inside ? u[i + 2 * lane] : T{0};
            u1[lane] = inside ? u[i + 2 * lane + 1] : T{0};
          }
          const B r = spread * xsimd::sqrt(B(T{-2}) * xsimd::log(B(T{1}) - B::load_aligned(u0)));
          const auto [c, s] = detail::unit_circle<T, Arch>(B::load_aligned(u1));
          simd::fma(r, c, centre).store_aligned(u0);
          simd::fma(r, s, centre).store_aligned(u1);
          for (std::int64_t lane = 0; lane < W; ++lane) {
            pairs[2 * lane] = u0[lane];
            pairs[2 * lane + 1] = u1[lane];
          }
          std::copy(pairs, pairs + std::min(2 * W, n - i), out.data + first + i);
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
