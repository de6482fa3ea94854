// What the kernels take for granted of a vector, over all pairs of special values, against the
// same of single numbers. Versions of xsimd and instruction sets differ in these.

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <ldlm_simd/batch.hpp>
#include <ldlm_simd/isa.hpp>

namespace {

namespace simd = ldlm::simd;

template <class T>
using B = simd::Batch<T, simd::NativeArch>;

template <class T>
std::vector<T> specials() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values;
  for (const T x : {T{0}, T{1}, T{0.5}, T{2.5}, T{3.5}, T{100.25F}, static_cast<T>(1e30), T{1e9F},
                    Limits::min(), Limits::min() / 3, Limits::denorm_min(), Limits::max(),
                    Limits::infinity(), Limits::quiet_NaN()}) {
    values.push_back(x);
    values.push_back(-x);
  }
  return values;
}

/// The same number, with its sign, or NaN both.
template <class T>
bool same(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

/// All lanes are `expected`.
template <class T>
void check_lanes(const char* what, T x, T y, const B<T>& got, T expected) {
  alignas(64) T lanes[B<T>::size];
  got.store_aligned(lanes);
  for (const T lane : lanes) {
    if (!same(lane, expected)) {
      FAIL_CHECK(what << " of " << x << " and " << y << " is " << lane << ", not " << expected);
      return;
    }
  }
}

TEST_CASE_TEMPLATE("vectors treat special values as single numbers are treated", T, float, double) {
  for (const T x : specials<T>()) {
    const B<T> a(x);
    check_lanes("abs", x, x, xsimd::abs(a), std::abs(x));
    check_lanes("negative", x, x, simd::negative(a), -x);
    check_lanes("sqrt", x, x, xsimd::sqrt(a), std::sqrt(x));
    check_lanes("nearbyint", x, x, xsimd::nearbyint(a), std::nearbyint(x));
    if (!std::isnan(x)) {
      check_lanes("bitofsign", x, x, xsimd::bitofsign(a), std::copysign(T{0}, x));
    }
    CHECK(xsimd::any(xsimd::isnan(a)) == std::isnan(x));
    CHECK(xsimd::all(xsimd::isnan(a)) == std::isnan(x));
    for (const T y : specials<T>()) {
      const B<T> b(y);
      const T yes = 1, no = 0;
      const auto check_bool = [&](const char* what, const auto& got, bool expected) {
        check_lanes(what, x, y, xsimd::select(got, B<T>(yes), B<T>(no)), expected ? yes : no);
      };
      check_lanes("max", x, y, simd::max(a, b), x > y ? x : y);
      check_lanes("min", x, y, simd::min(a, b), x < y ? x : y);
      CHECK(simd::any_differs(a, b) == !(x == y));
      check_bool("==", a == b, x == y);
      check_bool("<", a < b, x < y);
      check_bool("<=", a <= b, x <= y);
      check_bool(">", a > b, x > y);
      check_bool(">=", a >= b, x >= y);
      check_bool("|| isnan", (a < b) || xsimd::isnan(a), x < y || std::isnan(x));
      check_lanes("+", x, y, a + b, x + y);
      check_lanes("-", x, y, a - b, x - y);
      check_lanes("*", x, y, a * b, x * y);
      check_lanes("/", x, y, a / b, x / y);
    }
  }
}

TEST_CASE_TEMPLATE("one lane that differs is found", T, float, double) {
  constexpr std::size_t lanes = B<T>::size;
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    alignas(64) T values[lanes] = {};
    CHECK_FALSE(simd::any_differs(B<T>::load_aligned(values), B<T>(T{0})));
    for (const T other : {T{1}, std::numeric_limits<T>::quiet_NaN()}) {
      values[lane] = other;
      CHECK(simd::any_differs(B<T>::load_aligned(values), B<T>(T{0})));
    }
  }
}

TEST_CASE_TEMPLATE("log_of_normal is the logarithm of normal numbers", T, float, double) {
  for (const T x : specials<T>()) {
    if (std::isnan(x) || x == 0 || std::abs(x) >= std::numeric_limits<T>::min()) {
      const T got = simd::log_of_normal(B<T>(x)).get(0), expected = std::log(x);
      CAPTURE(x);
      const bool close =
          std::abs(got - expected) <= 4 * std::numeric_limits<T>::epsilon() * std::abs(expected);
      CHECK((close || same(got, expected) || (std::isnan(got) && std::isnan(expected))));
    }
  }
}

TEST_CASE("shifts and conversions of integers") {
  using Words = simd::Batch<std::uint32_t, simd::NativeArch>;
  using Longs = simd::Batch<std::uint64_t, simd::NativeArch>;
  for (const std::uint32_t word : {0U, 1U, 0x80000000U, 0xffffffffU, 0x01234567U}) {
    CHECK((Words(word) >> 8).get(0) == word >> 8);
    const auto number =
        xsimd::to_float(simd::Batch<std::int32_t, simd::NativeArch>(std::int32_t(word >> 8)));
    CHECK(number.get(0) == static_cast<float>(word >> 8));
    const std::uint64_t both = std::uint64_t{word} << 32 | (word ^ 0x5a5a5a5aU);
    CHECK((Longs(both) >> 32).get(0) == both >> 32);
    CHECK((Longs(both) << 32).get(0) == both << 32);
  }
}

TEST_CASE("instruction sets are in order of their width") {
  using ldlm::InstructionSet;
  CHECK(simd::instruction_set<xsimd::sse2>() == InstructionSet::sse2);
  CHECK(simd::instruction_set<xsimd::sse4_2>() == InstructionSet::sse4_2);
  CHECK(simd::instruction_set<xsimd::avx>() == InstructionSet::avx);
  CHECK(simd::instruction_set<xsimd::avx2>() == InstructionSet::avx2);
  CHECK(simd::instruction_set<simd::Avx2>() == InstructionSet::avx2_fma);
  CHECK(simd::instruction_set<simd::Avx512>() == InstructionSet::avx512);
  CHECK(InstructionSet::sse2 < InstructionSet::avx2);
  CHECK(InstructionSet::avx2_fma < InstructionSet::avx512);
}

}  // namespace
