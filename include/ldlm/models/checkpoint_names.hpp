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

#include <ldlm/core/linkage.hpp>

namespace ldlm::detail {

class CheckpointNames {
 public:
  /// Of a base model with this prefix, "bert.", whose names begin with one of `roots`. A model
  /// whose parameters carry the prefix may have a head, whose names begin with `head`.
  CheckpointNames(std::string_view prefix, std::initializer_list<std::string_view> roots,
                  bool model_has_prefix, std::string_view head = {});

  /// Takes over whether the file has the prefix.
  void look_at(const std::vector<std::string>& file_names);

  /// The model's parameter for a name of the file; nothing for one of another head.
  [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const;
  /// The name that a parameter has, or would have, in the file.
  [[nodiscard]] std::string in_file(std::string_view parameter) const;

 private:
  [[nodiscard]] std::string_view without_prefix(std::string_view name) const;
  [[nodiscard]] std::string with_prefix(std::string_view base, bool prefixed) const;

  std::string_view prefix_;
  std::vector<std::string_view> roots_;
  bool model_has_prefix_;
  std::string_view head_;
  bool file_has_prefix_ = true;
};

}  // namespace ldlm::detail

#ifndef LDLM_LINKED
#include <ldlm/models/impl/checkpoint_names.hpp>
#endif
