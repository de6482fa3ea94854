#pragma once
// What a case computes with: tensors of every element type and Variables, and one step of a case.

#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <ldlm/autograd/variable.hpp>
#include <ldlm/json/value.hpp>

namespace ldlm::test {

using Value = std::variant<std::monostate, Tensor<double>, Tensor<float>, Tensor<f16>, Tensor<bf16>,
                           Tensor<std::int64_t>, Tensor<std::int32_t>, Tensor<std::int16_t>,
                           Tensor<std::int8_t>, Tensor<std::uint64_t>, Tensor<std::uint32_t>,
                           Tensor<std::uint16_t>, Tensor<std::uint8_t>, Tensor<bool>,
                           Variable<double>, Variable<float>>;

template <class V>
inline constexpr bool is_variable = false;
template <class T>
inline constexpr bool is_variable<Variable<T>> = true;

/// The element type of a Tensor or Variable.
template <class V>
using ElementType = typename std::remove_cvref_t<V>::value_type;

/// One step `results = op(args, options)` of a case.
struct Call {
  std::string_view op;
  std::vector<const Value*> args;
  const JsonValue& options;
  std::vector<Value> results{};

  [[noreturn]] void refuse(std::string_view why) const { detail::fail("cases", op, ": ", why); }

  [[nodiscard]] const Value& arg(std::size_t i) const {
    LDLM_CHECK(i < args.size(), "cases", op, ": needs more than ", args.size(), " arguments");
    return *args[i];
  }
  /// Argument i if it is a V.
  template <class V>
  [[nodiscard]] const V& as(std::size_t i) const {
    const V* const found = std::get_if<V>(&arg(i));
    LDLM_CHECK(found != nullptr, "cases", op, ": argument ", i, " has another type");
    return *found;
  }
  /// Argument i, or an undefined V if there is none or it was given as "".
  template <class V>
  [[nodiscard]] V optional(std::size_t i) const {
    return i < args.size() && !std::holds_alternative<std::monostate>(*args[i]) ? as<V>(i) : V();
  }
  [[nodiscard]] bool has(std::string_view key) const { return options.find(key) != nullptr; }
  template <class T>
  [[nodiscard]] T option(std::string_view key) const {
    const JsonValue* const found = options.find(key);
    LDLM_CHECK(found != nullptr, "cases", op, ": option ", key, " is missing");
    if constexpr (std::same_as<T, bf16>) {
      return bf16(option<float>(key));
    } else {
      if constexpr (std::floating_point<T>) {  // JSON has no word for these
        if (found->is_string()) {
          return static_cast<T>(std::stold(found->string()));
        }
      }
      return found->as<T>();
    }
  }
  template <class T>
  [[nodiscard]] T option(std::string_view key, T otherwise) const {
    return has(key) ? option<T>(key) : otherwise;
  }
  template <class V>
  void give(V result) {
    results.emplace_back(std::move(result));
  }
};

/// Calls f(x) with argument i, which must be one of those that `Wanted` accepts.
template <class Wanted, class F>
void visit_argument(Call& call, std::size_t i, Wanted, F&& f) {
  std::visit(
      [&]<class V>(const V& x) {
        if constexpr (std::is_same_v<V, std::monostate>) {
          call.refuse("argument is missing");
        } else if constexpr (Wanted::template accepts<V>) {
          f(x);
        } else {
          call.refuse("not of this type");
        }
      },
      call.arg(i));
}

/// Tensors and Variables of float and double.
struct FloatingValues {
  template <class V>
  static constexpr bool accepts = std::floating_point<ElementType<V>>;
};
/// Tensors with arithmetic and Variables.
struct ComputingValues {
  template <class V>
  static constexpr bool accepts = Computing<ElementType<V>>;
};
/// Tensors with arithmetic.
struct ComputingTensors {
  template <class V>
  static constexpr bool accepts = Computing<ElementType<V>> && !is_variable<V>;
};
struct FloatingTensors {
  template <class V>
  static constexpr bool accepts = std::floating_point<ElementType<V>> && !is_variable<V>;
};
struct Variables {
  template <class V>
  static constexpr bool accepts = is_variable<V>;
};
struct AllTensors {
  template <class V>
  static constexpr bool accepts = !is_variable<V>;
};
struct AllValues {
  template <class V>
  static constexpr bool accepts = true;
};

/// Calls f(x, y) with arguments 0 and 1 of one element type; where Variables may stand, each may be
/// a Tensor or a Variable.
template <class Wanted, class F>
void visit_pair(Call& call, Wanted wanted, F&& f) {
  visit_argument(call, 0, wanted, [&]<class A>(const A& a) {
    using T = ElementType<A>;
    if constexpr (std::floating_point<T>) {
      if constexpr (Wanted::template accepts<Variable<T>>) {
        if (const auto* const b = std::get_if<Variable<T>>(&call.arg(1))) {
          return f(a, *b);
        }
      }
    }
    f(a, call.as<Tensor<T>>(1));
  });
}

}  // namespace ldlm::test
