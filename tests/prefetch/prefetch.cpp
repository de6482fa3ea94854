// Compiled to assembly by check.sh, which counts what is left of these four prefetches.

#include <ldlm_simd/unroll.hpp>
#include <ldlm_simd/vector.hpp>

float sum_asking(const float* p, long n) {
  float sum = 0;
  for (long j = 0; j < n; ++j) {
    ldlm::simd::detail::unroll<4>([&](auto i) { ldlm::simd::prefetch(p + 16 * i + j); });
    sum += p[j];
  }
  return sum;
}
