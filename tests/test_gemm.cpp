// The SIMD matrix product against a plain loop in double: every transpose, odd sizes, strides with
// gaps, epilogues, batches, instruction sets; and the same bits for any number of threads.

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <ldlm/core/storage.hpp>
#include <ldlm/core/threads.hpp>
#include <ldlm_simd/gemm/gemm.hpp>

#include "threads.hpp"

namespace {

using ldlm::Activation;
using ldlm::Gemm;

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return x / (1 + std::exp(-2 * std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
  }
  return x;
}

/// Everything that a product can have.
struct GemmCase {
  std::int64_t m = 1, n = 1, k = 1;
  bool transposed_a = false, transposed_b = false;
  std::int64_t a_gap = 0, b_gap = 0, c_gap = 0;  // unused elements between rows
  std::int64_t a_step = 1, b_step = 1;           // stride of the inner axis
  double alpha = 1, beta = 0;
  bool bias = false, pre_activation = false, residual = false, residual_is_c = false;
  Activation activation = Activation::none;
  std::vector<std::int64_t> batch = {};                  // extents of the batch axes
  std::vector<bool> broadcast_a = {}, broadcast_b = {};  // stride 0 on that axis
  bool bf16 = false;  // allow_bf16, with factors that are bf16 already: nothing is lost

  [[nodiscard]] std::string text() const {
    std::string t = std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k);
    t += transposed_a ? " T" : " N";
    t += transposed_b ? "T" : "N";
    t += " alpha " + std::to_string(alpha) + " beta " + std::to_string(beta);
    t += " activation " + std::to_string(static_cast<int>(activation));
    return t + (bf16 ? " bf16" : "") + (bias ? " bias" : "") + (residual ? " residual" : "") +
           (residual_is_c ? " (C)" : "") + (batch.empty() ? "" : " batch");
  }
};

/// The operands of a case, in exactly as much memory as the strides need.
template <class T>
class Problem {
 public:
  explicit Problem(const GemmCase& x, unsigned seed = 1) : random_(seed) {
    g_.m = x.m;
    g_.n = x.n;
    g_.k = x.k;
    g_.alpha = static_cast<T>(x.alpha);
    g_.beta = static_cast<T>(x.beta);
    g_.activation = x.activation;
    set_strides(x.transposed_a, x.m, x.k, x.a_step, x.a_gap, g_.a_row, g_.a_col);
    set_strides(x.transposed_b, x.k, x.n, x.b_step, x.b_gap, g_.b_row, g_.b_col);
    g_.c_row = x.n + x.c_gap;
    std::int64_t a_size = extent(x.m, g_.a_row, x.k, g_.a_col);
    std::int64_t b_size = extent(x.k, g_.b_row, x.n, g_.b_col);
    std::int64_t c_size = extent(x.m, g_.c_row, x.n, 1);
    g_.batch_rank = static_cast<int>(x.batch.size());
    for (int axis = g_.batch_rank - 1; axis >= 0; --axis) {
      const auto at = static_cast<std::size_t>(axis);
      g_.batch_shape[axis] = x.batch[at];
      add_axis(x.batch[at], x.broadcast_a.size() > at && x.broadcast_a[at], g_.a_batch[axis],
               a_size);
      add_axis(x.batch[at], x.broadcast_b.size() > at && x.broadcast_b[at], g_.b_batch[axis],
               b_size);
      add_axis(x.batch[at], false, g_.c_batch[axis], c_size);
    }
    a_ = values(a_size);
    b_ = values(b_size);
    g_.allow_bf16 = x.bf16;
    for (auto* factors : {&a_, &b_}) {
      for (T& value : *factors) {
        value = x.bf16 ? static_cast<T>(ldlm::bf16(static_cast<float>(value))) : value;
      }
    }
    c_ = x.beta == 0 && !x.residual_is_c
             ? std::vector<T>(static_cast<std::size_t>(c_size), std::numeric_limits<T>::quiet_NaN())
             : values(c_size);
    bias_ = values(x.bias ? x.n : 0);
    residual_ = values(x.residual ? c_size : 0);
    pre_activation_.assign(x.pre_activation ? c_.size() : 0, T{77});
    residual_is_c_ = x.residual_is_c;
  }

