// Ops in place whose operands overlap in memory, or whose result has elements that share it.

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/optim/optim.hpp>

using namespace ldlm;
using Floats = Tensor<float>;
using IdTensor = Tensor<std::int64_t>;

#define CHECK_OVERLAP(expression, text) \
  CHECK_THROWS_WITH_AS(static_cast<void>(expression), doctest::Contains(text), Error)

namespace {

// Where the elements of a layout lie, in the order of its indices.
std::vector<std::int64_t> positions(const Layout& layout) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < layout.numel(); ++i) {
    std::int64_t at = layout.offset;
    for (std::int64_t rest = i, axis = layout.rank() - 1; axis >= 0; --axis) {
      const auto a = static_cast<int>(axis);
      at += rest % layout.shape[a] * layout.stride(a);
      rest /= layout.shape[a];
    }
    out.push_back(at);
  }
  return out;
}

Layout random_layout(std::mt19937& random, std::int64_t lowest_stride) {
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  Layout layout;
  const auto rank = draw(0, 4);
  for (std::size_t axis = 0; axis < static_cast<std::size_t>(rank); ++axis) {
    layout.shape.push_back(draw(0, 9) == 0 ? 0 : draw(1, 5));
    layout.strides[axis] = draw(lowest_stride, 14);
  }
  layout.offset = draw(0, 40);
  return layout;
}

// A view of a tensor, by random slices, selections and permutations.
Floats random_view(std::mt19937& random, Floats x) {
  const auto draw = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int i = draw(0, 4); i > 0 && x.rank() > 0; --i) {
    const int axis = draw(0, x.rank() - 1);
    switch (draw(0, 3)) {
      case 0:
        x = x.slice(axis, draw(0, 3), draw(2, 12), draw(1, 3));
        break;
      case 1:
        x = x.transpose(axis, draw(0, x.rank() - 1));
        break;
      case 2:
        x = x.size(axis) > 0 ? x.select(axis, 0) : x;
        break;
      default:
        if (x.size(axis) % 2 == 0 && x.rank() < 5) {  // splits the axis; a view, or it stays
          Shape split = x.shape();
          split[axis] /= 2;
          split.insert(axis + 1, 2);
          const Floats y = x.reshape(split);
          x = y.storage() == x.storage() ? y : x;
        }
    }
  }
  return x;
}

}  // namespace

TEST_CASE("overlaps are those that listing all elements finds") {
  std::mt19937 random(5);
  int partial = 0;
  int none = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t lowest = i % 3 == 0 ? -14 : 0;
    const Layout a = random_layout(random, lowest);
    const Layout b = random_layout(random, lowest);
    const auto x = positions(a);
    const auto y = positions(b);
    const std::set<std::int64_t> seen(x.begin(), x.end());
    CHECK(detail::overlaps_itself(a) == (seen.size() < x.size()));
    const bool meet = std::any_of(y.begin(), y.end(), [&](auto at) { return seen.contains(at); });
    const auto found = detail::overlap_of(a, 4, b, 4, 4 * (b.offset - a.offset));
    CHECK((found != detail::Overlap::none) == meet);
    CHECK((found != detail::Overlap::same || (x == y && a.shape == b.shape)));
    CHECK(detail::overlap_of(a, 4, a, 4, 0) ==
          (x.empty() ? detail::Overlap::none : detail::Overlap::same));
    partial += found == detail::Overlap::partial ? 1 : 0;
    none += found == detail::Overlap::none && !x.empty() && !y.empty() ? 1 : 0;
  }
  CHECK(partial > 1000);
  CHECK(none > 1000);
}

