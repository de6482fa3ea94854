#pragma once
// NamedTensors: what a module's state dict is, and what files hold.

#include <string>
#include <string_view>
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

}  // namespace ldlm
