// Weights: dense ones are what a Variable is, packed ones what core/packed.hpp makes of it, in both
// layouts; what can't be asked of a packed one is an error with its name.

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <ldlm/autograd/autograd.hpp>
#include <ldlm/nn/nn.hpp>
#include <ldlm/optim/optim.hpp>

#include "nn_support.hpp"

using ldlm::bf16;
using ldlm::Generator;
using ldlm::Shape;
using ldlm::Tensor;
using ldlm::Variable;
using ldlm::Weight;
using ldlm::WeightFormat;
using ldlm::WeightLayout;
using nn_support::contains;
using nn_support::message_of;

namespace {

/// A weight (n, k) and the plain matrix that it is.
template <class T>
struct Case {
  Tensor<T> matrix;
  Weight<T> weight;

  Case(std::int64_t n, std::int64_t k, WeightLayout layout, std::uint64_t seed = 1) {
    Generator g(seed);
    matrix = ldlm::randn<T>({n, k}, g);
    const bool turned = layout == WeightLayout::in_out;
    const Tensor<T> stored = turned ? matrix.transpose(0, 1).contiguous() : matrix.clone();
    weight = Weight<T>(Variable<T>(stored, true), layout);
  }
  /// A gradient of the weight as (n, k).
  [[nodiscard]] Tensor<T> grad() const {
    return weight.layout() == WeightLayout::out_in ? weight.grad() : weight.grad().transpose(0, 1);
  }
};

template <class T>
Variable<T> random(const Shape& shape, std::uint64_t seed, bool requires_grad = false) {
  Generator g(seed);
  return Variable<T>(ldlm::randn<T>(shape, g), requires_grad);
}

constexpr WeightLayout layouts[] = {WeightLayout::out_in, WeightLayout::in_out};

/// Two maps with one matrix.
struct TiedWeights {
  ldlm::Linear<float> there, back;

  explicit TiedWeights(Generator& g) : there(4, 4, g), back(there) {}
  template <class V>
  void visit(V&& v) {
    v("there", there);
    v("back", back);
  }
};

template <class M>
std::string names_of_parameters(const M& module) {
  std::string names;
  for (const auto& [name, parameter] : ldlm::named_parameters(module)) {
    names += name + ' ';
  }
  return names;
}

}  // namespace

TEST_CASE_TEMPLATE("a dense weight multiplies and learns as its Variable does", T, float, double) {
  for (const WeightLayout layout : layouts) {
    CAPTURE(static_cast<int>(layout));
    const Case<T> c(5, 3, layout);
    CHECK(c.weight.defined());
    CHECK_FALSE(c.weight.is_packed());
    CHECK(c.weight.requires_grad());
    CHECK(c.weight.out() == 5);
    CHECK(c.weight.in() == 3);
    CHECK(c.weight.shape() == c.weight.value().shape());
    CHECK(equal(c.weight.matrix().value(), c.matrix));

    const auto x = random<T>({2, 4, 3}, 2, true);
    const auto bias = random<T>({5}, 3, true);
    const Variable<T> plain(c.matrix, true);
    const auto expected = linear(x, plain, bias, ldlm::Activation::gelu);
    sum(square(expected)).backward();
    const Tensor<T> dx = x.grad().clone(), dbias = bias.grad().clone();
    x.zero_grad();
    bias.zero_grad();
    const auto y = linear(x, c.weight, bias, ldlm::Activation::gelu);
    sum(square(y)).backward();
    nn_support::check_close(y.value(), expected.value(), "y");
    nn_support::check_close(x.grad(), dx, "dx");
    nn_support::check_close(bias.grad(), dbias, "dbias");
    nn_support::check_close(c.grad(), plain.grad(), "dweight");
    CHECK(equal(linear(x, c.weight).value(), linear(x, c.weight.matrix()).value()));
  }
}

TEST_CASE_TEMPLATE("a dense weight is a table of rows", T, float, double) {
  for (const WeightLayout layout : layouts) {
    const Case<T> c(5, 3, layout);
    const auto ids = Tensor<std::int64_t>::from_values({2, 2}, {4, 0, 4, 2});
    const auto rows = embedding(c.weight, ids);
    CHECK(rows.value().shape() == Shape{2, 2, 3});
    CHECK(equal(rows.value(), embedding(c.matrix, ids)));
    sum(rows).backward();
    CHECK(c.grad().contiguous().to_vector() ==
          std::vector<T>{1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 2, 2, 2});
    CHECK(contains(
        message_of([&] { (void)embedding(c.weight, Tensor<std::int64_t>::from_values({1}, {5})); }),
        "index 5 at position 0 is outside [0, 5)"));
  }
}

