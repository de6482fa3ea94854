// Matrix products: ours and, where they were found at configure time, oneDNN, OpenBLAS and Eigen.
// Rates are in GFLOP/s.

#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/core/tensor.hpp>
#include <ldlm_simd/gemm/gemm.hpp>

#include "harness.hpp"

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

/// C (m, n) = A B, `count` times; A is (m, k) or, transposed, (k, m); likewise B.
struct Shape {
  std::int64_t m, n, k;
  bool transposed_a = false, transposed_b = false;
  std::int64_t count = 1;
};

/// In memory as tensors have it: aligned to cache lines, on huge pages where they are granted.
struct Operands {
  explicit Operands(const Shape& s)
      : a(random(s.count * s.m * s.k, 1)),
        b(random(s.count * s.k * s.n, 2)),
        c(ldlm::Tensor<float>::full({s.count * s.m * s.n}, 0.0F)) {}
  static ldlm::Tensor<float> random(std::int64_t count, unsigned seed) {
    return ldlm::Tensor<float>::from_values({count}, ldlm::bench::random_values(count, seed));
  }
  ldlm::Tensor<float> a, b, c;
};

void multiply_ours(const Shape& s, Operands& x, bool allow_bf16) {
  ldlm::Gemm<float> g;
  g.allow_bf16 = allow_bf16;
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
  ldlm::simd::gemm<float, ldlm::simd::NativeArch>(g);
}

void multiply_ours(const Shape& s, Operands& x) {
  multiply_ours(s, x, false);
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

/// Each peer's product, and how many threads it takes.
struct Peer {
  std::string name;
  void (*multiply)(const Shape&, Operands&);
  void (*set_threads)(int);
};

const std::vector<Peer>& peers() {
  static const std::vector<Peer> all = {
    {"ours", multiply_ours, ldlm::set_num_threads},
#if defined(LDLM_BENCH_ONEDNN)
    {"onednn", multiply_onednn, omp_set_num_threads},
#endif
#if defined(LDLM_BENCH_OPENBLAS)
    {"openblas", multiply_openblas, openblas_set_num_threads},
#endif
#if defined(LDLM_BENCH_EIGEN)
    {"eigen", multiply_eigen, Eigen::setNbThreads},
#endif
  };
  return all;
}

/// Name: GROUP/MxNxK/NN, or NT (B transposed, as in x W^T), TN (A transposed, as in dY^T X).
void add(const std::string& group, const Shape& s) {
  const std::string count = s.count > 1 ? std::to_string(s.count) + "x" : "";
  const std::string name = group + "/" + count + std::to_string(s.m) + "x" + std::to_string(s.n) +
                           "x" + std::to_string(s.k) + (s.transposed_a ? "/T" : "/N") +
                           (s.transposed_b ? "T" : "N");
  ldlm::bench::add_benchmark(name, [s](int threads) {
    const auto operands = std::make_shared<Operands>(s);
    std::vector<ldlm::bench::Contender> contenders;
    for (const Peer& peer : peers()) {
      peer.set_threads(threads);
      const auto multiply = [s, operands, &peer] { peer.multiply(s, *operands); };
      contenders.push_back(
          {peer.name, [multiply, threads] { return ldlm::bench::time_runs(multiply, threads); },
           [multiply, operands] {
             multiply();
             return operands->c.to_vector();
           }});
    }
    ldlm::bench::Comparison how;
    how.work = 2e-9 * static_cast<double>(s.m * s.n * s.k * s.count);
    how.unit = "GFLOP/s";
    how.absolute = 1e-5F * (8 + std::sqrt(static_cast<float>(s.k)));
    return std::pair(contenders, how);
  });
}

/// Factors rounded to bf16, beside our own product of floats.
void add_bf16(const Shape& s) {
  const std::string name = "bf16/" + std::to_string(s.m) + "x" + std::to_string(s.n) + "x" +
                           std::to_string(s.k) + (s.transposed_b ? "/NT" : "/NN");
  ldlm::bench::add_benchmark(name, [s](int threads) {
    const auto operands = std::make_shared<Operands>(s);
    std::vector<ldlm::bench::Contender> contenders;
    for (const bool bf16 : {true, false}) {
      const auto multiply = [=] { multiply_ours(s, *operands, bf16); };
      contenders.push_back({bf16 ? "ours" : "ours_f32",
                            [=] { return ldlm::bench::time_runs(multiply, threads); },
                            [=] {
                              multiply();
                              return operands->c.to_vector();
                            }});
    }
    ldlm::bench::Comparison how;
    how.work = 2e-9 * static_cast<double>(s.m * s.n * s.k);
    how.unit = "GFLOP/s";
    how.absolute = 5e-3F * std::sqrt(static_cast<float>(s.k));  // as bf16 is so coarse
    return std::pair(contenders, how);
  });
}

void add_all() {
  for (const std::int64_t size : {512, 1024, 2048}) {
    add("sgemm", {size, size, size});
  }
  // GPT-2 124M and BERT-base: forward, the gradients of inputs and of weights.
  add("sgemm", {256, 2304, 768});
  add("sgemm", {256, 2304, 768, false, true});
  add("sgemm", {256, 768, 3072});
  add("sgemm", {256, 768, 3072, false, true});
  add("sgemm", {256, 3072, 768, false, true});
  add("sgemm", {256, 50257, 768, false, true});
  add("sgemm", {256, 768, 50257});
  add("sgemm", {768, 2304, 256, true, false});
  add("sgemm", {3072, 768, 256, true, false});
  add("sgemm", {50257, 768, 256, true, false});
  // MiniLM's, and those of a small model's step at 1,920 tokens.
  add("sgemm", {1024, 1536, 384, false, true});
  add("sgemm", {512, 384, 1536, false, true});
  add("sgemm", {1920, 192, 192, false, true});
  add("sgemm", {1920, 768, 192, false, true});
  add("sgemm", {1920, 192, 768});
  add("sgemm", {1920, 8192, 192, false, true});
  add("sgemm", {8192, 192, 1920, true, false});
  add_bf16({1024, 1024, 1024});
  add_bf16({256, 2304, 768, false, true});
  add_bf16({256, 768, 3072, false, true});
  add_bf16({256, 50257, 768, false, true});
  // Scores and values of 12 heads of attention.
  add("batched", {40, 40, 32, false, true, 12});
  add("batched", {40, 32, 40, false, false, 12});
  add("batched", {256, 256, 64, false, true, 12});
  add("batched", {256, 64, 256, false, false, 12});
  // Decoding: few rows.
  for (const std::int64_t m : {1, 2, 4, 8, 16}) {
    for (const bool transposed : {false, true}) {
      add("skinny", {m, 768, 768, false, transposed});
      add("skinny", {m, 3072, 768, false, transposed});
    }
    add("skinny", {m, 50257, 768, false, true});
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
  benchmark::AddCustomContext("openblas kernels", openblas_get_corename());
#endif
  add_all();
  return ldlm::bench::run_benchmarks(argc, argv);
}
