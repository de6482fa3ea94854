#pragma once
// From an op to its name, and to a constant that a kernel is made of. A value that is added to an
// enumeration does not compile until each of these switches, and every backend's, has its case.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <ldlm/core/enumeration.hpp>
#include <ldlm/core/kernel_ops.hpp>

namespace ldlm {

LDLM_COMPLETE_SWITCHES

/// The function of Tensors that an op is of: "exp"; "add" of add_scalar, too.
constexpr std::string_view name_of(UnaryOp op) {
  switch (op) {
    case UnaryOp::neg:
      return "neg";
#define LDLM_CASE(name, saved) \
  case UnaryOp::name:          \
    return #name;
      LDLM_UNARY_FUNCTIONS(LDLM_CASE)
#undef LDLM_CASE
    case UnaryOp::add_scalar:
      return "add";
    case UnaryOp::mul_scalar:
      return "mul";
    case UnaryOp::pow_scalar:
      return "pow";
    case UnaryOp::clamp:
      return "clamp";
  }
  return "unknown";
}
constexpr std::string_view name_of(BinaryOp op) {
  switch (op) {
    case BinaryOp::add:
      return "add";
    case BinaryOp::sub:
      return "sub";
    case BinaryOp::mul:
      return "mul";
    case BinaryOp::div:
      return "div";
    case BinaryOp::pow:
      return "pow";
    case BinaryOp::minimum:
      return "minimum";
    case BinaryOp::maximum:
      return "maximum";
  }
  return "unknown";
}
constexpr std::string_view name_of(CompareOp op) {
  switch (op) {
    case CompareOp::eq:
      return "eq";
    case CompareOp::ne:
      return "ne";
    case CompareOp::lt:
      return "lt";
    case CompareOp::le:
      return "le";
    case CompareOp::gt:
      return "gt";
    case CompareOp::ge:
      return "ge";
  }
  return "unknown";
}
constexpr std::string_view name_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return "sum";
    case ReduceOp::sum_squares:
      return "sum_squares";
    case ReduceOp::max:
      return "max";
    case ReduceOp::min:
      return "min";
  }
  return "unknown";
}
constexpr std::string_view name_of(Activation op) {
  switch (op) {
    case Activation::none:
      return "none";
    case Activation::relu:
      return "relu";
    case Activation::silu:
      return "silu";
    case Activation::gelu:
      return "gelu";
    case Activation::gelu_tanh:
      return "gelu_tanh";
  }
  return "unknown";
}

/// How many values an enumeration of ops has, for tables with a row for each.
template <class Op>
inline constexpr std::size_t op_count = [] {
  std::size_t count = 0;
  while (name_of(static_cast<Op>(count)) != "unknown") {
    ++count;
  }
  return count;
}();
/// All of them, in order.
template <class Op>
inline constexpr std::array<Op, op_count<Op>> all_ops = [] {
  std::array<Op, op_count<Op>> ops{};
  for (std::size_t i = 0; i < ops.size(); ++i) {
    ops[i] = static_cast<Op>(i);
  }
  return ops;
}();

namespace detail {
enum class Reads : std::uint8_t { input, output };
}  // namespace detail

/// Whether unary_backward takes the op's output as `saved`, rather than its input.
constexpr bool saves_output(UnaryOp op) {
  switch (op) {
    case UnaryOp::neg:
    case UnaryOp::add_scalar:
    case UnaryOp::mul_scalar:
    case UnaryOp::pow_scalar:
    case UnaryOp::clamp:
      return false;
#define LDLM_CASE(name, saved) \
  case UnaryOp::name:          \
    return detail::Reads::saved == detail::Reads::output;
      LDLM_UNARY_FUNCTIONS(LDLM_CASE)
#undef LDLM_CASE
  }
  detail::fail_unknown("UnaryOp", op);
}

/// Whether a reduction of no elements has a value: 0.
constexpr bool has_identity(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::sum_squares:
      return true;
    case ReduceOp::max:
    case ReduceOp::min:
      return false;
  }
  detail::fail_unknown("ReduceOp", op);
}

