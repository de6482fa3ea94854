#include <ldlm/core/kernel_table.hpp>

#include "kernel_harness.hpp"

// Softmax, normalisations and cross-entropy of every device against the reference.

using namespace ldlm;
using namespace ldlm::test;

namespace {

const std::vector<Shape> row_shapes = {{1},    {5},        {64},      {4, 17},   {3, 40, 2, 70},
                                       {0, 8}, {2, 1, 33}, {50, 130}, {3, 5000}, {301, 192}};

// Of lengths that are no multiple of a vector: longer than a warp of a card has registers for, and
// than a block of it has.
const std::vector<Shape> long_row_shapes = {{3, 1027}, {3, 4501}};

// Rows that go side by side: short ones, of several axes, and more than one panel of them.
const std::vector<Shape> short_row_shapes = {{300, 1},   {260, 2},  {33, 3},      {7, 16, 4},
                                             {40, 3, 5}, {129, 32}, {2, 60, 2, 7}};

std::vector<Shape> all_row_shapes() {
  std::vector<Shape> shapes = row_shapes;
  shapes.insert(shapes.end(), long_row_shapes.begin(), long_row_shapes.end());
  shapes.insert(shapes.end(), short_row_shapes.begin(), short_row_shapes.end());
  return shapes;
}

Shape without_last(Shape shape) {
  shape.erase(shape.rank() - 1);
  return shape;
}

TEST_CASE("softmax kernels") {
  for (const Shape& shape : all_row_shapes()) {
    const std::string suffix = to_string(shape);
    const Values logits{-20, 20};
    check_kernel("softmax" + suffix, {3e-6, 1e-9},
                 [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                   const View<const T> x = t.in(shape, logits);
                   k.softmax(x, t.out(shape));
                 });
    check_kernel("softmax in place" + suffix, {3e-6, 1e-9},
                 [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                   const View<T> x = t.in_out(shape, logits);
                   k.softmax(x, x);
                 });
    check_kernel("log_softmax" + suffix, {2e-6, 2e-6},
                 [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                   const View<const T> x = t.in(shape, logits);
                   k.log_softmax(x, t.out(shape));
                 });
    check_kernel("softmax_backward" + suffix, {1e-5, 2e-6},
                 [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                   const View<const T> y = t.in(shape, {0, 0.1});
                   const View<T> dy = t.in_out(shape);
                   k.softmax_backward(y, dy, dy);
                 });
    // A share of the sum of dy, whose elements may all be one, is taken from each of them.
    const double additions = static_cast<double>(shape.numel() > 0 ? shape.back() : 0);
    check_kernel("log_softmax_backward" + suffix,
                 {1e-5 + 2e-8 * additions, 1e-5 + 1e-7 * additions},
                 [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                   const View<const T> y = t.in(shape, {-9, -3});
                   const View<const T> dy = t.in(shape);
                   k.log_softmax_backward(y, dy, t.out(shape));
                 });
  }
}

TEST_CASE("softmax kernels of huge, infinite and NaN logits") {
  for (const Shape& shape : {Shape{100, 2}, Shape{200, 3}, Shape{20, 40}}) {
    check_extremes("softmax", {3e-6, 2e-38}, [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
      const View<const T> x = t.plain(shape, {-9, 9, true});
      k.softmax(x, t.plain_out(shape));
    });
    check_extremes("log_softmax", {3e-6, 2e-6},
                   [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                     const View<const T> x = t.plain(shape, {-9, 9, true});
                     k.log_softmax(x, t.plain_out(shape));
                   });
  }
}

// Rows of 9001 logits whose largest so far changes, or is infinite or NaN, from one stretch of them
// to the next.
template <class T>
View<const T> changing_logits(Context<T>& t) {
  constexpr double inf = INFINITY;
  return t.made({8, 9001}, {-9, 9}, [](std::int64_t i, T drawn) {
    const std::int64_t column = i % 9001;
    const auto at = static_cast<double>(column);
    const auto value = convert<double>(drawn);
    const double rows[] = {-inf,
                           column == 9000 ? 1.5 : -inf,
                           at / 128,
                           -at / 128,
                           column == 5000 ? inf : value,
                           column == 3 ? std::nan("") : value,
                           column == 8999 ? 1e30 : value,
                           1e30};
    return convert<T>(rows[i / 9001]);
  });
}

TEST_CASE("softmax and cross_entropy kernels of long rows whose largest logit changes") {
  check_extremes("softmax", {3e-6, 2e-38}, []<class T>(const KernelTable<T>& k, Context<T>& t) {
    const View<const T> x = changing_logits(t);
    k.softmax(x, t.plain_out(x.shape()));
  });
  check_extremes("log_softmax", {3e-6, 3e-6}, []<class T>(const KernelTable<T>& k, Context<T>& t) {
    const View<const T> x = changing_logits(t);
    k.log_softmax(x, t.plain_out(x.shape()));
  });
  for (const double smoothing : {0.0, 0.1}) {
    check_extremes(
        "cross_entropy", {3e-6, 3e-6}, [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
          using C = ComputeType<T>;
          const View<const T> x = changing_logits(t);
          const auto targets = t.template plain_of<std::int64_t>({8}, {0, 9001, false, true});
          const View<C> loss = t.template out_of<C>({8});
          k.cross_entropy(x, targets, -100, static_cast<C>(smoothing), loss,
                          t.template out_of<C>({8}));
        });
  }
}

TEST_CASE("layer_norm kernels with every set of optional arguments") {
  for (const Shape& shape : all_row_shapes()) {
    const Shape stats = without_last(shape);
    const Shape columns{shape.back()};
    for (unsigned with = 0; with < 16; ++with) {
      const bool residual = (with & 1U) != 0;
      const bool gamma = (with & 2U) != 0;
      const bool beta = (with & 4U) != 0;
      const bool state = (with & 8U) != 0;
      // Rows of one or two elements may have variances near 0: rstd is epsilon's then, and errors
      // grow by it.
      check_kernel("layer_norm" + to_string(shape) + " with " + std::to_string(with),
                   {2e-5, shape.back() <= 2 ? 2e-3 : 1e-5},
                   [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                     using C = ComputeType<T>;
                     const View<const T> x = t.rows(shape, {-1, 3});
                     const View<const T> r = residual ? t.rows(shape) : View<const T>{};
                     const View<const T> g = gamma ? t.plain(columns) : View<const T>{};
                     const View<const T> b = beta ? t.plain(columns) : View<const T>{};
                     const View<T> sum = state ? t.rows_out(shape) : View<T>{};
                     const View<T> y = t.rows_out(shape);
                     const View<C> mean = state ? t.template out_of<C>(stats) : View<C>{};
                     k.layer_norm(x, r, g, b, static_cast<C>(1e-5), sum, y, mean,
                                  state ? t.template out_of<C>(stats) : View<C>{});
                   });
    }
  }
}

TEST_CASE("layer_norm_backward kernels") {
  for (const Shape& shape : all_row_shapes()) {
    const Shape stats = without_last(shape);
    const Shape columns{shape.back()};
    for (unsigned with = 0; with < 4; ++with) {
      const double rows = static_cast<double>(shape.numel() / shape.back());
      check_kernel("layer_norm_backward" + to_string(shape) + " with " + std::to_string(with),
                   {1e-5, 1e-5 + 3e-6 * rows},
                   [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                     using C = ComputeType<T>;
                     const View<const T> x = t.rows(shape);
                     const bool affine = (with & 1U) != 0;
                     const View<const T> gamma = affine ? t.plain(columns) : View<const T>{};
                     const auto mean = t.template in_of<C>(stats, {-0.5, 0.5});
                     const auto rstd = t.template in_of<C>(stats, {0.5, 2});
                     const View<const T> dy = t.rows(shape);
                     const View<T> dx = t.rows_out(shape);
                     const bool wanted = (with & 2U) != 0;
                     const View<T> dgamma = wanted ? t.plain_out(columns) : View<T>{};
                     k.layer_norm_backward(x, gamma, mean, rstd, dy, dx, dgamma,
                                           wanted ? t.plain_out(columns) : View<T>{});
                   });
    }
  }
}

TEST_CASE("rms_norm kernels") {
  for (const Shape& shape : all_row_shapes()) {
    const Shape stats = without_last(shape);
    const Shape columns{shape.back()};
    const double rows = static_cast<double>(shape.numel() / shape.back());
    for (const bool affine : {false, true}) {
      check_kernel("rms_norm" + to_string(shape), {4e-6, 1e-7},
                   [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                     using C = ComputeType<T>;
                     const View<const T> x = t.rows(shape);
                     const View<const T> gamma = affine ? t.plain(columns) : View<const T>{};
                     const View<T> y = t.rows_out(shape);
                     k.rms_norm(x, gamma, static_cast<C>(1e-6), y,
                                affine ? t.template out_of<C>(stats) : View<C>{});
                   });
      check_kernel("rms_norm_backward" + to_string(shape), {1e-5, 1e-5 + 3e-6 * rows},
                   [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                     using C = ComputeType<T>;
                     const View<const T> x = t.rows(shape);
                     const View<const T> gamma = affine ? t.plain(columns) : View<const T>{};
                     const auto rstd = t.template in_of<C>(stats, {0.5, 2});
                     const View<const T> dy = t.rows(shape);
                     const View<T> dx = t.rows_out(shape);
                     k.rms_norm_backward(x, gamma, rstd, dy, dx,
                                         affine ? t.plain_out(columns) : View<T>{});
                   });
    }
  }
}

TEST_CASE("cross_entropy kernels") {
  constexpr std::int64_t ignore = 1;  // drawn like any other class
  for (const Shape& shape : {Shape{1, 2}, Shape{7, 3}, Shape{0, 5}, Shape{33, 130}, Shape{9, 5000},
                             Shape{40, 1000}, Shape{5, 9001}}) {
    const Shape rows{shape[0]};
    const Values classes{0, static_cast<double>(shape[1]), false, true};
    for (const double smoothing : {0.0, 0.1}) {
      const std::string suffix = to_string(shape) + " smoothing " + std::to_string(smoothing);
      check_kernel("cross_entropy" + suffix, {2e-6, 2e-6},
                   [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                     using C = ComputeType<T>;
                     const View<const T> logits = t.rows(shape, {-8, 8});
                     const auto targets = t.template in_of<std::int64_t>(rows, classes);
                     const View<C> loss = t.template out_of<C>(rows);
                     k.cross_entropy(logits, targets, ignore, static_cast<C>(smoothing), loss,
                                     t.template out_of<C>(rows));
                   });
      check_kernel("cross_entropy_backward" + suffix, {4e-6, 1e-6},
                   [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                     using C = ComputeType<T>;
                     const View<T> logits = t.rows_in_out(shape, {-8, 8});
                     const auto targets = t.template in_of<std::int64_t>(rows, classes);
                     const auto lse = t.template in_of<C>(rows, {9, 12});
                     k.cross_entropy_backward(logits, targets, ignore, static_cast<C>(smoothing),
                                              lse, t.template in_of<C>(rows, {}), logits);
                   });
    }
  }
  check_extremes(
      "cross_entropy", {3e-6, 2e-6}, []<class T>(const KernelTable<T>& k, Context<T>& t) {
        const View<const T> logits = t.plain({50, 4}, {-9, 9, true});
        const auto targets = t.template plain_of<std::int64_t>({50}, {0, 4, false, true});
        using C = ComputeType<T>;
        const View<C> loss = t.template out_of<C>({50});
        k.cross_entropy(logits, targets, -100, C{0}, loss, t.template out_of<C>({50}));
      });
  // -infinity alone, as a masked class gives it, is no NaN.
  const std::vector<float> masked{-INFINITY, 1.0F, -INFINITY, 1.0F};
  const std::vector<std::int64_t> targets{1, 3};
  std::vector<float> loss(2), lse(2);
  kernels<float>(cpu).cross_entropy(
      {masked.data(), Layout({2, 2}, {2, 1}, 0)}, {targets.data(), Layout(Shape{1}, {}, 0)}, -100,
      0.0F, {loss.data(), Layout(Shape{1})}, {lse.data(), Layout(Shape{1})});
  CHECK(lse[0] == doctest::Approx(1));
}

}  // namespace
