#pragma once
// Activations by their names in Hugging Face's files.

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm/io/json_config.hpp>

namespace ldlm {

/// The activation under a key of config.json. Throws for one that this library does not compute,
/// such as quick_gelu and gelu_10, whose values differ from gelu's.
[[nodiscard]] inline Activation activation_from(const JsonConfig& config, std::string_view key,
                                                const char* fallback) {
  // gelu_new and those beside it are the same formula, gelu's approximation by a tanh.
  static constexpr std::array<std::pair<std::string_view, Activation>, 11> names{{
      {"gelu", Activation::gelu},
      {"gelu_python", Activation::gelu},
      {"gelu_new", Activation::gelu_tanh},
      {"gelu_fast", Activation::gelu_tanh},
      {"gelu_accurate", Activation::gelu_tanh},
      {"gelu_pytorch_tanh", Activation::gelu_tanh},
      {"gelu_python_tanh", Activation::gelu_tanh},
      {"relu", Activation::relu},
      {"silu", Activation::silu},
      {"swish", Activation::silu},
      {"linear", Activation::none},
  }};
  const std::string name = config.get(key, fallback);
  for (const auto& [known, activation] : names) {
    if (name == known) {
      return activation;
    }
  }
  std::string known;
  for (const auto& [each, activation] : names) {
    known += (known.empty() ? "" : each == names.back().first ? " and " : ", ") + std::string(each);
  }
  config.check(false, key, "must be one of ", known, ", got \"", name, '"');
  return Activation::none;
}

/// The name of an activation in Hugging Face's files.
[[nodiscard]] inline std::string activation_name(Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return "gelu";
    case Activation::gelu_tanh:
      return "gelu_new";
    case Activation::relu:
      return "relu";
    case Activation::silu:
      return "silu";
    case Activation::none:
      break;
  }
  return "linear";
}

}  // namespace ldlm