TEST_CASE("overlaps of views of one tensor are those that their elements' addresses show") {
  std::mt19937 random(6);
  const auto base = Floats::zeros({6, 8, 4});
  int partial = 0;
  int none = 0;
  for (int i = 0; i < 5000; ++i) {
    const Floats a = random_view(random, base);
    const Floats b = random_view(random, base);
    const auto x = positions(a.layout());
    const auto y = positions(b.layout());
    const std::set<std::int64_t> seen(x.begin(), x.end());
    const bool meet = std::any_of(y.begin(), y.end(), [&](auto at) { return seen.contains(at); });
    const auto found = detail::overlap_of(a.view(), b.view());
    CHECK((found != detail::Overlap::none) == meet);
    CHECK_FALSE(detail::overlaps_itself(a.layout()));
    partial += found == detail::Overlap::partial ? 1 : 0;
    none += !meet && !x.empty() && !y.empty() ? 1 : 0;
  }
  CHECK(partial > 100);
  CHECK(none > 100);
}

TEST_CASE("a large array is told apart at once") {
  // 2^40 elements of nothing but layout: steps 2 and 3 meet, odd and even elements do not.
  const std::int64_t n = std::int64_t{1} << 38;
  const auto every = [&](std::int64_t step) { return Layout(Shape{n}, {step}, 0); };
  CHECK(detail::overlap_of(every(2), 4, every(2), 4, 4) == detail::Overlap::none);
  CHECK(detail::overlap_of(every(2), 4, every(3), 4, 4) == detail::Overlap::partial);
  CHECK(detail::overlap_of(every(6), 4, every(4), 4, 4) == detail::Overlap::none);
  const Layout square(Shape{1 << 20, 1 << 20}, {1 << 20, 1}, 0);
  const Layout turned(Shape{1 << 20, 1 << 20}, {1, 1 << 20}, 0);
  CHECK(detail::overlap_of(square, 4, turned, 4, 0) == detail::Overlap::partial);
}

TEST_CASE("ops in place refuse operands that overlap in part") {
  const auto a = Floats::ones({100});
  CHECK_THROWS_WITH_AS(add_(a.slice(0, 1), a.slice(0, 0, 99)),
                       "[add_] what it reads, (99,) with strides (1,), overlaps what it writes, "
                       "(99,) with strides (1,), in memory; clone() it first",
                       Error);
  CHECK(equal(a, Floats::ones({100})));  // nothing was done
  const auto b = Floats::arange(0, 64).reshape({8, 8});
  using InPlace = void (*)(const Floats&, const Floats&);
  for (const InPlace op :
       std::initializer_list<InPlace>{add_<float>, sub_<float>, mul_<float>, div_<float>}) {
    CHECK_OVERLAP(op(b, b.transpose(0, 1)), "(8, 8) with strides (1, 8), overlaps");
    CHECK_OVERLAP(op(b, b.slice(0, 2, 3)), "overlaps");  // broadcast: the row is one of those
    CHECK_OVERLAP(op(b.slice(0, 2, 3).expand({3, 8}), b), "cannot broadcast");
  }
  CHECK_OVERLAP(axpy_(b, 2, b.transpose(0, 1)), "[axpy_] what it reads");
  CHECK_OVERLAP(b.copy_(b.transpose(0, 1)), "[copy_] what it reads");
  CHECK_OVERLAP(b.slice(0, 1).copy_(b.slice(0, 0, 7)), "[copy_] what it reads");
  CHECK_OVERLAP(matmul_into(b, b, b), "[matmul_into] what it reads");
  const auto ids = IdTensor::from_values({8}, {7, 6, 5, 4, 3, 2, 1, 0});
  CHECK_OVERLAP(index_add_(b, ids, b), "[index_add_] what it reads");
  CHECK_OVERLAP(scatter_add_(b, 0, ids.unsqueeze(1).expand({8, 8}), b),
                "[scatter_add_] what it reads");
  CHECK_OVERLAP(index_add_(ids, ids, IdTensor::ones({8})), "[index_add_] what it reads");
  CHECK(equal(b, Floats::arange(0, 64).reshape({8, 8})));
}

