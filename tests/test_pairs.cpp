// Functions of Variables are called as those of Tensors, and give the same values.

#include <doctest/doctest.h>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm_reference/reference.hpp>

using namespace ldlm;

namespace {

Tensor<float> sample(const Shape& shape, std::uint64_t seed) {
  Generator generator(seed);
  return rand<float>(shape, generator, 0.5F, 1.5F);
}

const Tensor<float>& value_of(const Tensor<float>& x) {
  return x;
}
const Tensor<float>& value_of(const Variable<float>& x) {
  return x.value();
}

/// f of Tensors and of Variables of these shapes.
template <class Function>
void check_pair(std::initializer_list<Shape> shapes, Function f) {
  std::vector<Tensor<float>> tensors;
  std::vector<Variable<float>> variables;
  for (const Shape& shape : shapes) {
    tensors.push_back(sample(shape, tensors.size()));
    variables.emplace_back(tensors.back(), true);
  }
  CHECK(equal(value_of(f(tensors)), value_of(f(variables))));
}

}  // namespace

TEST_CASE("functions of Tensors and Variables take the same arguments") {
  const auto ids = Tensor<std::int64_t>::from_values({2}, {1, 0});
  check_pair({{2, 3}, {4, 3}, {4}}, [](const auto& x) {
    return linear(x[0], x[1], x[2], Activation::gelu) + linear(x[0], x[1], {}, Activation::relu) +
           linear(x[0], x[1]);
  });
  check_pair({{2, 3}, {3}, {3}, {2, 3}}, [](const auto& x) {
    const auto both = add_layer_norm(x[0], x[3], x[1], x[2], 1e-4F);
    return layer_norm(x[0], x[1], x[2]) + layer_norm(x[0], {}, {}, 1e-3F) + both.sum +
           both.normalized + add_layer_norm(x[0], x[3], {}, {}).sum;
  });
  check_pair({{2, 3}, {3}},
             [](const auto& x) { return rms_norm(x[0], x[1]) + rms_norm(x[0], {}, 1e-3F); });
  check_pair({{1, 2, 3, 4}, {1, 2, 3, 4}, {1, 2, 3, 4}}, [](const auto& x) {
    return scaled_dot_product_attention(x[0], x[1], x[2], {.causal = true}) +
           scaled_dot_product_attention(x[0], x[1], x[2]);
  });
  check_pair({{2, 3}, {2, 3}}, [&](const auto& x) {
    Generator generator(1);
    return softmax(x[0], 0) + log_softmax(x[1]) + dropout(x[0], 0.5F, generator) +
           maximum(x[0], x[1]) + clamp(x[0], 0.7F, 0.9F) + pow(x[0], x[1]) + pow(x[0], 2) +
           where(lt(value_of(x[0]), value_of(x[1])), x[0], x[1]) + var(x[0], 1, 0, true) +
           sum_to(x[0], {3}) + index_select(x[0], 0, ids) + embedding(x[0], ids) +
           concat({x[0], x[1]}, 1).slice(1, 1, 4) + stack({x[0], x[1]}).select(0, 1) +
           pad(x[0], 1, 1, 0, 2.0F).slice(1, 0, 3) + split(x[0], 1, 0)[1] + top_k(x[0], 3).values;
  });
}
