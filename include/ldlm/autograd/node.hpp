#pragma once
// Node: a vertex of the graph that the backward pass walks, one for each Variable with a gradient.
//
// A node owns the nodes of the inputs that it was computed from and holds no values of them, except
// what its function saved. Gradients flow into it through accumulate() or open(); run(), called by
// the engine once all have arrived, sends them on to the inputs.

#include <atomic>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/autograd/saved.hpp>
#include <ldlm/autograd/scopes.hpp>
#include <ldlm/core/ops/elementwise.hpp>

namespace ldlm {

class Node;

/// Shared handle of a node. Null by default.
class NodeRef {
 public:
  NodeRef() = default;
  explicit NodeRef(Node* node) noexcept;
  NodeRef(const NodeRef& other) noexcept : NodeRef(other.node_) {}
  NodeRef(NodeRef&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  NodeRef& operator=(NodeRef other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~NodeRef();

  [[nodiscard]] Node* get() const noexcept { return node_; }

 private:
  friend class Node;
  Node* node_ = nullptr;
};

class Node {
 public:
  /// `inputs` has a null for each input without a gradient; it is empty for a leaf.
  Node(std::string_view name, DType dtype, std::span<Node* const> inputs)
      : name_(name), dtype_(dtype), graph_(detail::recording().graph) {
    inputs_.reserve(inputs.size());
    for (Node* const input : inputs) {
      inputs_.emplace_back(input);
    }
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  virtual ~Node() = default;

  /// The function's name, for error messages.
  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  /// Of the value's elements, and so of the gradient's.
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] bool is_leaf() const noexcept { return inputs_.empty(); }
  [[nodiscard]] std::span<const NodeRef> inputs() const noexcept { return inputs_; }

  /// Sends the gradient on to the inputs and forgets it, and what was saved unless `retain_graph`.
  virtual void run(bool retain_graph) = 0;
  /// Forgets the gradient, after a backward pass that failed.
  virtual void drop_gradient() noexcept = 0;

 private:
  friend class NodeRef;
  friend void run_backward(Node& root, bool retain_graph);

  /// Destroys a node and all that it alone kept alive, without recursion however long the chain.
  static void destroy(Node* node) noexcept {
    Node* doomed = node;
    while (doomed != nullptr) {
      Node* const current = doomed;
      doomed = current->next_doomed_;
      for (NodeRef& input : current->inputs_) {
        Node* const child = std::exchange(input.node_, nullptr);
        if (child != nullptr && child->release()) {
          child->next_doomed_ = doomed;
          doomed = child;
        }
      }
      delete current;
    }
  }
  [[nodiscard]] bool release() noexcept {
    return references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  std::string_view name_;
  DType dtype_;
  std::vector<NodeRef> inputs_;
  std::uint64_t graph_;
  std::atomic<std::int64_t> references_{0};
  std::int64_t pending_ = 0;     // gradients still to come, during a backward pass
  Node* next_doomed_ = nullptr;  // during destroy()
};

inline NodeRef::NodeRef(Node* node) noexcept : node_(node) {
  if (node_ != nullptr) {
    node_->references_.fetch_add(1, std::memory_order_relaxed);
  }
}
inline NodeRef::~NodeRef() {
  if (node_ != nullptr && node_->release()) {
    Node::destroy(node_);
  }
}

/// A place that a kernel may write a gradient to straight away.
template <Floating T>
struct GradTarget {
  Tensor<T> buffer;  // undefined: no such place, use accumulate()
  bool add = false;  // true: add to what is there; false: overwrite every element
};

/// A node whose gradient has elements of type T.
template <Floating T>
class NodeOf : public Node {
 public:
  NodeOf(std::string_view name, std::span<Node* const> inputs, const Shape& shape, Device device,
         int view_depth = 0)
      : Node(name, dtype_of<T>, inputs), shape_(shape), device_(device), view_depth_(view_depth) {}

  /// Shape of the value, and so of its gradient.
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] Device device() const noexcept { return device_; }
  /// 0, or 1 more than that of the input if this is a view of it.
  [[nodiscard]] int view_depth() const noexcept { return view_depth_; }

  /// Adds a gradient of this node's shape. The first one is taken as it is, without a copy.
  virtual void accumulate(Tensor<T> grad) = 0;
  /// A buffer of this node's shape and any strides. The caller must fill it before anything else
  /// touches the graph. Without `can_add` the target's `add` is false.
  virtual GradTarget<T> open(bool can_add) = 0;

 private:
  Shape shape_;
  Device device_;
  int view_depth_;
};

namespace detail {

/// A node with a gradient of its own.
template <Floating T>
class SlotNode : public NodeOf<T> {
 public:
  using NodeOf<T>::NodeOf;

  void accumulate(Tensor<T> grad) override {
    if (!grad_.defined()) {
      grad_ = std::move(grad);
    } else if (is_writable(grad_)) {
      add_(grad_, grad);
    } else if (is_writable(grad)) {
      add_(grad, grad_);
      grad_ = std::move(grad);
    } else {
      grad_ = add(grad_, grad);
    }
  }
  GradTarget<T> open(bool can_add) override {
    if (!grad_.defined()) {
      grad_ = Tensor<T>::empty(this->shape(), this->device());
      return {grad_, false};
    }
    if (!can_add) {
      return {};
    }
    if (!is_writable(grad_)) {
      grad_ = grad_.clone();
    }
    return {grad_, true};
  }
  void drop_gradient() noexcept override { grad_ = Tensor<T>(); }

 protected:
  Tensor<T> grad_;
};

/// The node of a Variable that the user made: its gradient stays, and adds up over backward passes.
template <Floating T>
class LeafNode final : public SlotNode<T> {
 public:
  LeafNode(const Shape& shape, Device device) : SlotNode<T>("leaf", {}, shape, device) {}

  /// Always row-major and shared with no other gradient, so that optimisers may change it.
  void accumulate(Tensor<T> grad) override {
    Tensor<T>& own = this->grad_;
    if (!own.defined()) {
      own = grad.is_contiguous() && is_writable(grad) ? std::move(grad) : grad.clone();
    } else if (own.storage().unique()) {
      add_(own, grad);
    } else {
      own = add(own, grad);  // someone holds the old gradient
    }
  }
  void run(bool /*retain_graph*/) override {}

  [[nodiscard]] const Tensor<T>& grad() const noexcept { return this->grad_; }
};

}  // namespace detail
}  // namespace ldlm
