// Matrices in few bits: what the formats mean, how near they come, and products with them.

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <ldlm/core/packed.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/core/threads.hpp>

using ldlm::bf16;
using ldlm::PackedMatrix;
using ldlm::Tensor;
using ldlm::WeightFormat;

namespace {

constexpr WeightFormat formats[] = {WeightFormat::f32, WeightFormat::bf16, WeightFormat::int8,
                                    WeightFormat::int4};

Tensor<float> random(const ldlm::Shape& shape, std::uint64_t seed) {
  ldlm::Generator generator(seed);
  return ldlm::randn<float>(shape, generator);
}

/// The same product by the kernel of a device, which may not round to bf16.
Tensor<float> exact_linear(ldlm::Device device, const Tensor<float>& x, const PackedMatrix& w,
                           const Tensor<float>& bias, ldlm::Activation activation) {
  Tensor<float> out = Tensor<float>::empty({x.size(0), w.n});
  ldlm::Gemm<float> g;
  g.m = x.size(0);
  g.n = w.n;
  g.k = w.k;
  g.a = x.data();
  g.a_row = x.size(1);
  g.a_col = 1;
  g.b_packed = w.view();
  g.c = out.data();
  g.c_row = w.n;
  g.bias = bias.data();
  g.activation = activation;
  ldlm::kernels<float>(device).gemm(g);
  return out;
}

/// The largest of each 32 elements of a row becomes 127/128, the others multiples of 1/128, so that
/// rounding them to 8 bits, or to bf16, loses nothing.
Tensor<float> in_8_bits(const Tensor<float>& x) {
  const Tensor<float> out = x.clone();
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    for (std::int64_t j = 0; j < x.size(1); j += 32) {
      float* const group = out.data() + i * x.size(1) + j;
      const std::int64_t count = std::min<std::int64_t>(32, x.size(1) - j);
      float largest = 0;
      for (std::int64_t l = 0; l < count; ++l) {
        largest = std::max(largest, std::abs(group[l]));
      }
      for (std::int64_t l = 0; l < count; ++l) {
        group[l] = std::round(group[l] / largest * 127) / 128;
      }
    }
  }
  return out;
}

float largest_error(const Tensor<float>& a, const Tensor<float>& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = a.to_vector();
  const auto y = b.to_vector();
  float largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i] - y[i])) {
      return std::numeric_limits<float>::quiet_NaN();  // which no bound is above
    }
    largest = std::max(largest, std::abs(x[i] - y[i]));
  }
  return largest;
}

}  // namespace

TEST_CASE("the formats hold what they say") {
  // Values that each format has: scale 2 for the integers.
  std::vector<float> values;
  for (int i = 0; i < 40; ++i) {
    values.push_back(2.0F * static_cast<float>(i % 16 - 8));
  }
  const auto matrix = Tensor<float>::from_values({1, 40}, values);
  for (const WeightFormat format : formats) {
    CAPTURE(ldlm::name_of(format));
    const PackedMatrix w = ldlm::pack(matrix, format);
    CHECK(w.data.shape() ==
          ldlm::Shape{ldlm::rows_stored(format, 1), ldlm::bytes_per_row(format, 40)});
    CHECK(w.scales.shape() == ldlm::Shape{1, ldlm::groups_per_row(format, 40)});
    // int8 has -16 at -127, whose scale is rounded to bf16.
    const float most = format == WeightFormat::int8 ? 0.1F : 0.0F;
    CHECK(largest_error(ldlm::unpack(w), matrix) <= most);
  }
  const PackedMatrix w = ldlm::pack(matrix, WeightFormat::int4);
  CHECK(static_cast<float>(w.scales.data()[0]) == 2.0F);
  CHECK(w.data.data()[1] == 0x11);             // elements 1 and 17: -14
  CHECK(w.data.data()[16] == (0 | (8 << 4)));  // element 32: -16, and a filler
  CHECK(w.bytes() == 32 + 2 * 2);
}

