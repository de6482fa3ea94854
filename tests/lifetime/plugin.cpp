// A shared object that uses the library on its own: host.cpp loads and unloads it.

#include <atomic>

#include <ldlm/core/ops.hpp>
#include <ldlm_reference/reference.hpp>
#include <ldlm_simd/gemm/workspace.hpp>
#include <ldlm_simd/thread_pool.hpp>

/// The sum 0 + 1 + ... + 99999, in tensors and by three threads; with `workspace` the threads use
/// the memory that products keep for each.
extern "C" double run_plugin(bool workspace) {
  using Workspace = ldlm::simd::GemmWorkspace<double, ldlm::simd::NativeArch>;
  ldlm::set_num_threads(3);
  const auto x = ldlm::Tensor<double>::zeros({100000});
  std::atomic<int> arrived{0};
  ldlm::simd::parallel_for(0, 3, 1, [&](std::int64_t, std::int64_t) {
    ++arrived;
    while (arrived < 3) {  // only three threads get past this
      std::this_thread::yield();
    }
    if (workspace) {
      *Workspace::local().a.reserve(1000) = 1;
    }
  });
  ldlm::simd::parallel_for(0, 100000, 1000, [&](std::int64_t lo, std::int64_t hi) {
    for (std::int64_t i = lo; i < hi; ++i) {
      x.data()[i] = static_cast<double>(i);
    }
  });
  return sum(x).item();
}
