#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include <ldlm/core/ops.hpp>
#include <ldlm/train/embedding_metrics.hpp>

#include "error_message.hpp"

using namespace ldlm;
using ldlm_test::contains;
using ldlm_test::message_of;

namespace {

template <class F>
Tensor<float> rows_of(std::int64_t rows, std::int64_t columns, const F& f) {
  Tensor<float> out = Tensor<float>::empty({rows, columns});
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t k = 0; k < columns; ++k) {
      out.at({i, k}) = static_cast<float>(f(static_cast<double>(i), static_cast<double>(k)));
    }
  }
  return out;
}

Tensor<float> normal_rows(std::int64_t rows, std::int64_t columns, double shift,
                          std::uint64_t seed) {
  Generator generator(seed);
  Tensor<float> out = randn({rows, columns}, generator);
  add_(out.slice(1, 0, 1), static_cast<float>(shift));
  return out;
}

}  // namespace

TEST_CASE("eigenvalues and vectors of symmetric matrices") {
  // x - 2y, 2x + y, z with 10, 5 and 0
  const auto known = Tensor<double>::from_values({3, 3}, {6, -2, 0, -2, 9, 0, 0, 0, 0});
  const SymmetricEigen small = symmetric_eigen(known);
  CHECK(small.values.at({0}) == doctest::Approx(10));
  CHECK(small.values.at({1}) == doctest::Approx(5));
  CHECK(small.values.at({2}) == 0);
  CHECK(std::abs(small.vectors.at({0, 1})) == doctest::Approx(2 / std::sqrt(5.0)));

  Generator generator(3);
  for (const std::int64_t n : {1, 2, 17, 40}) {
    const auto factor = randn<double>({n + 3, n}, generator);
    const auto matrix = matmul(factor.transpose(0, 1), factor);
    const SymmetricEigen eigen = symmetric_eigen(matrix);
    const auto again = matmul(eigen.vectors.transpose(0, 1) * eigen.values, eigen.vectors);
    const auto unit = matmul(eigen.vectors, eigen.vectors.transpose(0, 1));
    for (std::int64_t i = 0; i < n; ++i) {
      CHECK((i == 0 || eigen.values.at({i}) <= eigen.values.at({i - 1})));
      for (std::int64_t k = 0; k < n; ++k) {
        CHECK(again.at({i, k}) == doctest::Approx(matrix.at({i, k})).epsilon(1e-9));
        CHECK(std::abs(unit.at({i, k}) - (i == k ? 1 : 0)) < 1e-9);
      }
    }
  }
  CHECK(symmetric_eigen(Tensor<double>::zeros({2, 2})).values.to_vector() ==
        std::vector<double>{0, 0});
  CHECK(message_of([] {
          (void)symmetric_eigen(Tensor<double>::ones({2, 3}));
        }) == "[symmetric_eigen] needs a square matrix, got (2, 3)");
}

TEST_CASE("the Frechet distance is that of numpy's moments and eigenvalues") {
  const auto a = rows_of(
      40, 6, [](double i, double k) { return std::sin(1.0 + i * 0.7 + k * 1.3) * (k + 1); });
  const auto b = rows_of(50, 6, [](double i, double k) {
    return std::cos(0.3 + i * 1.1 + k * 0.9) * (6 - k) + 0.5 * k;
  });
  CHECK(frechet_distance(a, b) == doctest::Approx(57.288803148698776));
  CHECK(frechet_distance(b, a) == doctest::Approx(57.288803148698776));
  CHECK(std::abs(frechet_distance(a, a)) < 1e-5);  // roots of eigenvalues that are near 0
  // Moved by a vector, a set is as far as that is long.
  CHECK(frechet_distance(a, a + 2) == doctest::Approx(6 * 4).epsilon(1e-5));
  CHECK(contains(message_of([&] { (void)frechet_distance(a, b.slice(1, 0, 5)); }),
                 "[frechet_distance] needs two rows at least of each set, (N, C) and (M, C), got"));
  CHECK(message_of([&] {
          (void)frechet_distance(a, a * std::numeric_limits<float>::infinity());
        }) == "[frechet_distance] an element is no finite number");
}

TEST_CASE("MAUVE of histograms is that of its authors") {
  CHECK(mauve_of_histograms({0.1, 0.2, 0.3, 0.4, 0}, {0.25, 0.25, 0.2, 0.1, 0.2}) ==
        doctest::Approx(0.506967990513412));
  CHECK(mauve_of_histograms({0.5, 0.5, 0, 0}, {0, 0, 0.3, 0.7}) ==
        doctest::Approx(0.004072096261961256));
  CHECK(mauve_of_histograms({0.3, 0.7}, {0.3, 0.7}) == doctest::Approx(1));
}

TEST_CASE("MAUVE tells near sets from far ones") {
  Generator generator(1);
  const auto real = normal_rows(400, 8, 0, 1);
  CHECK(mauve(real, real, generator) == doctest::Approx(1));
  const double same = mauve(real, normal_rows(400, 8, 0, 2), generator);
  const double near = mauve(real, normal_rows(400, 8, 1, 3), generator);
  const double far = mauve(real, normal_rows(400, 8, 10, 4), generator);
  CHECK(same > 0.8);
  CHECK(near < same - 0.05);
  CHECK(far < 0.2);
  Generator first(7), second(7);
  CHECK(mauve(real, normal_rows(300, 8, 1, 5), first) ==
        mauve(real, normal_rows(300, 8, 1, 5), second));
  CHECK(message_of([&] { (void)mauve(real, real, generator, {.clusters = 1}); }) ==
        "[mauve] needs two clusters at least, got 1");
  CHECK(message_of([&] { (void)mauve(real, real, generator, {.clusters = 801}); }) ==
        "[mauve] 801 clusters of 800 rows");
  CHECK(message_of([&] { (void)mauve(real, real, generator, {.explained = 0}); }) ==
        "[mauve] explained must lie in (0, 1], got 0");
}
