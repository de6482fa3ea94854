// Matrix products: ours and, where they were found at configure time, oneDNN, OpenBLAS and Eigen,
// in turn within each iteration, so that a machine that slows down slows all of them.
//
// Counters: GFLOP/s of each (median), and vs_X = X's time / ours, the median over the iterations:
// above 1 ours is faster. The results are compared before anything is timed.

#include <benchmark/benchmark.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <ldlm/core/threads.hpp>
#include <ldlm_simd/gemm.hpp>

#if defined(LDLM_BENCH_ONEDNN) || defined(LDLM_BENCH_EIGEN)
#include <omp.h>
#endif
#if defined(LDLM_BENCH_ONEDNN)
#include <dnnl.h>
#endif
#if defined(LDLM_BENCH_OPENBLAS)
extern "C" {
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                 const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
void openblas_set_num_threads(int count);
char* openblas_get_corename(void);
}
#endif
#if defined(LDLM_BENCH_EIGEN)
#include <Eigen/Core>
#endif

namespace {

/// Seconds: processor time of this thread alone if that is all there is to measure, since it does
/// not count what other programs take; else wall time.
double now(int threads) {
  timespec time{};
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// C (m, n) = A B, `count` times; A is (m, k) or, transposed, (k, m); likewise B.
struct Shape {
  std::int64_t m, n, k;
  bool transposed_a = false, transposed_b = false;
  std::int64_t count = 1;
};

struct Operands {
  explicit Operands(const Shape& s)
      : a(fill(s.count * s.m * s.k, 1)),
        b(fill(s.count * s.k * s.n, 2)),
        c(static_cast<std::size_t>(s.count * s.m * s.n)) {}
  static std::vector<float> fill(std::int64_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    std::vector<float> values(static_cast<std::size_t>(count));
    std::generate(values.begin(), values.end(), [&] { return uniform(random); });
    return values;
  }
  std::vector<float> a, b, c;
};

void multiply_ours(const Shape& s, Operands& x) {
  ldlm::Gemm<float> g;
  g.m = s.m;
  g.n = s.n;
  g.k = s.k;
  g.a = x.a.data();
  g.b = x.b.data();
  g.c = x.c.data();
  g.a_row = s.transposed_a ? 1 : s.k;
  g.a_col = s.transposed_a ? s.m : 1;
  g.b_row = s.transposed_b ? 1 : s.n;
  g.b_col = s.transposed_b ? s.k : 1;
  g.c_row = s.n;
  g.batch_rank = 1;
  g.batch_shape[0] = s.count;
  g.a_batch[0] = s.m * s.k;
  g.b_batch[0] = s.k * s.n;
  g.c_batch[0] = s.m * s.n;
  ldlm::simd::gemm<float, xsimd::default_arch>(g);
}

#if defined(LDLM_BENCH_ONEDNN)
void multiply_onednn(const Shape& s, Operands& x) {
  for (std::int64_t i = 0; i < s.count; ++i) {
    dnnl_sgemm(s.transposed_a ? 'T' : 'N', s.transposed_b ? 'T' : 'N', s.m, s.n, s.k, 1.0F,
               x.a.data() + i * s.m * s.k, s.transposed_a ? s.m : s.k, x.b.data() + i * s.k * s.n,
               s.transposed_b ? s.k : s.n, 0.0F, x.c.data() + i * s.m * s.n, s.n);
  }
}
#endif

#if defined(LDLM_BENCH_OPENBLAS)
void multiply_openblas(const Shape& s, Operands& x) {
  const auto integer = [](std::int64_t value) { return static_cast<int>(value); };
  constexpr int row_major = 101, plain = 111, transposed = 112;
  for (std::int64_t i = 0; i < s.count; ++i) {
    cblas_sgemm(row_major, s.transposed_a ? transposed : plain, s.transposed_b ? transposed : plain,
                integer(s.m), integer(s.n), integer(s.k), 1.0F, x.a.data() + i * s.m * s.k,
                integer(s.transposed_a ? s.m : s.k), x.b.data() + i * s.k * s.n,
                integer(s.transposed_b ? s.k : s.n), 0.0F, x.c.data() + i * s.m * s.n,
                integer(s.n));
  }
}
#endif

#if defined(LDLM_BENCH_EIGEN)
void multiply_eigen(const Shape& s, Operands& x) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Map = Eigen::Map<const Matrix>;
  for (std::int64_t i = 0; i < s.count; ++i) {
    const Map a(x.a.data() + i * s.m * s.k, s.transposed_a ? s.k : s.m, s.transposed_a ? s.m : s.k);
    const Map b(x.b.data() + i * s.k * s.n, s.transposed_b ? s.n : s.k, s.transposed_b ? s.k : s.n);
    Eigen::Map<Matrix> c(x.c.data() + i * s.m * s.n, s.m, s.n);
    if (s.transposed_a && s.transposed_b) {
      c.noalias() = a.transpose() * b.transpose();
    } else if (s.transposed_a) {
      c.noalias() = a.transpose() * b;
    } else if (s.transposed_b) {
      c.noalias() = a * b.transpose();
    } else {
      c.noalias() = a * b;
    }
  }
}
#endif

struct Contender {
  std::string name;
  std::function<void(const Shape&, Operands&)> multiply;
};

const std::vector<Contender>& contenders() {
  static const std::vector<Contender> all = {
    {"ours", multiply_ours},
#if defined(LDLM_BENCH_ONEDNN)
    {"onednn", multiply_onednn},
#endif
#if defined(LDLM_BENCH_OPENBLAS)
    {"openblas", multiply_openblas},
#endif
#if defined(LDLM_BENCH_EIGEN)
    {"eigen", multiply_eigen},
#endif
  };
  return all;
}

void set_threads(int count) {
  ldlm::set_num_threads(count);
#if defined(LDLM_BENCH_ONEDNN) || defined(LDLM_BENCH_EIGEN)
  omp_set_num_threads(count);
#endif
#if defined(LDLM_BENCH_OPENBLAS)
  openblas_set_num_threads(count);
#endif
#if defined(LDLM_BENCH_EIGEN)
  Eigen::setNbThreads(count);
#endif
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Seconds per product: enough repetitions for half a millisecond, after one that warms up.
double measure(const Contender& contender, const Shape& shape, Operands& operands, int threads) {
  contender.multiply(shape, operands);
  std::int64_t repeats = 0;
  const double start = now(threads);
  double seconds = 0;
  do {
    contender.multiply(shape, operands);
    ++repeats;
    seconds = now(threads) - start;
  } while (seconds < 5e-4);
  return seconds / static_cast<double>(repeats);
}

void run(benchmark::State& state, const Shape& shape, int threads) {
  set_threads(threads);
  Operands operands(shape);
  std::vector<float> expected;
  for (const Contender& contender : contenders()) {
    contender.multiply(shape, operands);
    if (expected.empty()) {
      expected = operands.c;
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (!(std::abs(operands.c[i] - expected[i]) <=
            1e-5F * (8 + std::sqrt(static_cast<float>(shape.k))))) {
        state.SkipWithError(("ours and " + contender.name + " differ").c_str());
        return;
      }
    }
  }
  std::vector<std::vector<double>> seconds(contenders().size());
  for ([[maybe_unused]] auto _ : state) {
    for (std::size_t i = 0; i < contenders().size(); ++i) {
      // Worker threads of the one before may still spin.
      std::this_thread::sleep_for(std::chrono::milliseconds(threads > 1 ? 4 : 0));
      seconds[i].push_back(measure(contenders()[i], shape, operands, threads));
    }
    state.SetIterationTime(seconds[0].back());
  }
  const double work = 2e-9 * static_cast<double>(shape.m * shape.n * shape.k * shape.count);
  for (std::size_t i = 0; i < contenders().size(); ++i) {
    state.counters[contenders()[i].name] = work / median(seconds[i]);
    if (i > 0) {
      std::vector<double> ratios;
      for (std::size_t j = 0; j < seconds[i].size(); ++j) {
        ratios.push_back(seconds[i][j] / seconds[0][j]);
      }
      state.counters["vs_" + contenders()[i].name] = median(ratios);
    }
  }
}

void add(const std::string& name, const Shape& shape) {
  for (const int threads : {1, 2}) {
    benchmark::RegisterBenchmark(
        (name + "/threads:" + std::to_string(threads)).c_str(),
        [shape, threads](benchmark::State& state) { run(state, shape, threads); })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  }
}

/// Name: MxNxK, then NN, NT (B transposed, as in x W^T), TN (A transposed, as in dY^T X).
void add(const Shape& s) {
  add((s.count > 1 ? std::to_string(s.count) + "x" : std::string()) + std::to_string(s.m) + "x" +
          std::to_string(s.n) + "x" + std::to_string(s.k) + (s.transposed_a ? "/T" : "/N") +
          (s.transposed_b ? "T" : "N"),
      s);
}

void add_all() {
  // Square, and the linear layers of GPT-2 124M and BERT.
  for (const std::int64_t size : {512, 1024, 2048}) {
    add({size, size, size});
  }
  add({256, 2304, 768});
  add({256, 768, 3072});
  add({256, 3072, 768, false, true});
  add({256, 50257, 768, false, true});
  add({1024, 1536, 384, false, true});
  add({512, 384, 1536, false, true});
  add({128, 128, 128});
  // A training step at 1920 tokens: forward, gradient of the input, gradient of the weight.
  for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{192, 192},
                             {768, 192},
                             {192, 768},
                             {256, 1024},
                             {8192, 192}}) {
    add({1920, n, k, false, true});
    add({1920, k, n});
    add({n, k, 1920, true, false});
  }
  // Attention: scores and values of 12 heads.
  add({40, 40, 32, false, true, 12});
  add({40, 32, 40, false, false, 12});
  add({256, 256, 64, false, true, 12});
  add({256, 64, 256, false, false, 12});
  // Decoding: few rows.
  for (const std::int64_t m : {1, 2, 4, 8, 16}) {
    add({m, 768, 768});
    add({m, 768, 768, false, true});
    add({m, 3072, 768});
    add({m, 768, 3072, false, true});
    add({m, 50257, 768, false, true});
  }
}

}  // namespace

int main(int argc, char** argv) {
  // OpenBLAS chooses its kernels by the processor's name, and the slowest for one it doesn't know.
  // It reads the variable while it is loaded, so that the program has to start again.
#if defined(LDLM_BENCH_OPENBLAS) && defined(__AVX512F__)
  if (std::getenv("OPENBLAS_CORETYPE") == nullptr) {
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    execv("/proc/self/exe", argv);
  }
#endif
#if defined(LDLM_BENCH_OPENBLAS)
  std::printf("OpenBLAS runs its kernels for %s\n", openblas_get_corename());
#endif
  add_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
