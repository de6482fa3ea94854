#pragma once
// The engine: runs the nodes that a result was computed from, each after all that use it.

#include <vector>

#include <ldlm/autograd/node.hpp>

namespace ldlm {

/// Sends the gradient that `root` holds back through its graph. Iterative: the depth of the graph
/// costs no stack. Not for two threads at once on graphs that share nodes (leaves included).
/// Throws Error if a saved value was changed in place or is already freed; the gradients of leaves
/// are then incomplete.
inline void run_backward(Node& root, bool retain_graph) {
  // Leaves take their gradients as they come and need no turn.
  const auto each_input = [](const Node& node, auto&& visit) {
    for (const NodeRef& input : node.inputs_) {
      if (input.get() != nullptr && !input.get()->is_leaf()) {
        visit(input.get());
      }
    }
  };

  struct Reached {
    std::vector<Node*> nodes;
    bool finished = false;
    ~Reached() {
      if (!finished) {
        for (Node* const node : nodes) {
          node->pending_ = 0;
          node->drop_gradient();
        }
      }
    }
  } reached;

  // While a checkpoint repeats its function, nodes of the graph around it are out of bounds: their
  // own turn may be over.
  const std::uint64_t graph = detail::recording().graph;
  const auto check_graph = [graph](const Node& node) {
    LDLM_CHECK_STATE(graph == 0 || node.graph_ == graph, "checkpoint",
                     "the function uses a result of '", node.name(),
                     "' that was computed outside of it; pass it among the inputs");
  };

  check_graph(root);
  reached.nodes.push_back(&root);
  for (std::size_t i = 0; i < reached.nodes.size(); ++i) {
    each_input(*reached.nodes[i], [&](Node* input) {
      check_graph(*input);
      if (input->pending_++ == 0) {
        reached.nodes.push_back(input);
      }
    });
  }

  std::vector<Node*> ready{&root};
  while (!ready.empty()) {
    Node* const node = ready.back();
    ready.pop_back();
    node->run(retain_graph);
    each_input(*node, [&](Node* input) {
      if (--input->pending_ == 0) {
        ready.push_back(input);
      }
    });
  }
  reached.finished = true;
}

}  // namespace ldlm