  /// C, and the values before the activation, by the kernel under test.
  template <class Arch>
  std::vector<std::vector<T>> run() const {
    std::vector<T> c = c_, pre_activation = pre_activation_;
    Gemm<T> g = g_;
    g.a = a_.data();
    g.b = b_.data();
    g.c = c.data();
    g.bias = bias_.empty() ? nullptr : bias_.data();
    g.residual = residual_is_c_ ? g.c : residual_.empty() ? nullptr : residual_.data();
    g.pre_activation = pre_activation.empty() ? nullptr : pre_activation.data();
    ldlm::simd::gemm<T, Arch>(g);
    return {c, pre_activation};
  }

  /// The largest error of `results` in units of what rounding explains; infinity if an element
  /// outside the matrices changed.
  double error(const std::vector<std::vector<T>>& results) const {
    std::vector<double> c(c_.begin(), c_.end()),
        pre(pre_activation_.begin(), pre_activation_.end());
    std::vector<double> scale(c_.size(), 0);  // 0: may not be written
    for_each_matrix(0, 0, 0, 0, [&](std::int64_t a0, std::int64_t b0, std::int64_t c0) {
      for (std::int64_t i = 0; i < g_.m; ++i) {
        for (std::int64_t j = 0; j < g_.n; ++j) {
          double sum = 0, size = 0;
          for (std::int64_t l = 0; l < g_.k; ++l) {
            const double term = static_cast<double>(at(a_, a0 + i * g_.a_row + l * g_.a_col)) *
                                static_cast<double>(at(b_, b0 + l * g_.b_row + j * g_.b_col));
            sum += term;
            size += std::abs(term);
          }
          const std::int64_t here = c0 + i * g_.c_row + j;
          const double before = static_cast<double>(at(c_, here));
          double value = static_cast<double>(g_.alpha) * sum;
          value += g_.beta != T{0} ? static_cast<double>(g_.beta) * before : 0;
          value += bias_.empty() ? 0 : static_cast<double>(at(bias_, j));
          if (!pre.empty()) {
            at(pre, here) = value;
          }
          value = activate(g_.activation, value);
          value += residual_is_c_      ? before
                   : residual_.empty() ? 0
                                       : static_cast<double>(at(residual_, here));
          at(c, here) = value;
          at(scale, here) = 8 + std::abs(static_cast<double>(g_.alpha)) *
                                    (1 + std::sqrt(static_cast<double>(g_.k))) * (1 + size / 2);
        }
      }
    });
    return std::max(compare(results[0], c, c_, scale),
                    compare(results[1], pre, pre_activation_, scale));
  }

 private:
  template <class V>
  static auto& at(V& values, std::int64_t index) {
    return values.at(static_cast<std::size_t>(index));
  }

  static void set_strides(bool transposed, std::int64_t rows, std::int64_t columns,
                          std::int64_t step, std::int64_t gap, std::int64_t& row,
                          std::int64_t& column) {
    row = transposed ? step : columns * step + gap;
    column = transposed ? rows * step + gap : step;
  }

  static std::int64_t extent(std::int64_t rows, std::int64_t row, std::int64_t columns,
                             std::int64_t column) {
    return rows == 0 || columns == 0 ? 0 : (rows - 1) * row + (columns - 1) * column + 1;
  }

  static void add_axis(std::int64_t count, bool broadcast, std::int64_t& stride,
                       std::int64_t& size) {
    stride = broadcast ? 0 : size + 3;
    size = size == 0 || count == 0 ? 0 : size + (count - 1) * stride;
  }

  std::vector<T> values(std::int64_t count) {
    std::uniform_real_distribution<T> uniform(T{-1}, T{1});
    std::vector<T> v(static_cast<std::size_t>(count));
    std::generate(v.begin(), v.end(), [&] { return uniform(random_); });
    return v;
  }

  template <class F>
  void for_each_matrix(int axis, std::int64_t a0, std::int64_t b0, std::int64_t c0, F&& f) const {
    if (axis == g_.batch_rank) {
      f(a0, b0, c0);
      return;
    }
    for (std::int64_t i = 0; i < g_.batch_shape[axis]; ++i) {
      for_each_matrix(axis + 1, a0 + i * g_.a_batch[axis], b0 + i * g_.b_batch[axis],
                      c0 + i * g_.c_batch[axis], f);
    }
  }

