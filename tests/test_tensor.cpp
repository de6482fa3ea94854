// Tensor: making, looking, views, copies, in-place changes, memory.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include <ldlm/core/ops.hpp>

// Sanitizers would end the program where memory runs out; the library must be asked instead.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
extern "C" const char* __tsan_default_options() {
  return "allocator_may_return_null=1";
}

using namespace ldlm;
using Ints = Tensor<std::int64_t>;

namespace {

// 0, 1, 2, ... in that shape.
Ints counting(const Shape& shape) {
  return Ints::arange(0, shape.numel()).reshape(shape);
}

// Every index of a shape in row-major order.
std::vector<std::vector<std::int64_t>> indices(const Shape& shape) {
  std::vector<std::vector<std::int64_t>> all{{}};
  for (const std::int64_t extent : shape) {
    std::vector<std::vector<std::int64_t>> longer;
    for (const auto& prefix : all) {
      for (std::int64_t i = 0; i < extent; ++i) {
        longer.push_back(prefix);
        longer.back().push_back(i);
      }
    }
    all = longer;
  }
  return all;
}

// Counts what is allocated and still in use.
class CountingAllocator final : public Allocator {
 public:
  void* allocate(std::size_t bytes) override {
    ++allocations;
    in_use += bytes;
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  }
  void deallocate(void* pointer, std::size_t bytes) noexcept override {
    in_use -= bytes;
    std::free(pointer);
  }
  std::size_t allocations = 0, in_use = 0;
};

}  // namespace

TEST_CASE("making tensors") {
  CHECK(Tensor<float>::zeros({2, 2}).to_vector() == std::vector<float>{0, 0, 0, 0});
  CHECK(Tensor<float>::ones({2}).to_vector() == std::vector<float>{1, 1});
  CHECK(Tensor<std::int8_t>::full({3}, -7).to_vector() == std::vector<std::int8_t>{-7, -7, -7});
  CHECK(Tensor<double>::scalar(2.5).item() == 2.5);
  CHECK(Tensor<double>::scalar(2.5).rank() == 0);
  CHECK(Tensor<bool>::from_values({3}, {true, false, true}).to_vector() ==
        std::vector<bool>{true, false, true});
  CHECK(float{Tensor<bf16>::ones({2}).at({1})} == 1.0F);
  CHECK(Tensor<float>::empty({2, 0, 3}).numel() == 0);
  const auto address = reinterpret_cast<std::uintptr_t>(Tensor<float>::empty({100}).data());
  CHECK(address % 64 == 0);
}

TEST_CASE("an undefined tensor") {
  const Tensor<float> none;
  CHECK(!none.defined());
  CHECK(none.shape() == Shape{0});
  CHECK(none.numel() == 0);
  CHECK(none.data() == nullptr);
  CHECK(none.view().empty());
  CHECK_THROWS_WITH_AS((void)none.device(), "[device] the tensor is undefined", StateError);
  CHECK_THROWS_WITH_AS((void)none.to_vector(), "[to_vector] the tensor is undefined", StateError);
  CHECK_THROWS_WITH_AS((void)none.item(), "[item] the tensor is undefined", StateError);
  CHECK_THROWS_WITH_AS((void)none.at({0}), "[at] the tensor is undefined", StateError);
  CHECK_THROWS_WITH_AS((void)none.clone(), "[clone] the tensor is undefined", StateError);
  CHECK_THROWS_WITH_AS(none.fill_(1), "[fill_] the tensor is undefined", StateError);
  CHECK_THROWS_WITH_AS(none.zero_(), "[fill_] the tensor is undefined", StateError);
  CHECK_THROWS_WITH_AS(none.copy_(none), "[copy_] the tensor is undefined", StateError);
}

