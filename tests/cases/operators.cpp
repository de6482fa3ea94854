// Operators, between tensors, Variables and numbers.

#include <ldlm/autograd/functions/elementwise.hpp>

#include "table.hpp"

namespace ldlm::test {

namespace {

/// An operator of two values, of a value and a number `c`, or of a number `left` and a value.
template <class F>
void add_operator(Table& table, std::string name, F f) {
  table.add(std::move(name), Of::both, [=](Call& call) {
    if (call.has("c")) {
      visit_argument(call, 0, FloatingValues(), [&](const auto& x) {
        call.give(f(x, call.option<ElementType<decltype(x)>>("c")));
      });
    } else if (call.has("left")) {
      visit_argument(call, 0, FloatingValues(), [&](const auto& x) {
        call.give(f(call.option<ElementType<decltype(x)>>("left"), x));
      });
    } else {
      visit_pair(call, FloatingValues(), [&](const auto& x, const auto& y) { call.give(f(x, y)); });
    }
  });
}

}  // namespace

void add_operators(Table& table) {
  add_operator(table, "operator+", [](const auto& x, const auto& y) { return x + y; });
  add_operator(table, "operator*", [](const auto& x, const auto& y) { return x * y; });
  add_operator(table, "operator/", [](const auto& x, const auto& y) { return x / y; });
  table.add("operator-", Of::both, [](Call& call) {
    if (call.args.size() == 1 && !call.has("c") && !call.has("left")) {
      visit_argument(call, 0, FloatingValues(), [&](const auto& x) { call.give(-x); });
      return;
    }
    Table difference;
    add_operator(difference, "operator-", [](const auto& x, const auto& y) { return x - y; });
    difference.run(call);
  });
}

}  // namespace ldlm::test
