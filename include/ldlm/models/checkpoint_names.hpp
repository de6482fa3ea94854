#pragma once
// CheckpointNames: how the tensors of Hugging Face's files are named, beside a model's parameters.
//
// A base model (BertModel, GPT2Model) is saved under plain names, "embeddings..."; in a model with
// a head they carry a prefix, "bert.embeddings...". What is neither the base's nor the model's own
// head belongs to another head.

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ldlm::detail {

class CheckpointNames {
 public:
  /// Of a base model with this prefix, "bert.", whose names begin with one of `roots`. A model
  /// whose parameters carry the prefix may have a head, whose names begin with `head`.
  CheckpointNames(std::string_view prefix, std::initializer_list<std::string_view> roots,
                  bool model_has_prefix, std::string_view head = {})
      : prefix_(prefix), roots_(roots), model_has_prefix_(model_has_prefix), head_(head) {}

  /// Takes over whether the file has the prefix.
  void look_at(const std::vector<std::string>& file_names) {
    file_has_prefix_ =
        std::any_of(file_names.begin(), file_names.end(),
                    [this](std::string_view name) { return name.starts_with(prefix_); });
  }

  /// The model's parameter for a name of the file; nothing for one of another head.
  [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const {
    if (!head_.empty() && name.starts_with(head_)) {
      return std::string(name);
    }
    const std::string_view base = without_prefix(name);
    const bool of_base = std::any_of(roots_.begin(), roots_.end(), [base](std::string_view root) {
      return base.starts_with(root);
    });
    return of_base ? std::optional(with_prefix(base, model_has_prefix_)) : std::nullopt;
  }
  /// The name that a parameter has, or would have, in the file.
  [[nodiscard]] std::string in_file(std::string_view parameter) const {
    return !head_.empty() && parameter.starts_with(head_)
               ? std::string(parameter)
               : with_prefix(without_prefix(parameter), file_has_prefix_);
  }

 private:
  [[nodiscard]] std::string_view without_prefix(std::string_view name) const {
    return name.starts_with(prefix_) ? name.substr(prefix_.size()) : name;
  }
  [[nodiscard]] std::string with_prefix(std::string_view base, bool prefixed) const {
    return std::string(prefixed ? prefix_ : std::string_view()).append(base);
  }

  std::string_view prefix_;
  std::vector<std::string_view> roots_;
  bool model_has_prefix_;
  std::string_view head_;
  bool file_has_prefix_ = true;
};

}  // namespace ldlm::detail