TEST_CASE_TEMPLATE("a dense weight is the matrix of a fused loss", T, float, double) {
  const auto targets = Tensor<std::int64_t>::from_values({4}, {4, 0, -100, 2});
  for (const WeightLayout layout : layouts) {
    const Case<T> c(5, 3, layout);
    const auto x = random<T>({4, 3}, 2, true);
    const Variable<T> plain(c.matrix, true);
    const auto expected = linear_cross_entropy(x, plain, targets);
    expected.backward();
    const auto loss = linear_cross_entropy(x, c.weight, targets);
    loss.backward();
    nn_support::check_close(loss.value(), expected.value(), "loss");
    nn_support::check_close(c.grad(), plain.grad(), "dweight");
  }
}

TEST_CASE("a packed weight is its packed matrix, however the dense one lay") {
  const ldlm::NoGrad scope;
  const auto ids = Tensor<std::int64_t>::from_values({3}, {36, 0, 5});
  const auto targets = Tensor<std::int64_t>::from_values({2}, {36, 1});
  for (const WeightFormat format : ldlm::weight_formats) {
    const auto matrix = ldlm::pack(Case<float>(37, 70, WeightLayout::out_in).matrix, format);
    for (const WeightLayout layout : layouts) {
      CAPTURE(name_of(format));
      CAPTURE(static_cast<int>(layout));
      Case<float> c(37, 70, layout);
      const Shape shape = c.weight.shape();
      c.weight.pack(format, "w");
      CHECK(c.weight.defined());
      CHECK(c.weight.is_packed());
      CHECK_FALSE(c.weight.requires_grad());
      CHECK(c.weight.layout() == layout);
      CHECK(c.weight.shape() == shape);
      CHECK(c.weight.out() == 37);
      CHECK(c.weight.in() == 70);
      CHECK(c.weight.packed().format == format);
      CHECK(equal(c.weight.packed().data, matrix.data));
      for (const std::int64_t rows : {1, 40}) {
        const auto x = random<float>({rows, 70}, 2);
        const auto bias = random<float>({37}, 3);
        const auto y = linear(x, c.weight, bias, ldlm::Activation::relu);
        CHECK(equal(y.value(),
                    ldlm::linear(x.value(), matrix, bias.value(), ldlm::Activation::relu)));
      }
      CHECK(equal(embedding(c.weight, ids).value(), embedding(ldlm::unpack(matrix), ids)));
      const auto x = random<float>({2, 70}, 4);
      CHECK(linear_cross_entropy(x, c.weight, targets).item() ==
            cross_entropy(linear(x, c.weight), targets).item());
    }
  }
}

TEST_CASE("what was read from 16 bits is kept by a format that has as many") {
  Generator g(1);
  const auto narrow = ldlm::cast<bf16>(ldlm::randn<float>({9, 33}, g));
  const auto half = ldlm::cast<ldlm::f16>(ldlm::randn<float>({9, 33}, g));
  for (const auto& matrix : {ldlm::cast<float>(narrow), ldlm::cast<float>(half)}) {
    Weight<float> weight{Variable<float>(matrix)};
    weight.pack(WeightFormat::f32);
    CHECK(equal(ldlm::unpack(weight.packed()), matrix));
  }
  Weight<float> weight{Variable<float>(ldlm::cast<float>(narrow))};
  weight.pack(WeightFormat::bf16);
  CHECK(equal(ldlm::unpack(weight.packed()), ldlm::cast<float>(narrow)));
}

