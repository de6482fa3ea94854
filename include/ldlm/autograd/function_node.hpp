#pragma once
// FunctionNode: a node made of the lambda that is a function's backward pass.

#include <algorithm>
#include <optional>

#include <ldlm/autograd/node.hpp>
#include <ldlm/autograd/saved.hpp>
#include <ldlm/core/ops/reduce.hpp>

namespace ldlm {

/// The gradient of one input, as a backward pass sees it. False if nobody wants it: skip the work.
template <Floating T>
class InputGrad {
 public:
  explicit InputGrad(Node* node) noexcept : node_(static_cast<NodeOf<T>*>(node)) {}

  explicit operator bool() const noexcept { return node_ != nullptr; }
  [[nodiscard]] const Shape& shape() const noexcept { return node_->shape(); }

  /// Adds a gradient, summed to the input's shape if the input was broadcast. Move in what is not
  /// needed any more: then it is taken without a copy.
  void add(Tensor<T> grad) const {
    if (grad.shape() != shape()) {
      grad = sum_to(grad, shape());
    }
    node_->accumulate(std::move(grad));
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

/// Uninitialised and without gaps, its axes in memory in the order of `like`'s.
template <class T>
Tensor<T> empty_in_order_of(const Layout& like, Device device) {
  bool row_major = like.is_contiguous();
  for (int i = 0; i < like.rank(); ++i) {
    row_major = row_major || (like.stride(i) == 0 && like.shape[i] > 1);  // repeats have no order
  }
  if (row_major) {
    return Tensor<T>::empty(like.shape, device);
  }
  std::array<int, max_rank> order{0, 1, 2, 3, 4, 5};
  const std::span<int> axes(order.data(), static_cast<std::size_t>(like.rank()));
  std::stable_sort(axes.begin(), axes.end(),
                   [&](int a, int b) { return like.stride(a) > like.stride(b); });
  Shape shape = like.shape;
  std::array<int, max_rank> inverse{};
  for (int i = 0; i < like.rank(); ++i) {
    const int axis = axes[static_cast<std::size_t>(i)];
    shape[i] = like.shape[axis];
    inverse[static_cast<std::size_t>(axis)] = i;
  }
  return Tensor<T>::empty(shape, device).permute(std::span<const int>(inverse.data(), axes.size()));
}

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
      this->grad_ = empty_in_order_of<T>(layout_, this->device());
      return {this->grad_, false};
    }
    return SlotNode<T>::open(can_add);
  }
  void run(bool retain_graph) override {
    LDLM_CHECK(backward_.has_value(), this->name(),
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

/// grad * f'(x), where `saved` is x, or f(x) if saves_output(op).
template <class T>
Tensor<T> unary_backward(UnaryOp op, const Tensor<T>& saved, Tensor<T> grad, T a = T{}, T b = T{}) {
  Tensor<T> dx = is_writable(grad) ? grad : Tensor<T>::empty(grad.shape(), grad.device());
  if (dx.numel() > 0) {
    kernel(dx.device(), &KernelTable<T>::unary_backward, "unary_backward")(
        op, saved.view(), grad.view(), dx.view(), a, b);
  }
  grad = Tensor<T>();  // so that dx is the only owner
  return dx;
}

}  // namespace detail
}  // namespace ldlm
