// Shapes, layouts, broadcasting and axes.

#include <doctest/doctest.h>

#include <ldlm/core/axes.hpp>
#include <ldlm/core/layout.hpp>
#include <ldlm/core/view.hpp>

using namespace ldlm;

TEST_CASE("Shape: extents, edits, equality, text") {
  Shape shape{2, 3, 4};
  CHECK(shape.rank() == 3);
  CHECK(shape.numel() == 24);
  CHECK(shape[1] == 3);
  CHECK(shape.back() == 4);
  CHECK(shape == Shape(std::vector<std::int64_t>{2, 3, 4}));
  CHECK(shape != Shape{2, 3});
  CHECK(shape != Shape{2, 3, 4, 1});
  shape.erase(1);
  CHECK(shape == Shape{2, 4});
  shape.insert(0, 7);
  shape.insert(3, 9);
  shape.insert(2, 8);
  CHECK(shape == Shape{7, 2, 8, 4, 9});
  CHECK(shape.to_vector() == std::vector<std::int64_t>{7, 2, 8, 4, 9});

  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{3, 0, 2}.numel() == 0);
  CHECK(to_string(Shape{}) == "()");
  CHECK(to_string(Shape{5}) == "(5,)");
  CHECK(to_string(Shape{4, 768}) == "(4, 768)");
  static_assert(Shape{2, 3}.numel() == 6);
}

TEST_CASE("Shape: errors") {
  CHECK_THROWS_WITH_AS(Shape({1, 2, 3, 4, 5, 6, 7}), "[Shape] at most 6 axes, got 7", Error);
  CHECK_THROWS_WITH_AS(Shape({2, -1}), "[Shape] negative extent -1 on axis 1", Error);
  constexpr std::int64_t big = std::int64_t{1} << 32;
  CHECK_THROWS_WITH_AS(Shape({big, big}),
                       "[Shape] more than 2^63 - 1 elements with an extent of 4294967296", Error);
  Shape grown{big};
  CHECK_THROWS_AS(grown.push_back(big), Error);
  Shape full{1, 2, 3, 4, 5, 6};
  CHECK_THROWS_WITH_AS(full.push_back(7), "[Shape] at most 6 axes", Error);
  CHECK_THROWS_WITH_AS(full.insert(0, 7), "[Shape] at most 6 axes", Error);
}

TEST_CASE("Layout: strides and contiguity") {
  const Layout layout(Shape{2, 3, 4});
  CHECK(layout.stride(0) == 12);
  CHECK(layout.stride(1) == 4);
  CHECK(layout.stride(2) == 1);
  CHECK(layout.is_contiguous());
  CHECK(Layout(Shape{}).is_contiguous());
  CHECK(!Layout({2, 3}, {1, 2}, 0).is_contiguous());
  CHECK(!Layout({2, 3}, {6, 2}, 0).is_contiguous());
  CHECK(!Layout({2, 3}, {0, 1}, 0).is_contiguous());
  CHECK(Layout({1, 3}, {77, 1}, 5).is_contiguous());  // the stride of a single element is free
  CHECK(Layout({2, 0}, {5, 9}, 0).is_contiguous());
}

TEST_CASE("a layout without gaps, in the order of another") {
  const auto strides = [](const Layout& like) {
    const Layout out = dense_like(like);
    CHECK(out.shape == like.shape);
    CHECK(out.offset == 0);
    return std::vector<std::int64_t>(out.strides.begin(), out.strides.begin() + out.rank());
  };
  using Expected = std::vector<std::int64_t>;
  CHECK(strides(Layout({2, 3, 4}, {12, 4, 1}, 7)) == Expected{12, 4, 1});
  CHECK(strides(Layout({3, 2}, {1, 3}, 0)) == Expected{1, 3});            // transposed
  CHECK(strides(Layout({2, 3, 4}, {1, 20, 3}, 5)) == Expected{1, 8, 2});  // with gaps, too
  CHECK(strides(Layout({2, 3}, {30, 10}, 0)) == Expected{3, 1});          // sliced
  CHECK(strides(Layout({2, 3}, {-1, 2}, 1)) == Expected{1, 2});           // reversed
  CHECK(strides(Layout({2, 3}, {0, 1}, 0)) == Expected{3, 1});            // repeated
  CHECK(strides(Layout({4, 1, 3}, {1, 99, 4}, 0)) == Expected{1, 1, 4});  // a single element
  CHECK(strides(Layout({4, 0, 3}, {1, 4, 4}, 0)) == Expected{0, 3, 1});   // and none
  CHECK(strides(Layout(Shape{})).empty());
}