TEST_CASE("weights without elements") {
  const ldlm::NoGrad scope;
  for (const WeightLayout layout : layouts) {
    for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{0, 3}, {3, 0}, {0, 0}}) {
      const auto x = random<float>({2, k}, 2);
      const auto bias = random<float>({n}, 3);
      Case<float> dense(n, k, layout);
      const auto expected = linear(x, dense.weight, bias).value();
      CHECK(expected.shape() == Shape{2, n});
      for (const WeightFormat format : ldlm::weight_formats) {
        CAPTURE(name_of(format));
        Weight<float> weight = dense.weight;
        weight.pack(format);
        CHECK(weight.is_packed());
        CHECK(weight.shape() == dense.weight.shape());
        CHECK(equal(linear(x, weight, bias).value(), expected));
        const auto none = Tensor<std::int64_t>::empty({0});
        CHECK(embedding(weight, none).value().shape() == Shape{0, k});
      }
    }
  }
  const Weight<double> none;
  CHECK_FALSE(none.defined());
  CHECK_FALSE(none.is_packed());
  CHECK_FALSE(Weight<float>(Variable<float>()).defined());
}

TEST_CASE("what can't be asked of a weight is an error that names it") {
  CHECK(message_of([] {
          Weight<float>(random<float>({2, 3, 4}, 1));
        }) == "[Weight] needs a matrix, got (2, 3, 4)");
  Case<float> c(3, 4, WeightLayout::in_out);
  CHECK(message_of([&] { (void)c.weight.packed(); }) == "[Weight] is not packed");
  c.weight.pack(WeightFormat::int8, "block.fc.weight");
  const std::string why =
      "[Weight] block.fc.weight is packed as int8 and has no dense values and no gradient";
  CHECK(message_of([&] { (void)c.weight.value(); }) == why);
  CHECK(message_of([&] { (void)c.weight.grad(); }) == why);
  CHECK(message_of([&] { (void)c.weight.variable(); }) == why);
  CHECK(message_of([&] { (void)c.weight.matrix(); }) == why);
  CHECK(message_of([&] { c.weight.pack(WeightFormat::int4); }) == why);

  const std::string recorded =
      "[linear] block.fc.weight is packed as int8 and passes no gradient on; wrap inference in a "
      "NoGrad scope";
  const auto x = random<float>({2, 4}, 2, true);
  const auto bias = random<float>({3}, 3, true);
  CHECK(message_of([&] { (void)linear(x, c.weight); }) == recorded);
  CHECK(message_of([&] { (void)linear(x.detach(), c.weight, bias); }) == recorded);
  CHECK(message_of([&] {
          (void)linear_cross_entropy(x, c.weight, Tensor<std::int64_t>::zeros({2}));
        }) == recorded);
  CHECK(linear(x.detach(), c.weight, bias.detach()).shape() == Shape{2, 3});
  CHECK(message_of([&] {
          (void)linear(random<float>({2, 3}, 2), c.weight);
        }) == "[linear] inner sizes differ: input (2, 3), weight (3, 4)");

  const ldlm::PackedMatrix packed = c.weight.packed();
  CHECK(message_of([&] { Weight<double>(packed, WeightLayout::out_in, "wte.weight"); }) ==
        "[Weight] wte.weight is of f64; only weights of f32 can be packed");
}

TEST_CASE("a weight that can't be packed stays as it was") {
  Case<float> c(3, 4, WeightLayout::out_in);
  c.weight.value().at({1, 2}) = std::numeric_limits<float>::infinity();
  CHECK(message_of([&] { c.weight.pack(WeightFormat::int8); }) ==
        "[pack] the weight: row 1 has an element that is not finite");
  CHECK_FALSE(c.weight.is_packed());
  CHECK(c.weight.requires_grad());
  c.weight.pack(WeightFormat::f32);
  CHECK(c.weight.is_packed());
}

TEST_CASE("copies share a weight, and packing one leaves the other") {
  Generator g(1);
  const ldlm::Linear<float> plain(4, 3, g);
  ldlm::Linear<float> model = plain;
  CHECK(model.weight.value().data() == plain.weight.value().data());
  ldlm::pack(model, WeightFormat::int8);
  CHECK(model.weight.is_packed());
  CHECK_FALSE(plain.weight.is_packed());
  const ldlm::Linear<float> copy = ldlm::clone(model);
  CHECK(copy.weight.packed().data.data() == model.weight.packed().data.data());
  CHECK(copy.bias.value().data() != model.bias.value().data());
}

