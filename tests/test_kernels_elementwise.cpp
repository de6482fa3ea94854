#include <ldlm/core/kernel_table.hpp>
#include <ldlm/core/tensor.hpp>
#include <ldlm_simd/cache_info.hpp>

#include "kernel_harness.hpp"

// Elementwise kernels of every device against the reference.

using namespace ldlm;
using namespace ldlm::test;

namespace {

struct UnaryCase {
  UnaryOp op;
  const char* name;
  Values values;
  Tolerance tolerance;
  double a = 0, b = 0;
  bool extremes = true;
};

const std::vector<UnaryCase> unary_cases = {
    {UnaryOp::neg, "neg", {}, {}},
    {UnaryOp::abs, "abs", {}, {}},
    {UnaryOp::exp, "exp", {-20, 20}, {1e-6, 1e-38}},
    {UnaryOp::log, "log", {0.01, 50}, {1e-6, 1e-7}},
    {UnaryOp::sqrt, "sqrt", {0, 50}, {2e-7, 0}},
    {UnaryOp::rsqrt, "rsqrt", {0.01, 50}, {2e-7, 0}},
    {UnaryOp::square, "square", {}, {2e-7, 0}},
    {UnaryOp::reciprocal, "reciprocal", {0.1, 50}, {2e-7, 0}},
    {UnaryOp::sin, "sin", {-30, 30}, {1e-6, 2e-7}},
    {UnaryOp::cos, "cos", {-30, 30}, {1e-6, 2e-7}},
    {UnaryOp::tanh, "tanh", {-5, 5}, {1e-6, 0}},
    {UnaryOp::sigmoid, "sigmoid", {-20, 20}, {1e-6, 1e-38}},
    {UnaryOp::erf, "erf", {-4, 4}, {1e-6, 0}},
    {UnaryOp::relu, "relu", {}, {}},
    {UnaryOp::silu, "silu", {-10, 10}, {1e-6, 1e-37}, 0, 0, false},
    {UnaryOp::gelu, "gelu", {-10, 10}, {1e-5, 1e-37}, 0, 0, false},
    {UnaryOp::gelu_tanh, "gelu_tanh", {-5, 5}, {1e-5, 1e-37}, 0, 0, false},
    {UnaryOp::add_scalar, "add_scalar", {}, {2e-7, 1e-7}, 1.5},
    {UnaryOp::mul_scalar, "mul_scalar", {}, {2e-7, 0}, -0.75},
    {UnaryOp::pow_scalar, "pow_scalar 2", {}, {2e-7, 0}, 2},
    {UnaryOp::pow_scalar, "pow_scalar 0", {}, {2e-7, 0}, 0},
    {UnaryOp::pow_scalar, "pow_scalar -1", {0.1, 5}, {2e-7, 0}, -1},
    {UnaryOp::pow_scalar, "pow_scalar 2.5", {0.1, 5}, {2e-7, 0}, 2.5},
    {UnaryOp::pow_scalar, "pow_scalar 3", {}, {3e-7, 0}, 3},
    {UnaryOp::pow_scalar, "pow_scalar -2", {0.1, 5}, {3e-7, 0}, -2},
    {UnaryOp::pow_scalar, "pow_scalar 0.5", {0.1, 5}, {2e-7, 0}, 0.5},
    {UnaryOp::pow_scalar, "pow_scalar -0.5", {0.1, 5}, {2e-7, 0}, -0.5},
    {UnaryOp::clamp, "clamp", {}, {}, -0.5, 0.75},
};

/// Whether every op has a case, so that one that is added is tested, too.
template <class Op, class Cases>
bool has_all(const Cases& cases) {
  return std::ranges::all_of(all_ops<Op>, [&](Op op) {
    return std::ranges::any_of(cases, [op](const auto& c) { return c.op == op; });
  });
}

TEST_CASE("unary kernels") {
  CHECK(has_all<UnaryOp>(unary_cases));
  for (const UnaryCase& c : unary_cases) {
    for (const Shape& shape : all_shapes()) {
      const auto body = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
        k.unary(c.op, t.in(shape, c.values), t.out(shape), static_cast<ComputeType<T>>(c.a),
                static_cast<ComputeType<T>>(c.b));
      };
      check_kernel(std::string(c.name) + to_string(shape), c.tolerance, body);
    }
  }
}

