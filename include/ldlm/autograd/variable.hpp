#pragma once
// Variable<T>: a tensor that gradients flow to, and the way to record functions of it.
//
//   auto w = Variable(Tensor<float>::zeros({3, 1}), true);
//   auto loss = mean(square(matmul(x, w) - y));
//   loss.backward();
//   w.grad();  // d loss / d w, shape (3, 1)

#include <algorithm>
#include <memory>

#include <ldlm/autograd/backward.hpp>
#include <ldlm/autograd/function_node.hpp>
#include <ldlm/autograd/view_node.hpp>

namespace ldlm {

/// Options of Variable::backward.
template <Floating T>
struct BackwardOptions {
  Tensor<T> seed{};           // d result / d this; undefined: 1, for a single element only
  bool retain_graph = false;  // keep saved values, for another backward pass
};

/// A shared handle: copies see the same value, gradient and graph. Functions of Variables are the
/// functions of Tensors, with the same names; so are views. `const` is the handle's alone, as of a
/// Tensor. Variable<> is one of floats; Variable(tensor) takes the tensor's type.
template <Floating T = float>
class Variable {
 public:
  using value_type = T;

  /// Undefined, as what was moved from is; only defined() and assignment make sense.
  Variable() = default;
  /// A leaf. With `requires_grad`, backward passes add up its gradient in grad().
  explicit Variable(Tensor<T> value, bool requires_grad = false)
      : Variable(std::move(value), NodeRef()) {
    LDLM_CHECK_STATE(state_->value.defined(), "Variable", "the tensor is undefined");
    set_requires_grad(requires_grad);
  }
  /// The result of a recorded function; used by record().
  Variable(Tensor<T> value, NodeRef node)
      : state_(std::make_shared<State>(State{std::move(value), std::move(node)})) {}

  [[nodiscard]] bool defined() const noexcept { return state_ != nullptr; }
  /// Throws, in the name of `op`, if this is undefined.
  [[nodiscard]] const Tensor<T>& value(std::string_view op = "value") const {
    return state(op).value;
  }
  [[nodiscard]] const Shape& shape() const { return value("shape").shape(); }
  [[nodiscard]] int rank() const { return value("rank").rank(); }
  [[nodiscard]] std::int64_t numel() const { return value("numel").numel(); }
  /// Extent of an axis; a negative axis counts from the end.
  [[nodiscard]] std::int64_t size(int axis) const { return value("size").size(axis); }
  [[nodiscard]] Device device() const { return value("device").device(); }
  /// The only element of a one-element variable.
  [[nodiscard]] T item() const { return value("item").item(); }

  /// Whether gradients flow here: a leaf that was asked to, or a function of one.
  [[nodiscard]] bool requires_grad() const { return state("requires_grad").node.get() != nullptr; }
  /// Whether it was made by the user rather than by a recorded function.
  [[nodiscard]] bool is_leaf() const { return !requires_grad() || node()->is_leaf(); }
  /// The gradient of a leaf, row-major and of its shape; undefined if none has come yet.
  [[nodiscard]] const Tensor<T>& grad() const {
    static const Tensor<T> none;
    static_cast<void>(state("grad"));
    return requires_grad() && is_leaf() ? static_cast<detail::LeafNode<T>*>(node())->grad() : none;
  }
  /// Forgets the gradient; the next one takes its place. Nothing happens without one.
  void zero_grad() const {
    static_cast<void>(state("zero_grad"));
    if (requires_grad() && is_leaf()) {
      node()->drop_gradient();
    }
  }
  /// Turns gradients of a leaf on or off; turning them off forgets the gradient.
  void set_requires_grad(bool wanted) const {
    LDLM_CHECK_STATE(is_leaf(), "set_requires_grad", "only for leaves; this is a result of '",
                     node()->name(), "' (detach() gives a leaf)");
    if (wanted != requires_grad()) {
      state("set_requires_grad").node =
          wanted ? NodeRef(new detail::LeafNode<T>(shape(), value().device())) : NodeRef();
    }
  }
  /// Replaces the value of a leaf with another of the same shape. Graphs recorded before keep
  /// theirs.
  void set_value(Tensor<T> value) const {
    LDLM_CHECK_STATE(is_leaf(), "set_value", "only for leaves; this is a result of '",
                     node()->name(), '\'');
    LDLM_CHECK_STATE(value.defined(), "set_value", "the new value is undefined");
    LDLM_CHECK_SHAPE(value.shape() == shape(), "set_value", "shapes differ: ", to_string(shape()),
                     " and ", to_string(value.shape()));
    state("set_value").value = std::move(value);
  }
  /// The same elements as a leaf without gradient.
  [[nodiscard]] Variable detach() const { return Variable(value("detach")); }

