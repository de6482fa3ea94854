#pragma once
// The kernels of bf16 lie over the CPU's registered ones of float, whatever instruction set these
// are for, and so are compiled once.

#include <ldlm/core/registry.hpp>
#include <ldlm_bf16/table.hpp>
#include <ldlm_simd/thread_pool.hpp>

namespace ldlm::simd::detail {

struct Bf16Tables {
  static const KernelTable<float>& of_float() { return kernels<float>(cpu); }
  static const KernelTable<bf16>& of_bf16() { return kernels<bf16>(cpu); }
  template <class F>
  static void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, const F& f) {
    simd::parallel_for(begin, end, grain, f);
  }
};

}  // namespace ldlm::simd::detail
