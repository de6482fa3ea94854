// parallel_for: covers every index once, from any thread, with any thread count; errors come back.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm_simd/thread_pool.hpp>

#include "threads.hpp"

#if __has_include(<sys/wait.h>)
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace {

using ldlm::simd::parallel_for;
using ldlm_test::Threads;

/// How often parallel_for visits each index of [begin, end).
std::vector<int> visits(std::int64_t begin, std::int64_t end, std::int64_t grain) {
  std::vector<int> count(static_cast<std::size_t>(end - begin));
  parallel_for(begin, end, grain, [&](std::int64_t lo, std::int64_t hi) {
    for (std::int64_t i = lo; i < hi; ++i) {
      ++count[static_cast<std::size_t>(i - begin)];
    }
  });
  return count;
}

bool all_once(const std::vector<int>& count) {
  return std::all_of(count.begin(), count.end(), [](int c) { return c == 1; });
}

}  // namespace

TEST_CASE("parallel_for visits every index once") {
  for (const int threads : {1, 2, 3, 8}) {
    const Threads scope(threads);
    for (const std::int64_t size : {0, 1, 2, 3, 7, 64, 1000, 4097}) {
      for (const std::int64_t grain : {1, 2, 5, 64, 5000}) {
        CAPTURE(threads);
        CAPTURE(size);
        CAPTURE(grain);
        CHECK(all_once(visits(-3, size - 3, grain)));
      }
    }
  }
  parallel_for(5, 2, 1, [](std::int64_t, std::int64_t) { FAIL("an empty range has no calls"); });
}

TEST_CASE("sub-ranges begin at multiples of the grain") {
  const Threads scope(3);
  std::atomic<bool> aligned{true};
  parallel_for(10, 1010, 16, [&](std::int64_t lo, std::int64_t hi) {
    if ((lo - 10) % 16 != 0 || (hi != 1010 && (hi - 10) % 16 != 0)) {
      aligned = false;
    }
  });
  CHECK(aligned);
}

TEST_CASE("small ranges, one thread and nested regions run inline, in one piece") {
  const auto me = std::this_thread::get_id();
  int calls = 0;
  const auto inline_call = [&](std::int64_t lo, std::int64_t hi) {
    CHECK(std::this_thread::get_id() == me);
    CHECK(lo == 0);
    CHECK(hi == 100);
    ++calls;
  };
  {
    const Threads scope(4);
    parallel_for(0, 100, 100, inline_call);
  }
  {
    const Threads scope(1);
    parallel_for(0, 100, 1, inline_call);
  }
  CHECK(calls == 2);

  const Threads scope(3);
  std::atomic<int> outer{0}, inner{0};
  parallel_for(0, 12, 1, [&](std::int64_t lo, std::int64_t hi) {
    outer += static_cast<int>(hi - lo);
    const auto here = std::this_thread::get_id();
    parallel_for(0, 10, 1, [&](std::int64_t from, std::int64_t to) {
      if (std::this_thread::get_id() == here && from == 0 && to == 10) {
        ++inner;
      }
    });
  });
  CHECK(outer == 12);
  CHECK(inner >= 1);
  CHECK(inner <= 12);
}

TEST_CASE("workers take part") {
  const Threads scope(2);
  // Each of the two sub-ranges waits for the other: only two threads can finish this.
  std::atomic<int> arrived{0};
  parallel_for(0, 2, 1, [&](std::int64_t, std::int64_t) {
    ++arrived;
    while (arrived < 2) {
      std::this_thread::yield();
    }
  });
  CHECK(arrived == 2);
}

TEST_CASE("never more threads than asked for") {
  for (const int threads : {2, 3, 5, 2}) {
    const Threads scope(threads);
    std::mutex mutex;
    std::set<std::thread::id> ids;
    for (int repeat = 0; repeat < 50; ++repeat) {
      parallel_for(0, 64, 1, [&](std::int64_t, std::int64_t) {
        const std::lock_guard lock(mutex);
        ids.insert(std::this_thread::get_id());
      });
    }
    CHECK(ids.size() <= static_cast<std::size_t>(threads));
  }
}

TEST_CASE("an exception reaches the caller, and the pool goes on") {
  for (const int threads : {1, 2, 4}) {
    const Threads scope(threads);
    for (std::int64_t bad = 0; bad < 40; ++bad) {
      CHECK_THROWS_WITH_AS(parallel_for(0, 40, 1,
                                        [&](std::int64_t lo, std::int64_t hi) {
                                          if (lo <= bad && bad < hi) {
                                            ldlm::detail::fail("test", "index ", bad);
                                          }
                                        }),
                           doctest::Contains("[test] index"), ldlm::Error);
    }
    CHECK(all_once(visits(0, 1000, 1)));
  }
}

