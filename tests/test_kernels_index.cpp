#include <ldlm/core/kernel_table.hpp>
#include <ldlm/core/ops.hpp>

#include "kernel_harness.hpp"

// Indexing kernels of every device against the reference.

using namespace ldlm;
using namespace ldlm::test;

namespace {

TEST_CASE("gather_rows and scatter_add_rows kernels") {
  const std::vector<Shape> rows = {{}, {1}, {5}, {64}, {70}, {3, 4}, {2, 1, 3, 2}, {300}, {0}};
  for (const Shape& row : rows) {
    for (const std::int64_t count : {0, 1, 7, 400}) {
      Shape table = row;
      table.insert(0, 9);
      Shape picked = row;
      picked.insert(0, count);
      const std::string suffix = to_string(picked);
      check_kernel("gather_rows" + suffix, {},
                   [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                     const View<const T> from = t.in(table, {-2, 2, true});
                     const auto ids = t.template in_of<std::int64_t>({count}, {0, 9, false, true});
                     k.gather_rows(from, ids, t.out(picked));
                   });
      // In the order of the ids, so that not even rounding differs.
      check_kernel("scatter_add_rows" + suffix, {1e-5, 1e-5},
                   [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                     const View<const T> in = t.in(picked);
                     const auto ids = t.template in_of<std::int64_t>({count}, {0, 9, false, true});
                     k.scatter_add_rows(in, ids, t.in_out(table));
                   });
    }
  }
}

TEST_CASE("scatter_rows kernels") {
  for (const Shape& row : {Shape{}, Shape{5}, Shape{3, 4}, Shape{2, 1, 3, 2}, Shape{300}}) {
    for (const std::int64_t count : {0, 1}) {
      Shape table = row;
      table.insert(0, 9);
      Shape picked = row;
      picked.insert(0, count);
      check_kernel("scatter_rows" + to_string(picked), {},
                   [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                     const View<const T> in = t.in(picked);
                     const auto ids = t.template in_of<std::int64_t>({count}, {0, 9, false, true});
                     k.scatter_rows(in, ids, t.in_out(table));
                   });
    }
  }
}

namespace {
template <class T>
void check_index_copy(Device device) {
  const auto source = Tensor<T>::from_values({3, 2}, {T(1), T(2), T(3), T(0), T(5), T(6)});
  const auto ids = Tensor<std::int64_t>::from_values({3}, {3, 0, 2});
  const auto out = Tensor<T>::full({2, 4}, T(9), device).transpose(0, 1);
  index_copy_(out, ids, source.to(device));
  const auto expected =
      Tensor<T>::from_values({4, 2}, {T(3), T(0), T(9), T(9), T(5), T(6), T(1), T(2)});
  CHECK(out.to_vector() == expected.to_vector());
  index_copy_(out, ids.to(device), out.slice(0, 0, 3).clone());
  CHECK(out.select(0, 0).to_vector() == std::vector<T>{T(9), T(9)});
}
}  // namespace
TEST_CASE("index_copy_ of all element types") {
  const Device device = ldlm_test::device_under_test();
  check_index_copy<float>(device);
  check_index_copy<double>(device);
  check_index_copy<bf16>(device);
  check_index_copy<f16>(device);
  check_index_copy<std::int64_t>(device);
  check_index_copy<std::int8_t>(device);
}

TEST_CASE("scatter_add_rows kernels of many ids, in large tables") {
  for (const auto& sizes : {std::pair(600, 1500), std::pair(70'000, 700)}) {
    const int rows = sizes.first;
    const int count = sizes.second;
    check_kernel("scatter_add_rows " + std::to_string(rows), {1e-5, 1e-5},
                 [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                   const View<const T> in = t.in({count, 3});
                   const Values below{0, static_cast<double>(rows), false, true};
                   const auto ids = t.template in_of<std::int64_t>({count}, below);
                   k.scatter_add_rows(in, ids, t.in_out({rows, 3}));
                 });
  }
}

TEST_CASE("gather_rows kernels of storage types") {
  const std::vector<std::int64_t> ids{2, 0, 2};
  std::vector<bf16> table;
  for (int i = 0; i < 15; ++i) {
    table.push_back(bf16(static_cast<float>(i)));
  }
  std::vector<bf16> out(15);
  kernels<bf16>(cpu).gather_rows({table.data(), Layout(Shape{3, 5})},
                                 {ids.data(), Layout(Shape{3})}, {out.data(), Layout(Shape{3, 5})});
  CHECK(static_cast<float>(out[0]) == 10);
  CHECK(static_cast<float>(out[9]) == 4);
  CHECK(static_cast<float>(out[14]) == 14);
}

TEST_CASE("gather and scatter_add kernels along every axis") {
  for (const Shape& shape : {Shape{6}, Shape{0}, Shape{5, 7}, Shape{3, 4, 5}, Shape{2, 3, 2, 4, 3},
                             Shape{40, 1000}, Shape{50, 40, 6}}) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      for (const std::int64_t length : {0, 1, 4, 9}) {
        Shape picked = shape;
        picked[axis] = length;
        if (shape[axis] == 0 && length > 0) {
          continue;
        }
        const Values positions{0, static_cast<double>(shape[axis]), false, true};
        const std::string suffix = to_string(shape) + " axis " + std::to_string(axis);
        check_kernel("gather" + suffix, {}, [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
          const View<const T> in = t.in(shape, {-2, 2, true});
          const auto index = t.template in_of<std::int64_t>(picked, positions);
          k.gather(in, axis, index, t.out(picked));
        });
        check_kernel("scatter_add" + suffix, {1e-5, 1e-5},
                     [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                       const View<const T> in = t.in(picked);
                       const auto index = t.template in_of<std::int64_t>(picked, positions);
                       k.scatter_add(in, axis, index, t.in_out(shape));
                     });
      }
    }
  }
}

}  // namespace
