#pragma once
// The one thread pool of the CPU kernels, and parallel_for on top of it.
//
// Latency comes first: decoding one token makes hundreds of short parallel regions. Idle workers
// spin for some microseconds, then sleep on a futex. A caller never waits for a worker that has not
// yet begun: it computes the work itself, so a busy or noisy core costs at most its own share.
// For the same reason everything still works, alone, in destructors of static objects, when the
// workers have ended. The child of a fork() starts workers of its own; a fork() waits until no
// other thread has the pool, and a task that forks must not return in the child.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#define LDLM_HAS_FORK 1
#include <pthread.h>
#endif

#include <ldlm/core/allocator.hpp>
#include <ldlm/core/threads.hpp>

namespace ldlm::simd {

namespace detail {

inline void relax_core() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#else
  std::this_thread::yield();
#endif
}

/// Polls `done` for a short while; false if it did not come true.
template <class Done>
bool spin_until(Done&& done) {
  constexpr auto patience = std::chrono::microseconds(50);
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) {
        return true;
      }
      relax_core();
    }
  } while (std::chrono::steady_clock::now() - start < patience);
  return false;
}

/// Runs units 0 .. count-1 of one job at a time on the caller and the workers. Each participant
/// owns a contiguous share, which keeps its data in its own cache from one job to the next; it
/// takes a quarter of what is left of it at a time, and steals half of what others have left when
/// done.
class ThreadPool {
 public:
  using Task = void (*)(void* context, std::int64_t lo, std::int64_t hi);
  static constexpr std::int64_t max_units = std::int64_t{1} << 31;

  /// The pool; null when static objects are being destroyed, or the library unloaded. (`used`: see
  /// run_ranges.)
  [[gnu::used]] static ThreadPool* instance() {
    static const Lifetime lifetime;
    return alive_.load(std::memory_order_acquire) ? &pool() : nullptr;
  }

  /// True on a thread that is working on a job: nested regions run inline.
  static bool& inside() {
    static constinit thread_local bool value = false;
    return value;
  }

  /// Runs the job of at most max_units units on up to `threads` threads and returns true, or
  /// returns false at once when another thread has the pool. Rethrows the first exception, skipping
  /// what nobody has begun.
  bool run(int threads, std::int64_t units, Task task, void* context) {
    const std::unique_lock lock(busy_, std::try_to_lock);
    if (!lock || !alive_.load(std::memory_order_relaxed)) {
      return false;
    }
    resize(threads - 1);
    open_job(std::min<std::int64_t>(units, std::ssize(workers_) + 1), units, task, context);
    work(0);
    close_job();
    if (error_) {
      std::rethrow_exception(std::exchange(error_, nullptr));
    }
    return true;
  }

 private:
  struct Range {
    std::int64_t lo = 0, hi = 0;
  };
  /// The units of one participant that nobody has begun.
  class alignas(64) Share {
   public:
    void set(Range units) { bits_.store(pack(units), std::memory_order_relaxed); }
    /// The owner takes its next units, from the front; an empty range if there are none.
    Range take() {
      return cut([](Range r) { return Range{r.lo, r.lo + (r.hi - r.lo + 3) / 4}; });
    }
    /// Another takes from the back, which the owner would come to last.
    Range steal() {
      return cut([](Range r) { return Range{r.hi - (r.hi - r.lo + 1) / 2, r.hi}; });
    }

   private:
    static std::uint64_t pack(Range r) {
      return static_cast<std::uint64_t>(r.hi) << 32U | static_cast<std::uint64_t>(r.lo);
    }
    /// Takes out the part that part_of(what is left) says, at one of its ends.
    template <class PartOf>
    Range cut(const PartOf& part_of) {
      std::uint64_t bits = bits_.load(std::memory_order_relaxed);
      for (;;) {
        const Range left{static_cast<std::int64_t>(bits & 0xffff'ffffU),
                         static_cast<std::int64_t>(bits >> 32U)};
        const Range part = part_of(left);
        const Range rest = part.lo == left.lo ? Range{part.hi, left.hi} : Range{left.lo, part.lo};
        if (part.lo == part.hi ||
            bits_.compare_exchange_weak(bits, pack(rest), std::memory_order_relaxed)) {
          return part;
        }
      }
    }

    std::atomic<std::uint64_t> bits_{0};  // lo, and above it hi
  };
  struct Worker {
    std::atomic<bool> stop{false};
    std::thread thread;
  };