  static double compare(const std::vector<T>& got, const std::vector<double>& want,
                        const std::vector<T>& before, const std::vector<double>& scale) {
    constexpr double unbounded = std::numeric_limits<double>::infinity();
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (scale[i] == 0) {
        const bool same = got[i] == before[i] || (std::isnan(got[i]) && std::isnan(before[i]));
        worst = same ? worst : unbounded;
        continue;
      }
      const double error = std::abs(static_cast<double>(got[i]) - want[i]) /
                           (scale[i] * static_cast<double>(std::numeric_limits<T>::epsilon()));
      worst = error <= worst ? worst : std::isnan(error) ? unbounded : error;
    }
    return worst;
  }

  std::mt19937 random_;
  Gemm<T> g_;
  std::vector<T> a_, b_, c_, bias_, residual_, pre_activation_;
  bool residual_is_c_ = false;
};

using ldlm_test::Threads;

template <class T, class Arch = ldlm::simd::NativeArch>
void check(const GemmCase& x, unsigned seed = 1) {
  const Problem<T> problem(x, seed);
  const double error = problem.error(problem.template run<Arch>());
  CHECK_MESSAGE(error <= 1, std::string(Arch::name()) << ": " << x.text() << ": error " << error);
}

/// A case of the given size, its other properties drawn.
GemmCase drawn(std::mt19937& random, std::int64_t m, std::int64_t n, std::int64_t k) {
  const auto one_in = [&](unsigned count) { return random() % count == 0; };
  GemmCase x;
  x.m = m;
  x.n = n;
  x.k = k;
  x.transposed_a = one_in(2);
  x.transposed_b = one_in(2);
  x.a_gap = one_in(2) ? random() % 7 : 0;
  x.b_gap = one_in(2) ? random() % 7 : 0;
  x.c_gap = one_in(2) ? random() % 7 : 0;
  x.a_step = one_in(8) ? 3 : 1;
  x.b_step = one_in(8) ? 2 : 1;
  x.alpha = one_in(3) ? 0.75 : 1;
  x.beta = one_in(3) ? 1 : one_in(4) ? -0.5 : 0;
  x.bias = one_in(3);
  x.activation =
      one_in(3) ? static_cast<Activation>(random() % ldlm::op_count<Activation>) : Activation::none;
  x.pre_activation = one_in(4);
  x.residual = one_in(4);
  x.residual_is_c = !x.residual && one_in(6);
  return x;
}

template <class T, class Arch = ldlm::simd::NativeArch>
void check_sizes(const std::vector<std::int64_t>& sizes) {
  std::mt19937 random(7);
  unsigned seed = 1;
  for (const std::int64_t m : sizes) {
    for (const std::int64_t n : sizes) {
      for (const std::int64_t k : sizes) {
        check<T, Arch>(drawn(random, m, n, k), ++seed);
      }
    }
  }
}

const std::vector<std::int64_t> odd_sizes = {0,  1,  2,  3,  4,  5,  7,  8,  12, 13, 14, 15,
                                             16, 17, 20, 28, 31, 32, 33, 34, 47, 48, 64, 67};
const std::vector<std::int64_t> few_sizes = {0, 1, 3, 6, 8, 15, 19, 33, 40};

}  // namespace

TEST_CASE("every size, stride and epilogue, float") {
  check_sizes<float>(odd_sizes);
}
TEST_CASE("every size, stride and epilogue, double") {
  check_sizes<double>(odd_sizes);
}

TEST_CASE("every transpose and every epilogue") {
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const auto activation : ldlm::all_ops<Activation>) {
        for (const double beta : {0.0, 1.0, 0.3}) {
          for (const bool residual : {false, true}) {
            GemmCase x;
            x.m = 45;
            x.n = 77;
            x.k = 39;
            x.transposed_a = ta;
            x.transposed_b = tb;
            x.beta = beta;
            x.bias = x.pre_activation = true;
            x.activation = activation;
            x.residual = residual;
            x.residual_is_c = !residual;
            check<float>(x);
            check<double>(x);
          }
        }
      }
    }
  }
}

