// The library on a card: what moves between devices, and what goes wrong.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/core/devices.hpp>
#include <ldlm/core/format.hpp>
#include <ldlm/core/ops.hpp>
#include <ldlm/core/precision.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/nn/linear.hpp>
#include <ldlm/nn/pack.hpp>

#include "error_message.hpp"

using namespace ldlm;
using Floats = Tensor<float>;
using ldlm_test::contains;
using ldlm_test::message_of;

TEST_CASE("tensors move between devices") {
  Generator generator(1);
  const Floats host = randn({3, 4, 5}, generator);
  const Floats card = host.to(cuda);
  CHECK(card.device() == cuda);
  CHECK(card.to_vector() == host.to_vector());
  CHECK(card.to(cuda).storage() == card.storage());
  CHECK(card.to(cpu).to_vector() == host.to_vector());
  CHECK(host.to(reference_cpu).to(cuda).to(reference_cpu).to_vector() == host.to_vector());
  // Views of any strides, both ways.
  const Floats part = host.transpose(0, 2).slice(0, 1, 4, 2);
  CHECK(part.to(cuda).to_vector() == part.to_vector());
  CHECK(card.transpose(0, 2).slice(0, 1, 4, 2).to(cpu).to_vector() == part.to_vector());
  card.select(1, 2).copy_(Floats::ones({5}));  // broadcast on the way
  CHECK(card.select(1, 2).to_vector() == std::vector<float>(15, 1.0F));
  CHECK(card.select(1, 1).to_vector() == host.select(1, 1).to_vector());
  host.slice(0, 0, 2).copy_(card.slice(0, 1, 3));
  CHECK(host.slice(0, 0, 2).to_vector() == card.slice(0, 1, 3).to_vector());
  CHECK(Floats::empty({0, 3}).to(cuda).to(cpu).shape() == Shape{0, 3});
  CHECK(Tensor<bool>::from_values({2}, {true, false}).to(cuda).to_vector() ==
        std::vector<bool>{true, false});
}

namespace {
struct Tied {
  Linear<float> first, second;
  void visit(auto&& v) { v("first", first), v("second", second); }
};
}  // namespace

TEST_CASE("a module moves with its ties") {
  Generator generator(1);
  Tied module{Linear<float>(3, 3, generator), Linear<float>(3, 3, generator)};
  module.second.weight = module.first.weight;
  const auto before = module.first.weight.value().to_vector();
  to(module, cuda);
  CHECK(module.first.weight.device() == cuda);
  CHECK(module.second.weight.value().storage() == module.first.weight.value().storage());
  CHECK(module.first.weight.value().to_vector() == before);
  CHECK(module.first.weight.requires_grad());
  to(module, cpu);
  CHECK(module.second.weight.value().to_vector() == before);
}

TEST_CASE("packed weights move, multiply and are looked up") {
  Generator generator(3);
  const Floats weight = randn({33, 70}, generator);
  const Floats x = randn({5, 70}, generator);
  const auto ids = Tensor<std::int64_t>::from_values({2, 2}, {4, 32, 0, 4});
  for (const WeightFormat format : {WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4}) {
    CAPTURE(name_of(format));
    const PackedMatrix host = pack(weight, format);
    const PackedMatrix card = host.to(cuda);
    const Floats plain = matmul(x, unpack(host).transpose(0, 1));
    const auto product = linear(x.to(cuda), card).to_vector();
    for (std::size_t i = 0; i < product.size(); ++i) {
      REQUIRE(product[i] == doctest::Approx(plain.to_vector()[i]).epsilon(1e-5));
    }
    CHECK(embedding(card, ids).to_vector() == embedding(host, ids).to_vector());
    CHECK(message_of([&] { (void)linear(x, card); }) == "[linear] tensors are on cpu:0 and cuda:0");
    CHECK(unpack(card).to_vector() == unpack(host).to_vector());
  }
  // Of many rows and columns, where the other factor may be rounded to bf16, too.
  const Floats wide = randn({65, 70}, generator);
  const Floats rows = randn({60, 70}, generator);
  for (const auto& entry :
       {std::pair(WeightFormat::f32, 1e-4F), std::pair(WeightFormat::bf16, 0.2F),
        std::pair(WeightFormat::int8, 0.2F), std::pair(WeightFormat::int4, 0.2F)}) {
    const WeightFormat format = entry.first;
    const float most = entry.second;
    CAPTURE(name_of(format));
    const PackedMatrix host = pack(wide, format);
    const Floats plain = matmul(rows, unpack(host).transpose(0, 1));
    const Floats card = linear(rows.to(cuda), host.to(cuda)).to(cpu);
    CHECK(max(abs(card - plain)).item() < most);
  }
  Linear<float> layer(70, 33, generator);
  const auto before = layer(x).value();
  pack(layer, WeightFormat::int8);
  to(layer, cuda);
  CHECK(max(abs(layer(x.to(cuda)).value().to(cpu) - before)).item() < 0.1F);
}

