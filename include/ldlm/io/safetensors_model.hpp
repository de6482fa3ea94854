#pragma once
// SafetensorsModel: the tensors of a model's folder, in one file or in shards with an index.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors.hpp>

namespace ldlm {

/// Which shard holds a tensor, as a `model.safetensors.index.json` says.
struct ShardEntry {
  std::string tensor;
  std::string file;  // a plain file name, in the index's folder
};

/// Parses the text of an index: {"weight_map": {"tensor": "file", ...}}. A shard must be a plain
/// file name: an index can't reach outside of its folder.
[[nodiscard]] std::vector<ShardEntry> parse_shard_index(std::string_view text, std::string origin);

/// All tensors under one name space. Opening checks every shard and that each tensor lies in the
/// shard that the index names, and in no other. Tensors that the index lacks are there as well.
class SafetensorsModel {
 public:
  /// Opens a folder with model.safetensors or model.safetensors.index.json (the first is preferred,
  /// as everywhere), or such a file itself. Throws Error with the file, the tensor and the reason;
  /// for a folder that holds its weights in another format, with that and what to do.
  static SafetensorsModel open(const std::filesystem::path& folder_or_file);

  /// Names shard by shard, each in the order of its file.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] bool contains(std::string_view name) const;
  [[nodiscard]] const TensorInfo& info(std::string_view name) const;
  /// As SafetensorsFile::tensor: strict about the dtype, zero-copy.
  template <Scalar T>
  [[nodiscard]] Tensor<T> tensor(std::string_view name) const {
    return shard_of(name).template tensor<T>(name);
  }
  /// As SafetensorsFile::load: converts to T where the file has another dtype.
  template <Scalar T>
  [[nodiscard]] Tensor<T> load(std::string_view name) const {
    return shard_of(name).template load<T>(name);
  }
  /// The same for several, such as a PretrainedReport's `unused`.
  template <Scalar T>
  [[nodiscard]] NamedTensors<T> load(const std::vector<std::string>& names) const {
    NamedTensors<T> out;
    for (const std::string& name : names) {
      out.emplace_back(name, load<T>(name));
    }
    return out;
  }
  /// The index, or the only file.
  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }
  /// The files: one, or one for every shard.
  [[nodiscard]] const std::vector<SafetensorsFile>& shards() const noexcept { return shards_; }
  /// The file that holds a tensor. Throws if there is none of that name.
  [[nodiscard]] const SafetensorsFile& shard_of(std::string_view name) const;

 private:
  using Shards = std::map<std::string, std::size_t, std::less<>>;  // places in shards_

  SafetensorsModel() = default;

  void open_index(const std::filesystem::path& path);

  void add_names(std::size_t shard);

  std::string origin_;  // the index, or the only file
  std::vector<SafetensorsFile> shards_;
  Shards shard_of_;  // by tensor
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/io/impl/safetensors_model.hpp>
#endif