// Short rows, and axes that are contiguous in one operand only, go through tiles.
TEST_CASE("binary kernels over short rows and crossing axes") {
  const auto strided = [](const auto& view, const Shape& shape, const Strides& strides) {
    auto out = view;
    out.layout = Layout(shape, strides, 0);
    return out;
  };
  for (const Shape& shape : {Shape{3000, 3}, Shape{3, 3000}, Shape{100, 70}, Shape{1100, 5, 3},
                             Shape{20, 30, 40}, Shape{9, 8, 7, 6}, Shape{2, 2, 600}}) {
    const std::int64_t size = shape.numel();
    std::vector<Strides> orders{row_major_strides(shape), {}, {}, {}, {}};
    std::int64_t step = 1;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const auto a = static_cast<std::size_t>(axis);
      orders[1][a] = step;  // axes in reverse order
      step *= shape[axis];
      orders[2][a] = axis == shape.rank() - 1 ? 1 : 0;  // one row
      orders[3][a] = axis == 0 ? 1 : 0;                 // one column
    }
    for (const Strides& first : orders) {
      for (const Strides& second : orders) {
        const auto body = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
          k.binary(BinaryOp::sub, strided(t.plain({size}), shape, first),
                   strided(t.plain({size}), shape, second), t.out(shape));
        };
        check_variation("sub" + to_string(shape), {2e-7, 1e-7}, body, 0);
        check_variation("sub" + to_string(shape), {2e-7, 1e-7}, body, 2);
        check_variation("sub" + to_string(shape), {2e-7, 1e-7}, body, 3);
      }
    }
  }
}

TEST_CASE("unary kernels of extreme values") {
  for (const UnaryCase& c : unary_cases) {
    if (!c.extremes) {
      continue;  // whether -infinity gives NaN or 0 is not part of their contract
    }
    const auto body = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
      k.unary(c.op, t.plain({300}, {-20, 20, true}), t.plain_out({300}),
              static_cast<ComputeType<T>>(c.a), static_cast<ComputeType<T>>(c.b));
    };
    check_extremes(c.name, {std::max(c.tolerance.relative, 1e-6), 2e-38}, body);
  }
}

TEST_CASE("unary kernels in place, over threads") {
  for (const UnaryCase& c : unary_cases) {
    const auto body = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
      const View<T> x = t.in_out(large_shape(), c.values);
      k.unary(c.op, x, x, static_cast<ComputeType<T>>(c.a), static_cast<ComputeType<T>>(c.b));
    };
    check_variation(c.name, c.tolerance, body, 0);
    check_variation(c.name, c.tolerance, body, 2);
  }
}

TEST_CASE("unary_backward kernels") {
  for (const UnaryCase& c : unary_cases) {
    // The saved value is the output for these; give them what the op can give.
    Values saved = c.values;
    if (c.op == UnaryOp::tanh || c.op == UnaryOp::sigmoid) {
      saved = {0.01, 0.99};
    } else if (c.op == UnaryOp::exp || c.op == UnaryOp::sqrt) {
      saved = {0.1, 9};
    } else if (c.op == UnaryOp::gelu || c.op == UnaryOp::gelu_tanh || c.op == UnaryOp::silu) {
      saved = {-4, 4};
    }
    const Tolerance tolerance{std::max(4e-6, c.tolerance.relative), 1e-6};
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{33}, Shape{17, 5}, Shape{2, 3, 4, 5}}) {
      const auto body = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
        k.unary_backward(c.op, t.in(shape, saved), t.in(shape), t.out(shape),
                         static_cast<ComputeType<T>>(c.a), static_cast<ComputeType<T>>(c.b));
      };
      check_kernel(std::string(c.name) + " backward" + to_string(shape), tolerance, body);
    }
    const auto in_place = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
      const View<const T> x = t.in(large_shape(), saved);
      const View<T> dy = t.in_out(large_shape());
      k.unary_backward(c.op, x, dy, dy, static_cast<ComputeType<T>>(c.a),
                       static_cast<ComputeType<T>>(c.b));
    };
    check_variation(std::string(c.name) + " backward in place", tolerance, in_place, 0);
  }
}

struct BinaryCase {
  BinaryOp op;
  const char* name;
  Values a, b;
  Tolerance tolerance;
};

const std::vector<BinaryCase> binary_cases = {
    {BinaryOp::add, "add", {}, {}, {2e-7, 1e-7}},
    {BinaryOp::sub, "sub", {}, {}, {2e-7, 1e-7}},
    {BinaryOp::mul, "mul", {}, {}, {2e-7, 0}},
    {BinaryOp::div, "div", {}, {0.1, 4}, {2e-7, 0}},
    {BinaryOp::pow, "pow", {0.1, 4}, {-3, 3}, {2e-7, 0}},
    {BinaryOp::minimum, "minimum", {}, {}, {}},
    {BinaryOp::maximum, "maximum", {}, {}, {}},
};

