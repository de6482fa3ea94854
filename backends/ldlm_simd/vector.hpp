#pragma once
// Vector helpers that every kernel uses: partial loads and stores, loops over contiguous arrays,
// scratch memory. Everything is templated on Arch, so that units with different flags never share
// code.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own intrinsics leave registers undefined on purpose and are then warned about.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <xsimd/xsimd.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <ldlm/core/view.hpp>

namespace ldlm::simd {

template <class T, class Arch>
using Batch = xsimd::batch<T, Arch>;

/// Elements per vector.
template <class T, class Arch>
inline constexpr std::int64_t width = static_cast<std::int64_t>(Batch<T, Arch>::size);

template <class T, class Arch>
Batch<T, Arch> load(const T* p) {
  return Batch<T, Arch>::load_unaligned(p);
}

/// The first n < width elements from p, the others `rest`.
template <class T, class Arch>
Batch<T, Arch> load_first(const T* p, std::int64_t n, T rest = T{}) {
  alignas(64) T buffer[Batch<T, Arch>::size];
  for (T& element : buffer) {
    element = rest;
  }
  std::memcpy(buffer, p, static_cast<std::size_t>(n) * sizeof(T));
  return Batch<T, Arch>::load_aligned(buffer);
}

/// Stores the first n < width elements to p.
template <class T, class Arch>
void store_first(T* p, const Batch<T, Arch>& v, std::int64_t n) {
  alignas(64) T buffer[Batch<T, Arch>::size];
  v.store_aligned(buffer);
  std::memcpy(p, buffer, static_cast<std::size_t>(n) * sizeof(T));
}

/// y[i] = f(x[i]...) for n contiguous elements; the last, partial vector goes through the same f,
/// so that an element's value never depends on where it lies. y may be one of the x.
template <class Arch, class F, class T, class... In>
void transform(std::int64_t n, F&& f, T* y, const In*... x) {
  constexpr std::int64_t W = width<T, Arch>;
  std::int64_t i = 0;
  for (; i + W <= n; i += W) {
    f(load<In, Arch>(x + i)...).store_unaligned(y + i);
  }
  if (i < n) {
    store_first<T, Arch>(y + i, f(load_first<In, Arch>(x + i, n - i)...), n - i);
  }
}

/// Sum of f(x[i]...) over n contiguous elements; lanes beyond the end are not counted. Four
/// accumulators hide the latency of the additions.
template <class T, class Arch, class F, class... In>
T sum_of(std::int64_t n, F&& f, const In*... x) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  B s0(T{}), s1(T{}), s2(T{}), s3(T{});
  std::int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
    s0 += f(load<In, Arch>(x + i)...);
    s1 += f(load<In, Arch>(x + i + W)...);
    s2 += f(load<In, Arch>(x + i + 2 * W)...);
    s3 += f(load<In, Arch>(x + i + 3 * W)...);
  }
  for (; i + W <= n; i += W) {
    s0 += f(load<In, Arch>(x + i)...);
  }
  if (i < n) {
    alignas(64) T tail[B::size];
    f(load_first<In, Arch>(x + i, n - i)...).store_aligned(tail);
    std::fill(tail + (n - i), tail + W, T{});
    s1 += B::load_aligned(tail);
  }
  alignas(64) T lanes[B::size];
  ((s0 + s1) + (s2 + s3)).store_aligned(lanes);
  T total = lanes[0];
  for (std::int64_t lane = 1; lane < W; ++lane) {
    total += lanes[lane];
  }
  return total;
}

/// Memory for n elements, aligned to cache lines, uninitialised.
template <class T, class Arch>
class Scratch {
 public:
  explicit Scratch(std::int64_t n)
      : data_(static_cast<T*>(
            ::operator new (static_cast<std::size_t>(n) * sizeof(T), std::align_val_t{64}))) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { ::operator delete (data_, std::align_val_t{64}); }

  [[nodiscard]] T* data() const { return data_; }
  T& operator[](std::int64_t i) const { return data_[i]; }

 private:
  T* data_;
};

}  // namespace ldlm::simd
