#include <ldlm/core/kernel_table.hpp>

#include "kernel_harness.hpp"

// Random fills, dropout and the optimiser's step of every device against the reference.

using namespace ldlm;
using namespace ldlm::test;

namespace {

const std::vector<Shape> random_shapes = {{}, {1}, {2}, {3}, {0}, {7}, {64}, {130, 3}, {70001}};
// The second crosses a carry of the counter's low word.
constexpr PhiloxStream streams[] = {{42, 0}, {0x123456789abcdefU, 0xfffffff0U}, {7, 1000003}};

TEST_CASE("uniform, normal and bernoulli kernels draw the words of the stream") {
  for (const Shape& shape : random_shapes) {
    for (const PhiloxStream& stream : streams) {
      const std::string suffix = to_string(shape);
      check_variation(
          "uniform" + suffix, {2e-7, 2e-7, 0, 0.016},
          [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
            k.uniform(stream, -1, 3, t.plain_out(shape));
          },
          0);
      check_variation(
          "normal" + suffix, {4e-6, 2e-6},
          [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
            k.normal(stream, 0.5F, 2, t.plain_out(shape));
          },
          0);
      check_variation(
          "bernoulli" + suffix, {},
          [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
            k.bernoulli(stream, 0.25F, t.plain_out(shape));
          },
          0);
      check_variation(
          "dropout" + suffix, {2e-7, 0},
          [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
            const View<T> x = t.plain_in_out(shape);
            k.dropout(stream, 0.25F, x, x);
          },
          0);
    }
  }
}

TEST_CASE("uniform numbers stay below the upper bound") {
  std::vector<float> x(200000);
  kernels<float>(cpu).uniform({1, 0}, 16777215.0F, 16777216.0F, {x.data(), Layout(Shape{200000})});
  CHECK(*std::max_element(x.begin(), x.end()) < 16777216.0F);
  for (const float high : {1.0F, 0.0F, -1.0F, 2.0F}) {  // which one in 2^9 is rounded to
    std::vector<bf16> y(20000);
    kernels<bf16>(cpu).uniform({1, 0}, high - 1, high, {y.data(), Layout(Shape{20000})});
    const auto largest = *std::max_element(y.begin(), y.end());
    CHECK(largest < high);
    CHECK(largest > high - 0.01F);
  }
}

TEST_CASE("random fills have the moments they should") {
  const std::int64_t n = 400000;
  std::vector<double> x(static_cast<std::size_t>(n));
  const View<double> view(x.data(), Layout(Shape{n}));
  const auto moment = [&](int power, double centre) {
    double sum = 0;
    for (const double value : x) {
      sum += std::pow(value - centre, power);
    }
    return sum / static_cast<double>(n);
  };
  // Each bound is four standard errors.
  kernels<double>(cpu).uniform({3, 0}, 0.0, 1.0, view);
  CHECK(std::abs(moment(1, 0) - 0.5) < 4 * std::sqrt(1.0 / 12 / n));
  CHECK(std::abs(moment(2, 0.5) - 1.0 / 12) < 4 * std::sqrt(1.0 / 180 / n));
  kernels<double>(cpu).normal({4, 0}, 0.0, 1.0, view);
  CHECK(std::abs(moment(1, 0)) < 4 * std::sqrt(1.0 / n));
  CHECK(std::abs(moment(2, 0) - 1) < 4 * std::sqrt(2.0 / n));
  CHECK(std::abs(moment(4, 0) - 3) < 4 * std::sqrt(96.0 / n));
  kernels<double>(cpu).bernoulli({5, 0}, 0.3, view);
  CHECK(std::abs(moment(1, 0) - 0.3) < 4 * std::sqrt(0.21 / n));
}

TEST_CASE("categorical kernels draw by weight, never a class of weight 0") {
  const auto body = []<class T>(const KernelTable<T>& k, Context<T>& t) {
    const View<const T> weights = t.rows({500, 20}, {0, 1});
    k.categorical({9, 3}, weights, t.template out_of<std::int64_t>({500}));
  };
  check_kernel("categorical", {}, body);

  const std::int64_t rows = 60000;
  const std::vector<float> weights{0, 1, 0, 3, 0};
  std::vector<std::int64_t> drawn(static_cast<std::size_t>(rows));
  kernels<float>(cpu).categorical({6, 0}, {weights.data(), Layout({rows, 5}, {0, 1}, 0)},
                                  {drawn.data(), Layout(Shape{rows})});
  const auto ones = std::count(drawn.begin(), drawn.end(), 1);
  CHECK(ones + std::count(drawn.begin(), drawn.end(), 3) == rows);
  CHECK(std::abs(static_cast<double>(ones) / static_cast<double>(rows) - 0.25) <
        4 * std::sqrt(0.1875 / static_cast<double>(rows)));

  for (const float bad : {-1.0F, 0.0F, INFINITY, NAN}) {
    const std::vector<float> wrong{0, bad};
    CHECK_THROWS_AS(kernels<float>(cpu).categorical({6, 0}, {wrong.data(), Layout(Shape{1, 2})},
                                                    {drawn.data(), Layout(Shape{1})}),
                    Error);
  }
}

TEST_CASE("adam kernels") {
  for (const std::int64_t n : {0, 1, 15, 64, 1000, 50001}) {
    for (const int variant : {0, 1, 2}) {
      const bool decoupled = variant > 0;
      const bool is_written = variant == 2;
      check_variation(
          "adam " + std::to_string(n), {4e-6, 1e-6},
          [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
            using C = ComputeType<T>;
            const auto number = [](double x) { return static_cast<C>(x); };
            const AdamStep<C> step{number(1e-2), number(0.9), number(0.999),
                                   number(1e-8), number(0.1), number(0.19),
                                   number(0.01), decoupled,   number(0.5)};
            const View<T> parameter = t.template plain_in_out_of<T>({n});
            const View<C> w = t.template plain_in_out_of<C>({n});
            const View<const T> g = t.plain({n});
            const View<C> m = t.template plain_in_out_of<C>({n});
            const View<C> v = t.template plain_in_out_of<C>({n}, {0, 4});
            // Of bf16 the parameter is the master's rounding, unless someone has written to it.
            if constexpr (std::same_as<T, C>) {
              if (is_written) {
                k.copy(parameter, w);
              }
              const AdamItem<T> item{step, w.data, g.data, nullptr, m.data, v.data, n};
              k.adam(&item, 1);
              k.copy(w, parameter);
            } else {
              if (!is_written) {
                k.cast(DType::f32, View<const void>(w.data, w.layout), parameter);
              }
              const AdamItem<T> item{step, parameter.data, g.data, w.data, m.data, v.data, n};
              k.adam(&item, 1);
            }
          },
          0);
    }
  }
}

}  // namespace
