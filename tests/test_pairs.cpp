// Functions of Variables are called as those of Tensors, and give the same values.

#include <doctest/doctest.h>

#include <array>
#include <tuple>
#include <utility>

#include <ldlm/autograd/autograd.hpp>

using namespace ldlm;

namespace {

Tensor<float> sample(const Shape& shape, std::uint64_t seed) {
  Generator generator(seed);
  return rand<float>(shape, generator, 0.5F, 1.5F);
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
  CHECK(equal(f(tensors), f(variables)));
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
           where(lt(x[0], x[1]), x[0], x[1]) + var(x[0], 1, 0, true) + sum_to(x[0], {3}) +
           index_select(x[0], 0, ids) + embedding(x[0], ids) +
           concat({x[0], x[1]}, 1).slice(1, 1, 4) + stack({x[0], x[1]}).select(0, 1) +
           pad(x[0], 1, 1, 0, 2.0F).slice(1, 0, 3) + split(x[0], 1, 0)[1] + top_k(x[0], 3).values;
  });
}

namespace {

/// f of every mix of Tensors and Variables of these values: a Variable if any of them is one, with
/// the gradients of those that are, else a Tensor.
template <std::size_t N, unsigned Mix = 0, class Function>
void check_mixes(const std::array<Tensor<float>, N>& values, const Function& f) {
  const auto operand = [&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
    if constexpr ((Mix >> I & 1U) != 0) {
      return Variable(values[I], true);
    } else {
      return values[I];
    }
  };
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    const auto mixed = std::tuple(operand(std::integral_constant<std::size_t, I>())...);
    const std::array<Variable<float>, N> all{Variable(values[I], true)...};
    const auto got = f(std::get<I>(mixed)...);
    const auto expected = f(all[I]...);
    static_assert(
        std::is_same_v<decltype(got), const result_t<decltype(operand(
                                          std::integral_constant<std::size_t, I>()))...>>);
    CHECK(equal(got, expected));
    if constexpr (Mix != 0) {
      sum(got).backward();
      sum(expected).backward();
      const auto check = [&](const auto& x, const Variable<float>& reference) {
        if constexpr (detail::is_variable<std::remove_cvref_t<decltype(x)>>) {
          CHECK(equal(x.grad(), reference.grad()));
        }
      };
      (check(std::get<I>(mixed), all[I]), ...);
    }
  }
  (std::make_index_sequence<N>());
  if constexpr (Mix + 1 < 1U << N) {
    check_mixes<N, Mix + 1>(values, f);
  }
}

}  // namespace

TEST_CASE("functions take any mix of Tensors and Variables") {
  const auto a = sample({2, 3}, 1);
  const auto b = sample({2, 3}, 2);
  const auto row = sample({3}, 3);
  const auto w = sample({4, 3}, 4);
  const auto bias = sample({4}, 5);
  const auto ids = Tensor<std::int64_t>::from_values({2}, {1, 0});
  check_mixes<2>({a, b}, [](const auto& x, const auto& y) {
    return (x + y) * x / y - pow(x, y) + minimum(x, y) + maximum(x, y) + where(gt(x, y), x, y);
  });
  check_mixes<2>({a, w}, [](const auto& x, const auto& y) { return linear(x, y); });
  check_mixes<2>({a, w}, [&](const auto& x, const auto& y) {
    return linear_cross_entropy(x, y, ids, {.label_smoothing = 0.1F});
  });
  check_mixes<2>({a, b}, [](const auto& x, const auto& y) { return mse_loss(x, y); });
  check_mixes<2>({a, row}, [](const auto& x, const auto& y) { return rms_norm(x, y); });
  check_mixes<2>({a, row}, [](const auto& x, const auto& y) { return layer_norm(x, y, {}); });
  check_mixes<2>(
      {a, b}, [](const auto& x, const auto& y) { return add_layer_norm(x, y, {}, {}).normalized; });
  check_mixes<3>({a, w, bias}, [](const auto& x, const auto& y, const auto& z) {
    return linear(x, y, z, Activation::gelu);
  });
  check_mixes<3>({a, row, row}, [](const auto& x, const auto& y, const auto& z) {
    return layer_norm(x, y, z, 1e-3F);
  });
  const auto q = sample({1, 2, 3, 4}, 6);
  check_mixes<3>({q, sample({1, 2, 3, 4}, 7), q}, [](const auto& x, const auto& y, const auto& z) {
    return scaled_dot_product_attention(x, y, z, {.causal = true});
  });
  check_mixes<1>({a}, [&](const auto& x) { return cross_entropy(x, ids); });
}

TEST_CASE("what has no gradient is a Tensor of either") {
  const auto x = Tensor<>::from_values({3}, {1, 5, 2});
  const Variable v(x, true);
  static_assert(TensorOrVariable<Tensor<>> && TensorOrVariable<Variable<double>>);
  static_assert(!TensorOrVariable<Tensor<int>> && !TensorOrVariable<float>);
  static_assert(!Operands<Tensor<float>, Variable<double>>);
  CHECK(argmax(v).item() == 1);
  CHECK(argmin(v).item() == 0);
  CHECK(equal(eq(v, x), Tensor<bool>::ones({3})));
  CHECK(equal(lt(v, 2 * x), Tensor<bool>::ones({3})));
  CHECK(!as_variable(Tensor<>()).defined());
  CHECK(!as_tensor(Variable<>()).defined());
  CHECK(as_tensor(v).data() == x.data());
  CHECK(!as_variable(x).requires_grad());
}
