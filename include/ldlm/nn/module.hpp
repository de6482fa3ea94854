#pragma once
// Modules: plain value types that name their parts in a `visit` member, and what can be done with
// any of them. There is no base class, no registry and no pointer to a parameter.
//
//   struct Mlp {
//     Linear<float> hidden, out;
//     Mlp(Generator& g) : hidden(2, 16, g), out(16, 1, g) {}
//     Variable<float> operator()(const Operand<float> auto& x) const {
//       return out(hidden(x, Activation::relu));
//     }
//     void visit(auto&& v) { v("hidden", hidden), v("out", out); }
//   };
//
// visit calls v(name, part) for every part: a Variable is a parameter, and so is a Weight until
// nn/pack.hpp packs it; anything with a visit member is a child, a std::vector of any of these a
// list ("h.0", "h.1", ...), a std::optional may be absent; v.buffer(name, tensor) is for state
// without a gradient. What is undefined (say, no bias) is skipped. Full names join the parts with
// dots, as in PyTorch's state dicts.
//
// The copy of a module shares its parameters, as the copy of a Variable does; clone() copies them.
// A module whose elements are not float says so with `using value_type = double;`.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <ldlm/autograd/variable.hpp>
#include <ldlm/core/named_tensors.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/nn/weight.hpp>

namespace ldlm {

namespace detail {

template <class M>
struct ScalarOf {
  using type = float;
};
template <class M>
requires requires {
  typename M::value_type;
}
struct ScalarOf<M> {
  using type = typename M::value_type;
};

}  // namespace detail

namespace detail {
/// Stands for whoever visits a module.
struct AnyVisitor {
  void operator()(std::string_view name, auto& part);
  void buffer(std::string_view name, auto& tensor);
};
}  // namespace detail

/// What has a visit member: the functions below take it, const or not.
template <class M>
concept Module = requires(std::remove_const_t<M>& module, detail::AnyVisitor& visitor) {
  module.visit(visitor);
};

/// The element type of a module's parameters: its value_type, or float if it names none.
template <class M>
using scalar_t = typename detail::ScalarOf<std::remove_cvref_t<M>>::type;

/// Parameters with their full names.
template <Floating T>
using NamedParameters = std::vector<std::pair<std::string, Variable<T>>>;

namespace detail {

template <class>
inline constexpr bool is_leaf_of_any_type = false;
template <class T>
inline constexpr bool is_leaf_of_any_type<Variable<T>> = true;
template <class T>
inline constexpr bool is_leaf_of_any_type<Weight<T>> = true;

/// A walk over a module tree in the order of visit; the handler gets each leaf with its full name.
template <Floating T, class Handler>
class Walker {
 public:
  explicit Walker(Handler& handler) : handler_(handler) {}

  void operator()(std::string_view name, Variable<T>& parameter) {
    if (parameter.defined()) {
      const Scope scope(path_, name);
      handler_.parameter(path_, parameter);
    }
  }
  void buffer(std::string_view name, Tensor<T>& tensor) {
    if (tensor.defined()) {
      const Scope scope(path_, name);
      handler_.buffer(path_, tensor);
    }
  }
  template <class Other>
  void buffer(std::string_view /*name*/, Other& /*buffer*/) {
    static_assert(std::is_same_v<Other, Tensor<T>>,
                  "a buffer is a Tensor of its module's element type: counts fit into floats, and "
                  "what the module computes with is a parameter or a part");
  }
  /// A handler with a member weight() gets every Weight; to others a dense one is a parameter, and
  /// a packed one nothing.
  void operator()(std::string_view name, Weight<T>& weight) {
    if (!weight.defined()) {
      return;
    }
    const Scope scope(path_, name);
    if constexpr (requires { handler_.weight(path_, weight); }) {
      handler_.weight(path_, weight);
    } else if (!weight.is_packed()) {
      handler_.parameter(path_, weight.variable());
    }
  }
  template <class Part>
  void operator()(std::string_view name, std::vector<Part>& list) {
    const Scope scope(path_, name);
    for (std::size_t i = 0; i < list.size(); ++i) {
      (*this)(std::to_string(i), list[i]);
    }
  }
  template <class Part>
  void operator()(std::string_view name, std::optional<Part>& part) {
    if (part) {
      (*this)(name, *part);
    }
  }
  template <class Part>
  void operator()(std::string_view name, Part& part) {
    if constexpr (requires { part.visit(*this); }) {
      const Scope scope(path_, name);
      enter(part);
    } else {
      constexpr bool is_const = std::is_const_v<Part>;
      constexpr bool is_leaf = is_leaf_of_any_type<Part>;
      static_assert(!is_const,
                    "visit must not be const: it shows the parts to those that change them, too");
      static_assert(is_const || !is_leaf,
                    "this Variable or Weight has another element type than its module: a module "
                    "whose elements are not float says so, with `using value_type = double;`");
      static_assert(is_const || is_leaf,
                    "this part has no visit member: a visited part is a Variable, a Weight, a "
                    "module with a public visit, or a vector or optional of these; a Tensor goes "
                    "to v.buffer");
    }
  }
  template <class M>
  void enter(M& module) {
    handler_.module(module);
    module.visit(*this);
  }