  /// Adds d this / d leaf to the gradient of every leaf that this was computed from. Throws if
  /// nothing here requires a gradient, if there is neither a seed nor a single element, if a value
  /// needed was changed in place, or if the graph was already used without `retain_graph`.
  void backward(const BackwardOptions<T>& options = {}) const {
    const NodeRef root = state("backward").node;  // kept alive, whatever happens to this handle
    LDLM_CHECK_STATE(
        root.get() != nullptr, "backward",
        "there is no graph: no input requires a gradient, or it was computed under NoGrad");
    const bool given = options.seed.defined();
    LDLM_CHECK_SHAPE(given || numel() == 1, "backward", "shape ", to_string(shape()),
                     " is not a single element and needs a seed");
    LDLM_CHECK_SHAPE(!given || options.seed.shape() == shape(), "backward", "seed ",
                     to_string(options.seed.shape()), " does not fit ", to_string(shape()));
    if (given) {
      detail::check_same_device("backward", device(), options.seed.device());
    }
    typed_node()->accumulate(given ? options.seed : Tensor<T>::ones(shape(), device()));
    if (!root.get()->is_leaf()) {
      run_backward(*root.get(), options.retain_graph);
    }
  }

  /// The vertex of the graph, for record(); null if no gradient flows here, or this is
  /// undefined.
  [[nodiscard]] Node* node() const { return state_ != nullptr ? state_->node.get() : nullptr; }

  // ---- Views, as on Tensor, with gradients. ----

  /// See Tensor::reshape: one extent may be -1.
  [[nodiscard]] Variable reshape(std::initializer_list<std::int64_t> dims) const {
    return reshaped("reshape", value("reshape").reshape(dims));
  }
  [[nodiscard]] Variable reshape(const Shape& shape) const {
    return reshaped("reshape", value("reshape").reshape(shape));
  }
  /// Merges axes first..last into one.
  [[nodiscard]] Variable flatten(int first = 0, int last = -1) const {
    return reshaped("flatten", value("flatten").flatten(first, last));
  }
  /// Removes an axis of extent 1.
  [[nodiscard]] Variable squeeze(int axis) const {
    return reshaped("squeeze", value("squeeze").squeeze(axis));
  }
  /// Inserts an axis of extent 1 before `axis` (-1: at the end).
  [[nodiscard]] Variable unsqueeze(int axis) const {
    return reshaped("unsqueeze", value("unsqueeze").unsqueeze(axis));
  }
  /// Axis i of the result is axis order[i] of this.
  [[nodiscard]] Variable permute(std::span<const int> order) const {
    return permuted("permute", value("permute").permute(order), order);
  }
  [[nodiscard]] Variable permute(std::initializer_list<int> order) const {
    return permute(std::span<const int>(order.begin(), order.size()));
  }
  [[nodiscard]] Variable transpose(int a, int b) const {
    Tensor<T> out = value("transpose").transpose(a, b);
    std::array<int, max_rank> order{0, 1, 2, 3, 4, 5};
    std::swap(order[static_cast<std::size_t>(normalize_axis(a, rank(), "transpose"))],
              order[static_cast<std::size_t>(normalize_axis(b, rank(), "transpose"))]);
    return permuted("transpose", std::move(out), {order.data(), static_cast<std::size_t>(rank())});
  }
  /// Elements start, start + step, ... < stop of an axis, with Python's meaning of negative bounds.
  [[nodiscard]] Variable slice(int axis, std::int64_t start, std::int64_t stop = to_end,
                               std::int64_t step = 1) const {
    return part("slice", [=](const Tensor<T>& x) { return x.slice(axis, start, stop, step); });
  }
  /// One position of an axis, which goes away.
  [[nodiscard]] Variable select(int axis, std::int64_t index) const {
    return part("select", [=](const Tensor<T>& x) { return x.select(axis, index); });
  }
  /// Broadcasts axes of extent 1 (and new leading ones) to `shape`.
  [[nodiscard]] Variable expand(const Shape& shape) const;
  /// This if row-major, else a row-major copy.
  [[nodiscard]] Variable contiguous() const;

 private:
  struct State {
    Tensor<T> value;
    NodeRef node;  // null: no gradient flows here
  };

  [[nodiscard]] State& state(std::string_view op) const {
    LDLM_CHECK_STATE(state_ != nullptr, op, "the Variable is undefined");
    return *state_;
  }
  [[nodiscard]] NodeOf<T>* typed_node() const { return static_cast<NodeOf<T>*>(node()); }