TEST_CASE("factors of bf16, where they are allowed") {
  std::mt19937 random(11);
  unsigned seed = 1;
  const auto check_bf16 = [&](std::int64_t m, std::int64_t n, std::int64_t k) {
    GemmCase x = drawn(random, m, n, k);
    x.bf16 = true;
    check<float>(x, ++seed);
    check<double>(x, ++seed);  // allowed, and of no use
  };
  for (const std::int64_t m : odd_sizes) {
    for (const std::int64_t n : few_sizes) {
      for (const std::int64_t k : odd_sizes) {
        check_bf16(m, n, k);
      }
    }
  }
  check_bf16(300, 200, 71);
  check_bf16(130, 1500, 300);
  check_bf16(30, 70, 5001);
  check_bf16(257, 530, 1300);
  GemmCase x;
  x.m = 129;
  x.n = 300;
  x.k = 601;
  x.bf16 = true;
  const Problem<float> problem(x);
  const Threads one(1);
  const auto expected = problem.run<ldlm::simd::NativeArch>();
  const Threads two(2);
  CHECK(problem.run<ldlm::simd::NativeArch>() == expected);
}

TEST_CASE("large products: several blocks of rows, columns and K") {
  std::mt19937 random(3);
  const std::int64_t sizes[][3] = {{300, 200, 70}, {1031, 257, 33}, {130, 1500, 300},
                                   {30, 70, 5000}, {150, 90, 2600}, {257, 530, 1300},
                                   {1, 3000, 700}, {5, 700, 3000},  {16, 1000, 768},
                                   {2000, 1, 64},  {2000, 3, 64},   {9, 40, 20000}};
  for (const auto& [m, n, k] : sizes) {
    for (unsigned repeat = 0; repeat < 3; ++repeat) {
      check<float>(drawn(random, m, n, k), repeat);
    }
    check<double>(drawn(random, m, n, k));
    GemmCase x = drawn(random, m, n, k);  // sums that must not lie in C, over several K blocks
    x.beta = 0.5;
    x.residual = false;
    x.residual_is_c = true;
    check<float>(x);
  }
}

TEST_CASE("a product too large for the caches has the bits of its parts") {
  // Aligned, so that it is written past the caches; the parts are too small for that.
  const std::int64_t n = 2048 + 48;
  const std::int64_t m = 4 * ldlm::simd::cache_sizes().l2 / (4 * n) + 45;
  for (const std::int64_t k : {0, 1, 20}) {
    for (const bool bf16 : {false, true}) {
      std::mt19937 random(1);
      std::uniform_real_distribution<float> uniform(-1, 1);
      std::vector<float> a(static_cast<std::size_t>(m * k)), b(static_cast<std::size_t>(k * n));
      for (auto* factor : {&a, &b}) {
        std::generate(factor->begin(), factor->end(), [&] { return uniform(random); });
      }
      const auto multiply = [&](std::int64_t first, std::int64_t rows, float* c) {
        Gemm<float> g;
        g.allow_bf16 = bf16;
        g.m = rows;
        g.n = g.b_row = g.c_row = n;
        g.k = g.a_row = k;
        g.a_col = g.b_col = 1;
        g.a = a.data() + first * k;
        g.b = b.data();
        g.c = c;
        ldlm::simd::gemm<float, ldlm::simd::NativeArch>(g);
      };
      const auto whole =
          ldlm::Storage::allocate(static_cast<std::size_t>(m * n) * sizeof(float), ldlm::cpu);
      auto* const c = static_cast<float*>(whole.data());
      REQUIRE(ldlm::simd::can_stream<float, ldlm::simd::NativeArch>(c, n));
      const Threads two(2);
      multiply(0, m, c);
      constexpr std::int64_t part = 45;
      std::vector<float> rows(static_cast<std::size_t>(part * n));
      bool same = true;
      for (std::int64_t first = 0; first + part <= m; first += part) {
        multiply(first, part, rows.data());
        same = same && std::equal(rows.begin(), rows.end(), c + first * n);
      }
      CHECK(same);
    }
  }
}