TEST_CASE("several user threads at once, while the thread count changes") {
  const Threads scope(2);
  std::atomic<int> wrong{0};
  std::vector<std::thread> users;
  for (int user = 0; user < 3; ++user) {
    users.emplace_back([&, user] {
      for (int repeat = 0; repeat < 200; ++repeat) {
        if (user == 0 && repeat % 20 == 0) {
          ldlm::set_num_threads(1 + repeat / 20 % 4);
        }
        if (!all_once(visits(0, 300 + repeat, 7))) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& user : users) {
    user.join();
  }
  CHECK(wrong == 0);
}

TEST_CASE("many short regions with pauses wake sleeping workers") {
  const Threads scope(2);
  for (int repeat = 0; repeat < 2000; ++repeat) {
    REQUIRE(all_once(visits(0, 16, 1)));
    if (repeat % 200 == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
}

#if __has_include(<sys/wait.h>) && !defined(__SANITIZE_THREAD__)
namespace {
/// Whether `work` returns true in the child of a fork, within some time.
template <class Work>
bool in_child(Work&& work) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // ends it if it hangs
    _exit(work() ? 0 : 1);
  }
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}
/// Whether that many threads work side by side: each waits for all.
bool all_take_part(int threads) {
  std::atomic<int> arrived{0};
  parallel_for(0, threads, 1, [&](std::int64_t, std::int64_t) {
    ++arrived;
    while (arrived < threads) {
      std::this_thread::yield();
    }
  });
  return arrived == threads;
}
}  // namespace

TEST_CASE("the child of a fork has workers of its own, and so has its child") {
  const Threads scope(3);
  CHECK(all_take_part(3));
  CHECK(in_child([] { return all_take_part(3) && in_child([] { return all_take_part(3); }); }));
  CHECK(in_child([] {
    ldlm::set_num_threads(2);
    return all_take_part(2);
  }));
  CHECK(all_take_part(3));
}

TEST_CASE("forks while other threads compute and allocate") {
  const Threads scope(3);
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  others.emplace_back([&] {
    while (!stop) {
      static_cast<void>(visits(0, 1000, 1));
    }
  });
  others.emplace_back([&] {
    while (!stop) {
      auto& allocator = ldlm::detail::default_allocator();
      allocator.deallocate(allocator.allocate(5000), 5000);
    }
  });
  int right = 0;
  for (int i = 0; i < 50; ++i) {
    right += in_child([] {
      auto& allocator = ldlm::detail::default_allocator();
      allocator.deallocate(allocator.allocate(5000), 5000);
      return all_take_part(3) && all_once(visits(0, 1000, 1));
    });
  }
  stop = true;
  for (std::thread& other : others) {
    other.join();
  }
  CHECK(right == 50);
}

#ifndef __SANITIZE_ADDRESS__  // to which what the other threads own looks like leaks
TEST_CASE("a task may end the process") {
  const Threads scope(3);
  std::fflush(nullptr);  // lest the child prints it, too
  for (const bool by_worker : {false, true}) {
    CHECK(in_child([by_worker] {
      const auto caller = std::this_thread::get_id();
      std::atomic<int> arrived{0};
      std::atomic<bool> ending{false};
      parallel_for(0, 3, 1, [&](std::int64_t, std::int64_t) {
        ++arrived;
        while (arrived < 3) {
          std::this_thread::yield();
        }
        if ((std::this_thread::get_id() != caller) == by_worker && !ending.exchange(true)) {
          std::exit(0);
        }
      });
      std::this_thread::sleep_for(std::chrono::seconds(60));
      return false;
    }));
  }
}
#endif

TEST_CASE("a task may fork") {
  const Threads scope(3);
  std::atomic<int> right{0};
  parallel_for(0, 3, 1, [&](std::int64_t lo, std::int64_t hi) {
    for (std::int64_t i = lo; i < hi; ++i) {
      right += in_child([] { return all_once(visits(0, 1000, 1)); }) ? 1 : 0;
    }
  });
  CHECK(right == 3);
}

TEST_CASE("the child of a fork computes, and ends") {
  const Threads scope(3);
  CHECK(all_once(visits(0, 1000, 1)));
  const pid_t child = fork();
  if (child == 0) {
    const bool right = all_once(visits(0, 1000, 1));
    ldlm::set_num_threads(2);
    _exit(right && all_once(visits(0, 1000, 1)) ? 0 : 1);
  }
  REQUIRE(child > 0);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
#endif

#ifdef CPU_COUNT
TEST_CASE("as many threads as the processors that a thread may run on") {
  cpu_set_t allowed;
  REQUIRE(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
  CHECK(ldlm::detail::hardware_threads() == CPU_COUNT(&allowed));
  int processor = 0;
  while (!CPU_ISSET(processor, &allowed)) {
    ++processor;
  }
  CPU_ZERO(&allowed);
  CPU_SET(processor, &allowed);
  int found = 0;
  std::thread restricted([&] {
    if (sched_setaffinity(0, sizeof(allowed), &allowed) == 0) {
      found = ldlm::detail::hardware_threads();
    }
  });
  restricted.join();
  CHECK(found == 1);
}
#endif
