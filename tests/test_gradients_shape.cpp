// Gradients of reductions, views, and functions that move or choose elements.

#include <cmath>

#include "gradcheck.hpp"

using namespace ldlm;

TEST_CASE("gradients of reductions over any axes") {
  const std::vector<Shape> shapes{{2, 3, 2}, {1, 3, 1}, {2, 1, 2}};
  const std::vector<Axes> axes{all_axes, 0, -1, {0, 2}, {1, 0}, {0, 1, 2}, Axes({})};
  for (const Shape& shape : shapes) {
    for (std::size_t i = 0; i < axes.size(); ++i) {
      for (const bool keep : {false, true}) {
        const Axes& over = axes[i];
        INFO("axes " << i << ", keep " << keep);
        gradcheck::check("sum", {shape}, [&](const auto& in) { return sum(in[0], over, keep); });
        gradcheck::check("mean", {shape}, [&](const auto& in) { return mean(in[0], over, keep); });
        gradcheck::check("max", {shape}, [&](const auto& in) { return max(in[0], over, keep); });
        gradcheck::check("min", {shape}, [&](const auto& in) { return min(in[0], over, keep); });
        gradcheck::check("norm", {shape}, [&](const auto& in) { return norm(in[0], over, keep); });
        gradcheck::check("var", {shape}, [&](const auto& in) { return var(in[0], over, 0, keep); });
      }
    }
  }
  gradcheck::check("unbiased var", {{4, 3}}, [](const auto& in) { return var(in[0], 0); });
  gradcheck::check("of a scalar", {{}}, [](const auto& in) { return sum(in[0]) * mean(in[0]); });
}

TEST_CASE("gradients of reductions of no elements") {
  gradcheck::check("sum of none", {{2, 0}}, [](const auto& in) { return sum(in[0], 1); });
  gradcheck::check("no sums", {{2, 0}}, [](const auto& in) { return sum(in[0], 0); });
  gradcheck::check("no means", {{2, 0}}, [](const auto& in) { return mean(in[0], 0); });
  gradcheck::check("no maxima", {{2, 0}}, [](const auto& in) { return max(in[0], 0); });
  gradcheck::check("norm of none", {{2, 0}}, [](const auto& in) { return norm(in[0], 1); });
}

TEST_CASE("equal extremes share the gradient, and norm has gradient 0 at 0") {
  const Variable<double> x(Tensor<double>::from_values({2, 3}, {1, 3, 3, 2, 2, 2}), true);
  sum(max(x, 1)).backward();
  gradcheck::check_close(
      x.grad(), Tensor<double>::from_values({2, 3}, {0, .5, .5, 1. / 3, 1. / 3, 1. / 3}), 1e-15);
  const Variable<double> zero(Tensor<double>::zeros({3}), true);
  norm(zero).backward();
  CHECK(zero.grad().to_vector() == std::vector<double>{0, 0, 0});
}

TEST_CASE_TEMPLATE("var of numbers whose sum or squares are out of range", T, float, double) {
  constexpr T most = std::numeric_limits<T>::max();
  constexpr T inf = std::numeric_limits<T>::infinity();
  const T root = std::sqrt(most);
  const auto of = [](std::vector<T> row, int correction) {
    const auto n = static_cast<std::int64_t>(row.size());
    return var(Tensor<T>::from_values({n}, row), 0, correction).item();
  };
  CHECK(of({most, most}, 1) == 0);
  CHECK(of({most, most, most}, 0) == 0);
  CHECK(of({most, -most}, 1) == inf);
  CHECK(of({root, 0, 0, 0}, 0) == doctest::Approx(most * T{0.1875}));
  CHECK(of({root, -root}, 0) == doctest::Approx(most));
  CHECK(of({T{1.25} * root, 0, 0}, 1) == doctest::Approx(most / 3 * T{1.5625}));
  CHECK(std::isnan(of({root, inf, 0}, 1)));
  CHECK(std::isnan(of({most, std::numeric_limits<T>::quiet_NaN()}, 1)));
  CHECK(of({0, 1, 5}, 4) == inf);
  CHECK(std::isnan(of({most, most}, 2)));
  CHECK(std::isnan(of({3, 3, 3}, 4)));
  CHECK(std::isnan(of({}, 0)));
  // Rows beside one that overflows keep their bits.
  const auto rows = Tensor<T>::from_values({2, 3}, {root, -root, root, 1, T{1.25}, T{3}});
  CHECK(var(rows, 1).at({1}) == of({1, T{1.25}, T{3}}, 1));
  CHECK(var(rows, 1, 1, true).shape() == Shape{2, 1});
}

