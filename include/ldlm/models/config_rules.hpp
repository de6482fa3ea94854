#pragma once
// ConfigRules: what the values of a configuration must satisfy, said in the terms of where they
// come from: the key of a file, or the member that was set in code.

#include <algorithm>
#include <string_view>

#include <ldlm/core/linkage.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/models/activation.hpp>

namespace ldlm {

class ConfigRules {
 public:
  /// For values set in code. Errors read `[Gpt2Config] n_head is 7, which does not divide ...`.
  explicit ConfigRules(std::string_view type) : type_(type) {}
  /// For values of a file. Errors read `[config] gpt2/config.json: key "n_head" is 7, which ...`.
  explicit ConfigRules(const JsonReader& json) : json_(&json) {}

  /// Throws unless the condition holds.
  template <class... Parts>
  void check(bool condition, std::string_view key, const Parts&... rule) const {
    if (!condition) [[unlikely]] {
      if (json_ != nullptr) {
        json_->check(false, key, json_->has(key) ? "" : "(absent, so its default) ", rule...);
      }
      detail::fail(type_, key, ' ', rule...);
    }
  }
  void at_least(std::string_view key, std::int64_t value, std::int64_t least = 1) const;
  /// A probability of dropout.
  void dropout(std::string_view key, double value) const;
  /// What is added to a variance before its root is taken.
  void epsilon(std::string_view key, double value) const;
  /// The standard deviation of new weights.
  void deviation(std::string_view key, double value) const;
  /// An activation that a program made from a number.
  void activation(std::string_view key, Activation value) const;
  /// Attention heads, which share the channels.
  void heads(std::string_view key, std::int64_t count, std::string_view channels_key,
             std::int64_t channels) const;

 private:
  std::string_view type_;
  const JsonReader* json_ = nullptr;
};

namespace detail {

/// The configuration, once it has been found to be valid.
template <class Config>
[[nodiscard]] const Config& validated(const Config& config) {
  config.validate();
  return config;
}

/// Sets `value` to what is under a key, if there is something.
template <JsonReadable T>
void read_key(const JsonReader& json, std::string_view key, T& value) {
  value = json.get(key, value);
}

/// Throws for a model some of whose attention heads were taken out: its matrices have other shapes.
void check_no_pruned_heads(const JsonReader& json);

}  // namespace detail
}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/models/impl/config_rules.hpp>
#endif
