// NaN, infinities, signed zeros, subnormal and huge numbers, ties and single elements through every
// function, forward and backward, beside PyTorch's results (tests/golden/kernels): the reference
// kernels, which are the oracle of the other tests, have to stand up to these themselves.

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <set>
#include <sstream>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/models/pooling.hpp>

#include "paths.hpp"

using namespace ldlm;

namespace {

const SafetensorsFile& golden() {
  static const auto file =
      SafetensorsFile::open(ldlm_test::data_dir() + "/golden/kernels/special.safetensors");
  return file;
}

template <class T>
using Inputs = std::vector<Variable<T>>;

/// A case: its function and how far a finite result may lie off, relatively and absolutely, in
/// units of the type's epsilon. With neither, it has to be exact, sign of zero and all.
template <class T>
struct Case {
  std::function<Variable<T>(const Inputs<T>&)> function;
  double relative = 0, absolute = 0;
};

template <class T>
using Cases = std::map<std::string, Case<T>, std::less<>>;

template <class T>
Cases<T> make_cases() {
  constexpr T inf = std::numeric_limits<T>::infinity();
  // Results of exp, and what is made of it, may be zeros where they would be that small.
  constexpr double flushed = 256 * static_cast<double>(std::numeric_limits<T>::min()) /
                             static_cast<double>(std::numeric_limits<T>::epsilon());
  Cases<T> cases;
  const auto unary = [&](const std::string& name, double relative, double absolute, auto function) {
    cases[name] = {[function](const Inputs<T>& in) { return function(in[0]); }, relative, absolute};
  };
  const auto binary = [&](const std::string& name, double relative, auto function) {
    cases[name] = {[function](const Inputs<T>& in) { return function(in[0], in[1]); }, relative};
  };
  const auto flat = [](const Tensor<bool>& x) { return Variable<T>(cast<T>(x)); };
  using V = const Variable<T>&;

  unary("neg", 0, 0, [](V x) { return -x; });
  unary("abs", 0, 0, [](V x) { return abs(x); });
  unary("exp", 4, flushed, [](V x) { return exp(x); });
  unary("log", 4, 0, [](V x) { return log(x); });
  unary("sqrt", 2, 0, [](V x) { return sqrt(x); });
  unary("rsqrt", 4, 0, [](V x) { return rsqrt(x); });
  unary("square", 0, 0, [](V x) { return square(x); });
  unary("reciprocal", 2, 0, [](V x) { return reciprocal(x); });
  unary("sin", 4, 0, [](V x) { return sin(x); });
  unary("cos", 4, 0, [](V x) { return cos(x); });
  unary("tanh", 8, 2, [](V x) { return tanh(x); });
  unary("sigmoid", 8, 2, [](V x) { return sigmoid(x); });
  unary("erf", 8, flushed, [](V x) { return erf(x); });
  unary("relu", 0, 0, [](V x) { return relu(x); });
  unary("silu", 8, flushed, [](V x) { return silu(x); });
  unary("gelu", 8, 16, [](V x) { return gelu(x); });
  unary("gelu_tanh", 64, 64, [](V x) { return gelu_tanh(x); });
  unary("add_1", 0, 0, [](V x) { return x + T{1}; });
  unary("add_inf", 0, 0, [](V x) { return x + inf; });
  unary("mul_2", 0, 0, [](V x) { return x * T{2}; });
  unary("mul_0", 0, 0, [](V x) { return x * T{0}; });
  unary("mul_inf", 0, 0, [](V x) { return x * inf; });
  unary("clamp", 0, 0, [](V x) { return clamp(x, T{-1}, T{2}); });
  unary("clamp_crossed", 0, 0, [](V x) { return clamp(x, T{2}, T{-1}); });
  unary("clamp_equal", 0, 0, [](V x) { return clamp(x, T{0}, T{0}); });
  unary("clamp_open", 0, 0, [](V x) { return clamp(x, -inf, inf); });
  for (const auto& [name, exponent] : std::map<std::string, double>{{"0", 0},
                                                                    {"1", 1},
                                                                    {"2", 2},
                                                                    {"3", 3},
                                                                    {"-1", -1},
                                                                    {"-2", -2},
                                                                    {"0.5", 0.5},
                                                                    {"-0.5", -0.5},
                                                                    {"1.5", 1.5}}) {
    unary("pow_" + name, 4, flushed, [e = static_cast<T>(exponent)](V x) { return pow(x, e); });
  }

  binary("add", 0, [](V a, V b) { return a + b; });
  binary("sub", 0, [](V a, V b) { return a - b; });
  binary("mul", 0, [](V a, V b) { return a * b; });
  binary("div", 2, [](V a, V b) { return a / b; });
  binary("pow", 8, [](V a, V b) { return pow(a, b); });
  binary("minimum", 0, [](V a, V b) { return minimum(a, b); });
  binary("maximum", 0, [](V a, V b) { return maximum(a, b); });
  binary("eq", 0, [flat](V a, V b) { return flat(eq(a.value(), b.value())); });
  binary("ne", 0, [flat](V a, V b) { return flat(ne(a.value(), b.value())); });
  binary("lt", 0, [flat](V a, V b) { return flat(lt(a.value(), b.value())); });
  binary("le", 0, [flat](V a, V b) { return flat(le(a.value(), b.value())); });
  binary("gt", 0, [flat](V a, V b) { return flat(gt(a.value(), b.value())); });
  binary("ge", 0, [flat](V a, V b) { return flat(ge(a.value(), b.value())); });
  binary("where", 0, [](V a, V b) { return where(lt(a.value(), b.value()), a, b); });

  unary("sum", 8, 64, [](V x) { return sum(x, -1); });
  unary("mean", 8, 16, [](V x) { return mean(x, -1); });
  unary("max", 0, 0, [](V x) { return max(x, -1); });
  unary("min", 0, 0, [](V x) { return min(x, -1); });
  unary("norm", 8, 4, [](V x) { return norm(x, -1); });
  unary("var", 8, 2000, [](V x) { return var(x, -1); });
  unary("var_population", 8, 2000, [](V x) { return var(x, -1, 0); });
  unary("var_size", 8, 0, [](V x) { return var(x, -1, static_cast<int>(x.size(-1))); });
  unary("var_beyond", 8, 0, [](V x) { return var(x, -1, static_cast<int>(x.size(-1)) + 1); });
  unary("argmax", 0, 0, [](V x) { return Variable<T>(cast<T>(argmax(x.value()))); });
  unary("argmin", 0, 0, [](V x) { return Variable<T>(cast<T>(argmin(x.value()))); });
  unary("top_k", 1, 0, [](V x) { return top_k(x, std::min<std::int64_t>(3, x.size(-1))).values; });
  unary("softmax", 16, 16, [](V x) { return softmax(x); });
  unary("log_softmax", 16, 64, [](V x) { return log_softmax(x); });
  unary("layer_norm", 16, 2000, [](V x) { return layer_norm(x, {}, {}, static_cast<T>(1e-5)); });
  unary("rms_norm", 16, 2000, [](V x) { return rms_norm(x, {}, static_cast<T>(1e-6)); });
  unary("normalize_rows", 16, 4, [](V x) { return normalize_rows(x); });
  for (const bool smooth : {false, true}) {
    unary(smooth ? "cross_entropy_smooth" : "cross_entropy", 16, 16, [smooth](V x) {
      std::vector<Variable<T>> losses;
      for (std::int64_t i = 0; i < x.size(0); ++i) {
        const auto target = Tensor<std::int64_t>::full({1}, i % x.size(1), x.device());
        losses.push_back(cross_entropy(x.slice(0, i, i + 1), target,
                                       {.label_smoothing = static_cast<T>(smooth ? 0.1 : 0)}));
      }
      return stack(losses);
    });
  }
  return cases;
}

template <class T>
bool is_right(T got, T want, const Case<T>& c) {
  if (std::isnan(want) || std::isnan(got)) {
    return std::isnan(want) && std::isnan(got);
  }
  if (got == want) {
    return c.relative > 0 || std::signbit(got) == std::signbit(want);
  }
  const auto expected = static_cast<double>(want);
  return std::isfinite(want) && std::abs(static_cast<double>(got) - expected) <=
                                    static_cast<double>(std::numeric_limits<T>::epsilon()) *
                                        (c.relative * std::abs(expected) + c.absolute);
}

template <class T>
void check_against_golden(Device device, const std::string& type) {
  const Cases<T> cases = make_cases<T>();
  const auto load = [&](const std::string& name) {
    return golden().load<T>(type + "." + name).to_vector();
  };
  const auto variable = [&](const std::string& name) {
    const Tensor<T> x = golden().load<T>(type + "." + name);
    const Tensor<T> out = Tensor<T>::empty(x.shape(), device);
    std::copy_n(x.data(), x.numel(), out.data());
    return Variable<T>(out, true);
  };
  std::set<std::string> run;
  for (const std::string& full : golden().names()) {
    if (!full.starts_with(type + ".") || !full.ends_with(".out")) {
      continue;
    }
    const std::string stem = full.substr(type.size() + 1, full.size() - type.size() - 5);
    const auto dot = stem.rfind('.');
    const std::string name = stem.substr(0, dot);
    const std::string kind = stem.substr(dot + 1);
    const auto found = cases.find(name);
    REQUIRE_MESSAGE(found != cases.end(), "no function for " << name);
    run.insert(name);
    Inputs<T> in{variable("in." + kind)};
    if (kind == "left") {
      in.push_back(variable("in.right"));
    }
    const auto compare = [&](const Tensor<T>& result, const std::string& what) {
      const std::vector<T> got = result.to_vector();
      const std::vector<T> want = load(stem + "." + what);
      const std::string also = stem + "." + what + ".also";
      const std::vector<T> other = golden().contains(type + "." + also) ? load(also) : want;
      REQUIRE(got.size() == want.size());
      const std::size_t width = got.size() / static_cast<std::size_t>(in[0].size(0));
      for (std::size_t i = 0; i < got.size(); ++i) {
        if (!is_right(got[i], want[i], found->second) &&
            !is_right(got[i], other[i], found->second)) {
          std::ostringstream text;
          text.precision(9);
          for (const Variable<T>& x : in) {
            for (const T element :
                 x.value().select(0, static_cast<std::int64_t>(i / width)).to_vector()) {
              text << " " << element;
            }
            text << ";";
          }
          text.precision(17);
          text << " element " << i % width << ": " << got[i] << " instead of " << want[i];
          FAIL_CHECK(stem << " " << what << " of" << text.str());
        }
      }
    };
    const Variable<T> out = found->second.function(in);
    compare(out.value(), "out");
    if (golden().contains(type + "." + stem + ".grad0")) {
      out.backward({.seed = Tensor<T>::ones(out.shape(), device)});
      for (std::size_t i = 0; i < in.size(); ++i) {
        compare(in[i].grad(), "grad" + std::to_string(i));
      }
    }
  }
  CHECK(run.size() == cases.size());
}

}  // namespace

TEST_CASE("special values: the reference") {
  check_against_golden<float>(reference_cpu, "f32");
  check_against_golden<double>(reference_cpu, "f64");
}
TEST_CASE("special values: the CPU's kernels") {
  check_against_golden<float>(cpu, "f32");
  check_against_golden<double>(cpu, "f64");
}
