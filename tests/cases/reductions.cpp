// Reductions, positions of extremes, and indexing.

#include <ldlm/autograd/functions/index.hpp>
#include <ldlm/autograd/functions/reduce.hpp>

#include "table.hpp"

namespace ldlm::test {

namespace {

/// `axes`: up to six of them, or all where there is no such option.
Axes axes_option(const Call& call) {
  if (!call.has("axes")) {
    return all_axes;
  }
  const auto axes = call.option<std::vector<int>>("axes");
  switch (axes.size()) {
    case 0:
      return Axes{};
    case 1:
      return Axes{axes[0]};
    case 2:
      return Axes{axes[0], axes[1]};
    case 3:
      return Axes{axes[0], axes[1], axes[2]};
    default:
      call.refuse("more axes than three are written as all");
  }
}

bool keep_option(const Call& call) {
  return call.option<bool>("keep", false);
}

const Tensor<std::int64_t>& ids_of(const Call& call, std::size_t i) {
  return call.as<Tensor<std::int64_t>>(i);
}

}  // namespace

void add_reductions(Table& table) {
  const ComputingValues computing;
  table.one("sum", Of::both, computing,
            [](const auto& x, Call& call) { return sum(x, axes_option(call), keep_option(call)); });
  table.one("max", Of::both, computing,
            [](const auto& x, Call& call) { return max(x, axes_option(call), keep_option(call)); });
  table.one("min", Of::both, computing,
            [](const auto& x, Call& call) { return min(x, axes_option(call), keep_option(call)); });
  table.one("sum_to", Of::both, computing, [](const auto& x, Call& call) {
    return sum_to(x, Shape(call.option<std::vector<std::int64_t>>("shape")));
  });
  const FloatingValues floating;
  table.one("mean", Of::both, floating, [](const auto& x, Call& call) {
    return mean(x, axes_option(call), keep_option(call));
  });
  table.one("norm", Of::both, floating, [](const auto& x, Call& call) {
    return norm(x, axes_option(call), keep_option(call));
  });
  table.one("var", Of::both, floating, [](const auto& x, Call& call) {
    return var(x, axes_option(call), call.option<int>("correction"), keep_option(call));
  });
  table.one("argmax", Of::both, computing,
            [](const auto& x, Call& call) { return argmax(x, call.option<int>("axis")); });
  table.one("argmin", Of::both, computing,
            [](const auto& x, Call& call) { return argmin(x, call.option<int>("axis")); });
  table.add("top_k", Of::both, [](Call& call) {
    visit_argument(call, 0, ComputingValues(), [&](const auto& x) {
      auto found = top_k(x, call.option<std::int64_t>("k"));
      call.give(found.values);
      call.give(found.indices);
    });
  });
}

void add_indexing(Table& table) {
  const ComputingValues computing;
  table.one("embedding", Of::both, AllValues(),
            [](const auto& x, Call& call) { return embedding(x, ids_of(call, 1)); });
  table.one("index_select", Of::both, AllValues(), [](const auto& x, Call& call) {
    return index_select(x, call.option<int>("axis"), ids_of(call, 1));
  });
  table.one("gather", Of::both, computing, [](const auto& x, Call& call) {
    return gather(x, call.option<int>("axis"), ids_of(call, 1));
  });
  table.add("index_add_", Of::tensors, [](Call& call) {
    visit_argument(call, 0, ComputingTensors(),
                   [&]<class V>(const V& out) { index_add_(out, ids_of(call, 1), call.as<V>(2)); });
  });
  table.add("index_copy_", Of::tensors, [](Call& call) {
    visit_argument(call, 0, AllTensors(), [&]<class V>(const V& out) {
      index_copy_(out, ids_of(call, 1), call.as<V>(2));
    });
  });
  table.add("scatter_add_", Of::tensors, [](Call& call) {
    visit_argument(call, 0, ComputingTensors(), [&]<class V>(const V& out) {
      scatter_add_(out, call.option<int>("axis"), ids_of(call, 1), call.as<V>(2));
    });
  });
}

}  // namespace ldlm::test
