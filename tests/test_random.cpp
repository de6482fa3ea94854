// The Philox generator and the random tensors drawn from it.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include <ldlm/core/ops.hpp>

using namespace ldlm;

namespace {

using FourWords = std::array<std::uint32_t, 4>;

struct Moments {
  double mean = 0, variance = 0, skewness = 0, kurtosis = 0;
};
template <class T>
Moments moments(const Tensor<T>& x) {
  const std::vector<T> values = x.to_vector();
  const auto n = static_cast<double>(values.size());
  Moments m;
  for (const T value : values) {
    m.mean += static_cast<double>(value) / n;
  }
  for (const T value : values) {
    const double d = static_cast<double>(value) - m.mean;
    m.variance += d * d / n;
    m.skewness += d * d * d / n;
    m.kurtosis += d * d * d * d / n;
  }
  m.skewness /= std::pow(m.variance, 1.5);
  m.kurtosis /= m.variance * m.variance;
  return m;
}

// The largest distance between the values' distribution and a cumulative distribution function.
template <class T, class Cdf>
double kolmogorov_smirnov(const Tensor<T>& x, Cdf cdf) {
  std::vector<T> values = x.to_vector();
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double p = cdf(static_cast<double>(values[i]));
    distance = std::max({distance, std::abs(p - static_cast<double>(i) / n),
                         std::abs(p - static_cast<double>(i + 1) / n)});
  }
  return distance;
}

}  // namespace

