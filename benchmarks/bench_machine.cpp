// The machine's own limits, for rooflines: multiply-adds in registers, and memory read, written and
// copied. Rates are in GFLOP/s and GB/s, of one thread and of two.

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <xsimd/xsimd.hpp>

#include <ldlm/core/tensor.hpp>
#include <ldlm_simd/thread_pool.hpp>
#include <ldlm_simd/unroll.hpp>

#include "harness.hpp"

namespace {

using Batch = xsimd::batch<float>;
using ldlm::simd::detail::unroll;
constexpr std::int64_t width = Batch::size;

/// 14 independent chains of multiply-adds, as many as hide the latency anywhere.
[[gnu::flatten]] float multiply_add(std::int64_t count) {
  Batch sums[14];
  unroll<14>([&](auto i) { sums[i] = Batch(1.0F); });
  const volatile float factor = 0.999F, term = 0.001F;  // (constants would be folded)
  const Batch a(static_cast<float>(factor)), b(static_cast<float>(term));
  for (std::int64_t i = 0; i < count; ++i) {
    unroll<14>([&](auto j) { sums[j] = xsimd::fma(sums[j], a, b); });
  }
  return std::accumulate(std::begin(sums), std::end(sums), Batch(0.0F)).get(0);
}

/// The sum of count floats, a multiple of eight vectors.
[[gnu::flatten]] float sum(const float* from, std::int64_t count) {
  Batch sums[8];
  unroll<8>([&](auto i) { sums[i] = Batch(0.0F); });
  for (const float* const end = from + count; from < end; from += 8 * width) {
    unroll<8>([&](auto i) {
      __builtin_prefetch(from + i * width + 256);
      sums[i] += Batch::load_unaligned(from + i * width);
    });
  }
  return std::accumulate(std::begin(sums), std::end(sums), Batch(0.0F)).get(0);
}

void add(const std::string& name, double work, const std::string& unit,
         const std::function<void()>& run) {
  const auto make = [=](int threads) {
    std::vector<ldlm::bench::Contender> contenders{
        {"ours", [=] { return ldlm::bench::time_runs(run, threads, 0.05); }}};
    ldlm::bench::Comparison how;
    how.work = work;
    how.unit = unit;
    return std::pair(contenders, how);
  };
  ldlm::bench::add_benchmark("machine/" + name, make, 7);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::int64_t parts = 16, steps = 200000;
  add("multiply_add_f32", 2e-9 * parts * steps * 14 * width, "GFLOP/s", [] {
    ldlm::simd::parallel_for(0, parts, 1, [](std::int64_t lo, std::int64_t hi) {
      for (; lo < hi; ++lo) {
        benchmark::DoNotOptimize(multiply_add(steps));
      }
    });
  });
  constexpr std::int64_t floats = 64 << 20;
  const auto from = ldlm::Tensor<float>::full({floats}, 1.0F);
  const auto to = ldlm::Tensor<float>::full({floats}, 0.0F);
  const auto split = [](auto&& work) {
    ldlm::simd::parallel_for(0, floats, 1 << 10,
                             [&](std::int64_t lo, std::int64_t hi) { work(lo, hi); });
  };
  add("read", 4e-9 * floats, "GB/s", [&] {
    split([&](std::int64_t lo, std::int64_t hi) {
      benchmark::DoNotOptimize(sum(from.data() + lo, hi - lo));
    });
  });
  add("fill", 4e-9 * floats, "GB/s", [&] {
    split([&](std::int64_t lo, std::int64_t hi) {
      std::memset(to.data() + lo, 0, static_cast<std::size_t>(hi - lo) * sizeof(float));
    });
  });
  add("copy", 8e-9 * floats, "GB/s", [&] {
    split([&](std::int64_t lo, std::int64_t hi) {
      std::memcpy(to.data() + lo, from.data() + lo,
                  static_cast<std::size_t>(hi - lo) * sizeof(float));
    });
  });
  return ldlm::bench::run_benchmarks(argc, argv);
}
