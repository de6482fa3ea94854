// Initial values: bounds, means and deviations, and the layers' defaults.

#include <algorithm>

#include <doctest/doctest.h>
#include <ldlm/nn/nn.hpp>

#include "nn_support.hpp"

using ldlm::Generator;
using ldlm::Tensor;
using nn_support::message_of;

namespace {

struct Statistics {
  double mean = 0, deviation = 0, largest = 0;
};

template <class T>
Statistics statistics(const Tensor<T>& x) {
  Statistics s;
  const std::vector<T> values = x.to_vector();
  for (const T value : values) {
    s.mean += static_cast<double>(value) / static_cast<double>(values.size());
    s.largest = std::max(s.largest, std::abs(static_cast<double>(value)));
  }
  for (const T value : values) {
    const double centred = static_cast<double>(value) - s.mean;
    s.deviation += centred * centred / static_cast<double>(values.size());
  }
  s.deviation = std::sqrt(s.deviation);
  return s;
}

// Uniform within `bound`: fills it, and has deviation bound / sqrt(3).
template <class T>
void check_uniform(const Tensor<T>& x, double bound) {
  const Statistics s = statistics(x);
  CHECK(s.largest <= bound);
  CHECK(s.largest > 0.98 * bound);
  CHECK(std::abs(s.mean) < 0.05 * bound);
  CHECK(s.deviation == doctest::Approx(bound / std::sqrt(3.0)).epsilon(0.03));
}

template <class T>
void check_normal(const Tensor<T>& x, double mean, double stddev) {
  const Statistics s = statistics(x);
  CHECK(std::abs(s.mean - mean) < 0.05 * stddev);
  CHECK(s.deviation == doctest::Approx(stddev).epsilon(0.03));
  CHECK(s.largest > 2.5 * stddev);
}

}  // namespace

TEST_CASE("distributions have the bounds and deviations of their formulas") {
  Generator g(1);
  const auto w = Tensor<double>::empty({60, 100});
  ldlm::uniform_(w, g, -0.5, 0.5);
  check_uniform(w, 0.5);
  ldlm::normal_(w, g, 1.0, 0.02);
  check_normal(w, 1.0, 0.02);
  ldlm::xavier_uniform_(w, g);
  check_uniform(w, std::sqrt(6.0 / 160));
  ldlm::xavier_normal_(w, g, 2);
  check_normal(w, 0, 2 * std::sqrt(2.0 / 160));
  ldlm::kaiming_uniform_(w, g);
  check_uniform(w, std::sqrt(6.0 / 100));
  ldlm::kaiming_uniform_(w, g, std::sqrt(5.0));
  check_uniform(w, 0.1);
  ldlm::kaiming_normal_(w, g);
  check_normal(w, 0, std::sqrt(2.0 / 100));
  const auto strided = Tensor<double>::zeros({100, 2, 30}).select(1, 0);
  ldlm::uniform_(strided, g, -1, 1);
  check_uniform(strided, 1);
  CHECK(message_of([&] { ldlm::xavier_uniform_(Tensor<double>::zeros({4}), g); }) ==
        "[xavier_uniform_] needs a matrix, got (4,)");
}

TEST_CASE("the layers start as PyTorch's do") {
  Generator g(2);
  const ldlm::Linear<float> linear(100, 60, g);
  check_uniform(linear.weight.value(), 0.1);
  CHECK(statistics(linear.bias.value()).largest <= 0.1);
  CHECK(statistics(linear.bias.value()).largest > 0.05);
  CHECK_FALSE(ldlm::Linear<float>(3, 2, g, false).bias.defined());
  check_normal(ldlm::Embedding<float>(100, 60, g).weight.value(), 0, 1);
  const ldlm::MultiHeadAttention<float> attention(60, 4, g);
  check_uniform(attention.in_proj_weight.value(), std::sqrt(6.0 / 240));
  check_uniform(attention.out_proj.weight.value(), std::sqrt(1.0 / 60));
  CHECK(statistics(attention.in_proj_bias.value()).largest == 0);
  CHECK(statistics(attention.out_proj.bias.value()).largest == 0);
  const ldlm::Transformer<float> model({.d_model = 60,
                                        .nhead = 2,
                                        .num_encoder_layers = 1,
                                        .num_decoder_layers = 1,
                                        .dim_feedforward = 90},
                                       g);
  check_uniform(model.decoder.layers[0].linear1.weight.value(), std::sqrt(6.0 / 150));
  check_uniform(model.encoder.layers[0].self_attn.out_proj.weight.value(), std::sqrt(6.0 / 120));
  CHECK(message_of([&] { ldlm::Linear<float>(0, 2, g); }) ==
        "[Linear] extents must be positive, got 0 and 2");
}

TEST_CASE("the same generator gives the same model") {
  Generator a(7);
  Generator b(7);
  Generator c(8);
  const ldlm::Linear<float> first(5, 4, a);
  CHECK(equal(first.weight.value(), ldlm::Linear<float>(5, 4, b).weight.value()));
  CHECK_FALSE(equal(first.weight.value(), ldlm::Linear<float>(5, 4, c).weight.value()));
}