TEST_CASE("f32 is what it was, in panels of 32 rows") {
  const auto matrix = random({70, 5}, 1);
  const PackedMatrix w = ldlm::pack(matrix, WeightFormat::f32);
  CHECK(equal(ldlm::unpack(w), matrix));
  CHECK(w.bytes() == 96 * 5 * 4);
  CHECK(w.view().panel(1, 2)[3] == matrix.at({35, 2}));
  CHECK(w.view().panel(2, 4)[6] == 0.0F);  // row 70
  // So many rows that the panels are passed over once, twice, often, and in several K blocks.
  for (const std::int64_t m : {1, 13, 14, 15, 20, 28, 29, 70, 300}) {
    for (const std::int64_t k : {1, 65, 700, 5000}) {
      CAPTURE(m);
      CAPTURE(k);
      const auto x = random({m, k}, 2);
      const auto weight = random({77, k}, 3);
      const auto panels = ldlm::pack(weight, WeightFormat::f32);
      ldlm::set_num_threads(1);
      const auto one = ldlm::linear(x, panels);
      ldlm::set_num_threads(2);
      CHECK(equal(ldlm::linear(x, panels), one));
      const auto plain = ldlm::linear(x, weight);
      CHECK(largest_error(one, plain) <= 2e-6F * (8 + static_cast<float>(k) / 8));
    }
  }
}

TEST_CASE("f32 is rounded to bf16 only where products may be") {
  for (const std::int64_t n : {5, 16, 20, 77}) {
    for (const std::int64_t k : {1, 33, 200}) {
      CAPTURE(n);
      CAPTURE(k);
      const auto x = random({40, k}, 2);
      const auto weight = random({n, k}, 3);
      const auto panels = ldlm::pack(weight, WeightFormat::f32);
      const auto exact = ldlm::linear(x, panels);
      ldlm::set_matmul_precision(ldlm::MatmulPrecision::medium);
      const auto rounded = ldlm::linear(x, panels);
      const auto plain = ldlm::linear(x, weight);
      ldlm::set_matmul_precision(ldlm::MatmulPrecision::highest);
      CHECK(equal(rounded, plain));
      CHECK(largest_error(rounded, exact) <= 1e-2F * (8 + std::sqrt(static_cast<float>(k))));
    }
  }
}

TEST_CASE("rounding stays within half a step") {
  const auto matrix = random({7, 300}, 1);
  for (const WeightFormat format : {WeightFormat::int8, WeightFormat::bf16}) {
    const auto back = ldlm::unpack(ldlm::pack(matrix, format));
    for (std::int64_t i = 0; i < 7; ++i) {
      for (std::int64_t j = 0; j < 300; ++j) {
        const float x = matrix.at({i, j});
        float largest = 0;
        for (std::int64_t l = j / 128 * 128; l < std::min<std::int64_t>(300, j / 128 * 128 + 128);
             ++l) {
          largest = std::max(largest, std::abs(matrix.at({i, l})));
        }
        // A scale that was rounded down to bf16 leaves the largest out of reach, by 1 in 256.
        const float step =
            format == WeightFormat::int8 ? largest * (0.5F / 127 + 1.0F / 256) : std::abs(x) / 256;
        CHECK(std::abs(back.at({i, j}) - x) <= step);
      }
    }
  }
  // Of 4 bits, the sum of squares: of normal numbers in groups of 32 about one part in 130.
  const auto large = random({64, 768}, 2);
  const auto back = ldlm::unpack(ldlm::pack(large, WeightFormat::int4));
  double error = 0;
  double total = 0;
  const auto x = large.to_vector();
  const auto y = back.to_vector();
  for (std::size_t i = 0; i < x.size(); ++i) {
    error += static_cast<double>((x[i] - y[i]) * (x[i] - y[i]));
    total += static_cast<double>(x[i] * x[i]);
  }
  CHECK(error / total < 0.0068);
}

TEST_CASE("products equal those of the reference kernel, by any number of threads") {
  for (const WeightFormat format : formats) {
    for (const std::int64_t k : {1, 5, 16, 33, 100, 128, 200, 768}) {
      for (const std::int64_t n : {1, 3, 37, 300}) {
        const PackedMatrix w =
            ldlm::pack(random({n, k}, static_cast<std::uint64_t>(10 * k + n)), format);
        const auto bias = random({n}, 3);
        for (const std::int64_t m : {1, 2, 3, 5, 16, 17, 40}) {
          CAPTURE(ldlm::name_of(format));
          CAPTURE(k);
          CAPTURE(n);
          CAPTURE(m);
          const auto x = random({m, k}, static_cast<std::uint64_t>(m));
          const auto x8 = in_8_bits(x);
          constexpr auto activation = ldlm::Activation::gelu_tanh;
          const auto check = [&](const Tensor<float>& input, float tolerance,
                                 const auto& multiply) {
            ldlm::set_num_threads(1);
            const auto one = multiply(input);
            ldlm::set_num_threads(2);
            CHECK(largest_error(one, multiply(input)) == 0.0F);
            const auto expected = exact_linear(ldlm::reference_cpu, input, w, bias, activation);
            CHECK(largest_error(one, expected) <=
                  tolerance * (8 + std::sqrt(static_cast<float>(k))));
          };
          check(x, 5e-6F, [&](const Tensor<float>& input) {
            return exact_linear(ldlm::cpu, input, w, bias, activation);
          });
          const auto linear = [&](const Tensor<float>& input) {
            return ldlm::linear(input, w, bias, activation);
          };
          check(x, m <= 16 ? 2.5e-2F : 1e-2F, linear);
          check(x8, m <= 16 ? 5e-6F : 1e-2F, linear);  // (many rows round the weights to bf16)
        }
      }
    }
  }
}

