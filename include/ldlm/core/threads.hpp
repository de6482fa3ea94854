#pragma once
// The number of threads that kernels may use. Results never depend on it.

#include <algorithm>
#include <atomic>
#include <thread>

#include <ldlm/core/error.hpp>

namespace ldlm {

namespace detail {
inline std::atomic<int> thread_count{0};  // 0: one per hardware thread
}

/// Threads that CPU kernels use from the next call on. Throws if count < 1.
inline void set_num_threads(int count) {
  LDLM_CHECK(count >= 1, "set_num_threads", "need at least one thread, got ", count);
  detail::thread_count.store(count);
}

inline int num_threads() {
  static const int hardware = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const int count = detail::thread_count.load(std::memory_order_relaxed);
  return count > 0 ? count : hardware;
}

}  // namespace ldlm
