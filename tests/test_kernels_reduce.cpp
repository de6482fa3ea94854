#include <algorithm>
#include <numeric>
#include <vector>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm/core/ops/reduce.hpp>

#include "device_under_test.hpp"
#include "kernel_harness.hpp"

// Reductions, positions of extremes and top-k of every device against the reference.

using namespace ldlm;
using namespace ldlm::test;

namespace {

constexpr std::pair<ReduceOp, const char*> reduce_ops[] = {{ReduceOp::sum, "sum"},
                                                           {ReduceOp::sum_squares, "sum_squares"},
                                                           {ReduceOp::max, "max"},
                                                           {ReduceOp::min, "min"}};
static_assert(std::size(reduce_ops) == op_count<ReduceOp>);

Shape reduced(Shape shape, unsigned mask) {
  for (int axis = 0; axis < shape.rank(); ++axis) {
    shape[axis] = (mask >> axis & 1U) != 0 ? 1 : shape[axis];
  }
  return shape;
}

bool is_extreme(ReduceOp op) {
  return op == ReduceOp::max || op == ReduceOp::min;
}

TEST_CASE("reduce kernels over every set of axes") {
  for (const auto& [op, name] : reduce_ops) {
    for (const Shape& shape : all_shapes()) {
      for (unsigned mask = 0; mask<1U << shape.rank(); mask += shape.rank()> 4 ? 5 : 1) {
        if (is_extreme(op) && shape.numel() == 0) {
          continue;
        }
        const auto body = [&, op = op]<class T>(const KernelTable<T>& k, Context<T>& t) {
          const View<const T> in = t.in(shape);
          k.reduce(op, in, t.out(reduced(shape, mask)));
        };
        check_kernel(std::string(name) + to_string(shape) + " axes " + std::to_string(mask),
                     {is_extreme(op) ? 0 : 2e-6, is_extreme(op) ? 0 : 5e-5}, body);
      }
    }
  }
}

TEST_CASE("reduce kernels of large views keep their digits, and NaN wins in max and min") {
  for (const auto& [op, name] : reduce_ops) {
    for (const Shape& shape : {Shape{100003}, Shape{3, 101, 93}, Shape{20001, 5}, Shape{5, 8001},
                               Shape{3000, 3, 3}, Shape{1, 9000, 2}}) {
      for (const unsigned mask : {1U, 2U, 3U, 4U, 5U, 6U, 7U}) {
        if (mask >= 1U << shape.rank()) {
          continue;
        }
        // All of one sign, so that relative errors mean something.
        const auto body = [&, op = op]<class T>(const KernelTable<T>& k, Context<T>& t) {
          const View<const T> in = t.in(shape, {0, 3});
          k.reduce(op, in, t.out(reduced(shape, mask)));
        };
        check_kernel(std::string(name) + to_string(shape) + " axes " + std::to_string(mask),
                     {is_extreme(op) ? 0 : 2e-6, 0, is_extreme(op) ? 0 : 5e-12}, body);
      }
    }
    if (is_extreme(op)) {
      for (const unsigned mask : {1U, 2U, 3U}) {
        check_extremes(name, {}, [&, op = op]<class T>(const KernelTable<T>& k, Context<T>& t) {
          const View<const T> in = t.plain({40, 37}, {-9, 9, true});
          k.reduce(op, in, t.plain_out(reduced({40, 37}, mask)));
        });
      }
    }
  }
}

TEST_CASE("arg_reduce kernels take the first of equals, and the first NaN") {
  for (const Shape& shape : {Shape{1}, Shape{33}, Shape{300}, Shape{17, 5}, Shape{2, 3, 4, 5},
                             Shape{40, 70}, Shape{3, 301, 93}}) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      Shape out = shape;
      out.erase(axis);
      for (const bool largest : {true, false}) {
        for (const Values& values : {Values{}, Values{-3, 3, false, true}}) {
          const auto body = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
            const View<const T> in = t.in(shape, values);
            k.arg_reduce(largest, in, axis, t.template out_of<std::int64_t>(out));
          };
          check_kernel("arg_reduce" + to_string(shape) + " axis " + std::to_string(axis), {}, body);
        }
      }
    }
  }
  for (const bool largest : {true, false}) {
    for (const auto& [shape, axis] :
         {std::pair(Shape{60, 37}, 1), {Shape{60, 37}, 0}, {Shape{300, 3}, 1}}) {
      check_extremes(
          "arg_reduce", {},
          [&, shape = shape, axis = axis]<class T>(const KernelTable<T>& k, Context<T>& t) {
            Shape out = shape;
            out.erase(axis);
            const View<const T> in = t.plain(shape, {-9, 9, true});
            k.arg_reduce(largest, in, axis, t.template out_of<std::int64_t>(out));
          });
    }
  }
}