TEST_CASE("a result too large for the caches has the bits of its parts") {
  const std::int64_t n = simd::cache_sizes().l2 + 77;  // four bytes each
  const auto x = Tensor<float>::linspace(-5.0F, 5.0F, n + 1);
  const auto y = Tensor<float>::full({n + 3}, -1.0F);
  const auto parts = y.clone();
  const auto run = [&](const Tensor<float>& to, std::int64_t lo, std::int64_t hi) {
    kernels<float>(cpu).unary(UnaryOp::gelu, x.slice(0, lo, hi).view(),
                              to.slice(0, lo + 1, hi + 1).view(), 0, 0);
  };
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    run(y, 1, n + 1);  // no vector is aligned
    for (std::int64_t lo = 1; lo < n + 1; lo += 9000) {
      run(parts, lo, std::min(lo + 9000, n + 1));
    }
    CHECK(std::equal(y.data(), y.data() + n + 3, parts.data()));
    CHECK(y.at({1}) == -1.0F);
    CHECK(y.at({n + 2}) == -1.0F);
  }
}

TEST_CASE("binary kernels") {
  CHECK(has_all<BinaryOp>(binary_cases));
  for (const BinaryCase& c : binary_cases) {
    for (const Shape& shape : all_shapes()) {
      const auto body = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
        const View<const T> a = t.in(shape, c.a);
        k.binary(c.op, a, t.in(shape, c.b), t.out(shape));
      };
      check_kernel(std::string(c.name) + to_string(shape), c.tolerance, body);
    }
    const auto in_place = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
      const View<T> a = t.in_out(large_shape(), c.a);
      k.binary(c.op, a, t.in(large_shape(), c.b), a);
    };
    check_kernel(std::string(c.name) + " in place", c.tolerance, in_place);
    const auto extremes = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
      const View<const T> a = t.plain({2000}, {-9, 9, true});
      k.binary(c.op, a, t.plain({2000}, {-9, 9, true}), t.plain_out({2000}));
    };
    check_extremes(c.name, {2e-7, 2e-45}, extremes);
  }
}

TEST_CASE("compare and where kernels") {
  for (const CompareOp op : all_ops<CompareOp>) {
    const std::string name = "compare " + std::string(name_of(op));
    for (const Shape& shape : all_shapes()) {
      const auto body = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
        const View<const T> a = t.in(shape, {-2, 2, false, true});
        k.compare(op, a, t.in(shape, {-2, 2, false, true}), t.template out_of<bool>(shape));
      };
      check_kernel(name + to_string(shape), {}, body);
    }
    const auto extremes = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
      const View<const T> a = t.plain({2000}, {-1, 1, true});
      k.compare(op, a, t.plain({2000}, {-1, 1, true}), t.template out_of<bool>({2000}));
    };
    check_extremes(name, {}, extremes);
  }
  std::vector<Shape> shapes = all_shapes();
  shapes.push_back(large_shape());
  for (const Shape& shape : shapes) {
    const auto body = [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
      const View<const bool> condition = t.template in_of<bool>(shape, {0, 2, false, true});
      const View<const T> a = t.in(shape);
      k.where(condition, a, t.in(shape), t.out(shape));
    };
    check_kernel("where" + to_string(shape), {}, body);
  }
}

TEST_CASE("fill, copy and axpy kernels") {
  std::vector<Shape> shapes = all_shapes();
  shapes.push_back(large_shape());
  shapes.push_back({130, 70, 3});
  for (const Shape& shape : shapes) {
    check_kernel(
        "fill" + to_string(shape), {},
        [&]<class T>(const KernelTable<T>& k, Context<T>& t) { k.fill(t.out(shape), T{3}); });
    check_kernel("copy" + to_string(shape), {},
                 [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                   const View<const T> in = t.in(shape, {-2, 2, true});
                   k.copy(in, t.out(shape));
                 });
    check_kernel("axpy" + to_string(shape), {2e-7, 2e-7},
                 [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                   const View<const T> x = t.in(shape);
                   k.axpy(static_cast<ComputeType<T>>(0.3), x, t.in_out(shape));
                 });
  }
}

