#pragma once
// Bodies of models/checkpoint_names.hpp.

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/models/checkpoint_names.hpp>

namespace ldlm::detail {

LDLM_BODY CheckpointNames::CheckpointNames(std::string_view prefix,
                                           std::initializer_list<std::string_view> roots,
                                           bool model_has_prefix, std::string_view head)
    : prefix_(prefix), roots_(roots), model_has_prefix_(model_has_prefix), head_(head) {}

LDLM_BODY void CheckpointNames::look_at(const std::vector<std::string>& file_names) {
  file_has_prefix_ =
      std::any_of(file_names.begin(), file_names.end(),
                  [this](std::string_view name) { return name.starts_with(prefix_); });
}

LDLM_BODY std::optional<std::string> CheckpointNames::parameter(std::string_view name) const {
  if (!head_.empty() && name.starts_with(head_)) {
    return std::string(name);
  }
  const std::string_view base = without_prefix(name);
  const bool of_base = std::any_of(roots_.begin(), roots_.end(), [base](std::string_view root) {
    return base.starts_with(root);
  });
  return of_base ? std::optional(with_prefix(base, model_has_prefix_)) : std::nullopt;
}

LDLM_BODY std::string CheckpointNames::in_file(std::string_view parameter) const {
  return !head_.empty() && parameter.starts_with(head_)
             ? std::string(parameter)
             : with_prefix(without_prefix(parameter), file_has_prefix_);
}

LDLM_BODY std::string_view CheckpointNames::without_prefix(std::string_view name) const {
  return name.starts_with(prefix_) ? name.substr(prefix_.size()) : name;
}

LDLM_BODY std::string CheckpointNames::with_prefix(std::string_view base, bool prefixed) const {
  return std::string(prefixed ? prefix_ : std::string_view()).append(base);
}

}  // namespace ldlm::detail
