// Views, copies, and the steps that make graphs: leaves, backward passes, gradients.

#include <ldlm/autograd/functions/shape.hpp>

#include "table.hpp"

namespace ldlm::test {

namespace {

Shape shape_option(const Call& call) {
  return Shape(call.option<std::vector<std::int64_t>>("shape"));
}

/// All arguments as Vs.
template <class V>
std::vector<V> all_as(const Call& call) {
  std::vector<V> parts;
  for (std::size_t i = 0; i < call.args.size(); ++i) {
    parts.push_back(call.as<V>(i));
  }
  return parts;
}

void add_methods(Table& table) {
  const AllValues all;
  const Of both = Of::both;
  table.one("slice", both, all, [](const auto& x, Call& call) {
    return x.slice(call.option<int>("axis"), call.option<std::int64_t>("start"),
                   call.option<std::int64_t>("stop", to_end), call.option<std::int64_t>("step", 1));
  });
  table.one("select", both, all, [](const auto& x, Call& call) {
    return x.select(call.option<int>("axis"), call.option<std::int64_t>("index"));
  });
  table.one("permute", both, all, [](const auto& x, Call& call) {
    return x.permute(call.option<std::vector<int>>("order"));
  });
  table.one("transpose", both, all, [](const auto& x, Call& call) {
    return x.transpose(call.option<int>("a"), call.option<int>("b"));
  });
  table.one("expand", both, all,
            [](const auto& x, Call& call) { return x.expand(shape_option(call)); });
  table.one("unsqueeze", both, all,
            [](const auto& x, Call& call) { return x.unsqueeze(call.option<int>("axis")); });
  table.one("squeeze", both, all,
            [](const auto& x, Call& call) { return x.squeeze(call.option<int>("axis")); });
  table.one("reshape", both, all,
            [](const auto& x, Call& call) { return x.reshape(shape_option(call)); });
  table.one("flatten", both, all, [](const auto& x, Call& call) {
    return x.flatten(call.option<int>("first"), call.option<int>("last"));
  });
  table.one("contiguous", both, all, [](const auto& x) { return x.contiguous(); });
  table.one("clone", Of::tensors, AllTensors(), [](const auto& x) { return x.clone(); });
  table.add("fill_", Of::tensors, [](Call& call) {
    visit_argument(call, 0, ComputingTensors(),
                   [&](const auto& x) { x.fill_(call.option<ElementType<decltype(x)>>("c")); });
  });
  table.add("copy_", Of::tensors, [](Call& call) {
    visit_argument(call, 0, AllTensors(), [&]<class V>(const V& x) { x.copy_(call.as<V>(1)); });
  });
}

void add_graphs(Table& table) {
  table.one("leaf", Of::variables, FloatingTensors(),
            [](const auto& x) { return Variable(x, true); });
  table.one("constant", Of::variables, FloatingTensors(),
            [](const auto& x) { return Variable(x); });
  table.one("detach", Of::variables, Variables(), [](const auto& x) { return x.detach(); });
  table.one("value", Of::variables, Variables(), [](const auto& x) { return x.value(); });
  /// The gradient that has come; of none, zeros.
  table.one("grad", Of::variables, Variables(), []<class V>(const V& x) {
    return x.grad().defined() ? x.grad() : Tensor<ElementType<V>>::zeros(x.shape(), x.device());
  });
  table.add("backward", Of::variables, [](Call& call) {
    visit_argument(call, 0, Variables(), [&]<class V>(const V& x) {
      x.backward({call.optional<Tensor<ElementType<V>>>(1), call.option<bool>("retain", false)});
    });
  });
}

}  // namespace

void add_views(Table& table) {
  add_methods(table);
  add_graphs(table);
  table.one("concat", Of::both, AllValues(), []<class V>(const V&, Call& call) {
    return concat(all_as<V>(call), call.option<int>("axis"));
  });
  table.one("stack", Of::both, AllValues(), []<class V>(const V&, Call& call) {
    return stack(all_as<V>(call), call.option<int>("axis"));
  });
  table.one("pad", Of::both, ComputingValues(), [](const auto& x, Call& call) {
    return pad(x, call.option<int>("axis"), call.option<std::int64_t>("before"),
               call.option<std::int64_t>("after"), call.option<ElementType<decltype(x)>>("value"));
  });
  table.add("split", Of::both, [](Call& call) {
    visit_argument(call, 0, AllValues(), [&](const auto& x) {
      for (auto& part : split(x, call.option<std::int64_t>("extent"), call.option<int>("axis"))) {
        call.give(part);
      }
    });
  });
}

}  // namespace ldlm::test