TEST_CASE("gradients of sum_to") {
  gradcheck::check("sum_to", {{2, 3, 2}}, [](const auto& in) { return sum_to(in[0], {3, 1}); });
  gradcheck::check("sum_to scalar", {{2, 3}}, [](const auto& in) { return sum_to(in[0], {}); });
}

TEST_CASE("gradients of views") {
  gradcheck::check("reshape", {{2, 3, 2}}, [](const auto& in) { return in[0].reshape({4, -1}); });
  gradcheck::check("reshape to Shape", {{6}}, [](const auto& in) {
    return in[0].reshape(Shape{1, 2, 3});
  });
  gradcheck::check("reshape of a transpose", {{2, 3}},
                   [](const auto& in) { return in[0].transpose(0, 1).reshape({6}); });
  gradcheck::check("flatten", {{2, 3, 2}}, [](const auto& in) { return in[0].flatten(1); });
  gradcheck::check("flatten scalar", {{}}, [](const auto& in) { return in[0].flatten(); });
  gradcheck::check("transpose", {{2, 3, 4}}, [](const auto& in) { return in[0].transpose(0, -1); });
  gradcheck::check("permute", {{2, 3, 4}}, [](const auto& in) {
    return in[0].permute({1, -1, 0});
  });
  gradcheck::check("unsqueeze, squeeze", {{2, 3}},
                   [](const auto& in) { return in[0].unsqueeze(-1).unsqueeze(1).squeeze(3); });
  gradcheck::check("slice", {{5, 3}},
                   [](const auto& in) { return in[0].slice(0, 1, to_end, 2).slice(1, -2); });
  gradcheck::check("empty slice", {{5, 3}}, [](const auto& in) { return in[0].slice(0, 3, 3); });
  gradcheck::check("select", {{2, 3, 2}},
                   [](const auto& in) { return in[0].select(1, -1).select(0, 0); });
  gradcheck::check("expand", {{2, 1, 3}}, [](const auto& in) {
    return in[0].expand({4, 2, 2, 3});
  });
  gradcheck::check("expand to none", {{1, 3}}, [](const auto& in) { return in[0].expand({0, 3}); });
  gradcheck::check("contiguous", {{2, 3}},
                   [](const auto& in) { return in[0].transpose(0, 1).contiguous(); });
  gradcheck::check("views of nothing", {{0, 4}}, [](const auto& in) {
    return in[0].reshape({2, 0}).transpose(0, 1);
  });
}

TEST_CASE("gradients of overlapping views of one variable add up") {
  gradcheck::check("slices", {{5}}, [](const auto& in) {
    return in[0].slice(0, 0, 3) * in[0].slice(0, 2, 5) * in[0].slice(0, 1, 4);
  });
  gradcheck::check("rows and all", {{3, 3}}, [](const auto& in) {
    return in[0].select(0, 1) * in[0] + in[0].transpose(0, 1) * in[0].select(1, 2);
  });
  gradcheck::check("of a function", {{4, 2}}, [](const auto& in) {
    const auto y = square(in[0]);
    return y.slice(0, 0, 2) * y.reshape({2, 4}).slice(1, 1, 3) + sum(y);
  });
  gradcheck::check("of a permuted reshape", {{2, 6}}, [](const auto& in) {
    const auto y = in[0].reshape({2, 2, 3}).transpose(0, 2);
    return y.select(0, 1) * y.select(0, 2) + y.reshape({3, 4}).select(0, 0).reshape({2, 2});
  });
}

TEST_CASE("gradients of split") {
  gradcheck::check("all parts", {{2, 6}}, [](const auto& in) {
    const auto parts = split(in[0], 2, 1);
    return parts[0] * parts[1] + parts[2];
  });
  gradcheck::check("some parts, the last shorter, one twice", {{2, 5}}, [](const auto& in) {
    const auto parts = split(square(in[0]), 2, -1);
    return parts[0] * parts[2] + parts[0];
  });
  gradcheck::check("parts and whole", {{4, 2}}, [](const auto& in) {
    const auto parts = split(in[0], 2);
    return matmul(parts[0], parts[1]) + sum(in[0]);
  });
  gradcheck::check("one part", {{4, 2}}, [](const auto& in) { return split(in[0], 3)[1]; });
  gradcheck::check("packed heads", {{2, 2, 12}}, [](const auto& in) {
    const auto parts = split(in[0], 4, -1);
    const auto heads = [](const auto& x) { return x.reshape({2, 2, 2, 2}).transpose(1, 2); };
    return matmul(heads(parts[0]), heads(parts[1]).transpose(-1, -2)) * heads(parts[2]);
  });
}