TEST_CASE("arange and linspace") {
  CHECK(Ints::arange(2, 7).to_vector() == std::vector<std::int64_t>{2, 3, 4, 5, 6});
  CHECK(Ints::arange(7, 2, -2).to_vector() == std::vector<std::int64_t>{7, 5, 3});
  CHECK(Ints::arange(0, 5, 2).to_vector() == std::vector<std::int64_t>{0, 2, 4});
  CHECK(Ints::arange(5, 5).numel() == 0);
  CHECK(Ints::arange(5, 2).numel() == 0);
  CHECK(Ints::arange(2, 5, -1).numel() == 0);
  constexpr std::int64_t big = std::int64_t{1} << 60;
  CHECK(Ints::arange(big, big + 3).to_vector() == std::vector<std::int64_t>{big, big + 1, big + 2});
  CHECK(Ints::arange(INT64_MIN, INT64_MAX, INT64_MAX).numel() == 3);
  CHECK(Tensor<std::uint8_t>::arange(250, 255).numel() == 5);
  CHECK(Tensor<float>::arange(0, 1, 0.25F).to_vector() ==
        std::vector<float>{0, 0.25F, 0.5F, 0.75F});
  CHECK(Tensor<float>::arange(1, 0, -0.5F).to_vector() == std::vector<float>{1, 0.5F});
  CHECK_THROWS_WITH_AS(Ints::arange(0, 1, 0), "[arange] step must not be 0", Error);
  CHECK_THROWS_WITH_AS(Tensor<float>::arange(0, INFINITY), doctest::Contains("[arange] cannot"),
                       Error);
  CHECK_THROWS_WITH_AS(Tensor<float>::arange(0, NAN), doctest::Contains("[arange] cannot"), Error);

  CHECK(Tensor<double>::linspace(0, 1, 5).to_vector() ==
        std::vector<double>{0, 0.25, 0.5, 0.75, 1});
  CHECK(Tensor<float>::linspace(0.1F, 0.7F, 7).at({6}) == 0.7F);
  CHECK(Tensor<float>::linspace(3, 9, 1).to_vector() == std::vector<float>{3});
  CHECK(Tensor<float>::linspace(3, 9, 0).numel() == 0);
  CHECK_THROWS_WITH_AS(Tensor<float>::linspace(0, 1, -1),
                       "[linspace] count must not be negative, got -1", Error);
}

TEST_CASE("values, items and indices") {
  const auto x = Tensor<float>::from_values({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(x.at({0, 0}) == 1);
  CHECK(x.at({1, 2}) == 6);
  CHECK(x.at({-1, -3}) == 4);
  CHECK(x.size(-1) == 3);
  CHECK(x.slice(0, 1).select(1, 1).item() == 5);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.at({0, 3})),
                       "[at] index 3 is out of range on axis 1 of (2, 3)", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.at({-3, 0})),
                       "[at] index -3 is out of range on axis 0 of (2, 3)", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.at({1})), "[at] 1 indices for shape (2, 3)", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.item()),
                       "[item] needs exactly one element, shape is (2, 3)", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.size(2)), "[size] axis 2 is out of range for rank 2",
                       Error);
  CHECK_THROWS_WITH_AS(Tensor<float>::from_values({2, 2}, {1, 2, 3}),
                       "[from_values] (2, 2) has 4 elements, got 3", Error);
}

TEST_CASE("sizes that no memory has are errors") {
  constexpr std::int64_t huge = std::int64_t{1} << 40;
  CHECK_THROWS_WITH_AS(Tensor<float>::empty({huge, huge}),
                       "[Shape] more than 2^63 - 1 elements with an extent of 1099511627776",
                       Error);
  CHECK_THROWS_WITH_AS(Tensor<float>::empty({huge, 1 << 21}),
                       "[tensor] shape (1099511627776, 2097152) is too large", Error);
  CHECK_THROWS_AS(Tensor<float>::empty({huge, 1 << 20}), Error);  // 2^62 bytes: no memory
  CHECK_THROWS_AS(Tensor<float>::empty({huge, 1 << 10}), Error);
  const auto x = Tensor<float>::ones({1});
  CHECK_THROWS_AS(static_cast<void>(x.expand({huge, huge})), Error);
  CHECK_THROWS_AS(static_cast<void>(x.reshape({huge, huge, -1})), Error);
  CHECK_THROWS_AS(Tensor<float>::from_values({huge, huge}, {1}), Error);
  CHECK(x.expand({huge, 1 << 20}).numel() == huge << 20);  // takes no memory
}

