// Every operation over odd shapes beside PyTorch: short rows, long rows, many small matrices,
// transposed and sliced operands. The result is the list of what is several times slower, since no
// user expects the shape of an operand to cost a factor of a hundred.

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/optim/adam.hpp>
#include <ldlm/optim/sgd.hpp>

#include "shapes.hpp"

namespace {

using namespace ldlm;
using namespace ldlm::bench;

template <class T>
inline constexpr bool is_tensor = std::is_same_v<std::decay_t<T>, Tensor<float>>;

/// Functions of one operand, large and contiguous, and some in other layouts.
void add_unary() {
  const auto unary = [](const std::string& name, double low, double high, const std::string& code,
                        const auto& f) {
    const auto of = [&](const std::string& where, const Input& input) {
      both(name + where, {input}, code, [f](const auto& a, const Ids&) { return f(a[0]); });
    };
    of("", plain({300000}, low, high));
    if (name == "relu" || name == "exp" || name == "pow 3") {
      of(" transposed", transposed({1000, 300}, low, high));
      of(" sliced", sliced({100000, 3}, low, high));
      of(" reversed", reversed({3, 40, 50, 50}, low, high));
    }
  };
#define LDLM_BENCH_UNARY(function, low, high, code) \
  unary(#function, low, high, code, [](const auto& x) { return function(x); })
  LDLM_BENCH_UNARY(neg, -1, 1, "-a[0]");
  LDLM_BENCH_UNARY(abs, -1, 1, "a[0].abs()");
  LDLM_BENCH_UNARY(exp, -8, 8, "a[0].exp()");
  LDLM_BENCH_UNARY(log, 0.1, 9, "a[0].log()");
  LDLM_BENCH_UNARY(sqrt, 0.1, 9, "a[0].sqrt()");
  LDLM_BENCH_UNARY(rsqrt, 0.1, 9, "a[0].rsqrt()");
  LDLM_BENCH_UNARY(square, -1, 1, "a[0].square()");
  LDLM_BENCH_UNARY(reciprocal, 0.1, 9, "a[0].reciprocal()");
  LDLM_BENCH_UNARY(sin, -9, 9, "a[0].sin()");
  LDLM_BENCH_UNARY(cos, -9, 9, "a[0].cos()");
  LDLM_BENCH_UNARY(tanh, -4, 4, "a[0].tanh()");
  LDLM_BENCH_UNARY(sigmoid, -8, 8, "a[0].sigmoid()");
  LDLM_BENCH_UNARY(erf, -4, 4, "a[0].erf()");
  LDLM_BENCH_UNARY(relu, -1, 1, "a[0].relu()");
  LDLM_BENCH_UNARY(silu, -4, 4, "F.silu(a[0])");
  LDLM_BENCH_UNARY(gelu, -4, 4, "F.gelu(a[0])");
  LDLM_BENCH_UNARY(gelu_tanh, -4, 4, "F.gelu(a[0], approximate='tanh')");
#undef LDLM_BENCH_UNARY
  for (const auto& [low, high, name] :
       {std::tuple(-1e4, 1e4, "1e4"), {-1e6, 1e6, "1e6"}, {-1e30, 1e30, "1e30"}}) {
    unary(std::string("sin of ") + name, low, high, "a[0].sin()",
          [](const auto& x) { return sin(x); });
    unary(std::string("cos of ") + name, low, high, "a[0].cos()",
          [](const auto& x) { return cos(x); });
  }
  for (const auto& [exponent, name] : {std::pair(2.0F, "2"),
                                       {3.0F, "3"},
                                       {4.0F, "4"},
                                       {0.5F, "0.5"},
                                       {-0.5F, "-0.5"},
                                       {-1.0F, "-1"},
                                       {-2.0F, "-2"},
                                       {2.7F, "2.7"}}) {
    unary(std::string("pow ") + name, 0.1, 4, std::string("a[0].pow(") + name + ")",
          [e = exponent](const auto& x) { return pow(x, e); });
  }
  unary("clamp", -1, 1, "a[0].clamp(-0.5, 0.5)",
        [](const auto& x) { return clamp(x, -0.5F, 0.5F); });
  unary("add scalar", -1, 1, "a[0] + 2", [](const auto& x) { return x + 2.0F; });
  unary("mul scalar", -1, 1, "a[0] * 2", [](const auto& x) { return x * 2.0F; });
  unary("sub scalar", -1, 1, "a[0] - 2", [](const auto& x) { return x - 2.0F; });
}

/// Functions of two operands that broadcast, or lie in different orders.
void add_binary() {
  struct Pair {
    std::string name;
    Input a, b;
  };
  const std::vector<Pair> pairs{
      {"(300000)", plain({300000}), plain({300000})},
      {"(300000, 3) and (3)", plain({300000, 3}), plain({3})},
      {"(100000, 8) and (8)", plain({100000, 8}), plain({8})},
      {"(200000, 16) and (16)", plain({200000, 16}), plain({16})},
      {"(3000, 300) and (300)", plain({3000, 300}), plain({300})},
      {"(300000, 3) and (300000, 1)", plain({300000, 3}), plain({300000, 1})},
      {"(3, 300000) and (3, 1)", plain({3, 300000}), plain({3, 1})},
      {"(1000000) and ()", plain({1000000}), plain({})},
      {"(300000, 1) and (300000, 1)", plain({300000, 1}), plain({300000, 1})},
      {"(100000, 1) and (1, 8)", plain({100000, 1}), plain({1, 8})},
      {"(8, 1) and (1, 100000)", plain({8, 1}), plain({1, 100000})},
      {"(100, 100, 100) and (100, 1, 100)", plain({100, 100, 100}), plain({100, 1, 100})},
      {"(100, 100, 100) and (100, 100, 1)", plain({100, 100, 100}), plain({100, 100, 1})},
      {"(50000, 2, 4) and (2, 1)", plain({50000, 2, 4}), plain({2, 1})},
      {"(20000, 3, 3) and (20000, 1, 3)", plain({20000, 3, 3}), plain({20000, 1, 3})},
      {"(1000, 1000) transposed and plain", transposed({1000, 1000}), plain({1000, 1000})},
      {"(1000, 1000) both transposed", transposed({1000, 1000}), transposed({1000, 1000})},
      {"(300000, 3) both transposed", transposed({300000, 3}), transposed({300000, 3})},
      {"(3, 300000) both transposed", transposed({3, 300000}), transposed({3, 300000})},
      {"(300000, 3) sliced and plain", sliced({300000, 3}), plain({300000, 3})},
      {"(300000) sliced", sliced({300000}), sliced({300000})},
      {"(30, 40, 20, 10) reversed and plain", reversed({30, 40, 20, 10}), plain({30, 40, 20, 10})},
      {"(30, 40, 20, 10) both reversed", reversed({30, 40, 20, 10}), reversed({30, 40, 20, 10})},
  };
  for (const Pair& p : pairs) {
    both("add " + p.name, {p.a, p.b}, "a[0] + a[1]",
         [](const auto& a, const Ids&) { return a[0] + a[1]; }, {.tolerance = 1e-3});
    both("mul " + p.name, {p.a, p.b}, "a[0] * a[1]",
         [](const auto& a, const Ids&) { return a[0] * a[1]; }, {.tolerance = 1e-3});
  }
  const auto positive = [](Input input) {
    input.low = 0.5;
    input.high = 2;
    return input;
  };
  for (const std::size_t which : {0, 1, 5, 16, 19}) {
    const std::string& name = pairs[which].name;
    const std::vector<Input> in{positive(pairs[which].a), positive(pairs[which].b)};
    const CaseOptions loose{.tolerance = 1e-2};
    both(
        "sub " + name, in, "a[0] - a[1]", [](const auto& a, const Ids&) { return a[0] - a[1]; },
        loose);
    both(
        "div " + name, in, "a[0] / a[1]", [](const auto& a, const Ids&) { return a[0] / a[1]; },
        loose);
    both(
        "pow " + name, in, "a[0] ** a[1]",
        [](const auto& a, const Ids&) { return pow(a[0], a[1]); }, loose);
    both(
        "maximum " + name, in, "torch.maximum(a[0], a[1])",
        [](const auto& a, const Ids&) { return maximum(a[0], a[1]); }, loose);
    forward("lt " + name, in, "a[0] < a[1]",
            [](const auto& a, const Ids&) { return lt(a[0], a[1]); });
    both(
        "where " + name, in, "torch.where(a[0] < 1, a[0], a[1])",
        [](const auto& a, const Ids&) {
          if constexpr (is_tensor<decltype(a[0])>) {
            return where(lt(a[0], Tensor<float>::scalar(1)), a[0], a[1]);
          } else {
            return where(lt(a[0].value(), Tensor<float>::scalar(1)), a[0], a[1]);
          }
        },
        loose);
    forward("axpy_ " + name, in, "a[0].add_(a[1], alpha=0.0)", [](const auto& a, const Ids&) {
      axpy_(a[0], 0, a[1]);
      return a[0];
    });
    forward("mul_ " + name, {in[0], plain(in[1].shape, 1, 1)}, "a[0].mul_(a[1])",
            [](const auto& a, const Ids&) {
              mul_(a[0], a[1]);
              return a[0];
            });
  }
}

/// Reductions over each axis, all and none.
void add_reductions() {
  struct Case {
    std::string name;
    Input input;
    Axes axes;
    std::string dim;  // of the peer
  };
  const std::vector<Case> cases{
      {"all of (1000000)", plain({1000000}), all_axes, "0"},
      {"all of (300000, 3)", plain({300000, 3}), all_axes, "(0, 1)"},
      {"all of (1000, 1000) transposed", transposed({1000, 1000}), all_axes, "(0, 1)"},
      {"all of (300000) sliced", sliced({300000}), all_axes, "0"},
      {"axis of 1 of (300000, 1)", plain({300000, 1}), 1, "1"},
      {"axis 1 of (300000, 3)", plain({300000, 3}), 1, "1"},
      {"axis 0 of (300000, 3)", plain({300000, 3}), 0, "0"},
      {"axis 1 of (3, 300000)", plain({3, 300000}), 1, "1"},
      {"axis 0 of (3, 300000)", plain({3, 300000}), 0, "0"},
      {"axis 1 of (100000, 16)", plain({100000, 16}), 1, "1"},
      {"axis 1 of (20000, 50)", plain({20000, 50}), 1, "1"},
      {"axis 1 of (1000, 1000)", plain({1000, 1000}), 1, "1"},
      {"axis 0 of (1000, 1000)", plain({1000, 1000}), 0, "0"},
      {"axis 1 of (1000, 1000) transposed", transposed({1000, 1000}), 1, "1"},
      {"axis 0 of (1000, 1000) transposed", transposed({1000, 1000}), 0, "0"},
      {"axis 1 of (300000, 3) transposed", transposed({300000, 3}), 1, "1"},
      {"axis 1 of (30000, 10) sliced", sliced({30000, 10}), 1, "1"},
      {"axis 0 of (30000, 10) sliced", sliced({30000, 10}), 0, "0"},
      {"axis 1 of (50000, 3, 3)", plain({50000, 3, 3}), 1, "1"},
      {"axis 1 of (100, 100, 100)", plain({100, 100, 100}), 1, "1"},
      {"axes 0 and 2 of (100, 100, 100)", plain({100, 100, 100}), {0, 2}, "(0, 2)"},
      {"axes 0 and 2 of (50000, 3, 3)", plain({50000, 3, 3}), {0, 2}, "(0, 2)"},
      {"axes 1 and 2 of (50000, 3, 3)", plain({50000, 3, 3}), {1, 2}, "(1, 2)"},
      {"axis 2 of (20, 30, 20, 25) reversed", reversed({20, 30, 20, 25}), 2, "2"},
  };
  for (const Case& c : cases) {
    const Axes axes = c.axes;
    const CaseOptions loose{.tolerance = 1e-2};
    const auto reduction = [&](const std::string& name, const std::string& function,
                               const auto& f) {
      both(
          name + " " + c.name, {c.input}, function + "(dim=" + c.dim + ")",
          [f, axes](const auto& a, const Ids&) { return f(a[0], axes); }, loose);
    };
    reduction("sum", "a[0].sum", [](const auto& x, const Axes& by) { return sum(x, by); });
    reduction("max", "a[0].amax", [](const auto& x, const Axes& by) { return max(x, by); });
    if (c.name.find("(300000") != std::string::npos || c.name.find("3, 3") != std::string::npos) {
      reduction("mean", "a[0].mean", [](const auto& x, const Axes& by) { return mean(x, by); });
      reduction("min", "a[0].amin", [](const auto& x, const Axes& by) { return min(x, by); });
      reduction("norm", "a[0].norm", [](const auto& x, const Axes& by) { return norm(x, by); });
      if (c.name.find("axis of 1") == std::string::npos) {
        reduction("var", "a[0].var", [](const auto& x, const Axes& by) { return var(x, by); });
      }
    }
  }
  both("sum over no axis", {plain({300000, 3})}, "a[0].clone()",
       [](const auto& a, const Ids&) { return sum(a[0], Axes({})); });
  both("max over no axis", {plain({300000, 3})}, "a[0].clone()",
       [](const auto& a, const Ids&) { return max(a[0], Axes({})); });
  both("norm over no axis", {plain({300000, 3}, 0.5, 1)}, "a[0].abs()",
       [](const auto& a, const Ids&) { return norm(a[0], Axes({})); });
  for (const auto& [name, input, axis] : {std::tuple("1 of (300000, 3)", plain({300000, 3}), 1),
                                          {"0 of (300000, 3)", plain({300000, 3}), 0},
                                          {"1 of (3, 300000)", plain({3, 300000}), 1},
                                          {"0 of (3, 300000)", plain({3, 300000}), 0},
                                          {"1 of (1000, 1000)", plain({1000, 1000}), 1},
                                          {"0 of (1000, 1000)", plain({1000, 1000}), 0},
                                          {"1 of (100, 100, 100)", plain({100, 100, 100}), 1},
                                          {"1 of (30000, 10) sliced", sliced({30000, 10}), 1}}) {
    forward(std::string("argmax axis ") + name, {input},
            "a[0].argmax(" + std::to_string(axis) + ")",
            [by = axis](const auto& a, const Ids&) { return argmax(a[0], by); });
  }
  forward("argmin axis 0 of (3, 300000)", {plain({3, 300000})}, "a[0].argmin(0)",
          [](const auto& a, const Ids&) { return argmin(a[0], 0); });
  for (const auto& [shape, k] : {std::pair(Shape{100000}, 5000),
                                 {Shape{20000}, 20000},
                                 {Shape{50257}, 50},
                                 {Shape{50257}, 1},
                                 {Shape{100000, 8}, 2},
                                 {Shape{50000, 8}, 8},
                                 {Shape{1000, 1000}, 1},
                                 {Shape{300, 3000}, 10},
                                 {Shape{300, 3000}, 1500},
                                 {Shape{1000000}, 100},
                                 {Shape{300000, 1}, 1}}) {
    const std::string name = "top_k " + std::to_string(k) + " of " + to_string(shape);
    const std::string code = "a[0].topk(" + std::to_string(k) + ").values";
    const auto best = [count = k](const auto& a, const Ids&) { return top_k(a[0], count).values; };
    forward(name, {plain(shape)}, code, best);
    if (k <= 50) {  // which of equal elements have the gradient is not PyTorch's concern
      backward(name, {plain(shape)}, code, best);
    }
  }
}

/// Softmax, norms and losses.
void add_rows() {
  for (const auto& [name, input, axis] :
       {std::tuple("0 of (3, 300000)", plain({3, 300000}), 0),
        {"1 of (300000, 3)", plain({300000, 3}), 1},
        {"0 of (300000, 3)", plain({300000, 3}), 0},
        {"1 of (300000, 1)", plain({300000, 1}), 1},
        {"1 of (60000, 16)", plain({60000, 16}), 1},
        {"1 of (10000, 100)", plain({10000, 100}), 1},
        {"1 of (3, 300000)", plain({3, 300000}), 1},
        {"0 of (1000, 1000)", plain({1000, 1000}), 0},
        {"1 of (1000, 1000)", plain({1000, 1000}), 1},
        {"1 of (1000, 1000) transposed", transposed({1000, 1000}), 1},
        {"1 of (100, 100, 100)", plain({100, 100, 100}), 1},
        {"1 of (20000, 3, 5)", plain({20000, 3, 5}), 1},
        {"1 of (30000, 10) sliced", sliced({30000, 10}), 1}}) {
    const std::string along = std::to_string(axis);
    both(std::string("softmax axis ") + name, {input}, "a[0].softmax(" + along + ")",
         [by = axis](const auto& a, const Ids&) { return softmax(a[0], by); });
    both(std::string("log_softmax axis ") + name, {input}, "a[0].log_softmax(" + along + ")",
         [by = axis](const auto& a, const Ids&) { return log_softmax(a[0], by); });
  }
  for (const auto& [rows, columns] : {std::pair(300000, 1),
                                      {300000, 2},
                                      {200000, 3},
                                      {200000, 4},
                                      {100000, 8},
                                      {60000, 16},
                                      {30000, 32},
                                      {10000, 100},
                                      {1000, 1000},
                                      {3, 300000}}) {
    const std::string size = "(" + std::to_string(rows) + ", " + std::to_string(columns) + ")";
    const std::vector<Input> in{plain({rows, columns}), plain({columns}), plain({columns})};
    // PyTorch's gradient of rows of 1 or 2 is all rounding error.
    const CaseOptions loose{.tolerance = columns > 2 ? 2e-2 : 1e3};
    both(
        "layer_norm " + size, in, "F.layer_norm(a[0], a[1].shape, a[1], a[2])",
        [](const auto& a, const Ids&) { return layer_norm(a[0], a[1], a[2]); }, loose);
    both(
        "rms_norm " + size, {in[0], in[1]}, "F.rms_norm(a[0], a[1].shape, a[1], 1e-6)",
        [](const auto& a, const Ids&) { return rms_norm(a[0], a[1]); }, loose);
  }
  for (const auto& [rows, classes] :
       {std::pair(300000, 2), {100000, 3}, {60000, 16}, {10000, 100}, {20, 50257}}) {
    const std::string size = "(" + std::to_string(rows) + ", " + std::to_string(classes) + ")";
    backward("cross_entropy " + size, {plain({rows, classes}), indices({rows}, classes)},
             "F.cross_entropy(a[0], i[0])",
             [](const auto& a, const Ids& i) { return cross_entropy(a[0], i[0]); });
  }
  backward("mse_loss (300000, 3)", {plain({300000, 3}), plain({300000, 3})},
           "F.mse_loss(a[0], a[1])",
           [](const auto& a, const Ids&) { return mse_loss(a[0], a[1]); });
  for (const auto& [n, d] : {std::pair(1000, 8), {30000, 3}}) {
    backward("linear_cross_entropy " + std::to_string(n),
             {plain({n, d}), plain({100, d}), indices({n}, 100)},
             "F.cross_entropy(a[0] @ a[1].T, i[0])",
             [](const auto& a, const Ids& i) { return linear_cross_entropy(a[0], a[1], i[0]); });
  }
}

/// Indexing, and ops that move elements.
void add_moves() {
  const CaseOptions loose{.tolerance = 1e-3};
  for (const auto& [rows, columns, count] : {std::tuple(50000, 16, 100000),
                                             {50000, 1, 300000},
                                             {1000, 1000, 1000},
                                             {2, 3, 300000},
                                             {100, 8, 100000}}) {
    both(
        "embedding (" + std::to_string(rows) + ", " + std::to_string(columns) + ")",
        {plain({rows, columns}), indices({count}, rows)}, "F.embedding(i[0], a[0])",
        [](const auto& a, const Ids& i) { return embedding(a[0], i[0]); }, loose);
  }
  for (const auto& [name, shape, axis, count] :
       {std::tuple("1 of (300000, 3)", Shape{300000, 3}, 1, 3),
        {"1 of (1000, 1000)", Shape{1000, 1000}, 1, 1000},
        {"0 of (3, 300000)", Shape{3, 300000}, 0, 3}}) {
    const std::int64_t extent = shape[axis];
    both(
        std::string("index_select axis ") + name, {plain(shape), indices({count}, extent)},
        "a[0].index_select(" + std::to_string(axis) + ", i[0])",
        [by = axis](const auto& a, const Ids& i) { return index_select(a[0], by, i[0]); }, loose);
    both(
        std::string("gather axis ") + name, {plain(shape), indices(shape, extent)},
        "a[0].gather(" + std::to_string(axis) + ", i[0])",
        [by = axis](const auto& a, const Ids& i) { return gather(a[0], by, i[0]); }, loose);
  }
  both("gather axis 1 of one (300000, 3)", {plain({300000, 3}), indices({300000, 1}, 3)},
       "a[0].gather(1, i[0])", [](const auto& a, const Ids& i) { return gather(a[0], 1, i[0]); });
  const auto joined = [&](const std::string& name, const Shape& shape, int axis) {
    const std::string along = std::to_string(axis);
    both("concat " + name, {plain(shape), plain(shape)}, "torch.cat([a[0], a[1]], " + along + ")",
         [axis](const auto& a, const Ids&) {
           return concat({a[0], a[1]}, axis);
         });
    both("stack " + name, {plain(shape), plain(shape)}, "torch.stack([a[0], a[1]], " + along + ")",
         [axis](const auto& a, const Ids&) {
           return stack({a[0], a[1]}, axis);
         });
  };
  joined("(300000, 3) axis 0", {300000, 3}, 0);
  joined("(300000, 3) axis 1", {300000, 3}, 1);
  joined("(1000, 1000) axis 1", {1000, 1000}, 1);
  joined("(300000) last axis", {300000, 1}, -1);
  both("split (300000, 4)", {plain({300000, 4})}, "(lambda p: p[0] * p[1])(a[0].split(2, 1))",
       [](const auto& a, const Ids&) {
         const auto parts = split(a[0], 2, 1);
         return parts[0] * parts[1];
       });
  both("pad (300000, 3)", {plain({300000, 3})}, "F.pad(a[0], (1, 2))",
       [](const auto& a, const Ids&) { return pad(a[0], 1, 1, 2); });
  both("pad (1000, 1000)", {plain({1000, 1000})}, "F.pad(a[0], (0, 0, 5, 5))",
       [](const auto& a, const Ids&) { return pad(a[0], 0, 5, 5); });
  const auto copied = [](const std::string& name, const Input& input) {
    forward("copy of " + name, {input}, "a[0].clone(memory_format=torch.contiguous_format)",
            [](const auto& a, const Ids&) { return a[0].clone(); });
  };
  copied("(1000, 1000) transposed", transposed({1000, 1000}));
  copied("(300000, 3) transposed", transposed({300000, 3}));
  copied("(3, 300000) transposed", transposed({3, 300000}));
  copied("(100000, 3, 3) transposed", transposed({100000, 3, 3}));
  copied("(1000, 16, 16) transposed", transposed({1000, 16, 16}));
  copied("(30, 40, 20, 25) reversed", reversed({30, 40, 20, 25}));
  copied("(300000, 3) sliced", sliced({300000, 3}));
  copied("(300000) sliced", sliced({300000}));
  forward("copy of (64, 50, 8, 16) with heads apart", {plain({64, 50, 8, 16})},
          "a[0].permute(0, 2, 1, 3).contiguous()", [](const auto& a, const Ids&) {
            return a[0].permute({0, 2, 1, 3}).contiguous();
          });
  forward("copy of (300000, 1) expanded to 3", {plain({300000, 1})},
          "a[0].expand(300000, 3).contiguous()", [](const auto& a, const Ids&) {
            return a[0].expand({300000, 3}).clone();
          });
  forward("copy of (1, 3) expanded to 300000", {plain({1, 3})},
          "a[0].expand(300000, 3).contiguous()", [](const auto& a, const Ids&) {
            return a[0].expand({300000, 3}).clone();
          });
  forward("fill of (300000, 3) sliced", {sliced({300000, 3})}, "a[0].fill_(2.0)",
          [](const auto& a, const Ids&) {
            a[0].fill_(2);
            return a[0];
          });
  for (const auto& [name, input] :
       {std::pair("(300000)", plain({300000}, -99, 99)),
        {"(300000, 3) sliced", sliced({300000, 3}, -99, 99)},
        {"(1000, 1000) transposed", transposed({1000, 1000}, -99, 99)}}) {
    forward(std::string("cast to double of ") + name, {input}, "a[0].double()",
            [](const auto& a, const Ids&) { return cast<double>(a[0]); });
    forward(std::string("cast to int64 of ") + name, {input}, "a[0].long()",
            [](const auto& a, const Ids&) { return cast<std::int64_t>(a[0]); });
    forward(std::string("cast to bool of ") + name, {input}, "a[0].bool()",
            [](const auto& a, const Ids&) { return cast<bool>(a[0]); });
  }
  forward("int64 add (300000, 3) and (3)", {indices({300000, 3}, 9), indices({3}, 9)},
          "i[0] + i[1]", [](const auto&, const Ids& i) { return i[0] + i[1]; });
  forward("int64 sum axis 1 of (300000, 3)", {indices({300000, 3}, 9)}, "i[0].sum(1)",
          [](const auto&, const Ids& i) { return sum(i[0], 1); });
  forward("int64 eq (300000)", {indices({300000}, 9), indices({300000}, 9)}, "i[0] == i[1]",
          [](const auto&, const Ids& i) { return eq(i[0], i[1]); });
}

/// Products of many small, long and transposed matrices; attention of small shapes.
void add_products() {
  const CaseOptions loose{.tolerance = 2e-3};
  const auto product = [&](const std::string& name, const Input& a, const Input& b) {
    both(
        "matmul " + name, {a, b}, "a[0] @ a[1]",
        [](const auto& x, const Ids&) { return matmul(x[0], x[1]); }, loose);
  };
  product("(2, 2) x (2, 2)", plain({2, 2}), plain({2, 2}));
  product("(10000, 4, 4) x (10000, 4, 4)", plain({10000, 4, 4}), plain({10000, 4, 4}));
  product("(1000, 16, 16) x (1000, 16, 16)", plain({1000, 16, 16}), plain({1000, 16, 16}));
  product("(100, 32, 32) x (32, 32)", plain({100, 32, 32}), plain({32, 32}));
  product("(4, 4) x (10000, 4, 4)", plain({4, 4}), plain({10000, 4, 4}));
  product("(1000, 16, 16) both transposed", transposed({1000, 16, 16}), transposed({1000, 16, 16}));
  product("(10000, 1, 64) x (10000, 64, 1)", plain({10000, 1, 64}), plain({10000, 64, 1}));
  product("(10000, 64, 1) x (10000, 1, 4)", plain({2000, 64, 1}), plain({2000, 1, 4}));
  product("(100000, 3) x (3, 3)", plain({100000, 3}), plain({3, 3}));
  product("(3, 100000) x (100000, 3)", plain({3, 100000}), plain({100000, 3}));
  product("(100000, 1) x (1, 8)", plain({100000, 1}), plain({1, 8}));
  product("(1, 8) x (8, 100000)", plain({1, 8}), plain({8, 100000}));
  product("(1000, 1000) x (1000)", plain({1000, 1000}), plain({1000}));
  product("(1000) x (1000, 1000)", plain({1000}), plain({1000, 1000}));
  product("(100000) x (100000)", plain({100000}), plain({100000}));
  product("(300, 300) transposed, plain", transposed({300, 300}), plain({300, 300}));
  product("(300, 300) plain, transposed", plain({300, 300}), transposed({300, 300}));
  product("(300, 300) both transposed", transposed({300, 300}), transposed({300, 300}));
  product("(300, 300) both sliced", sliced({300, 300}), sliced({300, 300}));
  product("(3, 100000) x (100000, 3) both transposed", transposed({3, 100000}),
          transposed({100000, 3}));
  for (const auto& [n, k, m] : {std::tuple(100000, 8, 8), {1, 8, 8}, {1, 1000, 1000}}) {
    both(
        "linear (" + std::to_string(n) + ", " + std::to_string(k) + ")",
        {plain({n, k}), plain({m, k}), plain({m})}, "F.linear(a[0], a[1], a[2])",
        [](const auto& a, const Ids&) {
          if constexpr (is_tensor<decltype(a[0])>) {
            return linear(a[0], a[1], a[2]);
          } else {
            return linear(a[0], a[1], a[2]);
          }
        },
        loose);
  }
  const auto attention = [&](const std::string& name, const Shape& q, const Shape& k, bool causal) {
    both(
        "attention " + name, {plain(q), plain(k), plain(k)},
        std::string("F.scaled_dot_product_attention(a[0], a[1], a[2], is_causal=") +
            (causal ? "True)" : "False)"),
        [causal](const auto& a, const Ids&) {
          return scaled_dot_product_attention(a[0], a[1], a[2], {.causal = causal});
        },
        loose);
  };
  attention("(1, 1, 1, 8)", {1, 1, 1, 8}, {1, 1, 1, 8}, false);
  attention("(1000, 1, 4, 8)", {1000, 1, 4, 8}, {1000, 1, 4, 8}, false);
  attention("(5000, 1, 2, 2)", {5000, 1, 2, 2}, {5000, 1, 2, 2}, false);
  attention("(64, 8, 16, 16) causal", {64, 8, 16, 16}, {64, 8, 16, 16}, true);
  attention("(1, 8, 128, 64) causal", {1, 8, 128, 64}, {1, 8, 128, 64}, true);
  attention("(8, 12, 1, 64) on 300 keys", {8, 12, 1, 64}, {8, 12, 300, 64}, false);
  attention("(1, 1, 3000, 4) on 3 keys", {1, 1, 3000, 4}, {1, 1, 3, 4}, false);
}

/// Random numbers and optimisers: nothing to compare.
void add_steps() {
  const CaseOptions alone{.compared = false};
  static Generator generator(1);
  for (const auto& [size, name] :
       {std::pair<std::int64_t, const char*>(10, "10"), {1000000, "1000000"}}) {
    const auto in = std::vector<Input>{plain({size})};
    forward(
        std::string("rand ") + name, in, "torch.rand_like(a[0])",
        [](const auto& a, const Ids&) { return rand<float>(a[0].shape(), generator); }, alone);
    forward(
        std::string("randn ") + name, in, "torch.randn_like(a[0])",
        [](const auto& a, const Ids&) { return randn<float>(a[0].shape(), generator); }, alone);
    forward(
        std::string("bernoulli ") + name, in, "torch.empty_like(a[0]).bernoulli_(0.3)",
        [](const auto& a, const Ids&) { return bernoulli<float>(a[0].shape(), generator, 0.3F); },
        alone);
    both(
        std::string("dropout ") + name, in, "F.dropout(a[0], 0.3)",
        [](const auto& a, const Ids&) { return dropout(a[0], 0.3F, generator); }, alone);
  }
  for (const auto& shape : {Shape{100000, 4}, Shape{10, 50257}}) {
    forward(
        "categorical " + to_string(shape), {plain(shape, 0, 1)}, "torch.multinomial(a[0], 1)",
        [](const auto& a, const Ids&) { return categorical(a[0], generator); }, alone);
  }
  for (const auto& [count, size] : {std::pair(1, 1000000), {1000, 100}}) {
    const std::string name = std::to_string(count) + " of " + std::to_string(size);
    std::vector<Variable<float>> parameters;
    for (int i = 0; i < count; ++i) {
      parameters.emplace_back(Tensor<float>::full({size}, 0.5F), true);
      sum(parameters.back()).backward();
    }
    const std::string made = "p = [torch.full((" + std::to_string(size) +
                             ",), 0.5) for _ in range(" + std::to_string(count) +
                             ")]\nfor x in p:\n  x.requires_grad_()\n  x.grad = "
                             "torch.ones_like(x)\n";
    const auto step = [&](const std::string& optimiser, const std::string& peer, const auto& ours) {
      forward(optimiser + " " + name, {}, "s.step()",
              [ours](const auto&, const Ids&) {
                ours->step();
                return Tensor<float>();
              },
              {.compared = false, .setup = made + "s = torch.optim." + peer});
    };
    step("AdamW", "AdamW(p, lr=1e-3, fused=True)",
         std::make_shared<ldlm::AdamW<float>>(parameters));
    step("SGD", "SGD(p, lr=1e-3, momentum=0.9, fused=True)",
         std::make_shared<ldlm::SGD<float>>(parameters, ldlm::SgdOptions{.momentum = 0.9}));
  }
}

}  // namespace

int main(int argc, char** argv) {
  add_unary();
  add_binary();
  add_reductions();
  add_rows();
  add_moves();
  add_products();
  add_steps();
  return run_benchmarks(argc, argv);
}
