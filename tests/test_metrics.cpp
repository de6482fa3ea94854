#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <ldlm/core/ops.hpp>
#include <ldlm/diffusion/process.hpp>
#include <ldlm/latent_diffusion/linear_denoiser.hpp>
#include <ldlm/train/metrics.hpp>

using namespace ldlm;

TEST_CASE("mean squared error and cosine similarity by row") {
  const auto a = Tensor<float>::from_values({2, 2}, {1, 0, 3, 4});
  const auto b = Tensor<float>::from_values({2, 2}, {0, 1, 6, 8});
  CHECK(mean_squared_errors(a, b) == std::vector<double>{1.0, 12.5});
  const auto cosines = cosine_similarities(a, b);
  CHECK(cosines[0] == doctest::Approx(0.0));
  CHECK(cosines[1] == doctest::Approx(1.0));
  CHECK(cosine_similarities(a, Tensor<float>::zeros({2, 2}))[0] == 0.0);
  CHECK_THROWS_AS(mean_squared_errors(a, Tensor<float>::zeros({2, 3})), Error);
}

TEST_CASE("estimates carry their 95% interval, quantiles interpolate") {
  const std::vector<double> values{1, 2, 3, 4, 5};
  const Estimate e = estimate(values);
  CHECK(e.mean == doctest::Approx(3.0));
  CHECK(e.half_width == doctest::Approx(1.96 * std::sqrt(2.5 / 5.0)));
  CHECK(e.count == 5);
  CHECK(quantile(values, 0.5) == 3.0);
  CHECK(quantile(values, 0.125) == doctest::Approx(1.5));
  CHECK_THROWS_AS(estimate(std::vector<double>{}), Error);
}

TEST_CASE("token accuracy counts positions of the reference") {
  CHECK(token_accuracy({1, 2, 3}, {1, 2, 3}) == 1.0);
  CHECK(token_accuracy({1, 9, 3, 4}, {1, 2, 3}) == doctest::Approx(2.0 / 3.0));
  CHECK(token_accuracy({1}, {1, 2, 3, 4}) == 0.25);
  CHECK_THROWS_AS(token_accuracy({1}, {}), Error);
}

TEST_CASE("BLEU-4 of known pairs") {
  const std::vector<TokenIds> reference{{1, 2, 3, 4, 5, 6}};
  CHECK(bleu4(reference, reference) == doctest::Approx(1.0));
  // precisions 5/6, 3/5, 2/4, 1/3, same length
  const std::vector<TokenIds> near{{1, 2, 3, 4, 9, 6}};
  const double expected = std::pow(5.0 / 6.0 * 3.0 / 5.0 * 2.0 / 4.0 * 1.0 / 3.0, 0.25);
  CHECK(bleu4(near, reference) == doctest::Approx(expected));
  // all n-grams match, but a third is missing: only the brevity penalty is left
  const std::vector<TokenIds> brief{{1, 2, 3, 4}};
  CHECK(bleu4(brief, reference) == doctest::Approx(std::exp(1.0 - 6.0 / 4.0)));
  CHECK(bleu4(std::vector<TokenIds>{{7, 8}}, reference) == 0.0);
  CHECK_THROWS_AS(bleu4(near, std::vector<TokenIds>{}), Error);
}

TEST_CASE("distinct-n") {
  const std::vector<TokenIds> texts{{1, 1, 2}, {1, 1}};
  CHECK(distinct_n(texts, 1) == doctest::Approx(2.0 / 5.0));
  CHECK(distinct_n(texts, 2) == doctest::Approx(2.0 / 3.0));
  CHECK(distinct_n(texts, 4) == 0.0);
}

TEST_CASE("the linear denoiser is the conditional mean of Gaussian data") {
  Generator generator(1);
  // Data of known mean and covariance: z = mean + noise mixed by a fixed matrix.
  const auto mix = Tensor<double>::from_values({3, 3}, {1, 0, 0, 0.8, 0.6, 0, 0.3, -0.4, 0.2});
  const auto centre = Tensor<double>::from_values({3}, {0.5, -1.0, 2.0});
  LinearDenoiser denoiser(3);
  for (int i = 0; i < 4; ++i) {
    denoiser.observe(add(matmul(randn<double>({20'000, 3}, generator), mix), centre));
  }
  CHECK(denoiser.count() == 80'000);

  const double alpha_bar = 0.4;
  const auto z0 = add(matmul(randn<double>({50, 3}, generator), mix), centre);
  const auto zt =
      add_noise(z0, randn<double>({50, 3}, generator), std::vector<double>(50, alpha_bar));
  const auto covariance = matmul(mix.transpose(0, 1), mix);
  auto system = mul(covariance, alpha_bar);
  for (std::int64_t i = 0; i < 3; ++i) {
    system.at({i, i}) += 1.0 - alpha_bar;
  }
  const auto rows = sub(zt, mul(centre, std::sqrt(alpha_bar)));
  Cholesky(system).solve_rows_(rows);
  const auto expected = add(mul(matmul(rows, covariance), std::sqrt(alpha_bar)), centre);
  const auto found = denoiser.denoise(zt, alpha_bar);
  CHECK(max(abs(sub(found, expected))).item() < 0.03);

  // No other linear map does better on the data it was fitted to: it beats noisy input and mean.
  const auto error = [&](const Tensor<double>& x) { return mean(square(sub(x, z0))).item(); };
  CHECK(error(found) < error(zt));
  CHECK(error(found) < error(centre.expand({50, 3})));
}

TEST_CASE("Cholesky solves and refuses what is not positive definite") {
  const auto a = Tensor<double>::from_values({2, 2}, {4, 2, 2, 3});
  const auto x = Tensor<double>::from_values({2, 2}, {8, 7, 4, 2});
  Cholesky(a).solve_rows_(x);
  CHECK(x.at({0, 0}) == doctest::Approx(1.25));
  CHECK(x.at({0, 1}) == doctest::Approx(1.5));
  CHECK(x.at({1, 0}) == doctest::Approx(1.0));
  CHECK(x.at({1, 1}) == doctest::Approx(0.0));
  CHECK_THROWS_AS(Cholesky(Tensor<double>::from_values({2, 2}, {1, 2, 2, 1})), Error);
  CHECK_THROWS_AS(Cholesky(Tensor<double>::zeros({2, 3})), Error);
}
