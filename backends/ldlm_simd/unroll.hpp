#pragma once
// Loops that are unrolled whole.

namespace ldlm::simd::detail {

/// f(0), f(1), ..., f(N - 1), in a loop that is unrolled early enough for arrays that f indexes to
/// be registers. (One instance of f for each index would cost the compiler several times as much.)
template <int N, class F>
[[gnu::always_inline]] inline void unroll(F&& f) {
  static_assert(N <= 64);
#pragma GCC unroll 64
  for (int i = 0; i < N; ++i) {
    f(i);
  }
}

}  // namespace ldlm::simd::detail