TEST_CASE("Philox4x32-10 gives the published words") {
  // Known answer of the Random123 distribution (kat_vectors), and others computed from the paper's
  // definition by an independent program.
  CHECK(philox4x32(0, 0) == FourWords{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32(0x123456789abcdef0, 0xfedcba9876543210) ==
        FourWords{0xef8e01b2, 0x332e9f89, 0x255a0105, 0xdf74ab7c});
  CHECK(philox4x32(0xffffffffffffffff, 0x1) ==
        FourWords{0x19fed511, 0x4b67e034, 0x9d2c02e2, 0x9fe857b4});
  static_assert(philox4x32(0, 0)[0] == 0x6627e8d5);
}

TEST_CASE("element i takes word i % 4 of block offset + i / 4") {
  const PhiloxStream stream{42, 7};
  for (std::uint64_t i = 0; i < 20; ++i) {
    CHECK(philox_word(stream, i) == philox4x32(42, 7 + i / 4)[i % 4]);
  }
  Generator generator(42, 7);
  const auto x = rand<float>({9}, generator);
  for (std::uint64_t i = 0; i < 9; ++i) {
    CHECK(x.data()[i] == uniform_from_bits(philox_word(stream, i)));
  }
  CHECK(uniform_from_bits(0) == 0.0F);
  CHECK(uniform_from_bits(0xffffffffU) < 1.0F);
}

TEST_CASE("a generator moves past what it drew, and resumes from its offset") {
  Generator generator(5);
  CHECK(generator.seed() == 5);
  CHECK(generator.offset() == 0);
  const auto first = randn<float>({3, 3}, generator);
  CHECK(generator.offset() == 3);  // nine words are three blocks
  const auto second = randn<float>({4}, generator);
  CHECK(generator.offset() == 4);
  static_cast<void>(generator.uniform());
  CHECK(generator.offset() == 5);
  static_cast<void>(rand<float>({0, 4}, generator));
  CHECK(generator.offset() == 5);

  Generator resumed(5, 3);
  CHECK(equal(randn<float>({4}, resumed), second));
  Generator copy = resumed;
  CHECK(copy.uniform() == resumed.uniform());
  Generator again(5);
  CHECK(equal(randn<float>({3, 3}, again), first));
  Generator other(6);
  CHECK(!equal(randn<float>({3, 3}, other), first));
}

TEST_CASE("double draws the numbers that float draws") {
  Generator a(3), b(3);
  const auto x = rand<float>({100}, a);
  const auto y = rand<double>({100}, b);
  CHECK(equal(cast<double>(x), y));
}

TEST_CASE("uniform numbers are uniform") {
  constexpr std::int64_t n = 100'000;
  Generator generator(1);
  const auto x = rand<double>({n}, generator);
  CHECK(min(x).item() >= 0);
  CHECK(max(x).item() < 1);
  // The 99.9% point of the Kolmogorov-Smirnov distance is 1.95 / sqrt(n).
  CHECK(kolmogorov_smirnov(x, [](double v) { return v; }) < 1.95 / std::sqrt(n));
  const auto scaled = rand<float>({n}, generator, -3, 5);
  CHECK(min(scaled).item() >= -3);
  CHECK(max(scaled).item() <= 5);
  CHECK(moments(scaled).mean == doctest::Approx(1).epsilon(0.03));
  CHECK(moments(scaled).variance == doctest::Approx(64.0 / 12).epsilon(0.03));
  // Neighbours do not correlate.
  const auto centred = add(x, -0.5);
  const double correlation = mean(mul(centred.slice(0, 0, n - 1), centred.slice(0, 1))).item() * 12;
  CHECK(std::abs(correlation) < 4 / std::sqrt(n));
}

TEST_CASE("normal numbers are normal") {
  constexpr std::int64_t n = 100'000;
  Generator generator(2);
  const auto x = randn<float>({n}, generator);
  CHECK(kolmogorov_smirnov(x, [](double v) { return 0.5 * std::erfc(-v / std::sqrt(2)); }) <
        1.95 / std::sqrt(n));
  const Moments m = moments(x);
  CHECK(std::abs(m.mean) < 4 / std::sqrt(n));
  CHECK(m.variance == doctest::Approx(1).epsilon(0.02));
  CHECK(std::abs(m.skewness) < 0.03);
  CHECK(m.kurtosis == doctest::Approx(3).epsilon(0.03));
  CHECK(max(abs(x)).item() > 3.5F);
  const Moments shifted = moments(randn<double>({n}, generator, 10, 0.5));
  CHECK(shifted.mean == doctest::Approx(10).epsilon(0.001));
  CHECK(shifted.variance == doctest::Approx(0.25).epsilon(0.03));
}

TEST_CASE("ranges and deviations that cannot be drawn from are refused") {
  Generator generator(3);
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [low, high] :
       {std::pair(2.0F, 1.0F), std::pair(-infinity, infinity), std::pair(0.0F, infinity),
        std::pair(-3e38F, 3e38F), std::pair(NAN, 1.0F), std::pair(0.0F, NAN)}) {
    CHECK_THROWS_AS(rand<float>({2}, generator, low, high), Error);
  }
  CHECK_THROWS_WITH_AS(rand<double>({2}, generator, 2, 1), "[rand] cannot draw from [2, 1)", Error);
  CHECK_NOTHROW(rand<double>({2}, generator, -3e38, 3e38));
  CHECK(equal(rand<float>({3}, generator, 1, 1), Tensor<float>::ones({3})));
  for (const float deviation : {-1.0F, NAN}) {
    CHECK_THROWS_AS(randn<float>({2}, generator, 0, deviation), Error);
  }
  CHECK(equal(randn<float>({3}, generator, 1, 0), Tensor<float>::ones({3})));
}

TEST_CASE("bernoulli draws 1 with its probability") {
  Generator generator(3);
  constexpr std::int64_t n = 100'000;
  for (const float p : {0.0F, 0.1F, 0.5F, 0.9F, 1.0F}) {
    const auto x = bernoulli<float>({n}, generator, p);
    const double share = moments(x).mean;
    CHECK(std::abs(share - p) <= 4 * std::sqrt(p * (1 - p) / n) + 1e-7);
    CHECK(equal(mul(x, x), x));  // 0 or 1
  }
  CHECK_THROWS_WITH_AS(bernoulli<float>({2}, generator, 1.5F),
                       "[bernoulli] probability must lie in [0, 1], got 1.5", Error);
  CHECK_THROWS_AS(bernoulli<float>({2}, generator, -0.1F), Error);
  CHECK_THROWS_AS(bernoulli<float>({2}, generator, NAN), Error);
}