TEST_CASE("from_blob uses the caller's memory and says when it lets go") {
  float data[4] = {1, 2, 3, 4};
  int released = 0;
  {
    const auto x = Tensor<float>::from_blob(data, {2, 2}, [&] { ++released; });
    const auto row = x.select(0, 1);
    CHECK(row.data() == data + 2);
    mul_(row, 10.0F);
    CHECK(released == 0);
  }
  CHECK(released == 1);
  CHECK(data[3] == 40);
  const auto borrowed = Tensor<float>::from_blob(data, {4});
  CHECK(borrowed.data() == data);
}

TEST_CASE("slices follow Python") {
  const Ints x = Ints::arange(0, 10);
  const auto values = [&](std::int64_t start, std::int64_t stop, std::int64_t step) {
    return x.slice(0, start, stop, step).to_vector();
  };
  // Every combination, against a plain loop over Python's clipped bounds.
  for (std::int64_t start = -12; start <= 12; ++start) {
    for (std::int64_t stop = -12; stop <= 12; ++stop) {
      for (std::int64_t step = 1; step <= 4; ++step) {
        std::vector<std::int64_t> expected;
        const auto bound = [](std::int64_t i) {
          return std::clamp<std::int64_t>(i < 0 ? i + 10 : i, 0, 10);
        };
        for (std::int64_t i = bound(start); i < bound(stop); i += step) {
          expected.push_back(i);
        }
        CHECK(values(start, stop, step) == expected);
      }
    }
  }
  CHECK(x.slice(0, 8).to_vector() == std::vector<std::int64_t>{8, 9});
  CHECK(values(0, to_end, INT64_MAX) == std::vector<std::int64_t>{0});
  CHECK(values(INT64_MIN, INT64_MAX, 9) == std::vector<std::int64_t>{0, 9});
  CHECK_THROWS_WITH_AS(static_cast<void>(x.slice(0, 0, 5, 0)),
                       "[slice] step must be positive, got 0", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.slice(1, 0)),
                       "[slice] axis 1 is out of range for rank 1", Error);
  const auto nothing = Tensor<float>::empty({0, 3});
  CHECK(nothing.slice(1, 1).shape() == Shape{0, 2});
  CHECK(nothing.slice(1, 1).to_vector().empty());
}

TEST_CASE("views show the same elements in another order") {
  const Ints x = counting({2, 3, 4});
  const Ints permuted = x.permute({2, 0, 1});
  CHECK(permuted.shape() == Shape{4, 2, 3});
  const Ints transposed = x.transpose(0, -1);
  CHECK(transposed.shape() == Shape{4, 3, 2});
  for (const auto& i : indices(x.shape())) {
    CHECK(permuted.at({i[2], i[0], i[1]}) == x.at({i[0], i[1], i[2]}));
    CHECK(transposed.at({i[2], i[1], i[0]}) == x.at({i[0], i[1], i[2]}));
  }
  CHECK(x.select(1, -1).to_vector() == std::vector<std::int64_t>{8, 9, 10, 11, 20, 21, 22, 23});
  CHECK(x.unsqueeze(0).shape() == Shape{1, 2, 3, 4});
  CHECK(x.unsqueeze(-1).shape() == Shape{2, 3, 4, 1});
  CHECK(x.unsqueeze(2).squeeze(2).shape() == x.shape());
  CHECK(permuted.unsqueeze(1).to_vector() == permuted.to_vector());
  CHECK(x.slice(1, 1, 2).squeeze(1).to_vector() == x.select(1, 1).to_vector());
  const Ints wide = counting({2, 1}).expand({3, 2, 2});
  CHECK(wide.to_vector() == std::vector<std::int64_t>{0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1});
  for (const Ints& view : {permuted, transposed, x.slice(2, 1), x.select(0, 1), x.unsqueeze(1)}) {
    CHECK(view.storage() == x.storage());
  }

  CHECK_THROWS_WITH_AS(static_cast<void>(x.permute({0, 1})), "[permute] 2 axes for shape (2, 3, 4)",
                       Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.permute({0, 1, -2})), "[permute] axis 1 named twice",
                       Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.select(2, 4)),
                       "[select] index 4 is out of range on axis 2 of (2, 3, 4)", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.squeeze(1)),
                       "[squeeze] axis 1 of (2, 3, 4) has extent 3", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.expand({2, 3, 5})),
                       "[expand] cannot broadcast (2, 3, 4) to (2, 3, 5)", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(counting({1, 1, 1, 1, 1, 1}).unsqueeze(0)),
                       "[unsqueeze] at most 6 axes, and (1, 1, 1, 1, 1, 1) has them", Error);
}