TEST_CASE("attention of floats is as exact as products are") {
  Generator generator(4);
  const Floats q = randn({1, 2, 20, 24}, generator);
  const Floats k = randn({1, 2, 33, 24}, generator);
  const Floats v = randn({1, 2, 33, 24}, generator);
  using Results = std::vector<std::vector<float>>;  // of the forward pass, and gradients
  const auto results = [&](Device device, MatmulPrecision precision) {
    set_matmul_precision(precision);
    Results all;
    std::vector<Variable<float>> inputs;
    for (const Floats& x : {q, k, v}) {
      inputs.emplace_back(x.to(device), true);
    }
    const auto out = scaled_dot_product_attention(inputs[0], inputs[1], inputs[2]);
    all.push_back(out.value().to_vector());
    sum(out * out).backward();
    for (const Variable<float>& x : inputs) {
      all.push_back(x.grad().to_vector());
    }
    set_matmul_precision(MatmulPrecision::highest);
    return all;
  };
  const auto distance = [](const Results& a, const Results& b) {
    float most = 0;
    for (std::size_t n = 0; n < a.size(); ++n) {
      for (std::size_t i = 0; i < a[n].size(); ++i) {
        most = std::max(most, std::abs(a[n][i] - b[n][i]));
      }
    }
    return most;
  };
  const Results host = results(cpu, MatmulPrecision::highest);
  const Results card = results(cuda, MatmulPrecision::highest);
  CHECK(distance(card, host) < 1e-5F);
  for (const MatmulPrecision precision : {MatmulPrecision::high, MatmulPrecision::medium}) {
    const Results rounded = results(cuda, precision);
    for (std::size_t n = 0; n < rounded.size(); ++n) {
      CHECK(rounded[n] != card[n]);
    }
    CHECK(distance(rounded, host) < 1e-2F);
    CHECK(results(cpu, precision) == host);
  }
  CHECK(results(cuda, MatmulPrecision::highest) == card);
}

TEST_CASE("random tensors have the CPU's bits") {
  const auto drawn = [](Device device) {
    Generator generator(7);
    return std::vector<std::vector<float>>{
        rand({1001}, generator, -1, 1, device).to_vector(),
        bernoulli<float>({513}, generator, 0.3F, device).to_vector(),
        dropout(Floats::full({77}, 3, device), 0.4F, generator).to_vector()};
  };
  CHECK(drawn(cuda) == drawn(cpu));
  const auto normal = [](Device device) {
    Generator generator(8);
    return randn({1001}, generator, 0, 1, device).to_vector();
  };
  const auto card = normal(cuda);
  const auto host = normal(cpu);
  for (std::size_t i = 0; i < host.size(); ++i) {
    REQUIRE(card[i] == doctest::Approx(host[i]).epsilon(1e-6));
  }
}

TEST_CASE("the card is told of, and others than the first are refused") {
  const auto found = devices();
  REQUIRE(found.size() == 2);
  CHECK(found[1].device == cuda);
  CHECK(contains(found[1].name, ", compute capability "));
  CHECK(found[1].memory >= found[1].free);
  const Device second{DeviceType::cuda, 1};
  const std::string reason =
      "[cuda] only cuda:0 is used, not cuda:1; the environment's CUDA_VISIBLE_DEVICES chooses "
      "which card that is";
  CHECK(message_of([&] { (void)device_info(second); }) == reason);
  CHECK(message_of([&] { (void)Floats::ones({2}, second); }) == reason);
}