TEST_CASE("categorical draws classes by their weights") {
  Generator generator(4);
  constexpr std::int64_t n = 50'000;
  const auto weights = Tensor<float>::from_values({5}, {1, 0, 3, 0.5F, 5.5F}).expand({n, 5});
  const auto drawn = categorical(weights, generator);
  CHECK(drawn.shape() == Shape{n});
  std::array<double, 5> counts{};
  for (const std::int64_t id : drawn.to_vector()) {
    REQUIRE(id >= 0);
    REQUIRE(id < 5);
    counts[static_cast<std::size_t>(id)] += 1;
  }
  CHECK(counts[1] == 0);
  double chi_square = 0;
  for (const std::size_t i : {0U, 2U, 3U, 4U}) {
    const double expected =
        static_cast<double>(weights.at({0, static_cast<std::int64_t>(i)})) * n / 10;
    chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  CHECK(chi_square < 16.27);  // 99.9% for three degrees of freedom
  // Rows of their own, and any leading axes.
  const auto rows = Tensor<float>::from_values({2, 1, 3}, {0, 0, 2, 7, 0, 0});
  CHECK(categorical(rows, generator).shape() == Shape{2, 1});
  CHECK(categorical(rows, generator).to_vector() == std::vector<std::int64_t>{2, 0});
  CHECK_THROWS_WITH_AS(categorical(Tensor<float>::zeros({2, 0}), generator),
                       "[categorical] needs at least one class, got (2, 0)", Error);
  CHECK_THROWS_AS(categorical(Tensor<float>::scalar(1), generator), Error);
}

TEST_CASE("below draws every integer equally often") {
  Generator generator(5);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) {
    counts[static_cast<std::size_t>(generator.below(7))] += 1;
  }
  double chi_square = 0;
  for (const int count : counts) {
    chi_square += (count - 10'000.0) * (count - 10'000.0) / 10'000;
  }
  CHECK(chi_square < 22.46);  // 99.9% for six degrees of freedom
  CHECK(generator.below(1) == 0);
  std::int64_t largest = 0;
  for (int i = 0; i < 100; ++i) {
    largest = std::max(largest, generator.below(INT64_MAX));
  }
  CHECK(largest > INT64_MAX / 2);
  CHECK_THROWS_WITH_AS(generator.below(0), "[Generator::below] bound must be positive, got 0",
                       Error);
}

TEST_CASE("forks are streams of their own") {
  const Generator generator(6);
  std::set<std::uint64_t> seeds{generator.seed()};
  for (std::uint64_t key = 0; key < 1000; ++key) {
    seeds.insert(generator.fork(key).seed());
  }
  CHECK(seeds.size() == 1001);
  CHECK(generator.fork(3).seed() == Generator(6, 99).fork(3).seed());  // wherever it stands
  Generator a = generator.fork(1), b = generator.fork(2);
  CHECK(!equal(rand<float>({8}, a), rand<float>({8}, b)));
}

TEST_CASE("dropout keeps the mean and repeats its mask for a stream") {
  constexpr std::int64_t n = 100'000;
  Generator generator(7);
  const auto x = Tensor<float>::ones({n});
  const auto y = dropout(x, 0.3F, generator);
  CHECK(generator.offset() == n / 4);
  CHECK(moments(y).mean == doctest::Approx(1).epsilon(0.02));
  CHECK(max(y).item() == doctest::Approx(1 / 0.7));
  CHECK(min(y).item() == 0);
  Generator again(7);
  CHECK(equal(dropout(x, 0.3F, again), y));
  CHECK(equal(dropout(x, 0, again), x));
  CHECK_THROWS_WITH_AS(dropout(x, 1, generator), "[dropout] p must lie in [0, 1), got 1", Error);
  CHECK_THROWS_AS(dropout(x, -0.1F, generator), Error);
  CHECK_THROWS_AS(dropout(x, NAN, generator), Error);
}
