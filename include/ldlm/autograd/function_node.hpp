#pragma once
// FunctionNode: a node made of the lambda that is a function's backward pass.

#include <optional>

#include <ldlm/autograd/node.hpp>
#include <ldlm/autograd/saved.hpp>
#include <ldlm/core/ops/reduce.hpp>

namespace ldlm {

/// The gradient of one input, as a backward pass sees it. False if nobody wants it: then add() does
/// nothing, and open() must not be called.
template <Floating T>
class InputGrad {
 public:
  explicit InputGrad(Node* node) noexcept : node_(static_cast<NodeOf<T>*>(node)) {}

  explicit operator bool() const noexcept { return node_ != nullptr; }
  /// Of the input's value; only of an input whose gradient is wanted.
  [[nodiscard]] const Shape& shape() const noexcept { return node_->shape(); }

  /// Adds a gradient, summed to the input's shape if the input was broadcast. Move in what is not
  /// needed any more: then it is taken without a copy.
  void add(Tensor<T> grad) const {
    if (node_ == nullptr) {
      return;
    }
    if (grad.shape() != shape()) {
      grad = sum_to(grad, shape());
    }
    node_->accumulate(std::move(grad));
  }
  /// The same of what compute() returns, which is called only if the gradient is wanted.
  template <std::invocable Compute>
  void add(Compute&& compute) const {
    if (node_ != nullptr) {
      add(compute());
    }
  }
  /// A place to write the gradient to straight away; see NodeOf::open.
  [[nodiscard]] GradTarget<T> open(bool can_add) const { return node_->open(can_add); }

 private:
  NodeOf<T>* node_;
};

/// All of a function's inputs, in the order in which record() was given their nodes.
template <Floating T>
class InputGrads {
 public:
  InputGrads(const Node& node, bool retain_graph) noexcept
      : inputs_(node.inputs()), retain_graph_(retain_graph) {}

  InputGrad<T> operator[](std::size_t i) const noexcept { return as<T>(i); }
  /// Of an input whose elements have another type.
  template <Floating U>
  [[nodiscard]] InputGrad<U> as(std::size_t i) const noexcept {
    return InputGrad<U>(inputs_[i].get());
  }
  [[nodiscard]] std::size_t size() const noexcept { return inputs_.size(); }
  /// Whether the saved values are needed again.
  [[nodiscard]] bool retain_graph() const noexcept { return retain_graph_; }

 private:
  std::span<const NodeRef> inputs_;
  bool retain_graph_;
};

namespace detail {

template <Floating T, class Backward>
class FunctionNode final : public SlotNode<T> {
 public:
  /// `layout` is the value's.
  FunctionNode(std::string_view name, std::span<Node* const> inputs, const Layout& layout,
               Device device, Backward backward)
      : SlotNode<T>(name, inputs, layout.shape, device),
        layout_(layout),
        backward_(std::move(backward)) {}

  /// Laid out as the value, so that where the value has a view, its gradient has one, too.
  GradTarget<T> open(bool can_add) override {
    if (!this->grad_.defined()) {
      this->grad_ = Tensor<T>::empty_like(layout_, this->device());
      return {this->grad_, false};
    }
    return SlotNode<T>::open(can_add);
  }
  void run(bool retain_graph) override {
    LDLM_CHECK_STATE(
        backward_.has_value(), this->name(),
        "backward ran here before and freed the saved values; the first backward pass needs "
        "retain_graph");
    if (this->grad_.defined()) {
      (*backward_)(std::exchange(this->grad_, {}), InputGrads<T>(*this, retain_graph));
    }
    if (!retain_graph) {
      backward_.reset();
    }
  }

 private:
  Layout layout_;
  std::optional<Backward> backward_;
};

// ---- Helpers of backward passes. They work in place where no one else sees the gradient. ----

/// c * grad.
template <class T>
Tensor<T> scaled(Tensor<T> grad, std::type_identity_t<T> c) {
  if (!is_writable(grad)) {
    return mul(grad, c);
  }
  mul_(grad, c);
  return grad;
}

/// The same with a factor that may lie on a device, which is then not waited for.
template <class T>
Tensor<T> scaled(Tensor<T> grad, const Tensor<T>& c) {
  if (is_host_memory(c.device())) {
    const T factor = c.item();
    return factor == T{1} ? std::move(grad) : scaled(std::move(grad), factor);
  }
  return mul(grad, c);
}

/// grad * f'(x), where `saved` is x, or f(x) if saves_output(op).
template <class T>
Tensor<T> unary_backward(UnaryOp op, const Tensor<T>& saved, Tensor<T> grad, T a = T{}, T b = T{}) {
  Tensor<T> dx = is_writable(grad) ? grad : Tensor<T>::empty(grad.shape(), grad.device());
  if (dx.numel() > 0) {
    kernel(dx.device(), &KernelTable<T>::unary_backward, name_of(op))(op, saved.view(), grad.view(),
                                                                      dx.view(), a, b);
  }
  grad = Tensor<T>();  // so that dx is the only owner
  return dx;
}

}  // namespace detail
}  // namespace ldlm