TEST_CASE("axes count from the end, too") {
  CHECK(normalize_axis(0, 3, "op") == 0);
  CHECK(normalize_axis(-1, 3, "op") == 2);
  CHECK(normalize_axis(-3, 3, "op") == 0);
  CHECK_THROWS_WITH_AS(normalize_axis(3, 3, "op"), "[op] axis 3 is out of range for rank 3", Error);
  CHECK_THROWS_WITH_AS(normalize_axis(-4, 3, "op"), "[op] axis -4 is out of range for rank 3",
                       Error);
  CHECK_THROWS_WITH_AS(normalize_axis(0, 0, "op"), "[op] axis 0 is out of range for rank 0", Error);
}

TEST_CASE("shapes broadcast by NumPy's rule") {
  const auto both = [](const Shape& a, const Shape& b) {
    const Shape out = broadcast_shapes(a, b, "op");
    CHECK(out == broadcast_shapes(b, a, "op"));
    return out;
  };
  CHECK(both({2, 3}, {3}) == Shape{2, 3});
  CHECK(both({2, 1}, {1, 3}) == Shape{2, 3});
  CHECK(both({}, {2, 3}) == Shape{2, 3});
  CHECK(both({4, 1, 3}, {2, 1}) == Shape{4, 2, 3});
  CHECK(both({0, 3}, {1, 3}) == Shape{0, 3});
  CHECK(both({0}, {1}) == Shape{0});
  CHECK_THROWS_WITH_AS(broadcast_shapes({2, 3}, {4}, "add"),
                       "[add] shapes do not broadcast: (2, 3) and (4,)", Error);
  CHECK_THROWS_WITH_AS(broadcast_shapes({2}, {0}, "add"),
                       "[add] shapes do not broadcast: (2,) and (0,)", Error);
}

TEST_CASE("a broadcast layout repeats by stride 0") {
  const Layout out = broadcast_to(Layout({3, 1}, {2, 9}, 5), {4, 3, 6}, "op");
  CHECK(out.shape == Shape{4, 3, 6});
  CHECK(out.stride(0) == 0);
  CHECK(out.stride(1) == 2);
  CHECK(out.stride(2) == 0);
  CHECK(out.offset == 5);
  CHECK_THROWS_WITH_AS(broadcast_to(Layout(Shape{3}), {3, 4}, "expand"),
                       "[expand] cannot broadcast (3,) to (3, 4)", Error);
  CHECK_THROWS_WITH_AS(broadcast_to(Layout(Shape{2, 3}), {3}, "expand"),
                       "[expand] cannot broadcast (2, 3) to (3,)", Error);
}

TEST_CASE("Axes: masks and reduced shapes") {
  CHECK(Axes(1).mask(3, "op") == 0b010U);
  CHECK(Axes{0, -1}.mask(3, "op") == 0b101U);
  CHECK(all_axes.mask(3, "op") == 0b111U);
  CHECK(all_axes.mask(0, "op") == 0U);
  CHECK(Axes({}).mask(3, "op") == 0U);
  CHECK_THROWS_WITH_AS(static_cast<void>(Axes{1, -2}.mask(3, "op")), "[op] axis -2 is named twice",
                       Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(Axes(2).mask(2, "op")),
                       "[op] axis 2 is out of range for rank 2", Error);
  CHECK(reduced_shape({2, 3, 4}, 0b101U, true) == Shape{1, 3, 1});
  CHECK(reduced_shape({2, 3, 4}, 0b101U, false) == Shape{3});
  CHECK(reduced_shape({2, 3}, 0b11U, false) == Shape{});
}

TEST_CASE("a View of T is a View of const T") {
  float data[6] = {};
  const View<float> view(data, Layout({2, 3}, {3, 1}, 4));
  const View<const float> seen = view;
  CHECK(seen.data == data);
  CHECK(seen.shape() == Shape{2, 3});
  CHECK(seen.layout.offset == 0);  // already part of the pointer
  CHECK(View<float>{}.empty());
}