TEST_CASE("ops in place refuse a result with elements that share memory") {
  const auto one = Floats::ones({1});
  const auto many = one.expand({5});
  const auto five = Floats::ones({5});
  const auto ids = IdTensor::zeros({2});
  CHECK_THROWS_WITH_AS(add_(many, 1),
                       "[add_] cannot write into (5,) with strides (0,), where elements share "
                       "memory; clone() it first",
                       Error);
  CHECK_OVERLAP(mul_(many, 2), "[mul_] cannot write into");
  CHECK_OVERLAP(unary_(UnaryOp::exp, many), "[unary_] cannot write into");
  CHECK_OVERLAP(add_(many, five), "[add_] cannot write into");
  CHECK_OVERLAP(div_(many, five), "[div_] cannot write into");
  CHECK_OVERLAP(axpy_(many, 1, five), "[axpy_] cannot write into");
  CHECK_OVERLAP(many.fill_(3), "[fill_] cannot write into");
  CHECK_OVERLAP(many.zero_(), "[fill_] cannot write into");
  CHECK_OVERLAP(many.copy_(five), "[copy_] cannot write into");
  CHECK_OVERLAP(index_add_(many, ids, Floats::ones({2})), "[index_add_] cannot write into");
  CHECK_OVERLAP(scatter_add_(many, 0, ids, Floats::ones({2})), "[scatter_add_] cannot write into");
  CHECK_OVERLAP(
      matmul_into(Floats::ones({4, 1}), Floats::ones({1, 5}), Floats::ones({1, 5}).expand({4, 5})),
      "[matmul_into] cannot write into");
  CHECK(one.item() == 1.0F);
  // A hand-made sliding window.
  const Floats window(five.storage(), Layout(Shape{3, 3}, {1, 1}, 0));
  CHECK_OVERLAP(add_(window, 1), "[add_] cannot write into (3, 3) with strides (1, 1)");
}

TEST_CASE("the very same view and views beside each other are as good as others") {
  const auto x = Floats::arange(0, 24).reshape({4, 6});
  const auto want = x + x;
  add_(x, x);
  CHECK(equal(x, want));
  sub_(x.transpose(0, 1), x.transpose(0, 1));
  CHECK(equal(x, Floats::zeros({4, 6})));

  const auto y = Floats::arange(0, 24).reshape({4, 6});
  const auto odd = y.slice(1, 1, to_end, 2);
  const auto even = y.slice(1, 0, to_end, 2);
  const auto sums = odd + even;
  add_(even, odd);
  CHECK(equal(even, sums));
  y.select(0, 1).copy_(y.select(0, 2));
  CHECK(equal(y.select(0, 1), y.select(0, 2)));
  index_add_(y.slice(0, 0, 2), IdTensor::from_values({2}, {1, 0}), y.slice(0, 2));
  // An axis of extent 1 has no steps: its stride says nothing.
  const auto row = Floats::ones({1, 6});
  add_(row.transpose(0, 1).unsqueeze(1).squeeze(1), row.transpose(0, 1));
  CHECK(equal(row, Floats::full({1, 6}, 2)));
  // Nothing is written into nothing.
  add_(Floats::ones({0}).unsqueeze(0).expand({3, 0}), 1);
}

TEST_CASE("an optimiser refuses a parameter that became strided") {
  const Variable<float> w(Floats::ones({4, 4}), true);
  const Variable<float> v(Floats::ones({1, 4}), true);
  ldlm::AdamW<float> adam(std::vector{w, v});
  ldlm::SGD<float> sgd(std::vector{w, v});
  sum(w).backward();
  sum(v).backward();
  w.set_value(Floats::ones({4, 4}).transpose(0, 1));
  CHECK_OVERLAP(adam.step(), "[AdamW] '0' is strided");
  CHECK_OVERLAP(sgd.step(), "[SGD] '0' is strided");
  w.set_value(Floats::ones({1, 1}).expand({4, 4}));
  CHECK_OVERLAP(adam.step(), "[AdamW] '0' is strided");
  CHECK_OVERLAP(sgd.step(), "[SGD] '0' is strided");
  CHECK(equal(v.value(), Floats::ones({1, 4})));  // nothing has moved
}