TEST_CASE("split makes its gradient once, even over two backward passes") {
  const Variable<double> x(gradcheck::values<double>({6}, {}, 1), true);
  const auto parts = split(x * 2, 2);
  const Variable<double> loss = sum(parts[0] * parts[2]);
  loss.backward({{}, true});
  const Tensor<double> once = x.grad().clone();
  loss.backward();
  gradcheck::check_close(x.grad(), mul(once, 2.0), 1e-15);
  CHECK(once.slice(0, 2, 4).to_vector() == std::vector<double>{0, 0});
}

TEST_CASE("gradients of concat, stack and pad") {
  gradcheck::check("concat", {{2, 3}, {2, 1}, {2, 0}},
                   [](const auto& in) { return concat(in, 1); });
  gradcheck::check("concat with itself", {{2, 3}}, [](const auto& in) {
    return concat({in[0], square(in[0]), in[0]}, -2);
  });
  gradcheck::check("stack", {{2, 3}, {2, 3}}, [](const auto& in) { return stack(in, 1); });
  gradcheck::check("stack at the end", {{2}, {2}}, [](const auto& in) {
    return stack({in[0], in[1], in[0]}, -1);
  });
  gradcheck::check("pad", {{2, 3}}, [](const auto& in) { return pad(in[0], 1, 2, 1, 5); });
  gradcheck::check("pad nothing", {{0, 2}}, [](const auto& in) { return pad(in[0], 0, 1, 1); });
}

TEST_CASE("gradients of embedding, index_select and gather") {
  using Ids = Tensor<std::int64_t>;
  gradcheck::check("embedding", {{4, 3}}, [](const auto& in) {
    return embedding(in[0], Ids::from_values({2, 3}, {0, 3, 3, 1, 0, 3}));
  });
  gradcheck::check("embedding of a table used twice", {{4, 2}}, [](const auto& in) {
    const auto h = embedding(in[0], Ids::from_values({3}, {1, 1, 2}));
    return matmul(h, in[0].transpose(0, 1));
  });
  gradcheck::check("embedding of vectors and of matrices", {{3}, {3, 2, 2}}, [](const auto& in) {
    const Ids ids = Ids::from_values({2}, {2, 0});
    return embedding(in[0], ids).reshape({2, 1, 1}) * embedding(in[1], ids);
  });
  gradcheck::check("embedding of no ids", {{4, 3}},
                   [](const auto& in) { return embedding(in[0], Ids::zeros({0})); });
  gradcheck::check("embedding of a transposed table", {{3, 4}}, [](const auto& in) {
    return embedding(in[0].transpose(0, 1), Ids::from_values({3}, {3, 0, 3}));
  });
  for (const int axis : {0, 1, -1}) {
    gradcheck::check("index_select", {{3, 3, 3}}, [=](const auto& in) {
      return index_select(in[0], axis, Ids::from_values({4}, {2, 0, 0, 1}));
    });
  }
  gradcheck::check("gather", {{3, 4}}, [](const auto& in) {
    return gather(in[0], 1, Ids::from_values({3, 2}, {0, 3, 1, 1, 2, 0}));
  });
  gradcheck::check("gather along the first axis", {{3, 2}}, [](const auto& in) {
    return gather(in[0], -2, Ids::from_values({2, 2}, {2, 0, 2, 1}));
  });
  gradcheck::check("top_k", {{2, 5}}, [](const auto& in) {
    const auto found = top_k(in[0], 3);
    CHECK(found.indices.shape() == Shape{2, 3});
    return found.values * in[0].slice(1, 0, 3);
  });
  gradcheck::check("gather of a reshaped permutation", {{2, 6}}, [](const auto& in) {
    return gather(in[0].reshape({2, 2, 3}).transpose(0, 1).reshape({2, 6}), 1,
                  Ids::from_values({2, 2}, {5, 0, 2, 2}));
  });
}

TEST_CASE("indices that change before the backward pass are an error") {
  const Variable<float> table(Tensor<float>::zeros({4, 2}), true);
  const auto ids = Tensor<std::int64_t>::from_values({2}, {1, 2});
  const Variable<float> loss = sum(embedding(table, ids));
  ids.fill_(0);
  CHECK_THROWS_WITH_AS(loss.backward(), doctest::Contains("[embedding] a value that its backward"),
                       Error);
}
