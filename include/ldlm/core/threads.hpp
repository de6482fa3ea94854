#pragma once
// The number of threads that kernels may use. Results never depend on it.

#include <algorithm>
#include <atomic>
#include <thread>

#if __has_include(<sched.h>)
#include <sched.h>
#endif

#include <ldlm/core/error.hpp>

namespace ldlm {

namespace detail {
inline std::atomic<int> thread_count{0};  // 0: one per hardware thread

/// Hardware threads that the calling thread may run on: taskset and containers leave fewer.
inline int hardware_threads() {
#ifdef CPU_COUNT
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    return std::max(1, CPU_COUNT(&allowed));
  }
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}
}  // namespace detail

/// Threads that CPU kernels use from the next call on. Throws if count < 1.
inline void set_num_threads(int count) {
  LDLM_CHECK(count >= 1, "set_num_threads", "need at least one thread, got ", count);
  detail::thread_count.store(count);
}

/// What was set last, else the hardware threads that the process may run on.
inline int num_threads() {
  static const int hardware = detail::hardware_threads();
  const int count = detail::thread_count.load(std::memory_order_relaxed);
  return count > 0 ? count : hardware;
}

}  // namespace ldlm