TEST_CASE("copy kernels of all element sizes, with any order of axes") {
  const auto check = [](auto element) {
    using U = decltype(element);
    for (const Shape& shape :
         {Shape{50, 33}, Shape{16, 16}, Shape{3, 40, 2, 35}, Shape{64, 5, 48}}) {
      Shape swapped = shape;
      const int last = shape.rank() - 1;
      for (int i = 0; i <= last; ++i) {
        swapped[i] = shape[last - i];
      }
      const Layout layout(swapped);
      std::vector<U> in(static_cast<std::size_t>(shape.numel()));
      for (std::size_t i = 0; i < in.size(); ++i) {
        in[i] = static_cast<U>(static_cast<float>(i % 113));
      }
      Layout reversed(shape);
      for (int i = 0; i <= last; ++i) {
        reversed.strides[static_cast<std::size_t>(i)] = layout.stride(last - i);
      }
      std::vector<U> out(in.size());
      std::vector<U> expected(in.size());
      kernels<U>(cpu).copy({in.data(), reversed}, {out.data(), Layout(shape)});
      kernels<U>(reference_cpu).copy({in.data(), reversed}, {expected.data(), Layout(shape)});
      CHECK(std::memcmp(out.data(), expected.data(), out.size() * sizeof(U)) == 0);
    }
  };
  check(std::uint8_t{});
  check(f16{});
  check(bf16{});
  check(std::int32_t{});
  check(std::int64_t{});
  check(float{});
  check(double{});
}

TEST_CASE("cast kernels between all types") {
  const Shape shape{5, 37};
  constexpr DType types[] = {DType::f64, DType::f32, DType::f16,    DType::bf16, DType::i64,
                             DType::i32, DType::i16, DType::i8,     DType::u64,  DType::u32,
                             DType::u16, DType::u8,  DType::boolean};
  for (const DType from : types) {
    for (const DType to : types) {
      visit_dtype(from, [&]<class From>(std::type_identity<From>) {
        visit_dtype(to, [&]<class To>(std::type_identity<To>) {
          const auto size = static_cast<std::size_t>(shape.numel());
          const auto in = std::make_unique<From[]>(size);
          const auto expected = std::make_unique<To[]>(size);
          const auto out = std::make_unique<To[]>(size);
          for (std::size_t i = 0; i < size; ++i) {
            in[i] = convert<From>(static_cast<float>(i % 60) * 1.25F);
          }
          for (const bool transposed : {false, true}) {
            const Shape target = transposed ? Shape{37, 5} : shape;
            const Layout layout(target, {transposed ? 1 : 37, transposed ? 37 : 1}, 0);
            const View<const void> source(in.get(), layout);
            kernels<To>(reference_cpu).cast(from, source, {expected.get(), Layout(target)});
            kernels<To>(cpu).cast(from, source, {out.get(), Layout(target)});
            CHECK_MESSAGE(std::memcmp(out.get(), expected.get(), size * sizeof(To)) == 0,
                          name_of(from) << " to " << name_of(to));
            for (std::size_t i = 0; i < size && !transposed; ++i) {
              REQUIRE(static_cast<float>(expected[i]) == static_cast<float>(convert<To>(in[i])));
            }
          }
        });
      });
    }
  }
}

TEST_CASE("integer arithmetic wraps, divides towards zero and refuses division by zero") {
  const KernelTable<std::int32_t>& k = kernels<std::int32_t>(cpu);
  const std::vector<std::int32_t> a{7, -7, 2147483647, INT32_MIN, 5};
  const std::vector<std::int32_t> b{2, 2, 1, -1, 3};
  std::vector<std::int32_t> out(5);
  const Layout layout(Shape{5});
  const auto run = [&](BinaryOp op) {
    k.binary(op, {a.data(), layout}, {b.data(), layout}, {out.data(), layout});
    return out;
  };
  CHECK(run(BinaryOp::div) == std::vector<std::int32_t>{3, -3, 2147483647, INT32_MIN, 1});
  CHECK(run(BinaryOp::add) == std::vector<std::int32_t>{9, -5, INT32_MIN, 2147483647, 8});
  CHECK(run(BinaryOp::sub) == std::vector<std::int32_t>{5, -9, 2147483646, -2147483647, 2});
  CHECK(run(BinaryOp::mul) == std::vector<std::int32_t>{14, -14, 2147483647, INT32_MIN, 15});
  CHECK(run(BinaryOp::minimum) == std::vector<std::int32_t>{2, -7, 1, INT32_MIN, 3});
  const std::vector<std::int32_t> zero{1, 1, 0, 1, 1};
  CHECK_THROWS_WITH_AS(
      k.binary(BinaryOp::div, {a.data(), layout}, {zero.data(), layout}, {out.data(), layout}),
      "[div] integer division by zero", Error);
  CHECK_THROWS_WITH_AS(k.unary(UnaryOp::exp, {a.data(), layout}, {out.data(), layout}, 0, 0),
                       "[exp] this function needs float, double or bf16 elements, got i32", Error);
  CHECK_THROWS_AS(
      k.binary(BinaryOp::pow, {b.data(), layout}, {a.data(), layout}, {out.data(), layout}), Error);
  k.unary(UnaryOp::pow_scalar, {b.data(), layout}, {out.data(), layout}, 3, 0);
  CHECK(out == std::vector<std::int32_t>{8, 8, 1, -1, 27});
}

}  // namespace