TEST_CASE("a packed weight is no parameter, and can't be trained") {
  Generator g(1);
  TiedWeights model(g);
  CHECK(ldlm::num_parameters(model) == 4 * 4 + 4);
  CHECK(ldlm::state_dict(model).size() == 4);
  const TiedWeights cloned = ldlm::clone(model);
  CHECK(cloned.there.weight.value().data() == cloned.back.weight.value().data());
  CHECK(cloned.there.weight.value().data() != model.there.weight.value().data());

  ldlm::pack(model, WeightFormat::int4);
  ldlm::pack(model, WeightFormat::int4);  // what is packed so already stays as it is
  CHECK(message_of([&] { ldlm::pack(model, WeightFormat::int8); }) ==
        "[pack] there.weight is packed as int4 already, and can't be packed as int8");
  const auto packed = ldlm::packed_weights(model);
  REQUIRE(packed.size() == 2);
  CHECK(packed[0].first == "there.weight");
  CHECK(packed[1].first == "back.weight");
  CHECK(packed[0].second.format == WeightFormat::int4);
  CHECK(equal(packed[0].second.data, packed[1].second.data));
  CHECK(ldlm::num_parameters(model) == 4);
  CHECK(ldlm::state_dict(model).size() == 2);
  CHECK(ldlm::packed_weights(cloned).empty());

  CHECK(message_of([&] { ldlm::set_requires_grad(model, true); }) ==
        "[set_requires_grad] there.weight is packed as int4 and can't be trained");
  const auto x = random<float>({2, 4}, 2, true);
  CHECK(contains(message_of([&] { (void)model.back(model.there(x)); }),
                 "[linear] there.weight is packed as int4 and passes no gradient on"));
}

TEST_CASE("a packed module computes without any scope, and its copies go on learning") {
  Generator g(1);
  const TiedWeights model(g);
  for (const bool read : {false, true}) {
    TiedWeights packed = model;
    if (read) {
      ldlm::replace_packed(packed, [&](const std::string&, std::int64_t, std::int64_t) {
        return ldlm::pack(model.there.weight.value(), WeightFormat::int8);
      });
    } else {
      ldlm::pack(packed, WeightFormat::int8);
    }
    const auto y = packed.back(packed.there(random<float>({2, 4}, 2).value()));
    CHECK(y.shape() == Shape{2, 4});
    CHECK_FALSE(y.requires_grad());
    CHECK(names_of_parameters(packed) == "there.bias ");
    CHECK(packed.there.bias.value().data() == model.there.bias.value().data());
    CHECK(model.there.bias.requires_grad());
    CHECK(model.there.weight.requires_grad());
  }
}

TEST_CASE("a module of which one weight can't be packed stays as it was") {
  Generator g(1);
  TiedWeights model(g);
  model.back = ldlm::Linear<float>(4, 4, g);
  model.back.weight.value().at({1, 2}) = std::numeric_limits<float>::infinity();
  CHECK(message_of([&] { ldlm::pack(model, WeightFormat::int8); }) ==
        "[pack] back.weight: row 1 has an element that is not finite");
  CHECK(ldlm::packed_weights(model).empty());
  CHECK(model.there.bias.requires_grad());

  model.back.weight.pack(WeightFormat::f32, "back.weight");
  CHECK(message_of([&] { ldlm::pack(model, WeightFormat::int8); }) ==
        "[pack] back.weight is packed as f32 already, and can't be packed as int8");
  CHECK(ldlm::packed_weights(model).size() == 1);
  ldlm::pack(model, WeightFormat::f32);
  CHECK(ldlm::packed_weights(model).size() == 2);
}

TEST_CASE("a weight in either layout learns") {
  for (const WeightLayout layout : layouts) {
    Case<float> c(3, 4, layout);
    ldlm::Linear<float> model;
    model.weight = c.weight;
    ldlm::AdamW<float> optimizer(ldlm::named_parameters(model), {.learning_rate = 0.05});
    const auto x = random<float>({16, 4}, 2);
    const auto y = linear(x, random<float>({3, 4}, 3));
    float first = 0, last = 0;
    for (int step = 0; step < 100; ++step) {
      ldlm::zero_grad(model);
      const auto loss = mean(square(model(x) - y));
      last = loss.item();
      first = step == 0 ? last : first;
      loss.backward();
      optimizer.step();
    }
    CHECK(last < first / 10);
  }
}