TEST_CASE("top_k kernels: falling order, ties by lower index, NaN first") {
  for (const std::int64_t k_wanted : {0, 1, 3, 50, 700}) {
    for (const Shape& shape : {Shape{50}, Shape{4, 61}, Shape{2, 3, 500}, Shape{3, 9000}}) {
      if (k_wanted > shape.back()) {
        continue;
      }
      Shape out = shape;
      out[out.rank() - 1] = k_wanted;
      for (const Values& values : {Values{}, Values{-3, 3, false, true}, Values{-9, 9, true}}) {
        const auto body = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
          const View<const T> in = t.in(shape, values);
          const View<T> best = t.out(out);
          k.top_k(in, best, t.template out_of<std::int64_t>(out));
        };
        check_kernel("top_k " + std::to_string(k_wanted) + to_string(shape), {}, body);
      }
    }
  }
}

TEST_CASE("top_k kernels: any order of the row, and any part of it") {
  for (const std::int64_t columns : {3000, 5000}) {
    // In rising order, in falling order, all alike, and with the largest 1024 places apart.
    const auto order = [](std::int64_t row, std::int64_t i) {
      return row == 0 ? i : row == 1 ? -i : row == 2 ? 0 : i % 1024 == 7 ? 9000 + i : i % 1024;
    };
    for (const std::int64_t k_wanted : {2, 5, 1023, 1024, 1025, 2049}) {
      const Tensor<float> in = Tensor<float>::empty({4, columns});
      for (std::int64_t row = 0; row < 4; ++row) {
        for (std::int64_t i = 0; i < columns; ++i) {
          in.data()[row * columns + i] = static_cast<float>(order(row, i));
        }
      }
      const auto found = top_k(in.to(ldlm_test::device_under_test()), k_wanted);
      for (std::int64_t row = 0; row < 4; ++row) {
        std::vector<std::int64_t> places(static_cast<std::size_t>(columns));
        std::iota(places.begin(), places.end(), std::int64_t{0});
        std::stable_sort(places.begin(), places.end(), [&](std::int64_t a, std::int64_t b) {
          return order(row, a) > order(row, b);
        });
        places.resize(static_cast<std::size_t>(k_wanted));
        CHECK(found.indices.select(0, row).to_vector() == places);
        std::vector<float> values;
        for (const std::int64_t place : places) {
          values.push_back(static_cast<float>(order(row, place)));
        }
        CHECK(found.values.select(0, row).to_vector() == values);
      }
    }
  }
}

TEST_CASE("find_outside gives the first position outside, or -1") {
  const std::vector<std::int64_t> ids{3, 0, 9, -1, 10, 4};
  const KernelTable<std::int64_t>& k = kernels<std::int64_t>(cpu);
  const View<const std::int64_t> view(ids.data(), Layout(Shape{2, 3}));
  CHECK(k.find_outside(view, 0, 10) == 3);
  CHECK(k.find_outside(view, -1, 11) == -1);
  CHECK(k.find_outside(view, 1, 11) == 1);
  const View<const std::int64_t> transposed(ids.data(), Layout({3, 2}, {1, 3}, 0));
  CHECK(k.find_outside(transposed, 0, 10) == 1);
  CHECK(k.find_outside({ids.data(), Layout(Shape{0})}, 0, 1) == -1);
}

TEST_CASE("reduce kernels of integers and bool") {
  const std::vector<std::int32_t> values{3, -8, 2147483647, 5};
  std::int32_t out = 0;
  const View<const std::int32_t> in(values.data(), Layout(Shape{4}));
  const View<std::int32_t> one(&out, Layout(Shape{1}));
  const KernelTable<std::int32_t>& k = kernels<std::int32_t>(cpu);
  k.reduce(ReduceOp::max, in, one);
  CHECK(out == 2147483647);
  k.reduce(ReduceOp::min, in, one);
  CHECK(out == -8);
  k.reduce(ReduceOp::sum, in, one);
  CHECK(out == -2147483649 + (std::int64_t{1} << 32));  // wraps
  const bool flags[] = {false, true, false};
  bool any = false;
  kernels<bool>(cpu).reduce(ReduceOp::max, {flags, Layout(Shape{3})}, {&any, Layout(Shape{1})});
  CHECK(any);
  kernels<bool>(cpu).reduce(ReduceOp::min, {flags, Layout(Shape{3})}, {&any, Layout(Shape{1})});
  CHECK_FALSE(any);
}

}  // namespace
