#pragma once
// What functions take where a gradient is optional: a Tensor, which is a constant, or a Variable.
//
//   template <ldlm::TensorOrVariable X>
//   auto loud(const X& x) { return log(exp(x) + 1); }      // a Tensor of Tensors, else a Variable
//
//   template <class X, class Y> requires ldlm::Operands<X, Y>
//   ldlm::result_t<X, Y> both(const X& x, const Y& y);
//
//   Variable<float> Mlp::operator()(const ldlm::Operand<float> auto& x) const;
//
//   struct MlpInputs { ldlm::AnyOperand<float> x, scale{}; };   // of Tensors or Variables

#include <concepts>
#include <type_traits>
#include <utility>

#include <ldlm/autograd/variable.hpp>

namespace ldlm {

/// A Tensor<T> or a Variable<T> as a member of a struct of inputs: a Variable that is made of
/// either. (A Variable is made of a Tensor only where that is asked for, see there.)
template <Floating T>
class AnyOperand : public Variable<T> {
 public:
  /// Undefined.
  AnyOperand() = default;
  AnyOperand(Variable<T> x) : Variable<T>(std::move(x)) {}
  /// A leaf without gradient that shares the elements; undefined if the Tensor is.
  AnyOperand(Tensor<T> x) : Variable<T>(x.defined() ? Variable<T>(std::move(x)) : Variable<T>()) {}
};

namespace detail {

template <class>
struct ElementOf {};
template <Floating T>
struct ElementOf<Variable<T>> {
  using type = T;
};
template <Floating T>
struct ElementOf<AnyOperand<T>> {
  using type = T;
};
template <Floating T>
struct ElementOf<Tensor<T>> {
  using type = T;
};

template <class>
inline constexpr bool is_variable = false;
template <class T>
inline constexpr bool is_variable<Variable<T>> = true;
template <class T>
inline constexpr bool is_variable<AnyOperand<T>> = true;

}  // namespace detail

/// A Tensor<T> or a Variable<T> of float, double or bf16.
template <class X>
concept TensorOrVariable = requires {
  typename detail::ElementOf<X>::type;
};

/// Its T.
template <TensorOrVariable X>
using element_t = typename detail::ElementOf<X>::type;

/// A Tensor<T> or a Variable<T>, for a known T: what a module takes.
template <class X, class T>
concept Operand =
    std::same_as<X, Tensor<T>> || std::same_as<X, Variable<T>> || std::same_as<X, AnyOperand<T>>;

namespace detail {

template <class... X>
struct ResultOf {};
template <class X, class... Others>
requires((std::is_same_v<element_t<X>, element_t<Others>> && ...)) struct ResultOf<X, Others...> {
  using type = std::conditional_t<(is_variable<X> || ... || is_variable<Others>),
                                  Variable<element_t<X>>, Tensor<element_t<X>>>;
};

}  // namespace detail

/// Tensors and Variables, in any mix, of one element type.
template <class... X>
concept Operands = (TensorOrVariable<X> && ...) && requires {
  typename detail::ResultOf<X...>::type;
};

/// What a function of these gives: a Variable if any of them is one, else a Tensor.
template <class... X>
requires Operands<X...>
using result_t = typename detail::ResultOf<X...>::type;

/// A loss of these: as result_t, of float for operands of bf16.
template <class... X>
requires Operands<X...>
using loss_t = std::conditional_t<(detail::is_variable<X> || ...),
                                  Variable<ComputeType<element_t<result_t<X...>>>>,
                                  Tensor<ComputeType<element_t<result_t<X...>>>>>;

/// The operand as a Variable: itself, or a leaf without gradient that shares the Tensor's elements.
/// Undefined ones stay so.
template <Floating T>
[[nodiscard]] const Variable<T>& as_variable(const Variable<T>& x) {
  return x;
}
template <Floating T>
[[nodiscard]] Variable<T> as_variable(const Tensor<T>& x) {
  return x.defined() ? Variable<T>(x) : Variable<T>();
}
/// The operand's value, which no gradient flows through. Undefined ones stay so.
template <Floating T>
[[nodiscard]] Tensor<T> as_tensor(const Variable<T>& x) {
  return x.defined() ? x.value() : Tensor<T>();
}
template <Floating T>
[[nodiscard]] const Tensor<T>& as_tensor(const Tensor<T>& x) {
  return x;
}

namespace detail {

/// Operands of which one is a Variable: those of functions of Variables.
template <class... X>
concept AnyVariable = Operands<X...> &&(is_variable<X> || ...);
/// Of which, besides, one is a Tensor: all Variables and all Tensors have overloads of their own.
template <class... X>
concept Mixed = AnyVariable<X...> && !(is_variable<X> && ...);

}  // namespace detail

}  // namespace ldlm
