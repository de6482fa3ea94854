// Scalar types and their conversions.

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include <ldlm/core/dtype.hpp>

using namespace ldlm;

namespace {

// Rounds to the nearest multiple of 2^exponent, ties to even: the definition, in double.
double round_to(double x, int exponent) {
  return std::ldexp(std::nearbyint(std::ldexp(x, -exponent)), exponent);
}

// What a format with that many bits of precision makes of x, by the definition.
double rounded(double x, int precision, int min_exponent, double largest) {
  if (x == 0 || std::isinf(x)) {
    return x;
  }
  int exponent = 0;
  std::frexp(x, &exponent);
  const double y = round_to(x, std::max(exponent - precision, min_exponent));
  return std::abs(y) > largest ? std::copysign(std::numeric_limits<double>::infinity(), x) : y;
}

// Bit patterns of floats with every exponent and interesting mantissas: ends, halves, ties.
template <class Function>
void for_floats(Function function) {
  std::uint32_t mantissas[200];
  int count = 0;
  for (const std::uint32_t shift : {12U, 13U, 15U, 16U}) {
    for (const std::uint32_t k : {0U, 1U, 2U, 3U, 5U, 0x3fU, 0x40U}) {
      for (const std::uint32_t delta : {0xffffffffU, 0U, 1U}) {
        mantissas[count++] = ((k << shift) + delta) & 0x7fffffU;
      }
    }
  }
  mantissas[count++] = 0x7fffffU;
  mantissas[count++] = 0x400000U;
  for (std::uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (int i = 0; i < count; ++i) {
      for (const std::uint32_t sign : {0U, 0x80000000U}) {
        function(std::bit_cast<float>(sign | exponent << 23 | mantissas[i]));
      }
    }
  }
}

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float quiet_nan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

// As PyTorch's finfo says, and as the bits are.
static_assert(std::numeric_limits<bf16>::max() == 3.3895313892515355e38F);
static_assert(std::numeric_limits<bf16>::lowest() == -3.3895313892515355e38F);
static_assert(std::numeric_limits<bf16>::min() == 1.1754943508222875e-38F);
static_assert(std::numeric_limits<bf16>::epsilon() == 0.0078125F);
static_assert(std::numeric_limits<bf16>::denorm_min() == 9.183549615799121e-41F);
static_assert(std::numeric_limits<bf16>::infinity() == std::numeric_limits<float>::infinity());
static_assert(std::numeric_limits<bf16>::digits == 8 && std::numeric_limits<bf16>::digits10 == 2);
static_assert(std::numeric_limits<bf16>::max_exponent == 128);
static_assert(std::numeric_limits<bf16>::min_exponent == -125);
static_assert(std::numeric_limits<f16>::max() == 65504);
static_assert(std::numeric_limits<f16>::min() == 6.103515625e-05F);
static_assert(std::numeric_limits<f16>::epsilon() == 0.0009765625F);
static_assert(std::numeric_limits<f16>::denorm_min() == 0x1p-24F);
static_assert(std::numeric_limits<f16>::max_exponent == 16);
static_assert(std::numeric_limits<f16>::min_exponent == -13);

TEST_CASE("every f16 survives the way through float") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    f16 x;
    x.bits = static_cast<std::uint16_t>(bits);
    const float value = x;
    const bool is_nan = (bits & 0x7fffU) > 0x7c00U;
    wrong +=
        is_nan ? !std::isnan(value) || !std::isnan(float{f16(value)}) : f16(value).bits != bits;
    // The value itself, by the definition.
    const int exponent = static_cast<int>(bits >> 10 & 0x1fU);
    const double mantissa = static_cast<double>(bits & 0x3ffU);
    if (exponent < 31) {
      const double magnitude =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
      wrong += double{value} != ((bits & 0x8000U) != 0 ? -magnitude : magnitude);
    } else {
      wrong += !is_nan && !std::isinf(value);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("every bf16 survives the way through float") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    bf16 x;
    x.bits = static_cast<std::uint16_t>(bits);
    const float value = x;
    const bool is_nan = (bits & 0x7fffU) > 0x7f80U;
    wrong += std::bit_cast<std::uint32_t>(value) != bits << 16;
    wrong += is_nan ? !std::isnan(float{bf16(value)}) : bf16(value).bits != bits;
  }
  CHECK(wrong == 0);
}

