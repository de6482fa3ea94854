// Masks, heads and messages of attention, beside what test_nn_layers.cpp compares with PyTorch.

#include <doctest/doctest.h>
#include <ldlm/autograd/autograd.hpp>
#include <ldlm/nn/nn.hpp>

#include "nn_support.hpp"

using ldlm::Generator;
using ldlm::Shape;
using ldlm::Tensor;
using ldlm::Variable;
using nn_support::check_close;
using nn_support::message_of;

TEST_CASE("padding_mask hides what is not real, and is a (B, 1, 1, Tk) tensor") {
  const auto real = Tensor<std::int64_t>::from_values({2, 3}, {1, 1, 0, 1, 0, 0});
  const Tensor<float> mask = ldlm::padding_mask<float>(real);
  CHECK(mask.shape() == Shape{2, 1, 1, 3});
  const float hidden = -INFINITY;
  CHECK(mask.to_vector() == std::vector<float>{0, 0, hidden, 0, hidden, hidden});
  CHECK(message_of([] { return ldlm::padding_mask<float>(Tensor<bool>::zeros({3})); }) ==
        "[padding_mask] needs (B, Tk), got (3,)");
}

TEST_CASE("padded positions have no influence, and a wholly padded row is harmless") {
  Generator g(1);
  const ldlm::MultiHeadAttention<double> attention(8, 4, g);
  Tensor<double> values = ldlm::randn<double>({2, 5, 8}, g);
  auto real = Tensor<bool>::ones({2, 5});
  real.select(0, 0).slice(0, 3).fill_(false);
  real.select(0, 1).fill_(false);
  const Tensor<double> mask = ldlm::padding_mask<double>(real);
  Variable<double> x(values.clone(), true);
  const Variable<double> out = attention(x, {.mask = mask});
  values.select(0, 0).slice(0, 3).fill_(1000);
  const auto changed = attention(Variable<double>(values), {.mask = mask}).value();
  CHECK(equal(out.value().select(0, 0).slice(0, 0, 3), changed.select(0, 0).slice(0, 0, 3)));
  // No key at all: zeros before the output projection, so its bias remains (zero when new).
  for (const double value : out.value().select(0, 1).to_vector()) {
    CHECK(value == 0);
  }
  sum(ldlm::square(out)).backward();
  for (const double value : x.grad().to_vector()) {
    CHECK(std::isfinite(value));
  }
}

TEST_CASE("heads split and merge as views") {
  Generator g(1);
  const Variable<float> x(ldlm::randn<float>({2, 3, 8}, g));
  const auto split = ldlm::split_heads(x, 4);
  CHECK(split.shape() == Shape{2, 4, 3, 2});
  CHECK(split.value().data() == x.value().data());
  CHECK(split.value().at({1, 2, 0, 1}) == x.value().at({1, 0, 5}));
  const auto merged = ldlm::merge_heads(split);
  CHECK(merged.value().data() == x.value().data());
  CHECK(equal(merged.value(), x.value()));
  CHECK(message_of([&] { return ldlm::split_heads(x, 3); }) ==
        "[attention] input (2, 3, 8) does not split into 3 heads; needs (B, T, C)");
}

TEST_CASE_TEMPLATE("packed and separate projections agree, with gradients", T, float, double) {
  Generator g(2);
  const auto values = ldlm::randn<T>({2, 4, 24}, g);
  const auto seed = ldlm::randn<T>({2, 4, 8}, g);
  const ldlm::Dropout<T> none;
  Variable<T> packed(values.clone(), true);
  const auto first = ldlm::attend_packed(packed, 2, none, {.causal = true});
  first.backward({.seed = seed});
  std::vector<Variable<T>> parts;
  for (std::int64_t i = 0; i < 3; ++i) {
    parts.emplace_back(values.slice(2, 8 * i, 8 * (i + 1)).clone(), true);
  }
  const auto second = ldlm::attend(parts[0], parts[1], parts[2], 2, none, {.causal = true});
  // Tensors are constants.
  CHECK(
      equal(ldlm::attend_packed(packed.value(), 2, none, {.causal = true}).value(), first.value()));
  CHECK(equal(
      ldlm::attend(parts[0].value(), parts[1], parts[2].value(), 2, none, {.causal = true}).value(),
      first.value()));
  second.backward({.seed = seed});
  check_close(first.value(), second.value(), "out");
  for (std::int64_t i = 0; i < 3; ++i) {
    check_close(packed.grad().slice(2, 8 * i, 8 * (i + 1)),
                parts[static_cast<std::size_t>(i)].grad(), "part " + std::to_string(i));
  }
  CHECK(message_of([&] { return ldlm::attend_packed(packed.slice(2, 0, 8), 2, none); }) ==
        "[attention] needs packed queries, keys and values (B, T, 3 C), got (2, 4, 8)");
  const Tensor<T> missing;
  CHECK(message_of([&] { return ldlm::attend_packed(missing, 2, none); }) ==
        "[attention] the packed queries, keys and values are undefined");
  CHECK(message_of([&] { return ldlm::attend(parts[0], missing, parts[2], 2, none); }) ==
        "[attention] an input is undefined");
  const ldlm::MultiHeadAttention<T> attention(8, 2, g);
  const auto some = Tensor<T>::ones({1, 2, 8});
  CHECK(message_of([&] { return attention(missing); }) ==
        "[MultiHeadAttention] an input is undefined");
  CHECK(message_of([&] { return attention(missing, some); }) ==
        "[MultiHeadAttention] an input is undefined");
  CHECK(message_of([&] { return attention(some, missing); }) ==
        "[MultiHeadAttention] an input is undefined");
  CHECK(message_of([&] { return ldlm::MultiHeadAttention<T>()(some); }) ==
        "[MultiHeadAttention] has no parameters: it was default-constructed");
}

