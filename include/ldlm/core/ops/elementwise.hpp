#pragma once
// Elementwise ops with NumPy broadcasting: unary functions, arithmetic, comparisons, where, casts.
// A result lies in memory as its operand does, without gaps, so that a function of a transposed
// tensor is one of contiguous memory; it is row-major if an operand of its shape is.

#include <ldlm/core/tensor.hpp>

namespace ldlm {

namespace detail {

/// A view of `t` broadcast to `shape`.
template <class T>
View<T> broadcast_view(const Tensor<T>& t, const Shape& shape, std::string_view op) {
  return {t.data(), broadcast_to(t.layout(), shape, op)};
}

/// Where the elements of a result of several operands lie: in the order of the first that has its
/// shape, or row-major if any such operand is.
template <class... T>
Layout result_layout(const Shape& shape, const Tensor<T>&... operands) {
  const Layout* like = nullptr;
  const auto look = [&](const Layout& layout) {
    if (layout.shape == shape && (like == nullptr || layout.is_contiguous())) {
      like = &layout;
    }
  };
  (look(operands.layout()), ...);
  return like != nullptr ? dense_like(*like) : Layout(shape);
}

template <class T>
Tensor<T> binary(BinaryOp op, const Tensor<T>& a, const Tensor<T>& b, std::string_view name) {
  const Device device = common_device(name, a, b);
  const Shape shape = broadcast_shapes(a.shape(), b.shape(), name);
  Tensor<T> out = Tensor<T>::empty_like(result_layout(shape, a, b), device);
  if (out.numel() > 0) {
    kernel(device, &KernelTable<T>::binary, name)(op, broadcast_view(a, shape, name),
                                                  broadcast_view(b, shape, name), out.view());
  }
  return out;
}

template <class T>
void binary_in_place(BinaryOp op, const Tensor<T>& a, const Tensor<T>& b, std::string_view name) {
  const Device device = common_device(name, a, b);
  const View<T> right = broadcast_view(b, a.shape(), name);
  if (a.numel() > 0) {
    check_in_place(name, a.view(), right);
    kernel(device, &KernelTable<T>::binary, name)(op, a.view(), right, a.view());
    a.storage().bump_version();
  }
}

template <class T>
Tensor<bool> compare(CompareOp op, const Tensor<T>& a, const Tensor<T>& b, std::string_view name) {
  const Device device = common_device(name, a, b);
  const Shape shape = broadcast_shapes(a.shape(), b.shape(), name);
  Tensor<bool> out = Tensor<bool>::empty_like(result_layout(shape, a, b), device);
  if (out.numel() > 0) {
    kernel(device, &KernelTable<T>::compare, name)(op, broadcast_view(a, shape, name),
                                                   broadcast_view(b, shape, name), out.view());
  }
  return out;
}

}  // namespace detail

namespace detail {

/// Throws for what no backend computes.
template <class T>
void check_unary(UnaryOp op, std::string_view name) {
  LDLM_CHECK_AS(dtype, (!std::same_as<T, bool> || op != UnaryOp::neg), name,
                "not defined for bool; eq(x, false) is its negation");
}

template <class T>
Tensor<T> unary(UnaryOp op, const Tensor<T>& x, Number<T> a, Number<T> b, std::string_view name) {
  check_unary<T>(op, name);
  Tensor<T> out = Tensor<T>::empty_like(x.layout(), x.device(name));
  if (out.numel() > 0) {
    kernel(out.device(), &KernelTable<T>::unary, name)(op, x.view(), out.view(), a, b);
  }
  return out;
}

template <class T>
void unary_in_place(UnaryOp op, const Tensor<T>& x, Number<T> a, Number<T> b,
                    std::string_view name) {
  const Device device = x.device(name);
  check_unary<T>(op, name);
  if (x.numel() > 0) {
    check_in_place(name, x.view());
    kernel(device, &KernelTable<T>::unary, name)(op, x.view(), x.view(), a, b);
    x.storage().bump_version();
  }
}

/// -c, with which x + (-c) is x - c: exactly, also for integers, which wrap. Of bool, which has no
/// difference, an Error.
template <class T>
constexpr T opposite(T c) {
  if constexpr (std::same_as<T, bool>) {
    fail_as(ErrorCode::dtype, "sub", "sub, div and pow are not defined for bool");
  } else if constexpr (std::integral<T>) {
    return static_cast<T>(std::uint64_t{0} - static_cast<std::uint64_t>(c));
  } else {
    return T(-c);
  }
}

}  // namespace detail

/// f(x) for any UnaryOp; the named functions below are the usual way. Same shape as x.
template <class T>
Tensor<T> unary(UnaryOp op, const Tensor<T>& x, Number<T> a = ComputeType<T>{},
                Number<T> b = ComputeType<T>{}) {
  return detail::unary(op, x, a, b, name_of(op));
}

/// x = f(x), in place. Throws, as all ops in place do, if elements of x share memory.
template <class T>
void unary_(UnaryOp op, const Tensor<T>& x, Number<T> a = ComputeType<T>{},
            Number<T> b = ComputeType<T>{}) {
  detail::unary_in_place(op, x, a, b, "unary_");
}

namespace detail {
template <class T>
void check_bounds(T low, T high) {
  LDLM_CHECK(low == low && high == high, "clamp", "a bound is NaN");
}
}  // namespace detail

// clang-format off
template <class T> Tensor<T> neg(const Tensor<T>& x) { return unary(UnaryOp::neg, x); }
#define LDLM_FUNCTION(name, saved) template <class T> Tensor<T> name(const Tensor<T>& x) { return unary(UnaryOp::name, x); }
LDLM_UNARY_FUNCTIONS(LDLM_FUNCTION)
#undef LDLM_FUNCTION
/// x^exponent; 0.5 and -0.5 are square roots: NaN of -infinity.
template <class T> Tensor<T> pow(const Tensor<T>& x, Number<T> exponent) { return unary(UnaryOp::pow_scalar, x, exponent); }
/// min(max(x, low), high): `high` everywhere if low > high. NaN stays NaN; a bound that is NaN is an Error.
template <class T> Tensor<T> clamp(const Tensor<T>& x, Number<T> low, Number<T> high) { detail::check_bounds<ComputeType<T>>(low, high); return unary(UnaryOp::clamp, x, low, high); }

template <class T> Tensor<T> add(const Tensor<T>& a, const Tensor<T>& b) { return detail::binary(BinaryOp::add, a, b, "add"); }
template <class T> Tensor<T> sub(const Tensor<T>& a, const Tensor<T>& b) { return detail::binary(BinaryOp::sub, a, b, "sub"); }
template <class T> Tensor<T> mul(const Tensor<T>& a, const Tensor<T>& b) { return detail::binary(BinaryOp::mul, a, b, "mul"); }
template <class T> Tensor<T> div(const Tensor<T>& a, const Tensor<T>& b) { return detail::binary(BinaryOp::div, a, b, "div"); }
template <class T> Tensor<T> pow(const Tensor<T>& a, const Tensor<T>& b) { return detail::binary(BinaryOp::pow, a, b, "pow"); }
/// The smaller and the larger of two; NaN if one of them is.
template <class T> Tensor<T> minimum(const Tensor<T>& a, const Tensor<T>& b) { return detail::binary(BinaryOp::minimum, a, b, "minimum"); }
template <class T> Tensor<T> maximum(const Tensor<T>& a, const Tensor<T>& b) { return detail::binary(BinaryOp::maximum, a, b, "maximum"); }
template <class T> Tensor<T> add(const Tensor<T>& x, Number<T> c) { return unary(UnaryOp::add_scalar, x, c); }
template <class T> Tensor<T> sub(const Tensor<T>& x, Number<T> c) { return detail::unary(UnaryOp::add_scalar, x, detail::opposite<ComputeType<T>>(c), ComputeType<T>{}, "sub"); }
template <class T> Tensor<T> mul(const Tensor<T>& x, Number<T> c) { return unary(UnaryOp::mul_scalar, x, c); }
template <class T> Tensor<T> div(const Tensor<T>& x, Number<T> c) { return div(x, Tensor<T>::scalar(c, x.device("div"))); }

template <class T> Tensor<T> operator-(const Tensor<T>& x) { return neg(x); }
template <class T> Tensor<T> operator+(const Tensor<T>& a, const Tensor<T>& b) { return add(a, b); }
template <class T> Tensor<T> operator-(const Tensor<T>& a, const Tensor<T>& b) { return sub(a, b); }
template <class T> Tensor<T> operator*(const Tensor<T>& a, const Tensor<T>& b) { return mul(a, b); }
template <class T> Tensor<T> operator/(const Tensor<T>& a, const Tensor<T>& b) { return div(a, b); }
template <class T> Tensor<T> operator+(const Tensor<T>& x, Number<T> c) { return add(x, c); }
template <class T> Tensor<T> operator+(Number<T> c, const Tensor<T>& x) { return add(x, c); }
template <class T> Tensor<T> operator-(const Tensor<T>& x, Number<T> c) { return sub(x, c); }
template <class T> Tensor<T> operator-(Number<T> c, const Tensor<T>& x) { return sub(Tensor<T>::scalar(c, x.device("sub")), x); }
template <class T> Tensor<T> operator*(const Tensor<T>& x, Number<T> c) { return mul(x, c); }
template <class T> Tensor<T> operator*(Number<T> c, const Tensor<T>& x) { return mul(x, c); }
template <class T> Tensor<T> operator/(const Tensor<T>& x, Number<T> c) { return div(x, c); }
template <class T> Tensor<T> operator/(Number<T> c, const Tensor<T>& x) { return div(Tensor<T>::scalar(c, x.device("div")), x); }

/// a += b, and so on, in place: b broadcasts to a's shape. b may be the same view as a; throws if
/// it overlaps a in memory otherwise, or if elements of a share memory.
template <class T> void add_(const Tensor<T>& a, const Tensor<T>& b) { detail::binary_in_place(BinaryOp::add, a, b, "add_"); }
template <class T> void sub_(const Tensor<T>& a, const Tensor<T>& b) { detail::binary_in_place(BinaryOp::sub, a, b, "sub_"); }
template <class T> void mul_(const Tensor<T>& a, const Tensor<T>& b) { detail::binary_in_place(BinaryOp::mul, a, b, "mul_"); }
template <class T> void div_(const Tensor<T>& a, const Tensor<T>& b) { detail::binary_in_place(BinaryOp::div, a, b, "div_"); }
template <class T> void add_(const Tensor<T>& x, Number<T> c) { detail::unary_in_place(UnaryOp::add_scalar, x, c, ComputeType<T>{}, "add_"); }
template <class T> void sub_(const Tensor<T>& x, Number<T> c) { detail::unary_in_place(UnaryOp::add_scalar, x, detail::opposite<ComputeType<T>>(c), ComputeType<T>{}, "sub_"); }
template <class T> void mul_(const Tensor<T>& x, Number<T> c) { detail::unary_in_place(UnaryOp::mul_scalar, x, c, ComputeType<T>{}, "mul_"); }
template <class T> void div_(const Tensor<T>& x, Number<T> c) { div_(x, Tensor<T>::scalar(c, x.device("div_"))); }

/// add_ and so on as operators: they write the elements, which other handles and views share, so
/// `x.slice(0, 0, 2) += y` changes x. (x = x + y makes a new tensor for x alone.)
template <class T> const Tensor<T>& operator+=(const Tensor<T>& a, const Tensor<T>& b) { add_(a, b); return a; }
template <class T> const Tensor<T>& operator-=(const Tensor<T>& a, const Tensor<T>& b) { sub_(a, b); return a; }
template <class T> const Tensor<T>& operator*=(const Tensor<T>& a, const Tensor<T>& b) { mul_(a, b); return a; }
template <class T> const Tensor<T>& operator/=(const Tensor<T>& a, const Tensor<T>& b) { div_(a, b); return a; }
template <class T> const Tensor<T>& operator+=(const Tensor<T>& x, Number<T> c) { add_(x, c); return x; }
template <class T> const Tensor<T>& operator-=(const Tensor<T>& x, Number<T> c) { sub_(x, c); return x; }
template <class T> const Tensor<T>& operator*=(const Tensor<T>& x, Number<T> c) { mul_(x, c); return x; }
template <class T> const Tensor<T>& operator/=(const Tensor<T>& x, Number<T> c) { div_(x, c); return x; }

template <class T> Tensor<bool> eq(const Tensor<T>& a, const Tensor<T>& b) { return detail::compare(CompareOp::eq, a, b, "eq"); }
template <class T> Tensor<bool> ne(const Tensor<T>& a, const Tensor<T>& b) { return detail::compare(CompareOp::ne, a, b, "ne"); }
template <class T> Tensor<bool> lt(const Tensor<T>& a, const Tensor<T>& b) { return detail::compare(CompareOp::lt, a, b, "lt"); }
template <class T> Tensor<bool> le(const Tensor<T>& a, const Tensor<T>& b) { return detail::compare(CompareOp::le, a, b, "le"); }
template <class T> Tensor<bool> gt(const Tensor<T>& a, const Tensor<T>& b) { return detail::compare(CompareOp::gt, a, b, "gt"); }
template <class T> Tensor<bool> ge(const Tensor<T>& a, const Tensor<T>& b) { return detail::compare(CompareOp::ge, a, b, "ge"); }
template <class T> Tensor<bool> eq(const Tensor<T>& x, Number<T> c) { return eq(x, Tensor<T>::scalar(c, x.device("eq"))); }
template <class T> Tensor<bool> ne(const Tensor<T>& x, Number<T> c) { return ne(x, Tensor<T>::scalar(c, x.device("ne"))); }
template <class T> Tensor<bool> lt(const Tensor<T>& x, Number<T> c) { return lt(x, Tensor<T>::scalar(c, x.device("lt"))); }
template <class T> Tensor<bool> le(const Tensor<T>& x, Number<T> c) { return le(x, Tensor<T>::scalar(c, x.device("le"))); }
template <class T> Tensor<bool> gt(const Tensor<T>& x, Number<T> c) { return gt(x, Tensor<T>::scalar(c, x.device("gt"))); }
template <class T> Tensor<bool> ge(const Tensor<T>& x, Number<T> c) { return ge(x, Tensor<T>::scalar(c, x.device("ge"))); }
// clang-format on

/// y += a * x, in place; x broadcasts to y's shape, and may overlap y only as the same view.
template <class T>
void axpy_(const Tensor<T>& y, Number<T> a, const Tensor<T>& x) {
  const Device device = detail::common_device("axpy_", y, x);
  const View<T> source = detail::broadcast_view(x, y.shape(), "axpy_");
  if (y.numel() > 0) {
    detail::check_in_place("axpy_", y.view(), source);
    detail::kernel(device, &KernelTable<T>::axpy, "axpy_")(a, source, y.view());
    y.storage().bump_version();
  }
}

/// condition ? a : b, elementwise; all three broadcast.
template <class T>
Tensor<T> where(const Tensor<bool>& condition, const Tensor<T>& a, const Tensor<T>& b) {
  const Device device = detail::common_device("where", a, b, condition);
  const Shape shape =
      broadcast_shapes(condition.shape(), broadcast_shapes(a.shape(), b.shape(), "where"), "where");
  Tensor<T> out = Tensor<T>::empty_like(detail::result_layout(shape, condition, a, b), device);
  if (out.numel() > 0) {
    detail::kernel(device, &KernelTable<T>::where, "where")(
        detail::broadcast_view(condition, shape, "where"),
        detail::broadcast_view(a, shape, "where"), detail::broadcast_view(b, shape, "where"),
        out.view());
  }
  return out;
}

/// The same with a number in the place of one of them.
template <class T>
Tensor<T> where(const Tensor<bool>& condition, const Tensor<T>& a, Number<T> b) {
  return where(condition, a, Tensor<T>::scalar(b, a.device("where")));
}
template <class T>
Tensor<T> where(const Tensor<bool>& condition, Number<T> a, const Tensor<T>& b) {
  return where(condition, Tensor<T>::scalar(a, b.device("where")), b);
}

/// The same values as another element type: floats to integers truncate, to bool compare with 0.
template <class To, class From>
Tensor<To> cast(const Tensor<From>& x) {
  if constexpr (std::same_as<To, From>) {
    return x;
  } else {
    Tensor<To> out = Tensor<To>::empty_like(x.layout(), x.device("cast"));
    if (out.numel() > 0) {
      detail::kernel(x.device(), &KernelTable<To>::cast, "cast")(
          dtype_of<From>, View<const void>(x.data(), x.layout()), out.view());
    }
    return out;
  }
}

/// Whether shapes and all elements are the same (NaN equals nothing).
template <class T>
bool equal(const Tensor<T>& a, const Tensor<T>& b) {
  static_cast<void>(a.device("equal"));
  static_cast<void>(b.device("equal"));
  if (a.shape() != b.shape()) {
    return false;
  }
  const std::vector<T> x = a.to_vector();
  return x == b.to_vector();
}

}  // namespace ldlm