TEST_CASE("floats round to the nearest f16 and bf16, ties to even") {
  int wrong = 0;
  for_floats([&](float x) {
    wrong += double{float{f16(x)}} != rounded(x, 11, -24, 65504);
    wrong += double{float{bf16(x)}} != rounded(x, 8, -133, 0x1.fep127);
    wrong += std::signbit(float{f16(x)}) != std::signbit(x);
    wrong += std::signbit(float{bf16(x)}) != std::signbit(x);
  });
  CHECK(wrong == 0);
  CHECK(f16(65519.0F).bits == 0x7bff);
  CHECK(f16(65520.0F).bits == 0x7c00);
  CHECK(f16(0x1p-25F).bits == 0);  // half of the smallest: to even
  CHECK(f16(0x1.8p-25F).bits == 1);
  CHECK(bf16(1.00390625F).bits == 0x3f80);
  CHECK(bf16(1.01171875F).bits == 0x3f82);
  CHECK(f16(infinity).bits == 0x7c00);
  CHECK(f16(-infinity).bits == 0xfc00);
  CHECK(bf16(-infinity).bits == 0xff80);
  CHECK(std::isnan(static_cast<float>(f16(quiet_nan))));
  CHECK(std::isnan(static_cast<float>(bf16(quiet_nan))));
  // A NaN whose payload lies in the bits that are cut off must not become an infinity.
  CHECK(std::isnan(static_cast<float>(bf16(std::bit_cast<float>(0x7f800001U)))));
  CHECK(std::isnan(static_cast<float>(f16(std::bit_cast<float>(0x7f800001U)))));
  static_assert(float{bf16(1.5F)} == 1.5F && float{f16(-0.25F)} == -0.25F);
}

TEST_CASE("conversions between all kinds of types") {
  CHECK(convert<int>(2.9F) == 2);
  CHECK(convert<int>(-2.9) == -2);
  CHECK(convert<std::int64_t>(std::int32_t{-5}) == -5);
  CHECK(convert<std::uint8_t>(std::int32_t{300}) == 44);  // modulo, as between integers in C++
  CHECK(convert<float>(true) == 1.0F);
  CHECK(convert<double>(bf16(1.5F)) == 1.5);
  CHECK(convert<int>(f16(7.9F)) == 7);
  CHECK(float{convert<bf16>(f16(0.5F))} == 0.5F);
  CHECK(float{convert<f16>(std::int64_t{2049})} == 2048.0F);
  CHECK(convert<bool>(1e-300));  // not 0, though 0 as a float
  CHECK(convert<bool>(quiet_nan));
  CHECK(convert<bool>(std::int64_t{1} << 62));
  CHECK(!convert<bool>(-0.0));
  CHECK(!convert<bool>(f16(-0.0F)));
  CHECK(convert<bool>(bf16(-3.0F)));
}

TEST_CASE("floats out of an integer's range saturate, NaN becomes 0") {
  CHECK(convert<std::int32_t>(1e20F) == INT32_MAX);
  CHECK(convert<std::int32_t>(-infinity) == INT32_MIN);
  CHECK(convert<std::int32_t>(quiet_nan) == 0);
  CHECK(convert<std::int32_t>(-2147483648.0F) == INT32_MIN);
  CHECK(convert<std::int32_t>(2147483648.0F) == INT32_MAX);
  CHECK(convert<std::int32_t>(2147483647.0) == INT32_MAX);
  CHECK(convert<std::int64_t>(0x1p63) == INT64_MAX);
  CHECK(convert<std::int64_t>(-0x1p63) == INT64_MIN);
  CHECK(convert<std::int64_t>(0x1.fffffffffffffp62) == 0x7ffffffffffffc00);
  CHECK(convert<std::uint64_t>(0x1p64) == UINT64_MAX);
  CHECK(convert<std::uint64_t>(-3.0) == 0);
  CHECK(convert<std::int8_t>(127.9F) == 127);
  CHECK(convert<std::int8_t>(-128.5F) == -128);
  CHECK(convert<std::uint8_t>(f16(300.0F)) == 255);
  CHECK(convert<std::uint8_t>(-0.5F) == 0);
  CHECK(convert<std::int16_t>(bf16(infinity)) == INT16_MAX);
}

TEST_CASE("dtypes have names, sizes and types") {
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i) {
    const auto dtype = static_cast<DType>(i);
    visit_dtype(dtype, [&]<class T>(std::type_identity<T>) {
      CHECK(dtype_of<T> == dtype);
      CHECK(dtype_of<const T> == dtype);
      CHECK(size_of(dtype) == sizeof(T));
    });
  }
  CHECK(name_of(DType::f64) == "f64");
  CHECK(name_of(DType::bf16) == "bf16");
  CHECK(name_of(DType::u16) == "u16");
  CHECK(name_of(DType::boolean) == "bool");
  static_assert(Scalar<float> && Scalar<const bool> && !Scalar<long double> && !Scalar<char*>);
  static_assert(Floating<float> && Floating<double> && Floating<bf16> && !Floating<f16> &&
                !Floating<int>);
}