TEST_CASE_TEMPLATE("one key has all the weight, which needs no queries", T, float, double) {
  Generator g(4);
  ldlm::MultiHeadAttention<T> attention(8, 2, g);
  attention.in_proj_bias = Variable<T>(ldlm::randn<T>({24}, g), true);
  const auto zeros = Tensor<T>::zeros({1, 1, 1, 1});  // a mask, so that all is computed
  const auto values = ldlm::randn<T>({3, 1, 8}, g);
  const auto seed = ldlm::randn<T>({3, 1, 8}, g);
  const auto results = [&](const Tensor<T>& mask) {
    Variable<T> x(values.clone(), true);
    ldlm::zero_grad(attention);
    const Variable<T> out = attention(x, {.mask = mask});
    out.backward({.seed = seed});
    return std::vector<Tensor<T>>{out.value(), x.grad(), attention.in_proj_weight.grad().clone(),
                                  attention.in_proj_bias.grad().clone()};
  };
  const auto all = results(zeros);
  const auto short_cut = results({});
  for (std::size_t i = 0; i < all.size(); ++i) {
    check_close(short_cut[i], all[i], "result " + std::to_string(i));
  }

  const ldlm::NoGrad scope;
  const Variable<T> x(ldlm::randn<T>({3, 4, 8}, g));
  const Variable<T> memory(values);
  check_close(attention(x, memory).value(), attention(x, memory, {.mask = zeros}).value(), "cross");
  CHECK(message_of([&] { return attention(x, memory, {.causal = true}); }) ==
        "[scaled_dot_product_attention] causal needs Tq <= Tk, got 4 and 1");
  CHECK(message_of([&] { return attention(x, memory.slice(0, 0, 1)); }) != "no error");
  CHECK(message_of([&] { return attention(x.slice(2, 0, 4), memory); }) != "no error");
}

TEST_CASE("attention weights are dropped in training only") {
  Generator g(3);
  ldlm::MultiHeadAttention<float> attention(8, 2, g, 0.5);
  const Variable<float> x(ldlm::randn<float>({2, 4, 8}, g));
  const auto plain = attention(x).value().to_vector();
  Generator stream(9);
  {
    const ldlm::TrainingMode training(stream);
    CHECK(attention(x).value().to_vector() != plain);
  }
  CHECK(stream.offset() == 2 * 2 * 4 * 4 / 4);  // one word for each weight
  CHECK(attention(x).value().to_vector() == plain);
}

TEST_CASE("sizes that do not fit are named") {
  Generator g(4);
  CHECK(message_of([&] { ldlm::MultiHeadAttention<float>(10, 4, g); }) ==
        "[MultiHeadAttention] 10 channels do not split into 4 heads");
  const ldlm::MultiHeadAttention<float> attention(8, 2, g);
  CHECK(message_of([&] {
          attention(Variable<float>(Tensor<float>::zeros({2, 3, 6})));
        }) == "[linear] inner sizes differ: input (2, 3, 6), weight (24, 8)");
  const Variable<float> q(Tensor<float>::zeros({2, 3, 8}));
  const Variable<float> kv(Tensor<float>::zeros({2, 5, 12}));
  const auto project = [&] { return kv; };
  CHECK(message_of([&] { return ldlm::attend_memory(q, project, 2, ldlm::Dropout<float>()); }) ==
        "[attention] needs packed keys and values (B, Tk, 2 C) for queries (2, 3, 8), got "
        "(2, 5, 12)");
}
