#pragma once
// What the benchmarks share. Contenders do the same work, ours first; their results are compared,
// then each iteration times every one of them in turn, so that a machine that slows down slows all.
//
// Counters: `ours` and the peers' names: work per second (median); vs_X: X's time / ours, so that
// above 1 ours is faster (median of the iterations' ratios), vs_X_low and vs_X_high its quartiles.

#include <benchmark/benchmark.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <ldlm/core/threads.hpp>

namespace ldlm::bench {

struct Contender {
  std::string name;                                 ///< "ours" or the peer's
  std::function<double()> seconds;                  ///< of one run, measured now
  std::function<std::vector<float>()> result = {};  ///< what it computes; absent: not compared
};

/// How a benchmark is run and counted.
struct Comparison {
  double work = 1;            ///< of one run, in `unit`
  std::string unit = "runs";  ///< of work; rates are `unit` per second
  int threads = 1;
  float absolute = 1e-5F, relative = 1e-5F;  ///< how far results may differ
};

/// Seconds: processor time of this thread alone if that is all there is to measure, since it does
/// not count what other programs take; else wall time.
inline double now(int threads) {
  timespec time{};
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// While it lives, the calling thread has one processor and all others of this process share the
/// next. Two threads that a scheduler puts on one processor may stay there for tens of
/// milliseconds.
class Apart {
 public:
  Apart() {
    sched_getaffinity(0, sizeof all_, &all_);
    std::vector<cpu_set_t> one;
    for (std::size_t i = 0; i < CPU_SETSIZE && one.size() < 2; ++i) {
      if (CPU_ISSET(i, &all_)) {
        CPU_ZERO(&one.emplace_back());
        CPU_SET(i, &one.back());
      }
    }
    for_threads([&](pid_t id) { return one[id != gettid() && one.size() == 2 ? 1 : 0]; });
  }
  ~Apart() {
    for_threads([&](pid_t) { return all_; });
  }
  Apart(const Apart&) = delete;
  Apart& operator=(const Apart&) = delete;

 private:
  static void for_threads(const std::function<cpu_set_t(pid_t)>& where) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      const pid_t id = std::stoi(task.path().filename());
      const cpu_set_t set = where(id);
      sched_setaffinity(id, sizeof set, &set);
    }
  }
  cpu_set_t all_{};
};

/// Seconds of one run: as many as fill `least` seconds, after some that warm up; with two threads
/// for 5 ms, since a processor that slept may take some to come back.
template <class F>
double time_runs(F&& run, int threads, double least = 5e-4) {
  const auto repeat = [&](double until) {
    std::int64_t runs = 0;
    const double start = now(threads);
    double seconds = 0;
    do {
      run();
      ++runs;
      seconds = now(threads) - start;
    } while (seconds < until);
    return seconds / static_cast<double>(runs);
  };
  repeat(0);  // (makes its threads, if it has not yet)
  std::optional<Apart> apart;
  if (threads == 2) {
    apart.emplace();
    repeat(5e-3);
  }
  return repeat(least);
}

/// The value below which `share` of the values lie.
inline double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

/// Uniform in [-1, 1).
inline std::vector<float> random_values(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  std::vector<float> values(static_cast<std::size_t>(count));
  std::generate(values.begin(), values.end(), [&] { return uniform(random); });
  return values;
}

/// The first place where a peer's result is not ours, in words; empty if there is none.
inline std::string difference(std::span<const float> ours, std::span<const float> theirs,
                              const Comparison& how) {
  if (ours.size() != theirs.size()) {
    return std::to_string(ours.size()) + " values of ours, " + std::to_string(theirs.size()) +
           " of theirs";
  }
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!(std::abs(ours[i] - theirs[i]) <= how.absolute + how.relative * std::abs(ours[i]))) {
      return "value " + std::to_string(i) + ": ours " + std::to_string(ours[i]) + ", theirs " +
             std::to_string(theirs[i]);
    }
  }
  return {};
}

/// Runs one benchmark.
inline void compare(benchmark::State& state, const std::vector<Contender>& contenders,
                    const Comparison& how) {
  set_num_threads(how.threads);
  std::vector<float> expected;
  for (const Contender& contender : contenders) {
    if (!contender.result) {
      continue;
    }
    const std::vector<float> result = contender.result();
    if (&contender == &contenders.front()) {
      expected = result;
    } else if (const std::string where = difference(expected, result, how); !where.empty()) {
      state.SkipWithError(("ours and " + contender.name + " differ: " + where).c_str());
      return;
    }
  }
  std::vector<std::vector<double>> seconds(contenders.size());
  for ([[maybe_unused]] auto _ : state) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      // The workers of the one before may still spin: OpenBLAS's do for 26 ms.
      std::this_thread::sleep_for(std::chrono::milliseconds(how.threads > 1 ? 30 : 0));
      seconds[i].push_back(contenders[i].seconds());
    }
    state.SetIterationTime(seconds[0].back());
  }
  state.SetLabel(how.unit);
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    const std::string& name = contenders[i].name;
    state.counters[name] = how.work / quantile(seconds[i], 0.5);
    if (i == 0) {
      continue;
    }
    std::vector<double> ratios;
    for (std::size_t j = 0; j < seconds[i].size(); ++j) {
      ratios.push_back(seconds[i][j] / seconds[0][j]);
    }
    state.counters["vs_" + name] = quantile(ratios, 0.5);
    state.counters["vs_" + name + "_low"] = quantile(ratios, 0.25);
    state.counters["vs_" + name + "_high"] = quantile(ratios, 0.75);
  }
}

/// Registers `name`/threads:N for N = 1 and 2; make(N) returns the contenders and how to run them.
template <class Make>
void add_benchmark(const std::string& name, const Make& make, int rounds = 11,
                   const std::vector<int>& threads = {1, 2}) {
  for (const int count : threads) {
    const auto run = [make, count](benchmark::State& state) {
      try {
        set_num_threads(count);
        auto [contenders, how] = make(count);
        how.threads = count;
        compare(state, contenders, how);
      } catch (const std::exception& error) {  // say, of a peer that died: the others go on
        state.SkipWithError(error.what());
      }
    };
    benchmark::RegisterBenchmark((name + "/threads:" + std::to_string(count)).c_str(), run)
        ->UseManualTime()
        ->Iterations(rounds)
        ->Unit(benchmark::kMicrosecond);
  }
}

/// The main function of a benchmark whose benchmarks are registered.
inline int run_benchmarks(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace ldlm::bench
