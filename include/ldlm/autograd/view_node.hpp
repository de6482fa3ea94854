#pragma once
// Nodes of views. A view has no gradient of its own: what it is given goes straight to its input,
// so that a kernel can write the gradient of, say, one head of a packed projection in place.

#include <ldlm/autograd/function_node.hpp>

namespace ldlm::detail {

/// `x` in another shape if that needs no copy, else undefined.
template <class T>
Tensor<T> view_as(const Tensor<T>& x, const Shape& shape) {
  Tensor<T> out = x.reshape(shape);
  return out.storage() == x.storage() ? out : Tensor<T>();
}

template <Floating T>
class ViewNode : public NodeOf<T> {
 public:
  ViewNode(std::string_view name, Node* input, const Tensor<T>& value)
      : NodeOf<T>(name, std::span<Node* const>(&input, 1), value.shape(), value.device(),
                  static_cast<NodeOf<T>*>(input)->view_depth() + 1) {}

  void run(bool /*retain_graph*/) override {}
  void drop_gradient() noexcept override {}

 protected:
  [[nodiscard]] NodeOf<T>& input() const noexcept {
    return static_cast<NodeOf<T>&>(*this->inputs()[0].get());
  }
};

/// What a view of `node` takes as its input. The calls of views of views nest, so every so often a
/// node with a gradient of its own goes between, lest a long chain exhaust the stack.
template <Floating T>
NodeRef view_input(NodeOf<T>& node) {
  constexpr int max_depth = 16;
  if (node.view_depth() < max_depth) {
    return NodeRef(&node);
  }
  const auto pass_on = [](Tensor<T> dy, InputGrads<T> in) { in[0].add(std::move(dy)); };
  Node* const input = &node;
  return NodeRef(new FunctionNode<T, decltype(pass_on)>(
      "view", std::span<Node* const>(&input, 1), Layout(node.shape()), node.device(), pass_on));
}

/// A view that shows all elements of its input in another order of axes.
template <Floating T>
class PermuteNode final : public ViewNode<T> {
 public:
  /// Axis i of the view is axis order[i] of the input.
  PermuteNode(std::string_view name, Node* input, const Tensor<T>& value,
              std::span<const int> order)
      : ViewNode<T>(name, input, value) {
    for (int i = 0; i < value.rank(); ++i) {
      const int axis = normalize_axis(order[static_cast<std::size_t>(i)], value.rank(), name);
      order_[static_cast<std::size_t>(i)] = axis;
      inverse_[static_cast<std::size_t>(axis)] = i;
    }
  }

  void accumulate(Tensor<T> grad) override {
    Tensor<T> permuted = grad.permute(axes(inverse_));
    grad = Tensor<T>();  // so that the input is the only owner
    this->input().accumulate(std::move(permuted));
  }
  GradTarget<T> open(bool can_add) override {
    GradTarget<T> target = this->input().open(can_add);
    if (target.buffer.defined()) {
      target.buffer = target.buffer.permute(axes(order_));
    }
    return target;
  }

 private:
  [[nodiscard]] std::span<const int> axes(const std::array<int, max_rank>& order) const noexcept {
    return {order.data(), static_cast<std::size_t>(this->shape().rank())};
  }

  std::array<int, max_rank> order_{}, inverse_{};
};

/// The same elements in row-major order under another shape (reshape, flatten, squeeze, unsqueeze).
template <Floating T>
class ReshapeNode final : public ViewNode<T> {
 public:
  using ViewNode<T>::ViewNode;

  void accumulate(Tensor<T> grad) override {
    Tensor<T> reshaped = grad.reshape(this->input().shape());
    grad = Tensor<T>();
    this->input().accumulate(std::move(reshaped));
  }
  GradTarget<T> open(bool can_add) override {
    GradTarget<T> target = this->input().open(can_add);
    if (!target.buffer.defined()) {
      return target;
    }
    if (Tensor<T> view = view_as(target.buffer, this->shape()); view.defined()) {
      return {std::move(view), target.add};
    }
    // The input's buffer is open now and must be filled: with zeros, to which accumulate() adds.
    if (!target.add) {
      target.buffer.zero_();
    }
    return {};
  }
};

/// A view of some elements of its input; `View` is a function Tensor -> Tensor (slice or select).
/// The input's gradient starts as zeros, and each view adds its part.
template <Floating T, class View>
class PartNode final : public ViewNode<T> {
 public:
  PartNode(std::string_view name, Node* input, const Tensor<T>& value, View view)
      : ViewNode<T>(name, input, value), view_(view) {}

