#pragma once
// What an optimiser works on: groups of named parameters that share a weight decay.

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <ldlm/core/ops/reduce.hpp>
#include <ldlm/nn/module.hpp>

namespace ldlm {

/// What an optimiser's steps depend on beside the learning rate: numbers with their names.
using OptimizerSettings = std::vector<std::pair<std::string, double>>;

/// Parameters with a weight decay and a factor on the learning rate of their own.
template <Floating T>
struct ParameterGroup {
  NamedParameters<T> parameters{};
  double weight_decay = 0;
  double learning_rate_factor = 1;
};

/// The parameters of a module that require a gradient, with their names: those that a frozen part
/// (set_requires_grad) leaves to an optimiser.
template <Module M>
[[nodiscard]] NamedParameters<scalar_t<M>> trainable_parameters(const M& module) {
  NamedParameters<scalar_t<M>> out = named_parameters(module);
  std::erase_if(out, [](const auto& entry) { return !entry.second.requires_grad(); });
  return out;
}

/// Two groups: matrices and tables with weight decay; biases and the gains of norms (everything of
/// rank 0 and 1) without.
template <Floating T>
[[nodiscard]] std::vector<ParameterGroup<T>> decay_groups(const NamedParameters<T>& parameters,
                                                          double weight_decay) {
  std::vector<ParameterGroup<T>> groups(2);
  groups[0].weight_decay = weight_decay;
  for (const auto& [name, parameter] : parameters) {
    groups[parameter.rank() > 1 ? 0 : 1].parameters.emplace_back(name, parameter);
  }
  return groups;
}

/// The same of a module's trainable_parameters.
template <Module M>
[[nodiscard]] std::vector<ParameterGroup<scalar_t<M>>> decay_groups(const M& module,
                                                                    double weight_decay) {
  return decay_groups(trainable_parameters(module), weight_decay);
}

namespace detail {

/// The T of what an optimiser is made of: groups, named parameters, Variables.
template <Floating T>
T parameter_type_of(const std::vector<ParameterGroup<T>>&);
template <Floating T>
T parameter_type_of(const std::vector<std::pair<std::string, Variable<T>>>&);
template <Floating T>
T parameter_type_of(const std::vector<Variable<T>>&);
template <class Source>
using parameter_type = decltype(parameter_type_of(std::declval<const Source&>()));

/// Throws unless an option is 0 or a positive, finite number.
inline void check_not_negative(std::string_view op, std::string_view option, double value) {
  LDLM_CHECK(value >= 0 && std::isfinite(value), op, option,
             " must be a number that is not negative, got ", value);
}

/// Throws if a tensor of a saved state holds NaN or infinity.
template <Floating T>
void check_finite_state(std::string_view op, std::string_view key, const Tensor<T>& tensor) {
  LDLM_CHECK(tensor.numel() == 0 ||
                 (std::isfinite(min(tensor).item()) && std::isfinite(max(tensor).item())),
             op, key, " holds NaN or infinity");
}

/// Throws unless a counter of a saved state is a whole number that a double can hold.
template <Floating T>
void check_count_state(std::string_view op, std::string_view key, const Tensor<T>& tensor) {
  constexpr double most = 9007199254740992;  // 2^53
  for (const T value : tensor.to(cpu).to_vector()) {
    const auto count = static_cast<double>(value);
    LDLM_CHECK(count >= 0 && count <= most && count == std::floor(count), op, key,
               " must be a whole number from 0 to 2^53, got ", count);
  }
}

/// One parameter with what its group says of it.
template <Floating T>
struct Slot {
  std::string name;
  Variable<T> parameter;
  double weight_decay;
  double learning_rate_factor;
};

/// Throws for a parameter that is strided, as one can become by set_value.
template <Floating T>
void check_contiguous(std::string_view op, std::string_view name, const Variable<T>& parameter) {
  LDLM_CHECK_SHAPE(parameter.value().is_contiguous(), op, "'", name,
                   "' is strided; parameters must be contiguous");
  if (parameter.grad().defined()) {  // kernels get bare addresses
    check_same_device(op, parameter.device(), parameter.grad().device());
  }
}

/// The slots of all groups. Throws on a parameter that is undefined, strided, or given twice, and
/// where there is nothing to move: no parameter, or none that requires a gradient.
template <Floating T>
std::vector<Slot<T>> make_slots(const std::vector<ParameterGroup<T>>& groups, std::string_view op) {
  std::vector<Slot<T>> slots;
  std::unordered_set<std::string_view> names;
  std::unordered_set<const T*> seen;
  for (const auto& group : groups) {
    check_not_negative(op, "weight_decay", group.weight_decay);
    check_not_negative(op, "learning_rate_factor", group.learning_rate_factor);
    for (const auto& [name, parameter] : group.parameters) {
      LDLM_CHECK(parameter.defined() && parameter.is_leaf(), op, "'", name,
                 "' is not a parameter: it is ",
                 parameter.defined() ? "the result of a function" : "undefined");
      check_contiguous(op, name, parameter);
      LDLM_CHECK(names.insert(name).second, op, "two parameters are named '", name, "'");
      LDLM_CHECK(parameter.numel() == 0 || seen.insert(parameter.value().data()).second, op, "'",
                 name, "' was given before under another name");
      slots.push_back({name, parameter, group.weight_decay, group.learning_rate_factor});
    }
  }
  LDLM_CHECK(!slots.empty(), op, "needs parameters, got none");
  LDLM_CHECK(std::any_of(slots.begin(), slots.end(),
                         [](const Slot<T>& slot) { return slot.parameter.requires_grad(); }),
             op, "needs parameters to move; of the ", slots.size(),
             " that were given none requires a gradient");
  return slots;
}

/// The settings, and what tells the groups from others: their number, the largest weight decay, and
/// what each has if there are several. Groups that have the same are one.
template <class Slots, class Projection = std::identity>
OptimizerSettings with_group_settings(OptimizerSettings settings, const Slots& slots,
                                      Projection slot_of = {}) {
  std::vector<std::pair<double, double>> groups;
  double largest = 0;
  for (const auto& entry : slots) {
    const auto& slot = std::invoke(slot_of, entry);
    const std::pair group(slot.weight_decay, slot.learning_rate_factor);
    if (std::find(groups.begin(), groups.end(), group) == groups.end()) {
      groups.push_back(group);
      largest = std::max(largest, slot.weight_decay);
    }
  }
  settings.emplace_back("weight_decay", largest);
  settings.emplace_back("groups", static_cast<double>(groups.size()));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups.size() == 1 && groups[i].second == 1) {
      break;
    }
    const std::string of = " of group " + std::to_string(i + 1);
    settings.emplace_back("weight_decay" + of, groups[i].first);
    settings.emplace_back("learning_rate_factor" + of, groups[i].second);
  }
  return settings;
}

/// The groups, which have weight decays of their own: throws ValueError if there is one beside
/// them.
template <Floating T>
const std::vector<ParameterGroup<T>>& without_decay(std::string_view op,
                                                    const std::vector<ParameterGroup<T>>& groups,
                                                    const std::optional<double>& weight_decay) {
  LDLM_CHECK(!weight_decay.has_value(), op,
             "weight_decay beside groups, which have their own: set theirs");
  return groups;
}

template <Floating T>
std::vector<ParameterGroup<T>> one_group(const NamedParameters<T>& parameters,
                                         double weight_decay) {
  return {ParameterGroup<T>{parameters, weight_decay}};
}
/// One group of parameters that are named "0", "1", ...
template <Floating T>
std::vector<ParameterGroup<T>> one_group(const std::vector<Variable<T>>& parameters,
                                         double weight_decay) {
  NamedParameters<T> named;
  for (const Variable<T>& parameter : parameters) {
    named.emplace_back(std::to_string(named.size()), parameter);
  }
  return one_group(named, weight_decay);
}

}  // namespace detail

}  // namespace ldlm