TEST_CASE("a transposed input gives the same product") {
  const PackedMatrix w = ldlm::pack(random({50, 70}, 5), WeightFormat::int4);
  for (const std::int64_t m : {3, 30}) {
    const auto x = random({70, m}, 6).transpose(0, 1);
    CHECK(largest_error(ldlm::linear(x, w), ldlm::linear(x.contiguous(), w)) == 0.0F);
  }
}

TEST_CASE("weights as small as floats get stay finite") {
  for (const WeightFormat format : formats) {
    CAPTURE(ldlm::name_of(format));
    for (const float size : {1e-45F, 1e-39F, 1e-38F, 1e-37F}) {
      auto matrix = Tensor<float>::full({2, 32}, size);
      matrix.at({1, 3}) = 0.0F;  // times an infinite inverse it is no number
      const auto back = ldlm::unpack(ldlm::pack(matrix, format));
      for (const float value : back.to_vector()) {
        CHECK(std::abs(value) <= 1.5F * size);  // (fails for what is no number)
      }
    }
  }
}

TEST_CASE("what is not finite in the input is not in the product either") {
  const auto infinity = std::numeric_limits<float>::infinity();
  for (const WeightFormat format : formats) {
    CAPTURE(ldlm::name_of(format));
    const PackedMatrix w = ldlm::pack(random({20, 70}, 5), format);
    for (const float value : {infinity, std::numeric_limits<float>::quiet_NaN()}) {
      auto x = random({3, 70}, 6);
      x.at({1, 65}) = value;
      const auto y = ldlm::linear(x, w).to_vector();
      for (std::size_t i = 0; i < y.size(); ++i) {
        CHECK(std::isfinite(y[i]) == (i / 20 != 1));
      }
    }
  }
}

TEST_CASE("rows of a packed table") {
  const auto table = random({9, 40}, 7);
  for (const WeightFormat format : formats) {
    const PackedMatrix w = ldlm::pack(table, format);
    const auto ids = Tensor<std::int64_t>::from_values({2, 2}, {8, 0, 3, 8});
    const auto rows = ldlm::embedding(w, ids);
    const auto all = ldlm::unpack(w);
    CHECK(rows.shape() == ldlm::Shape{2, 2, 40});
    CHECK(largest_error(rows.select(0, 0).select(0, 0), all.select(0, 8)) == 0.0F);
    CHECK(largest_error(rows.select(0, 1).select(0, 0), all.select(0, 3)) == 0.0F);
  }
  const PackedMatrix w = ldlm::pack(table, WeightFormat::int8);
  CHECK_THROWS_WITH_AS(ldlm::embedding(w, Tensor<std::int64_t>::from_values({1}, {9})),
                       "[embedding] index 9 is outside [0, 9)", ldlm::Error);
}

TEST_CASE("what can't be packed or multiplied is an error") {
  auto matrix = random({2, 3}, 8);
  CHECK_THROWS_WITH_AS(ldlm::pack(matrix.select(0, 0), WeightFormat::int8),
                       "[pack] needs a matrix, got (3,)", ldlm::Error);
  const PackedMatrix w = ldlm::pack(matrix, WeightFormat::int8);
  CHECK_THROWS_WITH_AS(ldlm::linear(random({4, 2}, 9), w),
                       "[linear] inner sizes differ: input (4, 2), weight (2, 3)", ldlm::Error);
  matrix.at({1, 2}) = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH_AS(ldlm::pack(matrix, WeightFormat::int4),
                       "[pack] row 1 has an element that is not finite", ldlm::Error);
  CHECK(equal(ldlm::unpack(ldlm::pack(matrix, WeightFormat::f32)), matrix));
  CHECK(ldlm::linear(random({0, 3}, 9), w).shape() == ldlm::Shape{0, 2});
}