/// f(std::integral_constant<UnaryOp, op>{}): the op as a constant that f makes a kernel of. Throws
/// for a number that is no op. The same of the other enumerations.
template <class F>
constexpr decltype(auto) visit_op(UnaryOp op, F&& f) {
  switch (op) {
    case UnaryOp::neg:
      return f(std::integral_constant<UnaryOp, UnaryOp::neg>{});
#define LDLM_CASE(name, saved) \
  case UnaryOp::name:          \
    return f(std::integral_constant<UnaryOp, UnaryOp::name>{});
      LDLM_UNARY_FUNCTIONS(LDLM_CASE)
#undef LDLM_CASE
    case UnaryOp::add_scalar:
      return f(std::integral_constant<UnaryOp, UnaryOp::add_scalar>{});
    case UnaryOp::mul_scalar:
      return f(std::integral_constant<UnaryOp, UnaryOp::mul_scalar>{});
    case UnaryOp::pow_scalar:
      return f(std::integral_constant<UnaryOp, UnaryOp::pow_scalar>{});
    case UnaryOp::clamp:
      return f(std::integral_constant<UnaryOp, UnaryOp::clamp>{});
  }
  detail::fail_unknown("UnaryOp", op);
}
template <class F>
constexpr decltype(auto) visit_op(BinaryOp op, F&& f) {
  switch (op) {
    case BinaryOp::add:
      return f(std::integral_constant<BinaryOp, BinaryOp::add>{});
    case BinaryOp::sub:
      return f(std::integral_constant<BinaryOp, BinaryOp::sub>{});
    case BinaryOp::mul:
      return f(std::integral_constant<BinaryOp, BinaryOp::mul>{});
    case BinaryOp::div:
      return f(std::integral_constant<BinaryOp, BinaryOp::div>{});
    case BinaryOp::pow:
      return f(std::integral_constant<BinaryOp, BinaryOp::pow>{});
    case BinaryOp::minimum:
      return f(std::integral_constant<BinaryOp, BinaryOp::minimum>{});
    case BinaryOp::maximum:
      return f(std::integral_constant<BinaryOp, BinaryOp::maximum>{});
  }
  detail::fail_unknown("BinaryOp", op);
}
template <class F>
constexpr decltype(auto) visit_op(CompareOp op, F&& f) {
  switch (op) {
    case CompareOp::eq:
      return f(std::integral_constant<CompareOp, CompareOp::eq>{});
    case CompareOp::ne:
      return f(std::integral_constant<CompareOp, CompareOp::ne>{});
    case CompareOp::lt:
      return f(std::integral_constant<CompareOp, CompareOp::lt>{});
    case CompareOp::le:
      return f(std::integral_constant<CompareOp, CompareOp::le>{});
    case CompareOp::gt:
      return f(std::integral_constant<CompareOp, CompareOp::gt>{});
    case CompareOp::ge:
      return f(std::integral_constant<CompareOp, CompareOp::ge>{});
  }
  detail::fail_unknown("CompareOp", op);
}
template <class F>
constexpr decltype(auto) visit_op(ReduceOp op, F&& f) {
  switch (op) {
    case ReduceOp::sum:
      return f(std::integral_constant<ReduceOp, ReduceOp::sum>{});
    case ReduceOp::sum_squares:
      return f(std::integral_constant<ReduceOp, ReduceOp::sum_squares>{});
    case ReduceOp::max:
      return f(std::integral_constant<ReduceOp, ReduceOp::max>{});
    case ReduceOp::min:
      return f(std::integral_constant<ReduceOp, ReduceOp::min>{});
  }
  detail::fail_unknown("ReduceOp", op);
}

// Instances here, so that the switches are looked at even where nobody uses them.
namespace detail {
inline constexpr auto value_of_op = [](auto op) { return op(); };
}  // namespace detail
static_assert(visit_op(UnaryOp::exp, detail::value_of_op) == UnaryOp::exp &&
              visit_op(BinaryOp::pow, detail::value_of_op) == BinaryOp::pow &&
              visit_op(CompareOp::lt, detail::value_of_op) == CompareOp::lt &&
              visit_op(ReduceOp::max, detail::value_of_op) == ReduceOp::max);

/// Throws for a number that is no Activation.
constexpr void check_activation(Activation activation) {
  switch (activation) {
    case Activation::none:
    case Activation::relu:
    case Activation::silu:
    case Activation::gelu:
    case Activation::gelu_tanh:
      return;
  }
  detail::fail_unknown("Activation", activation);
}

LDLM_END_COMPLETE_SWITCHES

}  // namespace ldlm