TEST_CASE("reshape keeps row-major order, and copies only when it must") {
  const Ints x = counting({2, 3, 4});
  CHECK(x.reshape({6, 4}).storage() == x.storage());
  CHECK(x.reshape({4, -1}).shape() == Shape{4, 6});
  CHECK(x.reshape({-1}).shape() == Shape{24});
  CHECK(x.reshape({1, 2, 1, 12, 1}).to_vector() == x.to_vector());
  CHECK(x.reshape(Shape{3, 8}).at({2, 7}) == 23);
  CHECK(x.flatten().shape() == Shape{24});
  CHECK(x.flatten(1).shape() == Shape{2, 12});
  CHECK(x.flatten(0, 1).shape() == Shape{6, 4});
  CHECK(x.flatten(-2, -1).shape() == Shape{2, 12});
  CHECK(Ints::scalar(3).flatten().shape() == Shape{1});
  CHECK(Ints::scalar(3).reshape({1, 1}).item() == 3);
  CHECK(counting({1}).reshape({}).rank() == 0);
  CHECK(Ints::empty({0, 3}).reshape({3, 0, 2}).shape() == Shape{3, 0, 2});

  // Split, merged and padded axes of views: a view wherever strides allow it.
  const Ints heads = x.transpose(0, 1);  // (3, 2, 4), strides 4, 12, 1
  CHECK(heads.reshape({3, 2, 2, 2}).storage() == x.storage());
  CHECK(heads.reshape({3, 1, 2, 4, 1}).storage() == x.storage());
  CHECK(heads.reshape({6, 4}).storage() != x.storage());
  const Ints part = x.slice(2, 1, 3);
  CHECK(part.reshape({6, 2}).storage() == x.storage());
  CHECK(part.reshape({12}).storage() != x.storage());
  CHECK(x.slice(2, 0, 4, 2).reshape({12}).storage() == x.storage());  // stride 2 throughout
  CHECK(counting({3, 1}).expand({3, 4}).reshape({3, 2, 2}).to_vector() ==
        std::vector<std::int64_t>{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2});

  CHECK_THROWS_WITH_AS(static_cast<void>(x.reshape({5, 5})),
                       "[reshape] (2, 3, 4) has 24 elements and does not fit (5, 5)", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.reshape({-1, 5})), doctest::Contains("does not fit"),
                       Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.reshape({-1, -1})),
                       "[reshape] only one extent may be -1", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.reshape({-2, 12})), "[reshape] negative extent -2",
                       Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(Ints::empty({0}).reshape({-1, 0})),
                       doctest::Contains("does not fit"), Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(x.flatten(2, 1)), "[flatten] axis 2 lies after axis 1",
                       Error);
}