  [[nodiscard]] Variable reshaped(std::string_view name, Tensor<T> out) const {
    return view<detail::ReshapeNode<T>>(name, std::move(out));
  }
  [[nodiscard]] Variable permuted(std::string_view name, Tensor<T> out,
                                  std::span<const int> order) const {
    return view<detail::PermuteNode<T>>(name, std::move(out), order);
  }
  template <class Function>
  [[nodiscard]] Variable part(std::string_view name, Function function) const {
    return view<detail::PartNode<T, Function>>(name, function(value(name)), function);
  }
  template <class ViewKind, class... Parameters>
  [[nodiscard]] Variable view(std::string_view name, Tensor<T> out,
                              const Parameters&... parameters) const {
    NodeRef recorded;
    if (grad_enabled() && requires_grad()) {
      const NodeRef input = detail::view_input(*typed_node());
      recorded = NodeRef(new ViewKind(name, input.get(), out, parameters...));
    }
    return Variable(std::move(out), std::move(recorded));
  }

  std::shared_ptr<State> state_;
};

namespace detail {
template <class>
inline constexpr bool no_change_in_place = false;
}  // namespace detail

// Nothing changes a Variable in place. In PyTorch `x += y` replaces the graph behind every handle
// and view of x, is an error for leaves, and another one in the backward pass if some function
// saved x. The new value of `x = x + y` costs one tensor, mostly of memory that was just freed, and
// none of that.
// clang-format off
#define LDLM_REFUSE_IN_PLACE(op)                                                                    \
  template <Floating T, class Other>                                                                \
  void operator op##=(const Variable<T>&, const Other&) {                                           \
    static_assert(detail::no_change_in_place<Other>,                                                \
                  "a Variable is not changed in place: write x = x " #op " y; for a parameter's "   \
                  "elements, x.value() " #op "= y, which no gradient sees");                        \
  }
LDLM_REFUSE_IN_PLACE(+)
LDLM_REFUSE_IN_PLACE(-)
LDLM_REFUSE_IN_PLACE(*)
LDLM_REFUSE_IN_PLACE(/)
#undef LDLM_REFUSE_IN_PLACE
#define LDLM_REFUSE_IN_PLACE(op)                                                                    \
  template <Scalar T, Floating U>                                                                   \
  void operator op##=(const Tensor<T>&, const Variable<U>&) {                                       \
    static_assert(detail::no_change_in_place<Variable<U>>,                                          \
                  "no gradient sees a change of a Tensor in place: write t " #op "= v.value()");    \
  }
LDLM_REFUSE_IN_PLACE(+)
LDLM_REFUSE_IN_PLACE(-)
LDLM_REFUSE_IN_PLACE(*)
LDLM_REFUSE_IN_PLACE(/)
#undef LDLM_REFUSE_IN_PLACE
// clang-format on

/// Makes the result of a function of Variables. `value` was computed from their values; `inputs`
/// are their nodes (null where no gradient flows). If any is not null and gradients are enabled,
/// `backward` is kept and called once with the gradient of the result:
/// `void(Tensor<T> dy, InputGrads<T> in)`; it gives each in[i] that is wanted its gradient. What it
/// captures by Saved is guarded against changes. `name` must be a literal.
template <Floating T, class Backward>
[[nodiscard]] Variable<T> record(std::string_view name, Tensor<T> value,
                                 std::span<Node* const> inputs, Backward backward) {
  LDLM_CHECK_STATE(value.defined(), name, "its value is undefined");
  NodeRef node;
  if (grad_enabled() && std::any_of(inputs.begin(), inputs.end(), [](Node* n) { return n; })) {
    node = NodeRef(new detail::FunctionNode<T, Backward>(name, inputs, value.layout(),
                                                         value.device(), std::move(backward)));
  }
  return Variable<T>(std::move(value), std::move(node));
}
template <Floating T, class Backward>
[[nodiscard]] Variable<T> record(std::string_view name, Tensor<T> value,
                                 std::initializer_list<Node*> inputs, Backward backward) {
  return record(name, std::move(value), std::span<Node* const>(inputs.begin(), inputs.size()),
                std::move(backward));
}

template <Floating T>
Variable<T> Variable<T>::expand(const Shape& shape) const {
  return record("expand", value("expand").expand(shape), {node()},
                [](Tensor<T> dy, InputGrads<T> in) { in[0].add(std::move(dy)); });
}

template <Floating T>
Variable<T> Variable<T>::contiguous() const {
  return value("contiguous").is_contiguous()
             ? *this
             : record("contiguous", value().contiguous(), {node()},
                      [](Tensor<T> dy, InputGrads<T> in) { in[0].add(std::move(dy)); });
}

namespace detail {

/// Whether a function of these records anything, and so must save for its backward pass.
template <class... Variables>
[[nodiscard]] bool records(const Variables&... inputs) {
  return grad_enabled() && ((inputs.defined() && inputs.requires_grad()) || ...);
}
/// The node of an optional input.
template <Floating T>
[[nodiscard]] Node* node_of(const Variable<T>& x) {
  return x.defined() ? x.node() : nullptr;
}
/// The value of an optional input.
template <Floating T>
[[nodiscard]] Tensor<T> value_of(const Variable<T>& x) {
  return x.defined() ? x.value() : Tensor<T>();
}

}  // namespace detail

}  // namespace ldlm
