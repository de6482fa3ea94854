#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <ldlm/core/registry.hpp>

// The reference's backward kernels against central differences in double. The other backends'
// are tested against the reference's.

using namespace ldlm;

namespace {

using Values = std::vector<double>;
using Arrays = std::vector<Values>;
using Forward = std::function<Values(const Arrays& inputs)>;
using Backward = std::function<Arrays(const Arrays& inputs, const Values& dy)>;

const KernelTable<double>& kernel_table() {
  return kernels<double>(reference_cpu);
}

View<double> view(Values& x, const Shape& shape) {
  return {x.data(), Layout(shape)};
}
View<const double> view(const Values& x, const Shape& shape) {
  return {x.data(), Layout(shape)};
}

Values random_values(std::int64_t n, double low, double high, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  Values x(static_cast<std::size_t>(n));
  for (double& value : x) {
    value = uniform(engine);
  }
  return x;
}

/// Gradients of sum(dy * forward(inputs)) by the kernel and by central differences.
void check_gradients(const std::string& name, Arrays inputs, const Forward& forward,
                     const Backward& backward) {
  const Values dy = random_values(static_cast<std::int64_t>(forward(inputs).size()), -1, 1, 77);
  const auto weighted = [&] {
    const Values y = forward(inputs);
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      sum += dy[i] * y[i];
    }
    return sum;
  };
  const Arrays gradients = backward(inputs, dy);
  REQUIRE(gradients.size() == inputs.size());
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    REQUIRE(gradients[k].size() == inputs[k].size());
    for (std::size_t i = 0; i < inputs[k].size(); ++i) {
      const double kept = inputs[k][i];
      const double h = 1e-5;
      inputs[k][i] = kept + h;
      const double above = weighted();
      inputs[k][i] = kept - h;
      const double below = weighted();
      inputs[k][i] = kept;
      const double expected = (above - below) / (2 * h);
      CHECK_MESSAGE(std::abs(gradients[k][i] - expected) < 1e-8 + 1e-7 * std::abs(expected),
                    name << ": input " << k << ", element " << i << ": " << gradients[k][i]
                         << " instead of " << expected);
    }
  }
}

TEST_CASE("unary_backward") {
  struct Case {
    UnaryOp op;
    double low, high, a, b;
  };
  const std::vector<Case> cases = {
      {UnaryOp::neg, -2, 2, 0, 0},           {UnaryOp::abs, 0.1, 2, 0, 0},
      {UnaryOp::abs, -2, -0.1, 0, 0},        {UnaryOp::exp, -2, 2, 0, 0},
      {UnaryOp::log, 0.5, 2, 0, 0},          {UnaryOp::sqrt, 0.5, 2, 0, 0},
      {UnaryOp::rsqrt, 0.5, 2, 0, 0},        {UnaryOp::square, -2, 2, 0, 0},
      {UnaryOp::reciprocal, 0.5, 2, 0, 0},   {UnaryOp::sin, -4, 4, 0, 0},
      {UnaryOp::cos, -4, 4, 0, 0},           {UnaryOp::tanh, -3, 3, 0, 0},
      {UnaryOp::sigmoid, -5, 5, 0, 0},       {UnaryOp::erf, -2, 2, 0, 0},
      {UnaryOp::relu, 0.1, 2, 0, 0},         {UnaryOp::relu, -2, -0.1, 0, 0},
      {UnaryOp::silu, -5, 5, 0, 0},          {UnaryOp::gelu, -4, 4, 0, 0},
      {UnaryOp::gelu_tanh, -4, 4, 0, 0},     {UnaryOp::add_scalar, -2, 2, 3, 0},
      {UnaryOp::mul_scalar, -2, 2, -0.7, 0}, {UnaryOp::pow_scalar, 0.5, 2, 2.5, 0},
      {UnaryOp::pow_scalar, 0.5, 2, 0, 0},   {UnaryOp::clamp, -0.4, 0.7, -0.5, 0.8},
      {UnaryOp::clamp, 1, 2, -0.5, 0.8},     {UnaryOp::clamp, -2, -1, -0.5, 0.8},
  };
  for (const UnaryOp op : ldlm::all_ops<UnaryOp>) {
    INFO(ldlm::name_of(op));
    CHECK(std::any_of(cases.begin(), cases.end(), [op](const Case& c) { return c.op == op; }));
  }
  const Shape shape{20};
  for (const Case& c : cases) {
    const Forward forward = [&](const Arrays& in) {
      Values y(20);
      kernel_table().unary(c.op, view(in[0], shape), view(y, shape), c.a, c.b);
      return y;
    };
    check_gradients("unary " + std::to_string(static_cast<int>(c.op)),
                    {random_values(20, c.low, c.high, 3)}, forward,
                    [&](const Arrays& in, const Values& dy) {
                      const Values saved = saves_output(c.op) ? forward(in) : in[0];
                      Values dx(20);
                      kernel_table().unary_backward(c.op, view(saved, shape), view(dy, shape),
                                                    view(dx, shape), c.a, c.b);
                      return Arrays{dx};
                    });
  }
}

TEST_CASE("softmax_backward and log_softmax_backward") {
  const Shape shape{3, 7};
  const auto check = [&](const char* name, auto forward_entry, auto backward_entry) {
    const Forward forward = [&, forward_entry](const Arrays& in) {
      Values y(21);
      (kernel_table().*forward_entry)(view(in[0], shape), view(y, shape));
      return y;
    };
    check_gradients(
        name, {random_values(21, -2, 2, 1)}, forward, [&](const Arrays& in, const Values& dy) {
          const Values y = forward(in);
          Values dx(21);
          (kernel_table().*backward_entry)(view(y, shape), view(dy, shape), view(dx, shape));
          return Arrays{dx};
        });
  };
  check("softmax", &KernelTable<double>::softmax, &KernelTable<double>::softmax_backward);
  check("log_softmax", &KernelTable<double>::log_softmax,
        &KernelTable<double>::log_softmax_backward);
}

