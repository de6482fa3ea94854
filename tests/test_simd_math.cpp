// The SIMD functions against the C library in a wider type, over the whole range of float and a
// dense sample of double, and at the special values.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ldlm_simd/math.hpp>
#include <ldlm_simd/power.hpp>
#include <ldlm_simd/trigonometry.hpp>

namespace {

namespace simd = ldlm::simd;

using Arch = ldlm::simd::NativeArch;
template <class T>
using B = xsimd::batch<T, Arch>;
// The oracle of float is computed in double, that of double in long double.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, float>, double, long double>;

/// Distance to the right value in units of its last place; below 200 times the smallest normal
/// number, where zero is as good, one unit.
template <class T>
double ulps(T got, Wide<T> want) {
  if (std::isnan(want) || std::isnan(got)) {
    return std::isnan(want) && std::isnan(got) ? 0 : std::numeric_limits<double>::infinity();
  }
  if (static_cast<T>(want) == got) {
    return 0;
  }
  const auto smallest = static_cast<Wide<T>>(std::numeric_limits<T>::min());
  int exponent = 0;
  std::frexp(std::max(std::abs(want), smallest), &exponent);
  const Wide<T> unit = std::ldexp(Wide<T>{1}, exponent - std::numeric_limits<T>::digits);
  const Wide<T> error = std::abs(static_cast<Wide<T>>(got) - want);
  return std::max(std::abs(want), std::abs(static_cast<Wide<T>>(got))) < 200 * smallest
             ? 1
             : static_cast<double>(error / unit);
}

template <class T>
struct Worst {
  double error = 0;
  T at = 0;
};

/// The largest error of f over `inputs`, in units of `allowed(x)` ulp.
template <class T, class F, class Oracle, class Allowed>
Worst<T> worst(const std::vector<T>& inputs, F&& f, Oracle&& oracle, Allowed&& allowed) {
  Worst<T> result;
  constexpr std::size_t lanes = B<T>::size;
  for (std::size_t i = 0; i < inputs.size(); i += lanes) {
    std::array<T, lanes> x{}, y{};
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      x[lane] = inputs[std::min(i + lane, inputs.size() - 1)];
    }
    f(B<T>::load_unaligned(x.data())).store_unaligned(y.data());
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const double error = ulps<T>(y[lane], oracle(static_cast<Wide<T>>(x[lane]))) /
                           static_cast<double>(allowed(x[lane]));
      if (!(error <= result.error)) {
        result = {error, x[lane]};
      }
    }
  }
  return result;
}