 private:
  // Appends ".name" for the time of one part.
  class Scope {
   public:
    Scope(std::string& path, std::string_view name) : path_(path), size_(path.size()) {
      if (!path.empty() && !name.empty()) {
        path += '.';
      }
      path += name;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { path_.resize(size_); }

   private:
    std::string& path_;
    std::size_t size_;
  };

  Handler& handler_;
  std::string path_;
};

/// Ignores everything; handlers override what they want.
template <Floating T>
struct Handler {
  void parameter(const std::string& /*name*/, Variable<T>& /*parameter*/) {}
  void buffer(const std::string& /*name*/, Tensor<T>& /*tensor*/) {}
  template <class M>
  void module(M& /*module*/) {}
};

template <class M, class H>
void walk(M& module, H& handler) {
  Walker<scalar_t<M>, H> walker(handler);
  walker.enter(module);
}
// visit is not const, so that one member serves reading and writing; the handlers that take this
// way only read.
template <class M, class H>
void walk(const M& module, H& handler) {
  walk(const_cast<M&>(module), handler);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

/// What tied parameters have in common: the elements, and how they lie. A view of a part may start
/// where the whole does, and is a parameter of its own.
template <Floating T>
struct ParameterPlace {
  const T* data;
  Shape shape;
  Strides strides;

  explicit ParameterPlace(const Tensor<T>& tensor)
      : data(tensor.data()), shape(tensor.shape()), strides(tensor.layout().strides) {
    for (int i = 0; i < max_rank; ++i) {
      if (i >= shape.rank() || shape[i] == 1) {  // where they mean nothing
        strides[static_cast<std::size_t>(i)] = 0;
      }
    }
  }
  friend bool operator==(const ParameterPlace&, const ParameterPlace&) = default;

  struct Hash {
    std::size_t operator()(const ParameterPlace& place) const {
      return std::hash<const T*>()(place.data);
    }
  };
};

template <Floating T>
struct CollectParameters : Handler<T> {
  using Place = ParameterPlace<T>;
  NamedParameters<T> found{};
  std::unordered_set<Place, typename Place::Hash> seen{};

  void parameter(const std::string& name, Variable<T>& parameter) {
    const Place place(parameter.value());
    if (place.data == nullptr || seen.insert(place).second) {  // a tied parameter counts once
      found.emplace_back(name, parameter);
    }
  }
};

template <Floating T>
struct CollectState : Handler<T> {
  NamedTensors<T> found{};

  void parameter(const std::string& name, Variable<T>& parameter) {
    found.emplace_back(name, parameter.value());
  }
  void buffer(const std::string& name, Tensor<T>& tensor) { found.emplace_back(name, tensor); }
};

template <Floating T>
struct CheckTrainable : Handler<T> {
  void weight(const std::string& name, Weight<T>& weight) {
    LDLM_CHECK(!weight.is_packed(), "set_requires_grad", name, " is packed as ",
               name_of(weight.packed().format), " and can't be trained");
  }
};

/// Puts copy(tensor) in the place of every parameter's and buffer's tensor.
template <Floating T, class Copy>
struct ReplaceLeaves : Handler<T> {
  explicit ReplaceLeaves(Copy make) : copy(std::move(make)) {}

  using Place = ParameterPlace<T>;
  Copy copy;
  std::unordered_map<Place, Variable<T>, typename Place::Hash> copies{};  // keep tied ones tied

  void parameter(const std::string& /*name*/, Variable<T>& parameter) {
    Variable<T>& other = copies[Place(parameter.value())];
    if (!other.defined() || parameter.numel() == 0) {
      other = Variable<T>(copy(parameter.value()), parameter.requires_grad());
    }
    parameter = other;
  }
  void buffer(const std::string& /*name*/, Tensor<T>& tensor) { tensor = copy(tensor); }
};

template <Floating T>
struct MovePacked : Handler<T> {
  explicit MovePacked(Device target) : device(target) {}
  Device device;
  void weight(const std::string& /*name*/, Weight<T>& weight) { weight.move_packed(device); }
};

}  // namespace detail

/// Every parameter with its full name, in the order of visit; one that is tied to an earlier one is
/// left out.
template <Module M>
[[nodiscard]] NamedParameters<scalar_t<M>> named_parameters(const M& module) {
  detail::CollectParameters<scalar_t<M>> collect;
  detail::walk(module, collect);
  return std::move(collect.found);
}

/// Every parameter, in the order of visit.
template <Module M>
[[nodiscard]] std::vector<Variable<scalar_t<M>>> parameters(const M& module) {
  std::vector<Variable<scalar_t<M>>> out;
  for (auto& [name, parameter] : named_parameters(module)) {
    out.push_back(parameter);
  }
  return out;
}

/// Number of elements of all parameters.
template <Module M>
[[nodiscard]] std::int64_t num_parameters(const M& module) {
  std::int64_t count = 0;
  for (const auto& [name, parameter] : named_parameters(module)) {
    count += parameter.numel();
  }
  return count;
}

/// Parameters and buffers under their full names. The tensors share memory with the module. Throws
/// if two have the same name.
template <Module M>
[[nodiscard]] NamedTensors<scalar_t<M>> state_dict(const M& module) {
  detail::CollectState<scalar_t<M>> collect;
  detail::walk(module, collect);
  std::unordered_set<std::string_view> names;
  for (const auto& [name, tensor] : collect.found) {
    LDLM_CHECK(names.insert(name).second, "state_dict", "two parts are named '", name, "'");
  }
  return std::move(collect.found);
}

/// Copies tensors into the parameters and buffers of the same names. Nothing is changed unless all
/// fits: throws an Error that lists the names missing from `tensors`, those it has too many (both
/// only if `strict`), and those of another shape.
template <Module M>
void load_state_dict(M& module, const NamedTensors<scalar_t<M>>& tensors, bool strict = true) {
  copy_tensors(tensors, state_dict(module), strict, "load_state_dict");
}

/// A state dict in another element type, which a module of that type loads.
template <Scalar To, Scalar From>
[[nodiscard]] NamedTensors<To> cast(const NamedTensors<From>& tensors) {
  NamedTensors<To> out;
  for (const auto& [name, tensor] : tensors) {
    out.emplace_back(name, cast<To>(tensor));
  }
  return out;
}

/// Drops the gradients of all parameters.
template <Module M>
void zero_grad(M& module) {
  for (auto& [name, parameter] : named_parameters(module)) {
    parameter.zero_grad();
  }
}

/// Freezes (false) or unfreezes every parameter. A module with a packed weight can't be unfrozen:
/// throws, naming it, and changes nothing.
template <Module M>
void set_requires_grad(M& module, bool requires_grad) {
  if (requires_grad) {
    detail::CheckTrainable<scalar_t<M>> check;
    detail::walk(module, check);
  }
  for (auto& [name, parameter] : named_parameters(module)) {
    parameter.set_requires_grad(requires_grad);
  }
}

/// A copy with parameters and buffers of its own; tied ones stay tied to each other. Packed
/// weights, which nothing changes, are shared. (An optimiser of the old ones does not know it.)
template <Module M>
[[nodiscard]] M clone(const M& module) {
  using T = scalar_t<M>;
  M copy = module;
  const auto clone_of = [](const Tensor<T>& tensor) { return tensor.clone(); };
  detail::ReplaceLeaves<T, decltype(clone_of)> leaves(clone_of);
  detail::walk(copy, leaves);
  return copy;
}

/// Moves a module to a device: parameters and buffers become new ones there, without gradients;
/// tied ones stay tied, packed weights come too. Optimisers and averages are made afterwards.
template <Module M>
void to(M& module, Device device) {
  using T = scalar_t<M>;
  const auto moved = [device](const Tensor<T>& tensor) { return tensor.to(device); };
  detail::ReplaceLeaves<T, decltype(moved)> leaves(moved);
  detail::walk(module, leaves);
  detail::MovePacked<T> packed(device);
  detail::walk(module, packed);
}

}  // namespace ldlm