TEST_CASE("reshapes of every permutation and slice agree with a copy") {
  const std::vector<Shape> targets{{24},      {2, 12},         {12, 2},         {4, 6},
                                   {3, 8},    {2, 3, 4},       {4, 3, 2},       {1, 24, 1},
                                   {2, 2, 6}, {2, 1, 3, 4, 1}, {1, 2, 2, 3, 2}, {6, 1, 4}};
  const Ints base = counting({4, 3, 5, 4});
  std::vector<int> order{0, 1, 2};
  do {
    for (const Ints& cut :
         {base.select(2, 1).slice(0, 0, 2), base.slice(0, 1, 4, 2).select(2, -1),
          base.slice(3, 0, 2).select(2, 0), base.slice(3, 0, 4, 2).select(2, 3)}) {
      const Ints view = cut.permute(order);
      if (view.numel() != 24) {
        continue;
      }
      const Ints copy = view.clone();
      for (const Shape& target : targets) {
        CHECK(view.reshape(target).to_vector() == copy.to_vector());
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("copies and in-place changes go through views") {
  const Ints x = counting({3, 4});
  const Ints copy = x.clone();
  CHECK(copy.storage() != x.storage());
  x.slice(1, 0, 4, 2).fill_(-1);
  CHECK(x.to_vector() == std::vector<std::int64_t>{-1, 1, -1, 3, -1, 5, -1, 7, -1, 9, -1, 11});
  CHECK(copy.at({0, 0}) == 0);
  x.select(0, 1).zero_();
  CHECK(x.select(0, 1).to_vector() == std::vector<std::int64_t>{0, 0, 0, 0});
  x.transpose(0, 1).copy_(Ints::arange(0, 3));  // broadcast over the 4 rows of the transpose
  CHECK(x.to_vector() == std::vector<std::int64_t>{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2});
  CHECK(x.contiguous().storage() == x.storage());
  CHECK(x.transpose(0, 1).contiguous().storage() != x.storage());
  CHECK(x.transpose(0, 1).contiguous().is_contiguous());
  Ints::empty({0}).copy_(Ints::scalar(1));
  CHECK_THROWS_WITH_AS(x.copy_(Ints::zeros({3})), "[copy_] cannot broadcast (3,) to (3, 4)", Error);
  x.copy_(Ints::full({4}, 7, reference_cpu));  // of another device, too
  CHECK(x.to_vector() == std::vector<std::int64_t>(12, 7));
}

TEST_CASE("every in-place change is counted, through whatever view") {
  const auto x = Tensor<float>::zeros({2, 3});
  const auto start = x.storage().version();
  x.fill_(1);
  x.select(0, 0).zero_();
  x.copy_(Tensor<float>::ones({3}));
  add_(x, x);
  mul_(x.transpose(0, 1), 2.0F);
  axpy_(x, 2, x.clone());
  CHECK(x.storage().version() == start + 6);
  CHECK(x.to_vector() == std::vector<float>(6, 12));
  x.slice(0, 2).fill_(3);  // nothing
  CHECK(x.storage().version() == start + 6);
}

TEST_CASE("storage is shared, counted and freed") {
  auto x = Tensor<float>::zeros({4});
  CHECK(x.storage().unique());
  {
    const auto view = x.slice(0, 1);
    CHECK(!x.storage().unique());
  }
  CHECK(x.storage().unique());
  auto moved = std::move(x);
  CHECK(moved.storage().unique());
  x = moved;
  CHECK(!x.storage().unique());
  x = Tensor<float>();
  CHECK(moved.storage().unique());
  CHECK(moved.storage().bytes() == 16);
}

TEST_CASE("a tensor that was moved from is undefined") {
  auto x = Tensor<float>::ones({2, 3});
  auto y = std::move(x);
  CHECK(y.shape() == Shape{2, 3});
  CHECK_FALSE(x.defined());  // NOLINT(bugprone-use-after-move)
  CHECK(x.shape() == Shape{0});
  CHECK_THROWS_AS((void)sum(x), StateError);
  CHECK_THROWS_AS((void)matmul(x, y), StateError);
  CHECK_THROWS_AS(x.fill_(1), StateError);
  x = std::move(y);
  CHECK(x.shape() == Shape{2, 3});
  CHECK(y.shape() == Shape{0});  // NOLINT(bugprone-use-after-move)
  auto& same = x;
  x = std::move(same);
  CHECK(x.shape() == Shape{2, 3});
  CHECK(sum(x).item() == 6);
  std::swap(x, y);
  CHECK(sum(y).item() == 6);
  CHECK_FALSE(x.defined());
}

TEST_CASE("a tensor returns its memory to the allocator it came from") {
  CountingAllocator counting_allocator;
  set_allocator(&counting_allocator);
  auto x = Tensor<double>::zeros({100});
  auto y = x.slice(0, 50);
  CHECK(counting_allocator.allocations == 1);
  CHECK(counting_allocator.in_use == 800);
  set_allocator(nullptr);
  const auto other = Tensor<double>::zeros({100});
  CHECK(counting_allocator.allocations == 1);
  x = Tensor<double>();
  CHECK(counting_allocator.in_use == 800);
  y = Tensor<double>();
  CHECK(counting_allocator.in_use == 0);
}

TEST_CASE("the caching allocator hands freed blocks out again") {
  CachingAllocator allocator;
  std::map<void*, std::size_t> blocks;
  for (std::size_t bytes = 1; bytes < (1 << 20); bytes += bytes / 3 + 1) {
    void* const block = allocator.allocate(bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(block) % 64 == 0);
    std::memset(block, 1, bytes);
    CHECK(blocks.emplace(block, bytes).second);
  }
  for (const auto& [block, bytes] : blocks) {
    allocator.deallocate(block, bytes);
  }
  for (std::size_t bytes = 1; bytes < (1 << 20); bytes += bytes / 3 + 1) {
    CHECK(blocks.count(allocator.allocate(bytes)) == 1);
  }
  for (const auto& [block, bytes] : blocks) {
    allocator.deallocate(block, bytes);
  }
  CHECK_THROWS_WITH_AS(allocator.allocate(SIZE_MAX), doctest::Contains("[allocate] no memory for"),
                       Error);
  CHECK_THROWS_AS(allocator.allocate(std::size_t{1} << 62), Error);
  CHECK_THROWS_AS(allocator.allocate((std::size_t{1} << 62) + 1), Error);
}

TEST_CASE("devices that this program lacks are an error that says what to link") {
  CHECK_THROWS_WITH_AS(Tensor<float>::empty({2}, cuda),
                       doctest::Contains("link the CMake target ldlm::cuda"), Error);
  const auto x = Tensor<float>::ones({2}, reference_cpu);
  CHECK(x.device() == reference_cpu);
  CHECK(add(x, x).device() == reference_cpu);
}

TEST_CASE("operators in place write the elements that all handles share") {
  const auto x = Tensor<>::from_values({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor<> other = x;
  const float* const data = x.data();
  const auto row = Tensor<>::from_values({3}, {1, 10, 100});
  x += row;
  CHECK(other.to_vector() == std::vector<float>{2, 12, 103, 5, 15, 106});
  x -= row;
  x *= 2;
  x.slice(1, 0, 1) -= 1;
  CHECK(other.to_vector() == std::vector<float>{1, 4, 6, 7, 10, 12});
  x /= row;
  x += 0.5F;
  x /= 0.5F;
  CHECK(x.at({1, 1}) == 3);
  x *= x;
  CHECK(x.at({1, 1}) == 9);
  CHECK(x.data() == data);
  CHECK_THROWS_WITH_AS(row += x, "[add_] cannot broadcast (2, 3) to (3,)", Error);
  CHECK_THROWS_AS(x.slice(1, 1, 3) -= x.slice(1, 0, 2), ShapeError);
  const auto flags = Tensor<bool>::ones({2});
  CHECK_THROWS_AS(flags -= true, DTypeError);
}

namespace {
template <class T>
void check_minus(std::initializer_list<T> values, T c) {
  const auto x = Tensor<T>::from_values({static_cast<std::int64_t>(values.size())}, values);
  const auto expected = sub(x, Tensor<T>::scalar(c));
  const auto left = x.clone();
  left -= c;
  const auto bytes = static_cast<std::size_t>(x.numel()) * sizeof(T);
  for (const Tensor<T>& got : {sub(x, c), x - c, left}) {
    CHECK(std::memcmp(got.data(), expected.data(), bytes) == 0);
  }
}
}  // namespace

TEST_CASE("elements are compared with a number as with a tensor of it") {
  const auto x = Tensor<float>::from_values({4}, {-1, 0, 2, NAN});
  const auto check = [](const Tensor<bool>& got, std::vector<bool> expected) {
    CHECK(got.to_vector() == expected);
  };
  check(gt(x, 0), {false, false, true, false});
  check(ge(x, 0), {false, true, true, false});
  check(lt(x, 0), {true, false, false, false});
  check(le(x, 0), {true, true, false, false});
  check(eq(x, 2), {false, false, true, false});
  check(ne(x, 2), {true, true, false, true});
  check(eq(Tensor<std::int64_t>::from_values({2}, {INT64_MAX, 1}), INT64_MAX), {true, false});
}

TEST_CASE("a number is taken off as a tensor of it is") {
  check_minus({1.0F, 0.1F, -0.0F, 0.0F, 3e38F, 1e-45F}, 0.1F);
  check_minus({1.0, -0.0, 0.0}, 0.0);
  check_minus({1.0, -0.0, 0.0}, -0.0);
  check_minus<std::int32_t>({1, INT32_MIN, INT32_MAX}, INT32_MIN);
  check_minus<std::int8_t>({1, -128, 127}, -128);
  check_minus<std::uint8_t>({1, 0, 255}, 3);
  check_minus<std::int64_t>({1, INT64_MIN, INT64_MAX}, 7);
}
