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
  /// Of the function's input number i. Throws IndexError if it has no such input, and DTypeError if
  /// that is of another element type.
  InputGrad(const Node& function, std::size_t i) : function_(function) {
    const std::string_view op = function.name();
    LDLM_CHECK_INDEX(i < function.inputs().size(), op, "its backward pass asks for input ", i,
                     " of ", function.inputs().size(), " that were recorded");
    Node* const node = function.inputs()[i].get();
    LDLM_CHECK_AS(dtype, node == nullptr || node->dtype() == dtype_of<T>, op,
                  "its backward pass gives input ", i, " a gradient of ", name_of(dtype_of<T>),
                  ", its elements are ", name_of(node->dtype()), ": in.as<...>(", i, ")");
    node_ = static_cast<NodeOf<T>*>(node);
  }

  explicit operator bool() const noexcept { return node_ != nullptr; }
  /// Of the input's value; only of an input whose gradient is wanted.
  [[nodiscard]] const Shape& shape() const noexcept { return node_->shape(); }

  /// Adds a gradient, summed to the input's shape if the input was broadcast. Move in what is not
  /// needed any more: then it is taken without a copy.
  void add(Tensor<T> grad) const {
    if (node_ == nullptr) {
      return;
    }
    if (!grad.defined() || grad.shape() != shape()) {
      grad = summed(grad);
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
  [[nodiscard]] Tensor<T> summed(const Tensor<T>& grad) const {
    const std::string_view op = function_.name();
    LDLM_CHECK_STATE(grad.defined(), op, "its backward pass gives an undefined gradient");
    LDLM_CHECK_SHAPE(broadcasts_to(shape(), grad.shape()), op,
                     "its backward pass gives a gradient of shape ", to_string(grad.shape()),
                     " to an input of shape ", to_string(shape()));
    return sum_to(grad, shape());
  }

  const Node& function_;
  NodeOf<T>* node_ = nullptr;
};

/// All of a function's inputs, in the order in which record() was given their nodes.
template <Floating T>
class InputGrads {
 public:
  InputGrads(const Node& node, bool retain_graph) noexcept
      : node_(node), retain_graph_(retain_graph) {}

  InputGrad<T> operator[](std::size_t i) const { return as<T>(i); }
  /// Of an input whose elements have another type.
  template <Floating U>
  [[nodiscard]] InputGrad<U> as(std::size_t i) const {
    return InputGrad<U>(node_, i);
  }
  [[nodiscard]] std::size_t size() const noexcept { return node_.inputs().size(); }
  /// Whether the saved values are needed again.
  [[nodiscard]] bool retain_graph() const noexcept { return retain_graph_; }

 private:
  const Node& node_;
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
Tensor<T> scaled(Tensor<T> grad, Number<T> c) {
  if (!is_writable(grad)) {
    return mul(grad, c);
  }
  mul_(grad, c);
  return grad;
}

/// The same with a factor that may lie on a device, which is then not waited for.
template <class T>
Tensor<T> scaled(Tensor<T> grad, const Tensor<ComputeType<T>>& c) {
  if (is_host_memory(c.device())) {
    const ComputeType<T> factor = c.item();
    return factor == 1 ? std::move(grad) : scaled(std::move(grad), factor);
  }
  return mul(grad, cast<T>(c));
}

/// grad * f'(x), where `saved` is x, or f(x) if saves_output(op).
template <class T>
Tensor<T> unary_backward(UnaryOp op, const Tensor<T>& saved, Tensor<T> grad, Number<T> a = 0,
                         Number<T> b = 0) {
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