/// Every 1009th float: all exponents, both signs, infinities, denormals and NaN among them.
template <class T>
std::vector<T> sample() {
  std::vector<T> inputs;
  if constexpr (std::is_same_v<T, float>) {
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 1009) {
      inputs.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    }
  } else {
    for (std::uint64_t i = 0; i < 400'000; ++i) {
      inputs.push_back(std::bit_cast<double>(i * 46'116'860'184'273ULL));
      inputs.push_back((static_cast<double>(i) - 200'000) / 5'000);
      inputs.push_back((static_cast<double>(i) - 200'000) / 270);
    }
  }
  using Limits = std::numeric_limits<T>;
  for (const T x : {T{0}, Limits::infinity(), Limits::quiet_NaN(), Limits::max(), Limits::min(),
                    Limits::denorm_min(), T{1}, T{0.5}, T{88.5F}, T{87.25F}, T{709.5F}}) {
    inputs.push_back(x);
    inputs.push_back(-x);
  }
  return inputs;
}

template <class T>
void check_all() {
  using W = Wide<T>;
  const std::vector<T> inputs = sample<T>();
  std::vector<T> finite;
  for (const T x : inputs) {
    if (!std::isinf(x)) {
      finite.push_back(x);
    }
  }
  const auto four = [](T) { return 4.0; };
  const B<T> above_one(T{1} + std::numeric_limits<T>::epsilon());
  const bool fused = simd::fma(above_one, above_one, -(above_one * above_one)).get(0) != T{0};
  const auto tail = [fused](T x) { return x < 0 && !fused ? 8 + 0.6 * x * x : 8.0; };
  const auto check = [](const std::string& name, Worst<T> w) {
    CAPTURE(name);
    CAPTURE(w.at);
    CAPTURE(w.error);
    CHECK(w.error <= 1);
  };
  const auto cdf = [](W x) { return W{0.5} * std::erfc(-x / std::numbers::sqrt2_v<W>); };
  const auto logistic = [](W x) { return 1 / (1 + std::exp(-x)); };
  check("exp",
        worst<T>(
            inputs, [](B<T> x) { return simd::exp(x); }, [](W x) { return std::exp(x); }, four));
  check("tanh",
        worst<T>(
            inputs, [](B<T> x) { return simd::tanh(x); }, [](W x) { return std::tanh(x); }, four));
  check("sigmoid", worst<T>(
                       inputs, [](B<T> x) { return simd::sigmoid(x); }, logistic, four));
  check("erf",
        worst<T>(
            inputs, [](B<T> x) { return simd::erf(x); }, [](W x) { return std::erf(x); }, four));
  check("normal_cdf", worst<T>(
                          inputs, [](B<T> x) { return simd::normal_cdf(x); }, cdf, tail));
  check("silu", worst<T>(
                    finite, [](B<T> x) { return simd::silu(x); },
                    [&](W x) { return x * logistic(x); }, four));
  check("gelu",
        worst<T>(
            finite, [](B<T> x) { return simd::gelu(x); }, [&](W x) { return x * cdf(x); }, tail));
  check("gelu_tanh", worst<T>(
                         finite, [](B<T> x) { return simd::gelu_tanh(x); },
                         [&](W x) {
                           const W c = 2 * std::sqrt(2 / std::numbers::pi_v<W>);
                           return x * logistic(c * (x + static_cast<W>(0.044715L) * x * x * x));
                         },
                         [](T x) { return 4 + (x < 0 ? 5 * std::abs(x) * (1 + x * x / 22) : 0); }));
  const auto two = [](T) { return 2.0; };
  check("sin",
        worst<T>(
            inputs, [](B<T> x) { return simd::sin(x); }, [](W x) { return std::sin(x); }, two));
  check("cos",
        worst<T>(
            inputs, [](B<T> x) { return simd::cos(x); }, [](W x) { return std::cos(x); }, two));
  for (const T y : {T{2.7F}, T{-0.3F}, T{5}, T{-4}, T{0}, T{3000}, std::numeric_limits<T>::max()}) {
    check("pow " + std::to_string(y), worst<T>(
                                          inputs, [y](B<T> x) { return simd::pow(x, B<T>(y)); },
                                          [y](W x) { return std::pow(x, W{y}); }, two));
  }
  check("relu", worst<T>(
                    inputs, [](B<T> x) { return simd::relu(x); },
                    [](W x) { return x > 0 || std::isnan(x) ? x : 0; }, four));
}

}  // namespace

TEST_CASE("functions of float") {
  check_all<float>();
}
TEST_CASE("functions of double") {
  check_all<double>();
}

// What C says of pow, and PyTorch with it.
TEST_CASE("powers of special values have C's values and signs") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> special{
      0,     -0.0F,  1,           -1,       2,         -2,
      3,     0.5F,   -0.5F,       2.5F,     1e-40F,    -1e-40F,
      3e38F, -3e38F, 16777217.0F, infinity, -infinity, std::numeric_limits<float>::quiet_NaN()};
  for (const float x : special) {
    for (const float y : special) {
      const float got = simd::pow(B<float>(x), B<float>(y)).get(0);
      const auto want = static_cast<float>(std::pow(double{x}, double{y}));
      CAPTURE(x);
      CAPTURE(y);
      CHECK(std::isnan(got) == std::isnan(want));
      CHECK((std::isnan(want) || (std::abs(got - want) <= 1e-6F * std::abs(want)) || got == want));
      CHECK((std::isnan(want) || std::signbit(got) == std::signbit(want)));
    }
  }
}

// torch.tensor([0, -0, inf, -inf, nan, -1, 4]).pow(y)
TEST_CASE("whole and half powers are PyTorch's at special values") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x{0, -0.0F, infinity, -infinity, nan, -1, 4};
  const std::vector<std::pair<float, std::vector<float>>> cases{
      {0.5F, {0, -0.0F, infinity, nan, nan, nan, 2}},
      {-0.5F, {infinity, -infinity, 0, nan, nan, nan, 0.5F}},
      {3, {0, -0.0F, infinity, -infinity, nan, -1, 64}},
      {2, {0, 0, infinity, infinity, nan, 1, 16}},
      {1, {0, -0.0F, infinity, -infinity, nan, -1, 4}},
      {0, {1, 1, 1, 1, 1, 1, 1}},
      {-1, {infinity, -infinity, 0, -0.0F, nan, -1, 0.25F}},
      {-2, {infinity, infinity, 0, 0, nan, 1, 0.0625F}}};
  for (const auto& [y, want] : cases) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float got = simd::pow(B<float>(x[i]), y).get(0);
      CAPTURE(x[i]);
      CAPTURE(y);
      CHECK((got == want[i] || (std::isnan(got) && std::isnan(want[i]))));
      CHECK((std::isnan(got) || std::signbit(got) == std::signbit(want[i])));
    }
  }
}

TEST_CASE("the sign of zero survives the odd functions") {
  for (const float zero : {0.0F, -0.0F}) {
    CHECK(std::signbit(simd::tanh(B<float>(zero)).get(0)) == std::signbit(zero));
    CHECK(std::signbit(simd::erf(B<float>(zero)).get(0)) == std::signbit(zero));
    CHECK(std::signbit(simd::gelu(B<float>(zero)).get(0)) == std::signbit(zero));
    CHECK(std::signbit(simd::sin(B<float>(zero)).get(0)) == std::signbit(zero));
  }
}
