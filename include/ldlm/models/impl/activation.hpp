#pragma once
// Bodies of models/activation.hpp.

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <ldlm/core/enumeration.hpp>
#include <ldlm/core/kernel_table.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/models/activation.hpp>

namespace ldlm {

LDLM_BODY Activation activation_from(const JsonReader& config, std::string_view key,
                                     const char* fallback) {
  const std::string name = config.get(key, fallback);
  std::string all;
  for (const auto& [known, activation] : detail::activation_names) {
    if (name == known) {
      return activation;
    }
    const bool last = known == detail::activation_names.back().first;
    all += (all.empty() ? "" : last ? " and " : ", ") + std::string(known);
  }
  config.check(false, key, "must be one of ", all, ", got \"", name, '"');
  return Activation::none;
}

LDLM_BODY std::string activation_name(Activation activation) {
  for (const auto& [name, known] : detail::activation_names) {
    if (activation == known) {
      return std::string(name);
    }
  }
  detail::fail_unknown("Activation", activation);
}

}  // namespace ldlm
