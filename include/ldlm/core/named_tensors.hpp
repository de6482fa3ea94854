#pragma once
// NamedTensors: what a module's state dict is, and what files hold.

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ldlm/core/tensor.hpp>

namespace ldlm {

/// Tensors with their names, in the order of insertion.
template <Scalar T>
using NamedTensors = std::vector<std::pair<std::string, Tensor<T>>>;

/// The tensor of that name, or null. Linear in the number of tensors.
template <Scalar T>
[[nodiscard]] const Tensor<T>* find(const NamedTensors<T>& tensors, std::string_view name) {
  for (const auto& [key, tensor] : tensors) {
    if (key == name) {
      return &tensor;
    }
  }
  return nullptr;
}

namespace detail {

/// "a, b, c and 4 more"
inline std::string join_some(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) {
    text += (i > 0 ? ", " : "") + names[i];
  }
  return names.size() > shown ? text + " and " + std::to_string(names.size() - shown) + " more"
                              : text;
}

}  // namespace detail

/// Copies each tensor of `source` into the one of the same name in `target`. Nothing is changed
/// unless all fits: throws an Error that starts with `op` and lists the names missing from
/// `source`, those it has too many (both only if `strict`), those of another shape (a ShapeError if
/// that is all) and those that are undefined there (a StateError).
template <Scalar T>
void copy_tensors(const NamedTensors<T>& source, const NamedTensors<T>& target, bool strict = true,
                  std::string_view op = "copy_tensors") {
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  std::vector<std::string> misshaped;
  std::vector<std::string> undefined;
  std::unordered_map<std::string_view, const Tensor<T>*> given;
  for (const auto& [name, tensor] : source) {
    if (!given.emplace(name, &tensor).second) {
      unexpected.push_back(name + " (a second time)");
    }
  }
  std::vector<std::pair<const Tensor<T>*, const Tensor<T>*>> copies;  // from, to
  for (const auto& [name, tensor] : target) {
    const auto found = given.find(name);
    if (found == given.end()) {
      missing.push_back(name);
      continue;
    }
    if (!found->second->defined()) {
      undefined.push_back(name);
    } else if (found->second->shape() != tensor.shape()) {
      misshaped.push_back(name + " is " + to_string(tensor.shape()) + ", given " +
                          to_string(found->second->shape()));
    }
    copies.emplace_back(found->second, &tensor);
    given.erase(found);
  }
  for (const auto& [name, tensor] : source) {
    const auto left = given.find(name);
    if (left != given.end() && left->second == &tensor) {
      unexpected.push_back(name);
    }
  }
  std::string problems;
  const auto report = [&problems](std::string_view what, const std::vector<std::string>& names) {
    if (!names.empty()) {
      problems += (problems.empty() ? "" : "; ") + std::string(what) + detail::join_some(names);
    }
  };
  if (strict) {
    report("missing: ", missing);
    report("unexpected: ", unexpected);
  }
  const bool names_differ = !problems.empty();
  report("of another shape: ", misshaped);
  report("undefined: ", undefined);
  if (!problems.empty()) {
    detail::fail_as(!undefined.empty() ? ErrorCode::state
                    : names_differ     ? ErrorCode::value
                                       : ErrorCode::shape,
                    op, problems);
  }
  for (const auto& [from, to] : copies) {
    to->copy_(*from);
  }
}

}  // namespace ldlm
