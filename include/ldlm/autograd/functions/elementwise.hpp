#pragma once
// Elementwise functions of Variables, with NumPy broadcasting; of two operands, one may be a
// Tensor.

#include <ldlm/autograd/operand.hpp>

namespace ldlm {

namespace detail {

template <Floating T>
Variable<T> unary(std::string_view name, UnaryOp op, const Variable<T>& x, Number<T> a = 0,
                  Number<T> b = 0) {
  Tensor<T> y = ldlm::unary(op, x.value(name), a, b);
  const Tensor<T>& needed = saves_output(op) ? y : x.value();
  Saved<T> saved(name, needed);
  return record(name, std::move(y), {x.node()},
                [op, a, b, saved = std::move(saved)](Tensor<T> dy, InputGrads<T> in) {
                  in[0].add(unary_backward(op, saved.get(), std::move(dy), a, b));
                });
}

template <Floating T>
Variable<T> add(const Variable<T>& a, const Variable<T>& b) {
  return record("add", ldlm::add(a.value("add"), b.value("add")), {a.node(), b.node()},
                [](Tensor<T> dy, InputGrads<T> in) {
                  in[0].add(dy);
                  in[1].add(std::move(dy));
                });
}

template <Floating T>
Variable<T> sub(const Variable<T>& a, const Variable<T>& b) {
  return record("sub", ldlm::sub(a.value("sub"), b.value("sub")), {a.node(), b.node()},
                [](Tensor<T> dy, InputGrads<T> in) {
                  in[0].add(dy);
                  in[1].add([&] { return scaled(std::move(dy), -1); });
                });
}

template <Floating T>
Variable<T> mul(const Variable<T>& a, const Variable<T>& b) {
  Tensor<T> product = ldlm::mul(a.value("mul"), b.value("mul"));
  Saved<T> left("mul", b.requires_grad() ? a.value() : Tensor<T>());
  Saved<T> right("mul", a.requires_grad() ? b.value() : Tensor<T>());
  return record("mul", std::move(product), {a.node(), b.node()},
                [a = std::move(left), b = std::move(right)](Tensor<T> dy, InputGrads<T> in) {
                  in[0].add([&] { return ldlm::mul(dy, b.get()); });
                  in[1].add([&] { return ldlm::mul(dy, a.get()); });
                });
}

template <Floating T>
Variable<T> div(const Variable<T>& a, const Variable<T>& b) {
  Tensor<T> y = ldlm::div(a.value("div"), b.value("div"));
  Saved<T> quotient("div", b.requires_grad() ? y : Tensor<T>());
  Saved<T> divisor("div", b.value());
  return record("div", std::move(y), {a.node(), b.node()},
                [y = std::move(quotient), b = std::move(divisor)](Tensor<T> dy, InputGrads<T> in) {
                  in[1].add([&] {  // -dy (a / b) / b: in this order 0 / b stays 0 for any b
                    Tensor<T> db = ldlm::div(y.get(), b.get());
                    mul_(db, dy);
                    return scaled(std::move(db), -1);
                  });
                  in[0].add([&] { return ldlm::div(dy, b.get()); });
                });
}

/// a^b. The gradient of b is 0 where a = 0 <= b, as the limit is.
template <Floating T>
Variable<T> pow(const Variable<T>& a, const Variable<T>& b) {
  Tensor<T> y = ldlm::pow(a.value("pow"), b.value("pow"));
  Saved<T> power("pow", b.requires_grad() ? y : Tensor<T>());
  return record("pow", y, {a.node(), b.node()},
                [a = Saved<T>("pow", a.value()), b = Saved<T>("pow", b.value()),
                 y = std::move(power)](Tensor<T> dy, InputGrads<T> in) {
                  const Tensor<T> zero = Tensor<T>::scalar(0, dy.device());
                  in[0].add([&] {  // b a^(b - 1), which for b = 0 is 0 even where a = 0
                    const Tensor<T> slope = ldlm::mul(b.get(), ldlm::pow(a.get(), b.get() - 1));
                    return ldlm::mul(dy, ldlm::where(eq(b.get(), zero), zero, slope));
                  });
                  in[1].add([&] {  // a^b log(a)
                    const Tensor<bool> flat = ldlm::eq(a.get(), zero);
                    const Tensor<T> slope = ldlm::mul(y.get(), ldlm::log(a.get()));
                    const Tensor<T> at_zero = ldlm::where(ge(b.get(), zero), zero, slope);
                    return ldlm::mul(dy, ldlm::where(flat, at_zero, slope));
                  });
                });
}

/// minimum or maximum: the gradient goes to the one taken, half to each where they are equal, and
/// all of it to both where one is NaN.
template <Floating T>
Variable<T> extreme(bool largest, const Variable<T>& a, const Variable<T>& b) {
  const std::string_view name = largest ? "maximum" : "minimum";
  return record(
      name,
      largest ? ldlm::maximum(a.value(name), b.value(name))
              : ldlm::minimum(a.value(name), b.value(name)),
      {a.node(), b.node()},
      [largest, a = Saved<T>(name, a.value(name)), b = Saved<T>(name, b.value(name))](
          Tensor<T> dy, InputGrads<T> in) {
        const Tensor<T> zero = Tensor<T>::scalar(0, dy.device());
        const Tensor<T> shared = ldlm::where(eq(a.get(), b.get()), ldlm::mul(dy, 0.5), dy);
        in[0].add([&] {
          const Tensor<bool> beaten = largest ? lt(a.get(), b.get()) : gt(a.get(), b.get());
          return ldlm::where(beaten, zero, shared);
        });
        in[1].add([&] {
          const Tensor<bool> beaten = largest ? lt(b.get(), a.get()) : gt(b.get(), a.get());
          return ldlm::where(beaten, zero, shared);
        });
      });
}

}  // namespace detail

// clang-format off
#define LDLM_FUNCTION(name, saved) template <Floating T> Variable<T> name(const Variable<T>& x) { return detail::unary(#name, UnaryOp::name, x); }
LDLM_UNARY_FUNCTIONS(LDLM_FUNCTION)
#undef LDLM_FUNCTION
template <Floating T> Variable<T> pow(const Variable<T>& x, Number<T> exponent) { return detail::unary("pow", UnaryOp::pow_scalar, x, exponent); }
/// See clamp of tensors. The gradient flows where low < x < high, as in PyTorch's clamp by numbers.
template <Floating T> Variable<T> clamp(const Variable<T>& x, Number<T> low, Number<T> high) { detail::check_bounds<ComputeType<T>>(low, high); return detail::unary("clamp", UnaryOp::clamp, x, low, high); }

// Of two Variables, or a Variable and a Tensor; shapes broadcast.
template <class A, class B> requires detail::AnyVariable<A, B> auto add(const A& a, const B& b) { return detail::add(as_variable(a), as_variable(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> auto sub(const A& a, const B& b) { return detail::sub(as_variable(a), as_variable(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> auto mul(const A& a, const B& b) { return detail::mul(as_variable(a), as_variable(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> auto div(const A& a, const B& b) { return detail::div(as_variable(a), as_variable(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> auto pow(const A& a, const B& b) { return detail::pow(as_variable(a), as_variable(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> auto minimum(const A& a, const B& b) { return detail::extreme(false, as_variable(a), as_variable(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> auto maximum(const A& a, const B& b) { return detail::extreme(true, as_variable(a), as_variable(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> auto operator+(const A& a, const B& b) { return add(a, b); }
template <class A, class B> requires detail::AnyVariable<A, B> auto operator-(const A& a, const B& b) { return sub(a, b); }
template <class A, class B> requires detail::AnyVariable<A, B> auto operator*(const A& a, const B& b) { return mul(a, b); }
template <class A, class B> requires detail::AnyVariable<A, B> auto operator/(const A& a, const B& b) { return div(a, b); }
// clang-format on

template <Floating T>
Variable<T> neg(const Variable<T>& x) {
  return record("neg", neg(x.value("neg")), {x.node()}, [](Tensor<T> dy, InputGrads<T> in) {
    in[0].add(detail::scaled(std::move(dy), -1));
  });
}
template <Floating T>
Variable<T> add(const Variable<T>& x, Number<T> c) {
  return record("add", add(x.value("add"), c), {x.node()},
                [](Tensor<T> dy, InputGrads<T> in) { in[0].add(std::move(dy)); });
}
template <Floating T>
Variable<T> sub(const Variable<T>& x, Number<T> c) {
  return record("sub", sub(x.value("sub"), c), {x.node()},
                [](Tensor<T> dy, InputGrads<T> in) { in[0].add(std::move(dy)); });
}
template <Floating T>
Variable<T> div(const Variable<T>& x, Number<T> c) {
  return record("div", div(x.value("div"), c), {x.node()},
                [c](Tensor<T> dy, InputGrads<T> in) { in[0].add(div(dy, c)); });
}
template <Floating T>
Variable<T> mul(const Variable<T>& x, Number<T> c) {
  return record("mul", mul(x.value("mul"), c), {x.node()}, [c](Tensor<T> dy, InputGrads<T> in) {
    in[0].add(detail::scaled(std::move(dy), c));
  });
}

// clang-format off
template <Floating T> Variable<T> operator-(const Variable<T>& x) { return neg(x); }
template <Floating T> Variable<T> operator+(const Variable<T>& x, Number<T> c) { return add(x, c); }
template <Floating T> Variable<T> operator+(Number<T> c, const Variable<T>& x) { return add(x, c); }
template <Floating T> Variable<T> operator-(const Variable<T>& x, Number<T> c) { return sub(x, c); }
template <Floating T> Variable<T> operator-(Number<T> c, const Variable<T>& x) { return sub(Tensor<T>::scalar(c, x.value("sub").device()), x); }
template <Floating T> Variable<T> operator*(const Variable<T>& x, Number<T> c) { return mul(x, c); }
template <Floating T> Variable<T> operator*(Number<T> c, const Variable<T>& x) { return mul(x, c); }
template <Floating T> Variable<T> operator/(const Variable<T>& x, Number<T> c) { return div(x, c); }
template <Floating T> Variable<T> operator/(Number<T> c, const Variable<T>& x) { return div(Tensor<T>::scalar(c, x.value("div").device()), x); }
// clang-format on

/// condition ? a : b, elementwise; all three broadcast.
template <class A, class B>
requires detail::AnyVariable<A, B>
auto where(const Tensor<bool>& condition, const A& a, const B& b) {
  using T = element_t<A>;
  const Variable<T>& x = as_variable(a);
  const Variable<T>& y = as_variable(b);
  return record("where", where(condition, x.value("where"), y.value("where")), {x.node(), y.node()},
                [chosen = Saved<bool>("where", condition)](Tensor<T> dy, InputGrads<T> in) {
                  const Tensor<T> zero = Tensor<T>::scalar(0, dy.device());
                  in[0].add([&] { return where(chosen.get(), dy, zero); });
                  in[1].add([&] { return where(chosen.get(), zero, dy); });
                });
}

template <Floating T>
Variable<T> where(const Tensor<bool>& condition, const Variable<T>& a, Number<T> b) {
  return where(condition, a, Tensor<T>::scalar(b, a.value("where").device()));
}
template <Floating T>
Variable<T> where(const Tensor<bool>& condition, Number<T> a, const Variable<T>& b) {
  return where(condition, Tensor<T>::scalar(a, b.value("where").device()), b);
}

// What has no gradient is a Tensor, whatever it is of.
// clang-format off
template <class A, class B> requires detail::AnyVariable<A, B> Tensor<bool> eq(const A& a, const B& b) { return eq(as_tensor(a), as_tensor(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> Tensor<bool> ne(const A& a, const B& b) { return ne(as_tensor(a), as_tensor(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> Tensor<bool> lt(const A& a, const B& b) { return lt(as_tensor(a), as_tensor(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> Tensor<bool> le(const A& a, const B& b) { return le(as_tensor(a), as_tensor(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> Tensor<bool> gt(const A& a, const B& b) { return gt(as_tensor(a), as_tensor(b)); }
template <class A, class B> requires detail::AnyVariable<A, B> Tensor<bool> ge(const A& a, const B& b) { return ge(as_tensor(a), as_tensor(b)); }
template <class T> Tensor<bool> eq(const Variable<T>& x, Number<T> c) { return eq(x.value("eq"), c); }
template <class T> Tensor<bool> ne(const Variable<T>& x, Number<T> c) { return ne(x.value("ne"), c); }
template <class T> Tensor<bool> lt(const Variable<T>& x, Number<T> c) { return lt(x.value("lt"), c); }
template <class T> Tensor<bool> le(const Variable<T>& x, Number<T> c) { return le(x.value("le"), c); }
template <class T> Tensor<bool> gt(const Variable<T>& x, Number<T> c) { return gt(x.value("gt"), c); }
template <class T> Tensor<bool> ge(const Variable<T>& x, Number<T> c) { return ge(x.value("ge"), c); }
template <class A, class B> requires detail::AnyVariable<A, B> bool equal(const A& a, const B& b) { return equal(as_tensor(a), as_tensor(b)); }
// clang-format on

/// The same values in another floating type.
template <Floating To, Floating From>
Variable<To> cast(const Variable<From>& x) {
  if constexpr (std::same_as<To, From>) {
    return x;
  } else {
    return record(
        "cast", cast<To>(x.value("cast")), {x.node()},
        [](Tensor<To> dy, InputGrads<To> in) { in.template as<From>(0).add(cast<From>(dy)); });
  }
}

}  // namespace ldlm