  ThreadPool() = default;

  // Never destroyed, as a thread may still be on its way in when the process ends; the memory goes
  // with the program or library that it lies in.
  static ThreadPool& pool() {
    alignas(ThreadPool) static constinit std::byte memory[sizeof(ThreadPool)]{};
    return *std::launder(reinterpret_cast<ThreadPool*>(memory));
  }

  struct Lifetime {
    Lifetime() {
      ldlm::detail::default_allocator();  // before this: a fork then waits for the pool first
      new (&pool()) ThreadPool;
#ifdef LDLM_HAS_FORK
      ::pthread_atfork(
          prepare_fork, [] { end_fork(false); }, [] { end_fork(true); });
#endif
      alive_.store(true, std::memory_order_release);
    }
    Lifetime(const Lifetime&) = delete;
    Lifetime& operator=(const Lifetime&) = delete;
    ~Lifetime() {
      if (inside()) {
        return;  // a task ends the process: the job that it belongs to will not finish
      }
      const std::lock_guard lock(pool().busy_);
      alive_.store(false, std::memory_order_release);
      pool().resize(0);
    }
  };

#ifdef LDLM_HAS_FORK
  /// Whether this thread holds the pool while it forks. (Not from within a task, whose thread may
  /// hold it already: while a job runs nothing changes that the child needs.)
  static bool& holds_for_fork() {
    static constinit thread_local bool value = false;
    return value;
  }
  static void prepare_fork() {
    holds_for_fork() = !inside();
    if (holds_for_fork()) {
      pool().busy_.lock();
    }
  }
  static void end_fork(bool child) {
    const bool held = std::exchange(holds_for_fork(), false);
    if (child) {  // the workers are not there, nor is anyone who may have held the locks
      ThreadPool& p = pool();
      new (&p.busy_) std::mutex;
      new (&p.error_mutex_) std::mutex;
      new (&p.error_) std::exception_ptr;
      p.state_.store(0);
      std::move(p.workers_.begin(), p.workers_.end(), std::back_inserter(p.gone_));
      p.workers_.clear();
    } else if (held) {
      pool().busy_.unlock();
    }
  }
#endif

  void resize(int wanted) {
    if (std::ssize(workers_) == wanted) {
      return;
    }
    const auto count = static_cast<std::size_t>(wanted);
    for (std::size_t i = count; i < workers_.size(); ++i) {
      workers_[i]->stop.store(true, std::memory_order_relaxed);
    }
    wake();
    while (workers_.size() > count) {
      workers_.back()->thread.join();
      workers_.pop_back();
    }
    shares_ = std::vector<Share>(count + 1);
    while (workers_.size() < count) {
      auto worker = std::make_unique<Worker>();
      const int id = static_cast<int>(workers_.size()) + 1;
      try {
        worker->thread = std::thread(
            [this, id, &stop = worker->stop, seen = epoch_.load()] { serve(id, stop, seen); });
      } catch (const std::system_error&) {
        return;  // the system has no more threads to give: those that exist do the work
      }
      workers_.push_back(std::move(worker));
    }
  }

  void wake() {
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
  }

  void open_job(std::int64_t participants, std::int64_t units, Task task, void* context) {
    participants_ = participants;
    task_ = task;
    context_ = context;
    for (std::int64_t i = 0; i < participants; ++i) {
      shares_[static_cast<std::size_t>(i)].set(
          {units * i / participants, units * (i + 1) / participants});
    }
    state_.store(open, std::memory_order_release);
    wake();
  }

  /// Lets no more workers in, and waits for those that are.
  void close_job() {
    state_.fetch_and(~open, std::memory_order_relaxed);
    const auto idle = [this] { return state_.load(std::memory_order_acquire) == 0; };
    if (!spin_until(idle)) {
      while (!idle()) {
        const std::uint32_t state = state_.load(std::memory_order_relaxed);
        if (state != 0) {
          state_.wait(state, std::memory_order_acquire);
        }
      }
    }
  }

