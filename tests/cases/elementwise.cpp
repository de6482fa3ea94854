// Elementwise functions.

#include <array>
#include <utility>

#include <ldlm/autograd/functions/elementwise.hpp>

#include "table.hpp"

namespace ldlm::test {

namespace {

UnaryOp unary_of(const Call& call) {
  const auto wanted = call.option<std::string>("of");
  for (const UnaryOp op : all_ops<UnaryOp>) {
    if (name_of(op) == wanted) {
      return op;
    }
  }
  call.refuse("no such function");
}

/// The scalar `c` of a step as an element of x.
template <class V>
auto scalar_of(const V&, const Call& call, std::string_view key = "c") {
  return call.option<ElementType<V>>(key);
}

void add_in_place(Table& table) {
  const auto in_place = [&](std::string name, auto f) {
    table.add(std::move(name), Of::tensors, [=](Call& call) {
      visit_pair(call, ComputingTensors(), [&](const auto& x, const auto& y) { f(x, y, call); });
    });
  };
  const auto or_scalar = [&](std::string name, auto f) {
    table.add(std::move(name), Of::tensors, [=](Call& call) {
      if (call.has("c")) {
        visit_argument(call, 0, ComputingTensors(),
                       [&](const auto& x) { f(x, scalar_of(x, call)); });
      } else {
        visit_pair(call, ComputingTensors(), f);
      }
    });
  };
  or_scalar("add_", [](const auto& x, const auto& y) { add_(x, y); });
  or_scalar("mul_", [](const auto& x, const auto& y) { mul_(x, y); });
  or_scalar("operator+=", [](const auto& x, const auto& y) { x += y; });
  or_scalar("operator-=", [](const auto& x, const auto& y) { x -= y; });
  or_scalar("operator*=", [](const auto& x, const auto& y) { x *= y; });
  or_scalar("operator/=", [](const auto& x, const auto& y) { x /= y; });
  in_place("sub_", [](const auto& x, const auto& y, Call&) { sub_(x, y); });
  in_place("div_", [](const auto& x, const auto& y, Call&) { div_(x, y); });
  in_place("axpy_",
           [](const auto& y, const auto& x, Call& call) { axpy_(y, scalar_of(y, call), x); });
  table.add("unary_", Of::tensors, [](Call& call) {
    visit_argument(call, 0, ComputingTensors(), [&]<class V>(const V& x) {
      using T = ElementType<V>;
      unary_(unary_of(call), x, call.option<T>("a", T{}), call.option<T>("b", T{}));
    });
  });
}

void add_of_one(Table& table) {
  const FloatingValues floating;
  table.one("exp", Of::both, floating, [](const auto& x) { return exp(x); });
  table.one("log", Of::both, floating, [](const auto& x) { return log(x); });
  table.one("sqrt", Of::both, floating, [](const auto& x) { return sqrt(x); });
  table.one("rsqrt", Of::both, floating, [](const auto& x) { return rsqrt(x); });
  table.one("reciprocal", Of::both, floating, [](const auto& x) { return reciprocal(x); });
  table.one("sin", Of::both, floating, [](const auto& x) { return sin(x); });
  table.one("cos", Of::both, floating, [](const auto& x) { return cos(x); });
  table.one("tanh", Of::both, floating, [](const auto& x) { return tanh(x); });
  table.one("sigmoid", Of::both, floating, [](const auto& x) { return sigmoid(x); });
  table.one("erf", Of::both, floating, [](const auto& x) { return erf(x); });
  table.one("silu", Of::both, floating, [](const auto& x) { return silu(x); });
  table.one("gelu", Of::both, floating, [](const auto& x) { return gelu(x); });
  table.one("gelu_tanh", Of::both, floating, [](const auto& x) { return gelu_tanh(x); });
  const ComputingValues computing;
  table.one("neg", Of::both, computing, [](const auto& x) { return neg(x); });
  table.one("abs", Of::both, computing, [](const auto& x) { return abs(x); });
  table.one("square", Of::both, computing, [](const auto& x) { return square(x); });
  table.one("relu", Of::both, computing, [](const auto& x) { return relu(x); });
  table.one("clamp", Of::both, computing, [](const auto& x, Call& call) {
    return clamp(x, scalar_of(x, call, "low"), scalar_of(x, call, "high"));
  });
  table.one("unary", Of::tensors, ComputingTensors(), []<class V>(const V& x, Call& call) {
    using T = ElementType<V>;
    return unary(unary_of(call), x, call.option<T>("a", T{}), call.option<T>("b", T{}));
  });
}

void add_of_two(Table& table) {
  const ComputingValues computing;
  const auto or_scalar = [&](std::string name, auto f) {
    table.add(std::move(name), Of::both, [=](Call& call) {
      if (call.has("c")) {
        visit_argument(call, 0, computing,
                       [&](const auto& x) { call.give(f(x, scalar_of(x, call))); });
      } else {
        visit_pair(call, computing, [&](const auto& x, const auto& y) { call.give(f(x, y)); });
      }
    });
  };
  or_scalar("add", [](const auto& x, const auto& y) { return add(x, y); });
  or_scalar("mul", [](const auto& x, const auto& y) { return mul(x, y); });
  or_scalar("pow", [](const auto& x, const auto& y) { return pow(x, y); });
  table.two("sub", Of::both, computing, [](const auto& x, const auto& y) { return sub(x, y); });
  table.two("div", Of::both, computing, [](const auto& x, const auto& y) { return div(x, y); });
  table.two("minimum", Of::both, computing,
            [](const auto& x, const auto& y) { return minimum(x, y); });
  table.two("maximum", Of::both, computing,
            [](const auto& x, const auto& y) { return maximum(x, y); });
  or_scalar("eq", [](const auto& x, const auto& y) { return eq(x, y); });
  or_scalar("ne", [](const auto& x, const auto& y) { return ne(x, y); });
  or_scalar("lt", [](const auto& x, const auto& y) { return lt(x, y); });
  or_scalar("le", [](const auto& x, const auto& y) { return le(x, y); });
  or_scalar("gt", [](const auto& x, const auto& y) { return gt(x, y); });
  or_scalar("ge", [](const auto& x, const auto& y) { return ge(x, y); });
  const ComputingTensors tensors;
  table.two("equal", Of::tensors, tensors,
            [](const auto& x, const auto& y) { return Tensor<bool>::scalar(equal(x, y)); });
}

}  // namespace

void add_elementwise(Table& table) {
  add_of_one(table);
  add_of_two(table);
  add_in_place(table);
  table.add("where", Of::both, [](Call& call) {
    Call branches{call.op, {&call.arg(1), &call.arg(2)}, call.options};
    visit_pair(branches, ComputingValues(), [&](const auto& x, const auto& y) {
      call.give(where(call.as<Tensor<bool>>(0), x, y));
    });
  });
  table.add("cast", Of::both, [](Call& call) {
    const auto wanted = call.option<std::string>("to");
    bool known = false;
    visit_dtypes([&]<class To>(std::type_identity<To>) {
      if (name_of(dtype_of<To>) != wanted) {
        return;
      }
      known = true;
      visit_argument(call, 0, AllValues(), [&]<class V>(const V& x) {
        if constexpr (!is_variable<V> || std::floating_point<To>) {
          call.give(cast<To>(x));
        } else {
          call.refuse("a Variable becomes float or double only");
        }
      });
    });
    LDLM_CHECK(known, "cases", "no element type is called ", wanted);
  });
}

}  // namespace ldlm::test