TEST_CASE("layer_norm_backward and rms_norm_backward") {
  const Shape shape{4, 6};
  const Shape rows{4};
  const Shape columns{6};
  const double epsilon = 1e-3;
  Values mean(4), rstd(4), sum(24);
  const Arrays inputs{random_values(24, -2, 2, 1), random_values(24, -2, 2, 4),
                      random_values(6, 0.5, 2, 2), random_values(6, -1, 1, 3)};
  const Forward forward = [&](const Arrays& in) {
    Values y(24);
    kernel_table().layer_norm(view(in[0], shape), view(in[1], shape), view(in[2], columns),
                              view(in[3], columns), epsilon, view(sum, shape), view(y, shape),
                              view(mean, rows), view(rstd, rows));
    return y;
  };
  check_gradients("layer_norm", inputs, forward, [&](const Arrays& in, const Values& dy) {
    forward(in);  // fills the statistics
    Values dx(24), dgamma(6), dbeta(6);
    const Values &s = sum, &m = mean, &r = rstd;
    kernel_table().layer_norm_backward(view(s, shape), view(in[2], columns), view(m, rows),
                                       view(r, rows), view(dy, shape), view(dx, shape),
                                       view(dgamma, columns), view(dbeta, columns));
    return Arrays{dx, dx, dgamma, dbeta};  // x and the residual get the same
  });

  const Forward rms = [&](const Arrays& in) {
    Values y(24);
    kernel_table().rms_norm(view(in[0], shape), view(in[1], columns), epsilon, view(y, shape),
                            view(rstd, rows));
    return y;
  };
  check_gradients("rms_norm", {inputs[0], inputs[2]}, rms, [&](const Arrays& in, const Values& dy) {
    rms(in);
    Values dx(24), dgamma(6);
    const Values& r = rstd;
    kernel_table().rms_norm_backward(view(in[0], shape), view(in[1], columns), view(r, rows),
                                     view(dy, shape), view(dx, shape), view(dgamma, columns));
    return Arrays{dx, dgamma};
  });
}

TEST_CASE("cross_entropy_backward") {
  const Shape shape{5, 7};
  const Shape rows{5};
  const std::vector<std::int64_t> ids{3, -100, 0, 6, 3};
  const View<const std::int64_t> targets(ids.data(), Layout(rows));
  for (const double smoothing : {0.0, 0.2}) {
    Values lse(5);
    const Forward forward = [&](const Arrays& in) {
      Values loss(5);
      kernel_table().cross_entropy(view(in[0], shape), targets, -100, smoothing, view(loss, rows),
                                   view(lse, rows));
      return loss;
    };
    check_gradients("cross_entropy", {random_values(35, -2, 2, 1)}, forward,
                    [&](const Arrays& in, const Values& dy) {
                      forward(in);
                      Values dx(35);
                      const Values& saved = lse;
                      kernel_table().cross_entropy_backward(view(in[0], shape), targets, -100,
                                                            smoothing, view(saved, rows),
                                                            view(dy, rows), view(dx, shape));
                      return Arrays{dx};
                    });
  }
}

TEST_CASE("attention_backward") {
  const std::int64_t B = 2, H = 2, Tq = 3, Tk = 5, D = 4;
  const Shape q_shape{B, H, Tq, D};
  const Shape k_shape{B, H, Tk, D};
  Values mask = random_values(B * H * Tq * Tk, -1, 1, 8);
  mask[2] = -std::numeric_limits<double>::infinity();
  std::fill(mask.begin() + Tk, mask.begin() + 2 * Tk, -std::numeric_limits<double>::infinity());
  for (const bool causal : {false, true}) {
    for (const bool masked : {false, true}) {
      for (const double dropout : {0.0, 0.4}) {
        Values lse(static_cast<std::size_t>(B * H * Tq));
        Values out(static_cast<std::size_t>(q_shape.numel()));
        const auto arguments = [&](const Arrays& in) {
          Attention<double> args;
          args.q = view(in[0], q_shape);
          args.k = view(in[1], k_shape);
          args.v = view(in[2], k_shape);
          args.out = view(out, q_shape);
          args.lse = view(lse, {B, H, Tq});
          args.causal = causal;
          args.scale = 0.6;
          args.dropout = dropout;
          args.stream = {5, 6};
          if (masked) {
            const Values& m = mask;
            args.mask = view(m, {B, H, Tq, Tk});
          }
          return args;
        };
        check_gradients(
            "attention",
            {random_values(q_shape.numel(), -1, 1, 1), random_values(k_shape.numel(), -1, 1, 2),
             random_values(k_shape.numel(), -1, 1, 3)},
            [&](const Arrays& in) {
              kernel_table().attention(arguments(in));
              return out;
            },
            [&](const Arrays& in, const Values& dy) {
              AttentionBackward<double> args;
              args.forward = arguments(in);
              kernel_table().attention(args.forward);
              args.grad_out = view(dy, q_shape);
              Arrays gradients(3);
              for (std::size_t i = 0; i < 3; ++i) {
                gradients[i].resize(in[i].size());
              }
              args.grad_q = view(gradients[0], q_shape);
              args.grad_k = view(gradients[1], k_shape);
              args.grad_v = view(gradients[2], k_shape);
              kernel_table().attention_backward(args);
              return gradients;
            });
      }
    }
  }
}

}  // namespace
