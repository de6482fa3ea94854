#pragma once
// Bodies of models/config_rules.hpp.

#include <algorithm>
#include <string_view>

#include <ldlm/io/json.hpp>
#include <ldlm/models/activation.hpp>
#include <ldlm/models/config_rules.hpp>

namespace ldlm {

LDLM_BODY void ConfigRules::at_least(std::string_view key, std::int64_t value,
                                     std::int64_t least) const {
  check(value >= least, key, "must be at least ", least, ", got ", value);
}

LDLM_BODY void ConfigRules::dropout(std::string_view key, double value) const {
  check(value >= 0 && value < 1, key, "must lie in [0, 1), got ", value);
}

LDLM_BODY void ConfigRules::epsilon(std::string_view key, double value) const {
  check(value > 0 && value <= 1, key, "must lie in (0, 1], got ", value);
}

LDLM_BODY void ConfigRules::deviation(std::string_view key, double value) const {
  check(value >= 0 && value <= 1, key, "must lie in [0, 1], got ", value);
}

LDLM_BODY void ConfigRules::activation(std::string_view key, Activation value) const {
  const auto& names = detail::activation_names;
  check(std::any_of(names.begin(), names.end(),
                    [value](const auto& each) { return each.second == value; }),
        key, "is ", static_cast<int>(value), ", which is no Activation");
}

LDLM_BODY void ConfigRules::heads(std::string_view key, std::int64_t count,
                                  std::string_view channels_key, std::int64_t channels) const {
  at_least(channels_key, channels);
  at_least(key, count);
  check(channels % count == 0, key, "is ", count, ", which does not divide ", channels_key, ' ',
        channels);
}

}  // namespace ldlm

namespace ldlm::detail {

LDLM_BODY void check_no_pruned_heads(const JsonReader& json) {
  const JsonValue* const heads = json.value().find("pruned_heads");
  json.check(
      heads == nullptr || heads->is_null() || (heads->is_object() && heads->members().empty()),
      "pruned_heads", "must be empty: models with pruned heads are not supported");
}

}  // namespace ldlm::detail