  bool enter_job() {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    while ((state & open) != 0) {
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  void leave_job() {
    if (state_.fetch_sub(1, std::memory_order_release) == 1) {  // closed, and the last one inside
      state_.notify_one();
    }
  }

  /// A worker's life.
  void serve(std::int64_t id, const std::atomic<bool>& stop, std::uint32_t seen) {
    inside() = true;
    for (;;) {
      const auto called = [&] { return epoch_.load(std::memory_order_acquire) != seen; };
      if (!spin_until(called)) {
        epoch_.wait(seen, std::memory_order_acquire);
      }
      seen = epoch_.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_relaxed)) {
        return;
      }
      if (enter_job()) {
        if (id < participants_) {
          work(id);
        }
        leave_job();
      }
    }
  }

  /// Participant `id` empties its own share, then the others'.
  void work(std::int64_t id) noexcept {
    const bool outer = std::exchange(inside(), true);
    for (std::int64_t i = 0; i < participants_; ++i) {
      Share& share = shares_[static_cast<std::size_t>((id + i) % participants_)];
      for (;;) {
        const Range units = i == 0 ? share.take() : share.steal();
        if (units.lo == units.hi) {
          break;
        }
        try {
          task_(context_, units.lo, units.hi);
        } catch (...) {
          fail_job(std::current_exception());
        }
      }
    }
    inside() = outer;
  }

  void fail_job(std::exception_ptr error) {
    const std::lock_guard lock(error_mutex_);
    if (!error_) {
      error_ = std::move(error);
    }
    for (std::int64_t i = 0; i < participants_; ++i) {
      shares_[static_cast<std::size_t>(i)].set({});
    }
  }

  static constexpr std::uint32_t open = 0x8000'0000U;
  static inline constinit std::atomic<bool> alive_{false};

  std::mutex busy_;  // held by the thread whose job runs
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Worker>> gone_;  // of the parent of a fork; handles of no thread

  alignas(64) std::atomic<std::uint32_t> epoch_{0};  // changes when workers should look up
  alignas(64) std::atomic<std::uint32_t> state_{0};  // `open`, plus the number of workers inside

  // The job; written only while no worker is inside.
  std::vector<Share> shares_;
  std::int64_t participants_ = 0;
  Task task_ = nullptr;
  void* context_ = nullptr;
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

/// parallel_for of task(context, lo, hi). (`used`: every unit has it under this name, so that no
/// unit for a wider instruction set is the only one.)
[[gnu::used]] inline void run_ranges(std::int64_t begin, std::int64_t end, std::int64_t grain,
                                     ThreadPool::Task task, void* context) {
  const std::int64_t size = end - begin;
  if (size <= 0) {
    return;
  }
  const int threads = size <= grain ? 1 : num_threads();
  if (threads > 1 && !ThreadPool::inside()) {
    // The pool counts in units of `length`.
    struct Ranges {
      std::int64_t begin, end, length;
      ThreadPool::Task task;
      void* context;
    };
    const std::int64_t length = grain * (size / grain / ThreadPool::max_units + 1);
    Ranges ranges{begin, end, length, task, context};
    const auto run_units = [](void* argument, std::int64_t lo, std::int64_t hi) {
      const Ranges& r = *static_cast<const Ranges*>(argument);
      r.task(r.context, r.begin + lo * r.length, std::min(r.end, r.begin + hi * r.length));
    };
    ThreadPool* const pool = ThreadPool::instance();
    if (pool != nullptr && pool->run(threads, (size + length - 1) / length, run_units, &ranges)) {
      return;
    }
  }
  task(context, begin, end);
}

}  // namespace detail

/// Calls f(lo, hi) over disjoint sub-ranges that cover [begin, end), on up to num_threads() threads
/// including the caller's. Sub-ranges are multiples of `grain` (>= 1) long, but for the last one;
/// where they begin depends on the number of threads, so what f writes for an index must not depend
/// on its sub-range. Runs inline when the range is at most `grain`, with one thread, within another
/// parallel_for, and while another thread has the pool. The first exception of f reaches the
/// caller.
template <class F>
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, const F& f) {
  // One call of f, wherever it runs: loops are compiled once.
  const auto task = [](void* context, std::int64_t lo, std::int64_t hi) {
    (*static_cast<const F*>(context))(lo, hi);
  };
  detail::run_ranges(begin, end, grain, task, const_cast<F*>(&f));
}

}  // namespace ldlm::simd