  void accumulate(Tensor<T> grad) override {
    NodeOf<T>& input = this->input();
    GradTarget<T> target = input.open(true);
    if (!target.buffer.defined()) {
      Tensor<T> whole = Tensor<T>::zeros(input.shape(), input.device());
      view_(whole).copy_(grad);
      input.accumulate(std::move(whole));
    } else if (target.add) {
      add_(view_(target.buffer), grad);
    } else {
      target.buffer.zero_();
      view_(target.buffer).copy_(grad);
    }
  }
  GradTarget<T> open(bool can_add) override {
    GradTarget<T> target = this->input().open(can_add);
    if (target.buffer.defined()) {
      if (!target.add) {
        target.buffer.zero_();
      }
      target.buffer = view_(target.buffer);
    }
    return target;
  }

 private:
  View view_;
};

// ---- split: parts that cover their input, so that its gradient needs no zeros and no adding. ----

/// Between the parts and their input. Holds the whole gradient while the parts fill it.
template <Floating T>
class SplitNode final : public SlotNode<T> {
 public:
  SplitNode(Node* input, const Tensor<T>& value, std::int64_t extent, int axis)
      : SlotNode<T>("split", std::span<Node* const>(&input, 1), value.shape(), value.device()),
        extent_(extent),
        axis_(axis),
        filled_(static_cast<std::size_t>((value.shape()[axis] + extent - 1) / extent)) {}

  /// The place of one part in the whole gradient, and whether it is filled already; marks it so.
  GradTarget<T> part(std::size_t i) {
    if (!this->grad_.defined()) {
      this->grad_ = Tensor<T>::empty(this->shape(), this->device());
    }
    const bool add = filled_[i];
    filled_[i] = true;
    return {slice(i), add};
  }
  [[nodiscard]] bool is_filled(std::size_t i) const { return filled_[i]; }

  void run(bool /*retain_graph*/) override {
    if (!this->grad_.defined()) {
      return;
    }
    for (std::size_t i = 0; i < filled_.size(); ++i) {
      if (!filled_[i]) {
        slice(i).zero_();
      }
    }
    filled_.assign(filled_.size(), false);
    static_cast<NodeOf<T>&>(*this->inputs()[0].get())
        .accumulate(std::exchange(this->grad_, Tensor<T>()));
  }
  void drop_gradient() noexcept override {
    SlotNode<T>::drop_gradient();
    filled_.assign(filled_.size(), false);
  }

 private:
  [[nodiscard]] Tensor<T> slice(std::size_t i) const {
    const std::int64_t start = static_cast<std::int64_t>(i) * extent_;
    return this->grad_.slice(axis_, start, start + extent_);
  }

  std::int64_t extent_;
  int axis_;
  std::vector<bool> filled_;  // by part
};

template <Floating T>
class SplitPartNode final : public ViewNode<T> {
 public:
  SplitPartNode(SplitNode<T>* split, const Tensor<T>& value, std::size_t index)
      : ViewNode<T>("split", split, value), index_(index) {}

  void accumulate(Tensor<T> grad) override {
    const GradTarget<T> target = split().part(index_);
    if (target.add) {
      add_(target.buffer, grad);
    } else {
      target.buffer.copy_(grad);
    }
  }
  GradTarget<T> open(bool can_add) override {
    return split().is_filled(index_) && !can_add ? GradTarget<T>{} : split().part(index_);
  }

 private:
  [[nodiscard]] SplitNode<T>& split() const noexcept {
    return static_cast<SplitNode<T>&>(this->input());
  }

  std::size_t index_;
};

}  // namespace ldlm::detail