TEST_CASE("operands on two devices are named") {
  const Floats there = Floats::ones({2, 2}, cuda);
  const Floats here = Floats::ones({2, 2});
  const auto error = [](const auto& f) { return message_of([&] { (void)f(); }); };
  CHECK(error([&] { return there + here; }) == "[add] tensors are on cuda:0 and cpu:0");
  CHECK(error([&] { return linear(there, there, here.select(0, 0)); }) ==
        "[linear] tensors are on cuda:0 and cpu:0");
  CHECK(error([&] { return fused_linear(there, there, {.residual = here}); }) ==
        "[linear] tensors are on cuda:0 and cpu:0");
  CHECK(error([&] { return layer_norm(there, here.select(0, 0), {}); }) ==
        "[layer_norm] tensors are on cuda:0 and cpu:0");
  CHECK(error([&] { return layer_norm(there, {}, here.select(0, 0)); }) ==
        "[layer_norm] tensors are on cuda:0 and cpu:0");
  CHECK(error([&] { return rms_norm(there, here.select(0, 0)); }) ==
        "[rms_norm] tensors are on cuda:0 and cpu:0");
  const Floats q = Floats::ones({1, 1, 2, 2}, cuda);
  CHECK(contains(error([&] { return scaled_dot_product_attention(q, q, q.to(cpu)); }),
                 "tensors are on cuda:0 and cpu:0"));
  CHECK(contains(error([&] { return scaled_dot_product_attention(q, q, q, {.mask = here}); }),
                 "tensors are on cuda:0 and cpu:0"));
  CHECK(error([&] { return embedding(here, Tensor<std::int64_t>::zeros({1}, cuda)); }) ==
        "[embedding] tensors are on cpu:0 and cuda:0");
  CHECK(error([&] {
          return there.at({0, 0});
        }) == "[at] needs elements in host memory, these are on cuda:0; copy them with to(cpu)");
  CHECK(to_string(there) == to_string(here));
  // Gradients: kernels of optimisers get bare addresses.
  const Variable<float> leaf(there, true);
  CHECK(message_of([&] { (leaf * 2.0F).backward({.seed = here}); }) ==
        "[backward] tensors are on cuda:0 and cpu:0");
}

TEST_CASE("without a cache each tensor has memory of its own") {
  const char* const cache = std::getenv("LDLM_CUDA_CACHE");
  if (cache == nullptr || std::string_view(cache) != "off") {
    MESSAGE("skipped: LDLM_CUDA_CACHE is not off");
    return;
  }
  { const Floats gone = Floats::full({4}, 7, cuda); }
  const std::vector<float> values = Floats::empty({4}, cuda).to_vector();
  // Emulated memory begins as NaN; a card's may hold anything.
  CHECK((std::isnan(values[0]) || device_info(cuda).name.find("emulated") == std::string::npos));
}

TEST_CASE("integer ops that cannot be done") {
  const auto ints = Tensor<std::int64_t>::from_values({3}, {4, 0, -2}).to(cuda);
  CHECK(message_of([&] { (void)(ints / ints); }) == "[div] integer division by zero");
  CHECK(contains(message_of([&] { (void)pow(ints, ints); }), "[pow] "));
  CHECK(message_of([&] { (void)exp(ints); }) ==
        "[exp] this function needs float, double or bf16 elements, got i64");
}

TEST_CASE("no memory") {
  CHECK(contains(message_of([] { (void)Floats::empty({std::int64_t{1} << 40}, cuda); }),
                 "[allocate] no memory on the card for 4398046511104 bytes: "));
}

TEST_CASE("elements beyond 2^31 of each other") {
  // Rows of a matrix that nobody could hold, of which few elements are touched.
  constexpr std::int64_t far = (std::int64_t{1} << 31) + 64;
  const Floats memory = Floats::empty({2 * far}, cuda);
  const Floats rows(memory.storage(), Layout({2, 8}, {far, 1}, 0));
  rows.copy_(Floats::arange(0, 16).reshape({2, 8}));
  CHECK(rows.to_vector() == Floats::arange(0, 16).to_vector());
  CHECK(sum(rows, 1).to_vector() == std::vector<float>{28, 92});
  CHECK(matmul(rows, rows.transpose(0, 1)).to_vector() == std::vector<float>{140, 364, 364, 1100});
  CHECK(softmax(rows, 0).to_vector().back() == doctest::Approx(0.99966465));
  CHECK(embedding(rows, Tensor<std::int64_t>::from_values({1}, {1})).to_vector() ==
        rows.select(0, 1).to_vector());
}