TEST_CASE("beta 0 does not read C") {
  for (const std::int64_t k : {0, 5, 3000}) {
    for (const std::int64_t n : {1, 16, 45}) {
      GemmCase x;
      x.m = 19;
      x.n = n;
      x.k = k;
      check<float>(x);  // C holds NaN
      x.bias = true;
      check<float>(x);
    }
  }
}

TEST_CASE("a broadcast operand within a matrix") {
  GemmCase x;
  x.m = 33;
  x.n = 50;
  x.k = 21;
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      x.transposed_a = ta;
      x.transposed_b = tb;
      x.a_gap = ta ? -x.m : -x.k;  // rows or columns all the same
      x.b_gap = tb ? -x.k : -x.n;
      check<float>(x);
    }
  }
}

TEST_CASE("batches") {
  std::mt19937 random(5);
  const std::vector<std::vector<std::int64_t>> shapes = {{1},          {12}, {2, 3}, {3, 1, 2},
                                                         {2, 2, 1, 3}, {0},  {4, 0}};
  const std::int64_t sizes[][3] = {
      {40, 40, 32}, {1, 30, 64}, {40, 32, 40}, {3, 5, 0}, {200, 70, 20}};
  for (const auto& shape : shapes) {
    for (const auto& [m, n, k] : sizes) {
      for (int repeat = 0; repeat < 3; ++repeat) {
        GemmCase x = drawn(random, m, n, k);
        x.batch = shape;
        for (std::size_t axis = 0; axis < shape.size(); ++axis) {
          x.broadcast_a.push_back(random() % 3 == 0);
          x.broadcast_b.push_back(random() % 3 == 0);
        }
        check<float>(x);
        check<double>(x);
      }
    }
  }
  GemmCase large = drawn(random, 300, 130, 600);
  large.batch = {3};
  large.broadcast_b = {true};
  check<float>(large);
}

/// Fails unless all numbers of threads give the bits that one gives.
void check_threads(const GemmCase& x) {
  const Problem<float> problem(x);
  const auto run = [&](int threads) {
    const Threads scope(threads);
    // Bits, as NaN between the rows would not equal itself.
    std::vector<std::uint32_t> bits;
    for (const auto& values : problem.run<ldlm::simd::NativeArch>()) {
      for (const float value : values) {
        bits.push_back(std::bit_cast<std::uint32_t>(value));
      }
    }
    return bits;
  };
  const auto one = run(1);
  for (const int threads : {2, 3, 7}) {
    CHECK_MESSAGE(run(threads) == one, x.text() << " differs with " << threads << " threads");
  }
}

TEST_CASE("the same bits with any number of threads") {
  std::mt19937 random(11);
  const std::int64_t sizes[][3] = {{300, 400, 200}, {64, 700, 128},  {16, 900, 300},
                                   {1, 5000, 256},  {700, 33, 1300}, {129, 513, 2600},
                                   {8, 4000, 96}};
  for (const auto& [m, n, k] : sizes) {
    for (int repeat = 0; repeat < 3; ++repeat) {
      check_threads(drawn(random, m, n, k));
    }
    if (m * n * k < 3'000'000) {
      GemmCase x = drawn(random, m, n, k);
      x.batch = {5};
      check_threads(x);
    }
  }
}

TEST_CASE("one or two rows, and short rows of a B that no cache holds: parts of K") {
  std::mt19937 random(13);
  for (const std::int64_t n : {45, 1000}) {
    for (const std::int64_t m : {1, 2, 3}) {
      GemmCase x = drawn(random, m, n, ldlm::simd::cache_sizes().l2 / (4 * n) + 37);
      x.transposed_b = false;
      x.b_step = 1;
      check<float>(x);
      check<double>(x);
      check_threads(x);
      x.beta = 0;  // C holds NaN
      check<float>(x);
    }
  }
}

TEST_CASE("instruction sets that these compiler flags allow") {
  const auto check_arch = []<class Arch>(Arch) {
    if constexpr (Arch::supported()) {
      check_sizes<float, Arch>(few_sizes);
      check_sizes<double, Arch>(few_sizes);
      MESSAGE(std::string(Arch::name()) << " checked");
    }
  };
  check_arch(xsimd::sse2{});
  check_arch(xsimd::avx2{});
  check_arch(xsimd::fma3<xsimd::avx2>{});
  check_arch(xsimd::avx512f{});
}
